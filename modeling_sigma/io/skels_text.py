"""Reader of PHOENIX's `.skels` text files, the format of Progressive Transformers and its many followers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from modeling_sigma.io.detections import MAX_FRAMES
from modeling_sigma.io.many_clips import ManyClips
from modeling_sigma.io.reading_budget import take_bytes, take_objects
from modeling_sigma.io.reading_errors import naming_file
from modeling_sigma.io.recording import Recording, detections_of
from modeling_sigma.io.text_files import read_lines
from modeling_sigma.model.skeleton_layouts import get_layout


# OpenPose's order, of which the ears, hips, legs and the whole face are missing: nose, neck, the right arm's shoulder,
# elbow and wrist, the left arm's, then the left and the right hand. They were lifted to x, y, z; z is not read.
LAYOUT = "openpose_137"
_NUM_JOINTS, _NUM_BODY = 50, 8
_ROW = 3 * _NUM_JOINTS
# A place in the file and a name.
_OBJECTS_PER_CLIP = 5
# Enough for numbers with 20 digits.
_MAX_LINE = MAX_FRAMES * (_ROW + 1) * 20 // 100


def read_skels(path: str | os.PathLike[str]) -> ManyClips:
    """Reads a `.skels` file: one line per clip, 150 numbers (50 joints with x, y, z) and a counter per frame.

    The joints are OpenPose's nose, neck, right and left shoulder, elbow and wrist, and both hands; ears and face are
    missing. The clips get their names from the `.files` file beside it (`train.skels`, `train.files`), or else line
    numbers from 1. Each line is read when its clip is asked for.

    Raises:
        ValueError: for other content.
        OSError: if there is no such file or it cannot be read.
    """
    file = Path(path)
    places, place = [], 0
    with file.open("rb") as opened, naming_file(path, "a .skels file"):
        while line := opened.readline(_MAX_LINE):
            if len(line) == _MAX_LINE:
                raise ValueError("expected one line per clip, received a line without end: this is no .skels file")
            if line.strip():
                take_objects(_OBJECTS_PER_CLIP)
                places.append((place, len(line)))
            place += len(line)
    with naming_file(path, "a .skels file"):
        if not places:
            raise ValueError("expected one line per clip, received an empty file: export it again")

        def read_line(content: tuple[int, int]) -> Recording:
            start, length = content
            with file.open("rb") as opened:
                opened.seek(start)
                return _recording_of_line(opened.read(length))

        _check_first(file, places[0])
        return ManyClips(path, zip(_names(file, len(places)), places, strict=True), read_line)


def _names(file: Path, num_clips: int) -> list[str]:
    beside = file.with_suffix(".files")
    if beside.is_file():
        names = read_lines(beside, "names of clips, one per line")
        if len(names) == num_clips:
            return names
        raise ValueError(f"expected {num_clips} names in {beside.name}, received {len(names)}: they belong together")
    return [str(number) for number in range(1, num_clips + 1)]


def _check_first(file: Path, place: tuple[int, int]) -> None:
    with file.open("rb") as opened:
        opened.seek(place[0])
        _recording_of_line(opened.read(place[1]))


def _recording_of_line(line: bytes) -> Recording:
    words = line.split()
    take_objects(len(words))
    take_bytes(len(words) // _ROW * 24 * get_layout(LAYOUT).num_keypoints)
    try:
        numbers = np.array(words, np.float64)
    except ValueError as error:
        raise ValueError(
            "expected numbers with spaces between them, received other text: this is no .skels"
        ) from error
    rows = _rows(numbers)
    points = rows.reshape(len(rows), _NUM_JOINTS, 3)[..., :2]
    layout = get_layout(LAYOUT)
    places = np.array([*range(_NUM_BODY), *layout.left_hand, *layout.right_hand])
    keypoints = np.zeros((len(rows), layout.num_keypoints, 2))
    scores = np.zeros(keypoints.shape[:2])
    found = np.isfinite(points).all(-1) & points.any(-1)
    keypoints[:, places] = np.where(found[..., None], points, 0)
    scores[:, places] = found
    return Recording(
        detections_of(keypoints, scores), LAYOUT, coordinates="pixels"
    )  # one unit for x and y, whatever it is


def _rows(numbers: np.ndarray) -> np.ndarray:
    """`(T, 150)` without the counter, which runs from 0 to 1 over the clip."""
    if len(numbers) % (_ROW + 1) == 0:
        rows = numbers.reshape(-1, _ROW + 1)
        counter = rows[:, -1]
        if (np.diff(counter) >= 0).all() and counter.min(initial=0) >= 0 and counter.max(initial=0) <= 1:
            return rows[:, :-1]
    if len(numbers) % _ROW == 0:
        return numbers.reshape(-1, _ROW)
    raise ValueError(
        f"expected 151 numbers per frame (50 joints with x, y, z, and a counter from 0 to 1), received {len(numbers)} "
        "in a line: the file is cut short or has another format"
    )
