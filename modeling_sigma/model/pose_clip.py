"""`PoseClip`: what every reader returns and the feature extractor takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .skeleton_layouts import SkeletonLayout, get_layout


@dataclass(frozen=True, eq=False)
class PoseClip:
    """The 2D keypoints of one person over time, in image coordinates.

    Args:
        keypoints (`np.ndarray` of shape `(T, K, 2)`):
            x (to the right) and y (downwards) of each keypoint: pixels when `width` and `height` are given, else in
            any unit that is the same for x and y over the whole clip. Stored as float32 or float64.
        scores (`np.ndarray` of shape `(T, K)`):
            The detector's certainty, usually 0 to 1. 0 means "not found"; coordinates are then (0, 0) by convention,
            and NaN ones are stored so.
        layout (`str`, *optional*, defaults to `"coco_wholebody_133"`):
            A name of `modeling_sigma.model.skeleton_layouts.LAYOUTS`.
        fps (`float`, *optional*):
            Frames a second.
        width, height (`int`, *optional*):
            Size of the image in pixels.

    Raises:
        ValueError: for wrong shapes, an empty clip, a layout that does not fit K, or coordinates that are not finite
            although their score says that the keypoint was found.

    Example:

    ```python
    >>> import numpy as np
    >>> from modeling_sigma import PoseClip
    >>> clip = PoseClip(np.zeros((24, 133, 2)), np.ones((24, 133)), fps=24.0)
    >>> len(clip), clip.duration
    (24, 1.0)

    ```
    """

    keypoints: np.ndarray
    scores: np.ndarray
    layout: str = "coco_wholebody_133"
    fps: float | None = None
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        layout = get_layout(self.layout)
        keypoints, scores = _float_array(self.keypoints, "keypoints"), _float_array(self.scores, "scores")
        _check_shapes(keypoints, scores, layout)
        for name in ("fps", "width", "height"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"expected a positive number for {name}, received {value!r}: leave it out if unknown")
        if not sums_are_finite(keypoints, scores):
            keypoints = _without_bad_points(keypoints, scores)
        object.__setattr__(self, "keypoints", keypoints)
        object.__setattr__(self, "scores", scores)

    def __len__(self) -> int:
        return self.keypoints.shape[0]

    @property
    def duration(self) -> float | None:
        """Length in seconds; None where the frame rate is unknown."""
        return None if self.fps is None else len(self) / self.fps

    def frames(self, index: Any) -> PoseClip:
        """The clip of the frames that `index` (a slice or an integer array) selects."""
        return PoseClip(self.keypoints[index], self.scores[index], self.layout, self.fps, self.width, self.height)


def _float_array(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype == object or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise ValueError(f"expected {name} as an array of real numbers, received dtype {array.dtype}")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _check_shapes(keypoints: np.ndarray, scores: np.ndarray, layout: SkeletonLayout) -> None:
    expected = f"expected (T, {layout.num_keypoints}, 2) keypoints of layout {layout.name}"
    if keypoints.ndim == 2:
        raise ValueError(f"{expected}, received {keypoints.shape}: add a frame axis")
    if keypoints.ndim == 4:
        raise ValueError(f"{expected}, received {keypoints.shape}: select one person")
    if keypoints.ndim != 3 or keypoints.shape[2] != 2:
        raise ValueError(f"{expected}, received {keypoints.shape}: keep x and y, and pass the certainty as scores")
    if keypoints.shape[1] != layout.num_keypoints:
        raise ValueError(f"{expected}, received {keypoints.shape}: name the layout of your detector")
    if keypoints.shape[0] == 0:
        raise ValueError(f"{expected} with at least one frame, received an empty clip {keypoints.shape}")
    if scores.shape != keypoints.shape[:2]:
        raise ValueError(f"expected scores of shape {keypoints.shape[:2]} like the keypoints, received {scores.shape}")


def sums_are_finite(*arrays: np.ndarray) -> bool:
    """Whether the sum of each array is finite: then all its numbers are, at a tenth of the cost of looking at each."""
    with np.errstate(over="ignore", invalid="ignore"):
        return all(bool(np.isfinite(array.sum(dtype=np.float64))) for array in arrays)


def _without_bad_points(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    if not np.isfinite(scores).all():
        raise ValueError(f"expected finite scores, received {_count_bad(scores)}: use 0 for 'not found'")
    found, finite = scores > 0, np.isfinite(keypoints).all(-1)
    if not finite[found].all():
        frame = int(np.argwhere(found & ~finite)[0, 0])
        raise ValueError(
            f"expected finite keypoints, received {int((found & ~finite).sum())} NaN or infinite ones with a "
            f"score above 0, first in frame {frame}: set their score to 0"
        )
    return np.where(finite[..., None], keypoints, keypoints.dtype.type(0))


def _count_bad(values: np.ndarray) -> str:
    return f"{int((~np.isfinite(values)).sum())} NaN or infinite ones"
