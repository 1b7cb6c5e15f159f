"""Says what is wrong with the shape of an array of keypoints, and which call fixes it."""

from __future__ import annotations

from itertools import permutations

from .clip_kinds import MOST_PEOPLE
from .skeleton_layouts import LAYOUTS


_SIZES = {layout.num_keypoints: name for name, layout in LAYOUTS.items()}
# Numbers of keypoints of separate bodies, hands and faces: neither a layout of ours nor a number of frames.
_OF_PARTS = {17, 18, 21, 25, 26, 33, 68, 70, 468, 478}
_MEDIAPIPE = "MediaPipe has 33 + 21 + 21 (75) points for pose and hands, 33 + 468 + 21 + 21 (543) with the face"


def explain_shape(shape: tuple[int, ...]) -> str:
    """What was expected, what came, and what to do, for an array that is not `(T, K, 2)` or `(T, K, 3)`."""
    return f"expected (T, K, 3) or (T, K, 2) keypoints, received {shape}: {_advice(shape)}"


def _advice(shape: tuple[int, ...]) -> str:
    if len(shape) == 3 and shape[-1] == 4 and shape[1] in _SIZES:
        return "of x, y, z and visibility keep x, y and visibility, array[..., [0, 1, 3]]"
    if len(shape) == 2 and shape[0] in _SIZES and shape[1] in (2, 3):
        return "add a frame axis, array[None]"
    if len(shape) in (1, 2):
        return _advice_for_flat_rows(shape)
    if len(shape) == 4 and shape[-1] in (2, 3) and shape[2] in _SIZES:
        return (
            "pass one person as (frames, keypoints, x y [score]): array[:, 0] of (frames, people, keypoints, ...), or "
            "list(array) of several clips"
        )
    order = axis_order(shape)
    if order not in (None, tuple(range(len(shape)))):
        return f"put the axes into that order, array.transpose{order}" + ("[:, 0]" if len(shape) == 4 else "")
    if len(shape) == 3 and shape[-1] > 4:
        return f"pass several clips as list(array); {_advice_for_flat_rows(shape[1:])}"
    return "pass one person as (frames, keypoints, x y [score])"


def _advice_for_flat_rows(shape: tuple[int, ...]) -> str:
    needed = f"the points of a frame must be (K, 2) or (K, 3), not one row of numbers ({_MEDIAPIPE})"
    width = shape[-1]
    frames = "1" if len(shape) == 1 else "len(array)"
    with_visibility = {4 * 33 + 3 * (face + 42): face for face in (0, 468, 478)}
    if width in with_visibility:
        face = with_visibility[width]
        rest = 33 * 4
        return (
            f"{needed}; {width} numbers are 33 pose points of x, y, z, visibility and {face + 42} points of x, y, z: "
            f"np.concatenate([array[:, :{rest}].reshape({frames}, 33, 4)[..., :2], "
            f"array[:, {rest}:].reshape({frames}, {face + 42}, 3)[..., :2]], axis=1)"
        )
    for channels in (3, 2, 4):
        num_keypoints = width // channels
        if width == num_keypoints * channels and num_keypoints in {*_SIZES, 75}:
            kept = "" if channels == 2 else "[..., :2]"
            other = ", or 50 of x, y, z, as in a .skels file, which is read as such" if width == 150 else ""
            return (
                f"{needed}; {width} numbers may be {num_keypoints} points: "
                f"array.reshape({frames}, {num_keypoints}, {channels}){kept}{other}"
            )
    parts = [width // channels for channels in (3, 2) if width % channels == 0 and width // channels in _OF_PARTS]
    if parts:
        return f"{needed}; {width} numbers may be {parts[0]} points of a part. {explain_number(parts[0])}"
    if width in (512, 768, 1024, 2048):
        return f"{needed}; {width} numbers are rather features of a network, which hold no points"
    return f"{needed}: array.reshape({frames}, K, numbers per point)"


def explain_number(num_keypoints: int) -> str:
    """What to do with a number of points that is not that of a whole skeleton; empty where nothing is known."""
    if num_keypoints in (576, 586):
        return f"Leave out MediaPipe's world landmarks, the last 33: array[:, :{num_keypoints - 33}]"
    if num_keypoints == 21:
        return "Put one hand into 42 points, left hand first, with zeros for the other"
    if num_keypoints in _OF_PARTS:
        return "Points of a body or a face alone have no hands to read: use a whole-body detector"
    return ""


def axis_order(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Axes for `transpose` that give (T, K, C), or (T, people, K, C)."""
    if len(shape) not in (3, 4):
        return None
    if shape[-1] in (2, 3) and shape[-2] in _OF_PARTS:
        return tuple(range(len(shape)))
    for order in permutations(range(len(shape))):
        sizes = [shape[axis] for axis in order]
        if sizes[-1] in (2, 3) and sizes[-2] in _SIZES and (len(shape) == 3 or sizes[1] <= MOST_PEOPLE):
            return order
    return None
