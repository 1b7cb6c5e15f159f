"""Arrays of keypoints and scores: what counts as not found, and what cannot be a score."""

from __future__ import annotations

from typing import Any

import numpy as np


# Detectors that report the peaks of their heatmaps exceed 1 a little; anything larger than this is in another unit.
MAX_SCORE = 20.0
# A detector that guesses beyond the image may report a few negative certainties; a depth is negative all the time.
_MAX_SHARE_OF_NEGATIVE_SCORES = 0.01
# How some files say "not found".
_NOT_FOUND = -1.0


def check_scores(scores: np.ndarray) -> None:
    """Refuses what cannot be a score: depths (x, y, z instead of x, y, score), percentages, logits.

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
            "percentages by 100; of x, y and z pass x and y only, array[..., :2]"
        )


def without_masked(scores: np.ndarray, *arrays: Any) -> np.ndarray:
    """Score 0 where a keypoint or a score is masked."""
    for array in arrays:
        if np.ma.is_masked(array):
            mask = np.ma.getmaskarray(array)
            scores = np.where(mask.any(-1) if mask.ndim == 3 else mask, scores.dtype.type(0), scores)
    return scores


def float_array(values: Any, name: str) -> np.ndarray:
    """Real numbers as float32 or float64, without the mask of a masked array.

    Raises:
        ValueError: for other values.
    """
    array = np.ma.getdata(to_numpy(values))
    if array.dtype == bool:
        array = array.astype(np.float32)
    if array.dtype == object or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise ValueError(f"expected {name} as an array of real numbers, received dtype {array.dtype}")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def sums_are_finite(*arrays: np.ndarray) -> bool:
    """Whether the sum of each array is finite: then all its numbers are, at a tenth of the cost of looking at each."""
    with np.errstate(over="ignore", invalid="ignore"):
        return all(bool(np.isfinite(array.sum(dtype=np.float64))) for array in arrays)


def to_numpy(values: Any) -> Any:
    """Torch tensors of any device and precision, pose-format's masked ones too, as arrays; all else unchanged."""
    held = getattr(values, "__dict__", {})
    if {"tensor", "mask"} <= held.keys():  # which is True where a value is valid
        return np.ma.array(to_numpy(held["tensor"]), mask=~to_numpy(held["mask"]).astype(bool))
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


def without_bad_points(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The keypoints, with zeros in place of those that are not finite and were not found.

    Raises:
        ValueError: if a score is not finite, or a keypoint that was found.
    """
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
