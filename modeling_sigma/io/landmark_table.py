"""Reader of tables of MediaPipe landmarks, `.parquet` and `.csv`: one row per landmark, or one per frame."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modeling_sigma.io.many_clips import ManyClips
from modeling_sigma.io.mediapipe_landmarks import LARGEST_SHARE
from modeling_sigma.io.parquet_pages import unpacked_bytes
from modeling_sigma.io.point_arrays import layout_of_parts
from modeling_sigma.io.reading_budget import check_time, take_bytes, take_objects
from modeling_sigma.io.reading_errors import naming_file, shown
from modeling_sigma.io.recording import Recording, detections_of
from modeling_sigma.model.skeleton_layouts import get_layout


if TYPE_CHECKING:
    import pyarrow

# Memory for a cell, and for a point of the clip, while both are turned into arrays.
_BYTES_PER_CELL, _BYTES_PER_POINT = 24, 48
_PARTS = ("pose", "face", "left_hand", "right_hand")
_LONG = ("frame", "type", "landmark_index", "x", "y")
_WIDE = re.compile(r"([xy])_(pose|face|left_hand|right_hand)_(\d{1,3})")
# A slice of each column.
_OBJECTS_PER_CLIP = 50
# The columns that name the clip of a row, if a table holds several.
_CLIP = ("sequence_id", "clip", "video_id", "path", "participant_id")
_LABELS = {"text", "gloss", "sentence", "translation", "label", "phrase", "sign"}


def read_landmark_table(path: str | os.PathLike[str]) -> Recording | ManyClips:
    """Reads a table of MediaPipe landmarks.

    Either one row per landmark, with `frame`, `type` (pose, face, left_hand, right_hand), `landmark_index`, `x`, `y`
    (and `z`, which is not read), or one row per frame, with `frame` and `x_pose_0`, `y_pose_0`, ..., `x_face_0`,
    `x_left_hand_0`, `x_right_hand_0`, ...: the forms of Kaggle's two competitions. An empty
    cell is a landmark that was not found. Several
    clips are told apart by `sequence_id`, `clip`, `video_id`, `path` or `participant_id`. x and y are shares of the
    image, whose size these tables do not state, unless they are far larger.

    Raises:
        ValueError: for other tables, and for damaged or absurdly large ones.
        OSError: if there is no such file or it cannot be read.
    """
    with naming_file(path, "a table of landmarks"), Path(path).open("rb"):
        names = _column_names(path)
        wide = {name: match for name in names if (match := _WIDE.fullmatch(name))}
        if not wide and not set(_LONG) <= set(names):
            raise ValueError(_advice(names))
        clip_column = next((name for name in _CLIP if name in names), None)
        wanted = [*(wide or _LONG), *(["frame"] if wide and "frame" in names else []), *filter(None, [clip_column])]
        table = _read(path, list(dict.fromkeys(wanted)), clip_column)
        if table.num_rows == 0:
            raise ValueError("expected landmarks, received a table without rows: export it again")
        make = _recording_of_frames if wide else _recording_of_rows
        if clip_column is None:
            return make(table)
        return ManyClips(path, _clips(table, clip_column), make)


def _column_names(path: str | os.PathLike[str]) -> list[str]:
    if Path(path).suffix.lower() == ".csv":
        header = _header(path)
        return [name.strip().strip('"') for name in header.split(_delimiter(header))]
    import pyarrow.parquet

    return list(pyarrow.parquet.read_schema(path).names)


def _read(path: str | os.PathLike[str], columns: list[str], clip_column: str | None) -> pyarrow.Table:
    # Every text once, however often it stands in the table.
    texts = [name for name in ("type", clip_column) if name in columns]
    if Path(path).suffix.lower() != ".csv":
        return _read_parquet(path, columns, texts)
    import pyarrow.csv

    take_bytes(os.path.getsize(path))
    table = pyarrow.csv.read_csv(
        path,
        pyarrow.csv.ReadOptions(use_threads=False),
        pyarrow.csv.ParseOptions(delimiter=_delimiter(_header(path))),
        pyarrow.csv.ConvertOptions(include_columns=columns),
    )
    take_bytes(table.num_rows * len(columns) * _BYTES_PER_CELL)
    check_time()
    return table


def _read_parquet(path: str | os.PathLike[str], columns: list[str], texts: list[str]) -> pyarrow.Table:
    import pyarrow.parquet

    with Path(path).open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        take_bytes(unpacked_bytes(raw, columns))
    file = pyarrow.parquet.ParquetFile(path, read_dictionary=texts)
    take_bytes(file.metadata.num_rows * len(columns) * _BYTES_PER_CELL)
    return file.read(columns, use_threads=False)


def _header(path: str | os.PathLike[str]) -> str:
    with Path(path).open("rb") as file:
        return file.readline(1 << 20).decode("utf-8-sig").strip()


def _delimiter(header: str) -> str:
    """The delimiter of the columns: a comma, or what spreadsheets write where the comma is the decimal mark."""
    return max(",;\t", key=header.count)


def _clips(table: pyarrow.Table, column: str) -> Iterator[tuple[Any, pyarrow.Table]]:
    """The rows of each clip. As a rule they are contiguous, and then nothing is copied."""
    names, numbers = _encoded(table.column(column))
    if (np.diff(numbers) < 0).any():
        order = np.argsort(numbers, kind="stable")
        table, numbers = table.take(order), numbers[order]
    table = table.combine_chunks()
    starts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]])
    take_objects(_OBJECTS_PER_CLIP * len(starts))
    for name, start, end in zip(names, starts, np.r_[starts[1:], len(numbers)], strict=True):
        yield name, table.slice(start, end - start)


def _recording_of_rows(table: pyarrow.Table) -> Recording:
    columns = {name: table.column(name).to_numpy(zero_copy_only=False) for name in _LONG if name != "type"}
    parts = _parts_of(table.column("type"))
    landmarks = _whole_numbers(columns["landmark_index"], "landmark_index")
    frames, t = np.unique(_whole_numbers(columns["frame"], "frame"), return_inverse=True)
    points = np.stack([_floats(columns[name], name) for name in ("x", "y")], axis=-1)
    rows = {name: np.flatnonzero(parts == number) for number, name in enumerate(_PARTS)}

    def points_of(name: str, size: int) -> np.ndarray:
        found = np.full((len(frames), size, 2), np.nan)
        if len(rows[name]):
            if landmarks[rows[name]].max() >= size:
                raise ValueError(
                    f"expected landmark_index of {name} below {size}, received {landmarks[rows[name]].max()}"
                )
            places = t[rows[name]] * size + landmarks[rows[name]]
            if len(np.unique(places)) < len(places):
                raise ValueError(
                    f"expected one row for each landmark of a frame, received {len(places):,} of {name} for "
                    f"{len(np.unique(places)):,} landmarks: if these are several clips, tell them apart in a column "
                    "sequence_id"
                )
            found.reshape(-1, 2)[places] = points[rows[name]]
        return found

    num_face = int(landmarks[rows["face"]].max()) + 1 if len(rows["face"]) else 0
    return _recording({name for name in _PARTS if len(rows[name])}, num_face, len(frames), points_of)


def _recording_of_frames(table: pyarrow.Table) -> Recording:
    if "frame" in table.column_names:
        order = np.argsort(
            _whole_numbers(table.column("frame").to_numpy(zero_copy_only=False), "frame"), kind="stable"
        )
        table = table.take(order)
    matches = [match for name in table.column_names if (match := _WIDE.fullmatch(name))]

    def points_of(name: str, size: int) -> np.ndarray:
        found = np.full((table.num_rows, size, 2), np.nan)
        for match in matches:
            axis, part, number = match.groups()
            if part == name and int(number) < size:
                values = table.column(match.string).to_numpy(zero_copy_only=False)
                found[:, int(number), "xy".index(axis)] = _floats(values, match.string)
        return found

    num_face = max((int(match.group(3)) + 1 for match in matches if match.group(2) == "face"), default=0)
    return _recording({match.group(2) for match in matches}, num_face, table.num_rows, points_of)


def _recording(parts: set[str], num_face: int, num_frames: int, points_of: Any) -> Recording:
    sizes = {"pose": 33, "face": 478 if num_face > 468 else 468, "left_hand": 21, "right_hand": 21}
    layout = get_layout(layout_of_parts({name: size for name, size in sizes.items() if name in parts}))
    take_bytes(num_frames * layout.num_keypoints * _BYTES_PER_POINT)
    keypoints = np.concatenate([points_of(name, size) for name, size in layout.components], axis=1)
    found = np.isfinite(keypoints).all(-1)
    keypoints = np.where(found[..., None], keypoints, 0).astype(np.float32)
    unit = "shares" if np.abs(keypoints).max() <= LARGEST_SHARE else None
    return Recording(detections_of(keypoints, found.astype(np.float32)), layout.name, coordinates=unit)


def _parts_of(types: pyarrow.ChunkedArray) -> np.ndarray:
    """The index of each row's type among the parts."""
    names, numbers = _encoded(types)
    other = next((name for name in names if name not in _PARTS), None)
    if other is not None or types.null_count:
        raise ValueError(f"expected type as one of {', '.join(_PARTS)}, received {shown(other)}: rename it")
    return np.array([_PARTS.index(name) for name in names])[numbers]


