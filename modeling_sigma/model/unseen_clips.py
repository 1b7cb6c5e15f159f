"""Clips in which a model sees nobody: pipelines refuse them, in words that help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers.utils import logging

from .clip_making import as_pose_clip
from .pose_clip import PoseClip
from .pose_transforms import MIN_REFERENCE_POINTS
from .skeleton_layouts import PART_SLICES, PARTS


logger = logging.get_logger(__name__)


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


class SignerChecks:
    """What pipelines share: they refuse a clip in which the model would see nobody."""

    # The pipeline's [`SigmaFeatureExtractor`].
    extractor: Any

    def sees_somebody(self, clip: Any, max_frames: int | None = None) -> bool:
        """Whether the model would see a joint of this clip in any frame."""
        return bool(self._scores(as_pose_clip(clip), max_frames).any())

    def check_seen(self, clip: Any, max_frames: int | None = None) -> None:
        """Refuses a clip in which the model would see nobody; one without hands gets a warning.

        Raises:
            ValueError: if nobody is seen.
        """
        clip = as_pose_clip(clip)
        self.check_scores(self._scores(clip, max_frames), clip)

    def _scores(self, clip: PoseClip, max_frames: int | None) -> np.ndarray:
        """Of the joints that the model would see, `(T, 69)`; 0 for the others."""
        extractor = self.extractor
        return extractor.extract(clip, max_frames or extractor.max_frames)[..., 2]

    def check_scores(self, scores: np.ndarray, clip: PoseClip) -> None:
        """As [`check_seen`], with the scores `(T, 69)` of the joints that the model would see."""
        if not scores.any():
            raise ValueError(self.extractor.explain_unseen(clip))
        hands = (PART_SLICES["left_hand"], PART_SLICES["right_hand"])
        if not any(scores[..., joints].any() for joints in hands):
            logger.warning_once("no hand is seen in a clip: what a model makes of it means little")
