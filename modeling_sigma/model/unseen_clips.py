"""Explains why a model can read nothing in a clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .pose_transforms import MIN_REFERENCE_POINTS
from .skeleton_layouts import PART_SLICES, PARTS


def explain_unseen(
    seen: np.ndarray, score_threshold: float, parts_read: Sequence[str] | None, scale_reference: str
) -> str:
    """A message that says why: nobody was found, or not the part that the model takes the signer's size from.

    Args:
        seen (`np.ndarray` of shape `(T, 69)`):
            Whether each joint that the model reads was found.
        score_threshold (`float`), parts_read (`Sequence[str]`, *optional*), scale_reference (`str`):
            Settings of the feature extractor: `score_threshold`, `parts` and `scale_reference`.
    """
    parts = [part for part in PARTS if seen[:, PART_SLICES[part]].any()]
    if not parts:
        of_parts = "" if parts_read is None else f" of {', '.join(parts_read)}"
        return (
            f"expected a clip in which somebody is seen, found no joints{of_parts} with a score above "
            f"{score_threshold} to read in its {len(seen)} frames: `sigma-slu inspect` shows what the detector found"
        )
    if scale_reference == "body":
        source, advice = (
            "a body",
            (
                ": extract the clip with a whole-body detector, or use a model of hands, one that was trained with "
                "scale_reference='hands' and fill_wrists=True, such as checkpoints/sigma-wlasl-hands"
            ),
        )
    else:
        source, advice = "hands", ": extract the clip with a detector that finds hands, or use a model of bodies"
    found = " and ".join(part.replace("_", " ") for part in parts)
    return (
        f"expected {MIN_REFERENCE_POINTS} or more {scale_reference} points in different places, found {found} without "
        f"them. This model takes the size of a signer from {source} (scale_reference={scale_reference!r}) and reads "
        f"nothing of such a clip{advice}"
    )