def _encoded(values: pyarrow.ChunkedArray) -> tuple[list[Any], np.ndarray]:
    """The different values of a column, in the order of their first rows, and each row's index among them."""
    import pyarrow

    encoded = values.combine_chunks()
    if not isinstance(encoded, pyarrow.DictionaryArray):
        encoded = encoded.dictionary_encode()
    names = [*encoded.dictionary.to_pylist(), None]
    numbers = encoded.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)
    if not encoded.null_count:
        names.pop()
    used, firsts, places = np.unique(numbers, return_index=True, return_inverse=True)
    order = np.argsort(firsts, kind="stable")
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return [names[used[place]] for place in order], ranks[places]


def _whole_numbers(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values == values.round()).all():
        values = values.astype(np.int64)
    if values.dtype.kind not in "iu" or values.min(initial=0) < 0:
        raise ValueError(f"expected {name} as whole numbers from 0, received {values.dtype}: check the column")
    return values.astype(np.int64)


def _floats(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype.kind not in "fiu" and not all(value is None for value in values):
        raise ValueError(f"expected {name} as numbers, received {values.dtype}: check the column")
    return np.array(values, np.float64)


def _advice(names: list[str]) -> str:
    found = ", ".join(map(shown, names[:8])) or "nothing"
    expected = f"expected a table of landmarks with the columns {', '.join(_LONG)}, received {found}"
    if {name.lower() for name in names} & _LABELS:
        return f"{expected}: this is a table of labels: build a data set of it with build-dataset"
    return f"{expected}: rename the columns, or convert it to .npz with PoseClip and save_clip"
