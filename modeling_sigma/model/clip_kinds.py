"""What kind of input was given: a clip, an array of some library, a pair of arrays, frames."""

from __future__ import annotations

from typing import Any

from .keypoint_arrays import to_numpy


# A second axis this short counts people, a longer one frames.
MOST_PEOPLE = 4


def is_clip(pose: Any) -> bool:
    """A PoseClip may come from another copy of this code: the package's, or one that travelled with a checkpoint."""
    return hasattr(pose, "keypoints") and hasattr(pose, "scores") and hasattr(pose, "layout")


def is_array(pose: Any) -> bool:
    """Whether something is an array of any library: numpy, torch, jax, ..."""
    return hasattr(pose, "shape") and hasattr(pose, "dtype") and hasattr(pose, "ndim")


def is_pair(pose: Any) -> bool:
    """Keypoints and scores in a tuple, as detectors and `.pose` bodies give them."""
    if not isinstance(pose, (tuple, list)) or len(pose) != 2:
        return False
    arrays = [to_numpy(array) for array in pose]
    if not all(map(is_array, arrays)):
        return False
    keypoints, scores = (tuple(array.shape) for array in arrays)
    return len(keypoints) in (3, 4) and keypoints[:-1] == scores and keypoints[-1] in (2, 3)


def are_frames(items: list[Any]) -> bool:
    """Whether a list holds the frames of one clip, (K, C) each, rather than clips."""
    kinds = [None if is_empty(item) else num_axes(item) for item in items]
    known = [kind for kind in kinds if kind]
    if items and not any(kind is not None for kind in kinds):
        return True  # nobody in any frame
    if not known or len(known) < sum(kind is not None for kind in kinds):  # something that is no array
        return False
    return max(known) <= 2 or (max(known) == 3 and None in kinds)


def is_empty(item: Any) -> bool:
    """Whether a frame, or a clip, is marked as holding nobody."""
    if isinstance(item, float) and item != item:  # what tables make of None
        return True
    return item is None or (isinstance(item, (list, tuple)) and not len(item)) or (is_array(item) and 0 in item.shape)


def num_axes(item: Any) -> int:
    """How deep arrays are nested; 0 for anything else."""
    if is_array(item):
        return int(item.ndim)
    if isinstance(item, (list, tuple)):
        inner = next((one for one in item if one is not None), 0.0)
        return 1 + (num_axes(inner) if not isinstance(inner, (int, float)) else 0)
    return 0
