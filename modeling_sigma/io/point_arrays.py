"""Works out what a bare array of points means: persons, frames, points, and x, y with a score, a depth, or both.

Tutorials and competitions store MediaPipe's landmarks in two orders, and often flat, one row of numbers per frame.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from modeling_sigma.io.detections import Detection, check_num_frames, check_num_people, check_person_exists
from modeling_sigma.io.reading_budget import take_bytes
from modeling_sigma.io.recording import Recording, detections_of
from modeling_sigma.model.clip_making import as_pose_clip
from modeling_sigma.model.clip_shapes import axis_order, explain_number, explain_shape
from modeling_sigma.model.keypoint_arrays import check_scores
from modeling_sigma.model.skeleton_layouts import LAYOUTS, get_layout, layout_for_num_keypoints


# The points of MediaPipe's parts. Only the pose has a certainty of its own; in the others a third number is a depth.
_POSE, _HANDS = 33, 42
_FACES = {543: 468, 553: 478}
# Rows of x, y, z, visibility of the pose, then x, y, z of face and hands, as in the most common tutorial.
_ROWS_WITH_VISIBILITY = {4 * _POSE + 3 * (num_face + _HANDS): num_face for num_face in (0, 468, 478)}
# A whole body is about three times as large as its face; a part of the face is smaller than the face.
_BODY_TO_FACE = 1.5


_BODY_ALONE = "a body without hands: run the detector with a whole-body model, such as COCO-WholeBody's 133 keypoints"
_PARTS_ALONE = {
    **dict.fromkeys((13, 14, 15, 16, 17, 18, 25, 26), _BODY_ALONE),
    21: "one hand alone: put the points into the first half (left) or second half (right) of 42, the others zero",
}


def recording_of_array(points: Any, scores: Any = None, layout: str | None = None, **stated: Any) -> Recording:
    """The recording of an array of points.

    Args:
        points (`np.ndarray`):
            `(T, K, C)`, `(T, N, K, C)` for N persons, or `(T, numbers)` with the points of each frame in one row.
            C = 2: x, y; C = 3: x, y and a score, or x, y, z where `scores` are given or MediaPipe wrote the points
            (a depth has negative values); C = 4: x, y, z, visibility.
        scores (`np.ndarray`, *optional*):
            The scores, `(T, K)` or `(T, N, K)`.
        layout (`str`, *optional*):
            The layout; by default it follows from K.
        **stated:
            Other fields of the recording: `fps`, `width`, ...

    Raises:
        ValueError: for another shape, values that are not numbers, or a number of points that no layout has.
    """
    points = _numbers(points, "keypoints")
    if points.ndim == 2 and scores is None:
        points = points[None] if points.shape[1] in (2, 3, 4) else _points_of_rows(points)  # a single frame, or rows
    if points.ndim not in (3, 4) or points.shape[-1] not in (2, 3, 4):
        raise ValueError(explain_shape(points.shape))
    if layout is None and points.shape[-1] < 4 and axis_order(points.shape) not in (None, tuple(range(points.ndim))):
        raise ValueError(explain_shape(points.shape))
    if layout is None and points.shape[1:-1] == (_POSE,) and scores is None:
        return recording_of_parts({"pose": points}, **stated)
    is_stated = layout is not None
    if layout is None and points.ndim == 4 and points.shape[1:3] == (2, 21):
        raise ValueError(
            f"expected keypoints (T, 42, C) of two hands, received {points.shape}: if the first is the left one, "
            "array.reshape(len(array), 42, -1); hands in order of detection go through clip_from_mediapipe"
        )
    layout = layout or layout_of_points(points.shape[-2])
    keypoints, scores = _points_and_scores(points, scores, layout)
    if not is_stated:
        keypoints, scores = in_our_order(keypoints, scores, layout)
    return Recording(detections_of(keypoints, scores), layout, **stated)


def layout_of_points(num_keypoints: int) -> str:
    """The layout with that many keypoints.

    Raises:
        ValueError: if there is none; for only a body or only a hand, the message says what is missing.
    """
    if num_keypoints in _PARTS_ALONE:
        raise ValueError(
            f"expected the keypoints of a whole body or of two hands, received {num_keypoints}, "
            f"{_PARTS_ALONE[num_keypoints]}"
        )
    try:
        return layout_for_num_keypoints(num_keypoints)
    except ValueError as error:
        advice = explain_number(num_keypoints)
        raise ValueError(f"{error}. {advice}" if advice else str(error)) from None


def recording_of_parts(parts: dict[str, Any], **stated: Any) -> Recording:
    """The recording of MediaPipe's parts, each in its own array.

    Args:
        parts (`dict[str, np.ndarray]`):
            Some of `pose` `(T, 33, C)`, `face` `(T, 468 or 478, C)`, `left_hand` and `right_hand` `(T, 21, C)`.
        **stated:
            Other fields of the recording: `fps`, `width`, ...

    Raises:
        ValueError: for other shapes, or neither a body nor a hand.
    """
    arrays = {name: _numbers(array, name) for name, array in parts.items()}
    num_frames = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(num_frames) != 1:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"expected as many frames of every part, received {found}: extract the clip again")
    layout = get_layout(
        layout_of_parts({name: array.shape[1] if array.ndim > 1 else 0 for name, array in arrays.items()})
    )
    shape = (num_frames.pop(), layout.num_keypoints)
    take_bytes(shape[0] * shape[1] * 12)
    keypoints = np.zeros((*shape, 2), np.float32)
    scores = np.zeros(keypoints.shape[:2], np.float32)
    start = 0
    for name, size in layout.components:
        if name in arrays:
            array = arrays[name]
            if array.ndim != 3 or array.shape[1] != size or array.shape[2] not in (2, 3, 4):
                raise ValueError(f"expected {name} as (T, {size}, 2 to 4), received {array.shape}: check the file")
            place = slice(start, start + size)
            keypoints[:, place], scores[:, place] = _part(array)
        start += size
    return Recording(detections_of(keypoints, scores), layout.name, **stated)


def _part(points: np.ndarray) -> Detection:
    """Keypoints and scores of one part, in which points that were not found are zeros or NaN."""
    found = np.isfinite(points[..., :2]).all(-1) & points[..., :2].any(-1)
    scores = found.astype(np.float32)
    if points.shape[-1] == 4 or (points.shape[-1] == 3 and not _is_depth(points)):
        scores = np.where(found, np.nan_to_num(points[..., -1]), 0)
    return np.where(found[..., None], points[..., :2], 0), scores


def layout_of_parts(sizes: dict[str, int]) -> str:
    """The layout for parts with these numbers of points: `{"pose": 33, "left_hand": 21}`.

    Raises:
        ValueError: for numbers that are not MediaPipe's, or neither a body nor a hand.
    """
    sizes = {name: size for name, size in sizes.items() if size}
    expected = {"pose": (33,), "face": (468, 478), "left_hand": (21,), "right_hand": (21,)}
    for name, size in sizes.items():
        if size not in expected[name]:
            raise ValueError(
                f"expected {' or '.join(map(str, expected[name]))} {name} landmarks of MediaPipe, received {size}: "
                "store all landmarks of the part, those not found as zeros"
            )
    if not sizes.keys() - {"face"}:
        raise ValueError("expected a pose or hands, received neither: Sigma does not read faces alone")
    if "face" in sizes:
        return f"mediapipe_holistic_{75 + sizes['face']}"
    return "mediapipe_holistic_75" if "pose" in sizes else "hands_42"


def in_our_order(keypoints: np.ndarray, scores: np.ndarray, layout: str) -> Detection:
    """MediaPipe's points with the pose first, the order of `layout`, even if they came with the face first.

    MediaPipe's own arrays begin with the pose (pose, face, left hand, right hand). The exports of Kaggle's
    competitions are in alphabetical order (face, left hand, pose, right hand). A whole body is much larger than its
    face, which shows where it is.
    """
    num_face = _FACES.get(get_layout(layout).num_keypoints)
    if num_face is None or not layout.startswith("mediapipe") or not _face_is_first(keypoints, scores, num_face):
        return keypoints, scores
    left_hand, pose, right_hand = num_face, num_face + 21, num_face + 21 + _POSE
    order = [
        *range(pose, right_hand),
        *range(num_face),
        *range(left_hand, pose),
        *range(right_hand, right_hand + 21),
    ]
    return keypoints[..., order, :], scores[..., order]


def _face_is_first(keypoints: np.ndarray, scores: np.ndarray, num_face: int) -> bool:
    """Whether there is a body after face and left hand, and none at the beginning."""
    found = (scores > 0)[..., None]
    low, high = np.where(found, keypoints, np.inf), np.where(found, keypoints, -np.inf)

    def sizes(start: int, stop: int) -> np.ndarray:
        return (high[..., start:stop, :].max(-2) - low[..., start:stop, :].min(-2)).max(-1)  # -inf where not found

    pose = num_face + 21  # where the pose is if the face comes first
    first, last, face = sizes(0, _POSE), sizes(pose, pose + _POSE), sizes(_POSE, num_face)
    both = np.isfinite(first) & np.isfinite(face) & (face > 0)
    if both.any():
        later = np.median(last[both] / face[both])
        return bool(np.median(first[both] / face[both]) < _BODY_TO_FACE < later)
    # No frame has a face: the pose is where all of its points are found.
    return int(found[..., pose : pose + _POSE, 0].all(-1).sum()) > int(found[..., :_POSE, 0].all(-1).sum())


def _points_of_rows(rows: np.ndarray) -> np.ndarray:
    """`(T, numbers)` -> `(T, K, C)`."""
    width = rows.shape[1]
    if width in _ROWS_WITH_VISIBILITY:
        pose = rows[:, : 4 * _POSE].reshape(-1, _POSE, 4)
        others = rows[:, 4 * _POSE :].reshape(len(rows), -1, 3)
        points = np.zeros((len(rows), _POSE + others.shape[1], 4), rows.dtype)
        points[:, :_POSE], points[:, _POSE:, :3] = pose, others
        points[:, _POSE:, 3] = others.any(-1)
        return points
    shapes = [
        (layout.num_keypoints, numbers)
        for layout in LAYOUTS.values()
        for numbers in (2, 3)
        if layout.num_keypoints * numbers == width
    ]
    if len(shapes) != 1 or width == 150:  # 75 points, or 50 with x, y, z as in .skels files
        raise ValueError(explain_shape(rows.shape))
    return rows.reshape(len(rows), *shapes[0])


def _points_and_scores(points: np.ndarray, scores: Any, layout: str) -> Detection:
    """Keypoints `(T, N, K, 2)` and scores `(T, N, K)`, in the form that `recording_of_array` needs."""
    if scores is not None:
        scores = _numbers(scores, "scores")
        if scores.shape == (*points.shape[:-1], 1):
            scores = scores[..., 0]
        if scores.shape != points.shape[:-1]:
            raise ValueError(
                f"expected keypoints (T, K, 2) and scores (T, K), received {points.shape} and {scores.shape}: T "
                "frames with K keypoints each"
            )
    elif points.shape[-1] == 4:
        points, scores = points[..., :2], points[..., 3]
    if points.shape[-1] > 2 and (scores is not None or (_is_of_mediapipe(layout) and _is_depth(points))):
        points = points[..., :2]
    if points.ndim == 3:
        points, scores = points[:, None], None if scores is None else scores[:, None]
    check_num_frames(len(points))
    check_num_people(points.shape[1])
    check_person_exists(0, points.shape[1])
    take_bytes(2 * math.prod(points.shape[:3]) * 12)  # of each person, and of all
    people = [
        as_pose_clip({"keypoints": points[:, n], "scores": None if scores is None else scores[:, n], "layout": layout})
        for n in range(points.shape[1])
    ]
    return np.stack([clip.keypoints for clip in people], 1), np.stack([clip.scores for clip in people], 1)


def _is_of_mediapipe(layout: str) -> bool:
    return layout.startswith(("mediapipe", "hands"))


def _is_depth(points: np.ndarray) -> bool:
    """Whether the number after x and y is a depth, not a certainty: MediaPipe's own arrays have z there."""
    third = points[..., 2][np.isfinite(points).all(-1)]
    try:
        check_scores(third)
    except ValueError:
        return True
    return not third.any()


def as_array(values: Any) -> np.ndarray:
    """The array of nested lists of numbers and arrays; one of objects if there is text among them.

    Raises:
        ValueError: for lists of different lengths.
    """
    # Numpy would make all texts as long as the longest of them.
    return np.asarray(values, object if type(values) in (list, tuple) and _holds_text(values) else None)


def _holds_text(values: list[Any] | tuple[Any, ...]) -> bool:
    for value in values:
        if isinstance(value, (str, bytes, bytearray)) or getattr(value, "dtype", np.dtype(float)).kind in "SU":
            return True
        if type(value) in (list, tuple) and _holds_text(value):
            return True
    return False


def _numbers(values: Any, name: str) -> np.ndarray:
    try:
        array = as_array(values)
    except ValueError as error:
        raise ValueError(f"expected {name} as one array, received frames of different sizes") from error
    if array.dtype.kind not in "fiu":
        raise ValueError(f"expected {name} as numbers, received dtype {array.dtype}: save them as float32")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
