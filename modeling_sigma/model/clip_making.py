"""The one place that makes a [`PoseClip`] from what people have: arrays, tensors, lists of frames, dicts, rows, paths.

Where a keypoint was not found, each tool writes something different: a mask, None, NaN, zeros, -1, or no frame at
all. Here all of it becomes score 0 and coordinates (0, 0).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .clip_kinds import MOST_PEOPLE, are_frames, is_array, is_clip, is_empty, is_pair, num_axes
from .clip_shapes import axis_order, explain_number, explain_shape
from .clip_units import warn_once
from .keypoint_arrays import hide_invalid, to_numpy
from .pose_clip import PoseClip
from .skeleton_layouts import layout_for_num_keypoints
from .stored_rows import decode_clip, is_stored_row, rows_of_columns


# Anything that stands for one clip.
PoseInput = PoseClip | str | os.PathLike[str] | np.ndarray | Mapping[str, Any] | Sequence[Any]

# What detectors call the scores in their own dictionaries.
_SCORE_NAMES = ("scores", "keypoint_scores", "keypoint_score", "confidences", "confidence")


def split_clips(poses: Any) -> tuple[list[Any], bool]:
    """The clips of an input, unchanged, and whether there were several.

    Several clips are a list, tuple or generator of clips, an array `(B, T, K, C)`, or rows column by column, as a
    slice of a data set gives them (`dataset[:8]`, also as a table of pandas or arrow). One clip is anything that
    [`as_pose_clip`] takes, a list of frames included.
    """
    poses = _of_table(to_numpy(poses))
    if isinstance(poses, Mapping):
        if is_stored_row(poses) and np.ndim(to_numpy(poses["keypoints_step"])):
            return list(rows_of_columns(poses)), True
        return ([poses], False) if is_stored_row(poses) or not _holds_clips(poses) else (_rows(poses), True)
    if is_array(poses) and poses.dtype != object:
        several = poses.ndim == 4 and poses.shape[1] > MOST_PEOPLE and poses.shape[-1] in (2, 3)
        return (list(poses), True) if several else ([poses], False)
    single = isinstance(poses, (str, os.PathLike)) or is_clip(poses) or is_pair(poses)
    if single or not isinstance(poses, Iterable):
        return [poses], False
    items = list(poses)
    if are_frames(items):
        return [items], False
    if len(items) > 1 and all(is_array(item) and item.ndim == 3 and len(item) == 1 for item in items):
        warn_once(
            "a list of arrays (1, K, C) is read as clips of one frame each: if they are the frames of one clip, join "
            "them with np.concatenate"
        )
    return items, True


def as_pose_clip(pose: Any, coordinates: str | None = None, aspect_ratio: float | None = None) -> PoseClip:
    """Anything that stands for one clip, as a [`PoseClip`].

    Args:
        pose ([`PoseClip`], path, array, tensor, list of frames, or `Mapping`):
            Arrays and torch tensors are `(T, K, 3)` with x, y and score, or `(T, K, 2)`, also with an axis of one
            person; masked arrays are welcome. A list holds one array per frame, None or `[]` where nobody was found. A
            mapping holds the arguments of [`PoseClip`], or is a row of a data set; a pair is keypoints and scores, as
            detectors return them. A path is read by `modeling_sigma.io` where the package is installed.
        coordinates (`"pixels"` or `"shares"`, *optional*), aspect_ratio (`float`, *optional*):
            The unit and the image's proportions of clips that do not state theirs; see [`PoseClip`].

    Raises:
        ValueError: for arrays of another shape, depths or percentages instead of scores, several people, or a path
            where the readers are not installed.
        TypeError: for anything else.
    """
    clip = _as_pose_clip(pose)
    stated = {"coordinates": coordinates, "aspect_ratio": aspect_ratio}
    missing = {name: value for name, value in stated.items() if value is not None and getattr(clip, name) is None}
    return replace(clip, **missing) if missing else clip  # type: ignore[arg-type]


def _as_pose_clip(pose: Any) -> PoseClip:
    if isinstance(pose, PoseClip):
        return pose
    if isinstance(pose, (str, os.PathLike)):
        return _load_clip(pose)
    if isinstance(pose, Mapping):
        return _clip_of_mapping(pose)
    if is_clip(pose):
        known = {name: getattr(pose, name, None) for name in PoseClip.__dataclass_fields__}
        return PoseClip(**known)  # type: ignore[arg-type]
    if is_pair(pose):
        return _clip_of_points(*pose)
    if is_array(pose) or (isinstance(pose, (list, tuple)) and are_frames(list(pose))):
        return _clip_of_points(pose)
    advice = ""
    if isinstance(pose, bytes):
        advice = ": packed keypoints of a data set need their whole row, not one of its columns"
    elif hasattr(pose, "body") and hasattr(pose, "header"):
        advice = ": write it into a file, whose header says which point is which, and pass the path"
    elif hasattr(pose, "data") and hasattr(pose, "confidence"):
        advice = ": pass its keypoints and scores, (body.data, body.confidence)"
    raise TypeError(
        f"expected a PoseClip, path, array, dict of keypoints and scores, or list of frames, received "
        f"{type(pose).__name__}{advice}"
    )


def _clip_of_mapping(fields: Mapping[str, Any]) -> PoseClip:
    if is_stored_row(fields):
        return decode_clip(fields)
    if fields.get("keypoints") is None:
        advice = ": these are a model's inputs already, pass them to the model" if "pose_values" in fields else ""
        raise ValueError(
            f"expected a dict with keypoints and scores, received keys {sorted(map(str, fields))}{advice}"
        )
    if any(isinstance(fields["keypoints"], packed) for packed in (bytes, np.bytes_)):
        raise ValueError("expected arrays of numbers, received packed keypoints: pass the whole row of the data set")
    known = {name: fields[name] for name in PoseClip.__dataclass_fields__ if fields.get(name) is not None}
    scores = next((fields[name] for name in _SCORE_NAMES if fields.get(name) is not None), None)
    if scores is not None:
        known["scores"] = scores
    for name in ("fps", "width", "height", "aspect_ratio"):
        if name in known:
            number = np.asarray(to_numpy(known[name])).item()
            known[name] = None if number != number else number  # NaN is null in numpy's format of a data set
    return _clip_of_points(**known)


def _clip_of_points(keypoints: Any, scores: Any = None, layout: str | None = None, **stated: Any) -> PoseClip:
    points, certainty = _one_person(_stacked(keypoints, "keypoints")), None
    if scores is not None:
        certainty = _stacked(scores, "scores")
        is_column = certainty.shape == (*points.shape[:2], 1)
        certainty = _filled(certainty[..., 0] if is_column else _one_person(certainty, num_axes=2))
    if points.ndim != 3 or points.shape[-1] not in (2, 3):
        raise ValueError(explain_shape(points.shape))
    if layout is None:
        if axis_order(points.shape) not in (None, (0, 1, 2)):
            raise ValueError(explain_shape(points.shape))
        layout = _layout_of(points.shape[1])
    xy = _filled(points[..., :2])
    if certainty is None:
        certainty = _filled(points[..., 2]) if points.shape[-1] == 3 else np.ones(points.shape[:2], np.float32)
        if points.shape[-1] == 3:
            _check_third_channel(xy, certainty)
    if certainty.shape == points.shape[:2]:
        if certainty.size and (certainty == certainty.flat[0]).all():
            # A score that is the same everywhere says nothing: only the coordinates tell what was found.
            found = xy.any(-1) & (xy != -1).any(-1)
            certainty = np.where(found, certainty, certainty.dtype.type(0))
        xy, certainty = hide_invalid(xy, certainty)
    return PoseClip(xy, certainty, layout, **stated)


def _layout_of(num_keypoints: int) -> str:
    try:
        return layout_for_num_keypoints(num_keypoints)
    except ValueError as error:
        advice = explain_number(num_keypoints)
        raise ValueError(f"{error}. {advice}" if advice else str(error)) from None


def _check_third_channel(xy: np.ndarray, third: np.ndarray) -> None:
    if not third.any() and np.nan_to_num(xy).any():
        raise ValueError(
            "expected x, y and a score from 0 (not found) to 1, received a third number that is 0 for every point: "
            "a depth (z)? Pass x and y alone, array[..., :2], or with the detector's scores"
        )


# --- arrays of many kinds


def _of_table(poses: Any) -> Any:
    """The columns of a table of rows, or the numbers of a table of numbers; anything else as it is."""
    if hasattr(poses, "to_pydict"):  # arrow
        return poses.to_pydict()
    if not (hasattr(poses, "columns") and hasattr(poses, "to_numpy")):  # pandas, polars
        return poses
    if "keypoints" not in poses.columns:
        return poses.to_numpy()
    return {name: poses[name].to_list() for name in poses.columns}


def _holds_clips(columns: Mapping[str, Any]) -> bool:
    """Whether `keypoints` are those of several clips, rather than of the frames of one."""
    clips = to_numpy(columns.get("keypoints"))
    if is_array(clips) and clips.dtype != object:
        return split_clips(clips)[1]
    if not isinstance(clips, (list, tuple, np.ndarray)):
        return False
    return any(num_axes(clip) == 3 and len(clip) > MOST_PEOPLE for clip in clips)


def _rows(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One dict per clip; an entry that is not a column, such as a layout, holds for all clips."""
    num_clips = len(columns["keypoints"])
    lists = {
        name: not isinstance(column, str) and hasattr(column, "__len__") and len(column) == num_clips
        for name, column in columns.items()
    }
    return [
        {name: column[row] if lists[name] else column for name, column in columns.items()} for row in range(num_clips)
    ]


