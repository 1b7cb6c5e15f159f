"""`PoseClip`: what every reader returns and the feature extractor takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .keypoint_arrays import check_scores, float_array, sums_are_finite, without_bad_points, without_masked
from .skeleton_layouts import SkeletonLayout, get_layout


COORDINATES = ("pixels", "shares")


@dataclass(frozen=True, eq=False)
class PoseClip:
    """The 2D keypoints of one person over time, in image coordinates.

    A keypoint that was not found has score 0 **and** coordinates (0, 0), whatever it came with.

    Args:
        keypoints (`np.ndarray` of shape `(T, K, 2)`):
            x (to the right) and y (downwards) of each keypoint, in the unit that `coordinates` states. Stored as
            float32 or float64. Masked keypoints were not found.
        scores (`np.ndarray` of shape `(T, K)`):
            The detector's certainty, usually from 0 to 1. 0 means "not found"; so do -1 and masked scores.
        layout (`str`, *optional*, defaults to `"coco_wholebody_133"`):
            Name of the keypoint layout, one of `modeling_sigma.model.skeleton_layouts.LAYOUTS`.
        fps (`float`, *optional*):
            Frame rate in frames per second.
        width, height (`int`, *optional*):
            Width and height of the image in pixels.
        coordinates (`"pixels"` or `"shares"`, *optional*):
            Unit of the coordinates: `"pixels"`, or any other unit that is the same for x and y; or `"shares"`, where x
            is divided by the width and y by the height of the image. None means unknown: the numbers decide when a
            model reads the clip.
        aspect_ratio (`float`, *optional*):
            Width of the image over its height, where only this is known. `width` and `height` take precedence.
        estimator (`str`, *optional*):
            What found the keypoints in a video: the estimator, with its versions and networks.

    Raises:
        ValueError: for wrong shapes, an empty clip, a layout that does not fit K, coordinates that are not finite
            although their score says that the keypoint was found, or numbers that cannot be scores (depths,
            percentages).

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
    coordinates: str | None = None
    aspect_ratio: float | None = None
    estimator: str | None = None

    def __post_init__(self) -> None:
        layout = get_layout(self.layout)
        keypoints, scores = float_array(self.keypoints, "keypoints"), float_array(self.scores, "scores")
        _check_shapes(keypoints, scores, layout)
        for name in ("fps", "width", "height", "aspect_ratio"):
            value = getattr(self, name)
            is_number = isinstance(value, (int, float, np.number))
            if value is not None and not (is_number and np.isfinite(value) and value > 0):
                raise ValueError(f"expected a positive number for {name}, received {value!r}: leave it out if unknown")
        if self.coordinates is not None and self.coordinates not in COORDINATES:
            raise ValueError(
                f"expected coordinates to be one of {COORDINATES}, received {self.coordinates!r}: pixels stand for "
                "every unit that x and y share, shares for x / width and y / height"
            )
        if self.estimator is not None and not isinstance(self.estimator, str):
            raise ValueError(f"expected the estimator as text, received {type(self.estimator).__name__}: name it")
        scores = without_masked(scores, self.keypoints, self.scores)
        if not sums_are_finite(keypoints, scores):
            keypoints = without_bad_points(keypoints, scores)
        object.__setattr__(self, "keypoints", keypoints)
        object.__setattr__(self, "scores", scores)
        self._hide_what_was_not_found()

    def __len__(self) -> int:
        return self.keypoints.shape[0]

    @property
    def duration(self) -> float | None:
        """Length in seconds; None where the frame rate is unknown."""
        return None if self.fps is None else len(self) / self.fps

    def frames(self, index: Any) -> PoseClip:
        """The clip of the frames that `index` (a slice or an integer array) selects."""
        return replace(self, keypoints=self.keypoints[index], scores=self.scores[index])

    def _hide_what_was_not_found(self) -> None:
        check_scores(self.scores)
        missing = self.scores <= 0
        if missing.any() and (self.scores[missing].any() or self.keypoints[missing].any()):
            keypoints, scores = self.keypoints.copy(), self.scores.copy()
            keypoints[missing] = 0
            scores[missing] = 0
            object.__setattr__(self, "keypoints", keypoints)
            object.__setattr__(self, "scores", scores)


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
