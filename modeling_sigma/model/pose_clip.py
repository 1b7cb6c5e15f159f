"""`PoseClip`: what every reader returns and the feature extractor takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .skeleton_layouts import SkeletonLayout, get_layout


COORDINATES = ("pixels", "shares")

# Detectors that report heights of their heatmaps exceed 1 a little; what is larger than this has another unit.
MAX_SCORE = 20.0
# A detector that guesses beyond the image may report a few negative certainties; a depth is negative all the time.
_MAX_SHARE_OF_NEGATIVE_SCORES = 0.01
# How some files say "not found".
_NOT_FOUND = -1.0


@dataclass(frozen=True, eq=False)
class PoseClip:
    """The 2D keypoints of one person over time, in image coordinates.

    A keypoint that was not found has score 0 **and** coordinates (0, 0), whatever it came with.

    Args:
        keypoints (`np.ndarray` of shape `(T, K, 2)`):
            x (to the right) and y (downwards) of each keypoint, in the unit that `coordinates` states. Stored as
            float32 or float64. Masked ones were not found.
        scores (`np.ndarray` of shape `(T, K)`):
            The detector's certainty, usually 0 to 1. 0 means "not found", and so do -1 and masked ones.
        layout (`str`, *optional*, defaults to `"coco_wholebody_133"`):
            A name of `modeling_sigma.model.skeleton_layouts.LAYOUTS`.
        fps (`float`, *optional*):
            Frames a second.
        width, height (`int`, *optional*):
            Size of the image in pixels.
        coordinates (`"pixels"` or `"shares"`, *optional*):
            `"pixels"`, or any other unit that is the same for x and y; `"shares"` where x is divided by the width and
            y by the height of the image. None: unknown, and decided by the numbers when a model reads the clip.
        aspect_ratio (`float`, *optional*):
            Width over height of the image, where only this is known. `width` and `height` go first.

    Raises:
        ValueError: for wrong shapes, an empty clip, a layout that does not fit K, coordinates that are not finite
            although their score says that the keypoint was found, or scores that are none (depths, percentages).

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

    def __post_init__(self) -> None:
        layout = get_layout(self.layout)
        keypoints, scores = _float_array(self.keypoints, "keypoints"), _float_array(self.scores, "scores")
        _check_shapes(keypoints, scores, layout)
        for name in ("fps", "width", "height", "aspect_ratio"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"expected a positive number for {name}, received {value!r}: leave it out if unknown")
        if self.coordinates is not None and self.coordinates not in COORDINATES:
            raise ValueError(
                f"expected coordinates to be one of {COORDINATES}, received {self.coordinates!r}: pixels stand for "
                "every unit that x and y share, shares for x / width and y / height"
            )
        scores = _without_masked(scores, self.keypoints, self.scores)
        if not sums_are_finite(keypoints, scores):
            keypoints = _without_bad_points(keypoints, scores)
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


def check_scores(scores: np.ndarray) -> None:
    """Refuses what is no certainty: depths (x, y, z instead of x, y, score), percentages, logits.

    Raises:
        ValueError: if more than a few finite scores are negative (-1 stands for "not found"), or one is above 20.
    """
    lowest, highest = (float(np.nanmin(scores)), float(np.nanmax(scores))) if scores.size else (0.0, 0.0)
    if lowest < 0:
        negative = float(((scores < 0) & (scores != _NOT_FOUND)).mean())
        if negative > _MAX_SHARE_OF_NEGATIVE_SCORES:
            what = (
                "logits or a depth (z)? Pass logits through a sigmoid; of x, y, z"
                if highest > 1
                else "a depth (z)? Of x, y, z"
            )
            raise ValueError(
                f"expected x, y and a score from 0 (not found) to 1, received scores from {lowest:.3g} to "
                f"{highest:.3g}, {negative:.0%} of them negative: are they {what} pass x and y alone, array[..., :2]"
            )
    if highest > MAX_SCORE:
        raise ValueError(
            f"expected x, y and a score from 0 (not found) to 1, received scores up to {highest:.3g}: divide "
            "percentages by 100; of x, y, z pass x and y alone, array[..., :2]"
        )


def _without_masked(scores: np.ndarray, *arrays: Any) -> np.ndarray:
    """Score 0 where a keypoint or a score is masked."""
    for array in arrays:
        if np.ma.is_masked(array):
            mask = np.ma.getmaskarray(array)
            scores = np.where(mask.any(-1) if mask.ndim == 3 else mask, scores.dtype.type(0), scores)
    return scores


def _float_array(values: Any, name: str) -> np.ndarray:
    array = np.ma.getdata(to_numpy(values))
    if array.dtype == bool:
        array = array.astype(np.float32)
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


def to_numpy(values: Any) -> Any:
    """A torch tensor of any device and precision as an array; anything else as it is."""
    if not hasattr(values, "detach"):
        return values
    tensor = values.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor).numpy()


def hide_invalid(keypoints: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score 0 and coordinates 0 where a coordinate or the score is NaN or infinite: such a keypoint was not found."""
    if sums_are_finite(keypoints, scores):
        return keypoints, scores
    valid = np.isfinite(keypoints).all(-1) & np.isfinite(scores)
    if valid.all():
        return keypoints, scores
    return np.where(valid[..., None], keypoints, 0), np.where(valid, scores, 0)


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