def _stacked(values: Any, name: str) -> np.ndarray:
    """The values as an array, masked or not; empty or None frames in a list become NaN."""
    values = to_numpy(values)
    if isinstance(values, np.ndarray) and values.dtype.names:
        raise ValueError(
            f"expected {name} as numbers, received records of {', '.join(values.dtype.names)}: "
            "np.stack([array[name] for name in array.dtype.names], axis=-1) makes numbers of them"
        )
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values
    if not isinstance(values, (list, tuple, np.ndarray)):
        values = np.asarray(values)  # jax, tensorflow, ...
        return values
    frames = [None if is_empty(frame) else _frame(frame, name, t) for t, frame in enumerate(values)]
    found = [frame for frame in frames if frame is not None]
    if not found:
        raise ValueError(f"expected {name} of somebody in at least one frame, received none in {len(frames)} frames")
    shapes = sorted({frame.shape for frame in found})
    if len(shapes) > 1:
        raise ValueError(
            f"expected {name} of one shape in all frames, received {shapes[0]} and {shapes[1]}: choose one person "
            "in each frame"
        )
    nothing = np.full(shapes[0], np.nan, np.float32)
    return np.ma.stack([nothing if frame is None else frame for frame in frames])


def _frame(frame: Any, name: str, t: int) -> np.ndarray:
    array = to_numpy(frame)
    if not isinstance(array, np.ndarray) or array.dtype == object:
        points = [to_numpy(point) for point in array]
        size = next((len(point) for point in points if np.ndim(point) == 1), 0)
        try:
            # None becomes NaN
            array = np.array([[None] * size if size and point is None else point for point in points], np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"expected {name} of frame {t} as an array of numbers, received other values") from error
    return array[0] if array.ndim == 3 and len(array) == 1 else array


def _one_person(array: np.ndarray, num_axes: int = 3) -> np.ndarray:
    """The array without an axis of one person, (T, 1, K, C), or of one clip, (1, T, K, C)."""
    if array.ndim != num_axes + 1:
        return array
    if array.shape[1] == 1:
        return array[:, 0]
    return array[0] if array.shape[0] == 1 else array


def _filled(values: np.ndarray) -> np.ndarray:
    """Floats, NaN where masked."""
    if values.dtype.kind not in "fiub":
        raise ValueError(f"expected keypoints and scores as arrays of real numbers, received dtype {values.dtype}")
    array = values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)
    return np.ma.filled(array, np.nan)


def _load_clip(path: str | os.PathLike[str]) -> PoseClip:
    try:
        from modeling_sigma.io import load_clip
    except ImportError as error:
        raise ValueError(
            f"{path}: reading files needs the readers of the sigma-slu package: install it (see its README), or pass "
            "arrays or PoseClips"
        ) from error
    return _as_pose_clip(load_clip(path))
