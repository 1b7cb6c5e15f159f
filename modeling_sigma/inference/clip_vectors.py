"""Clips as vectors for a sign dictionary, without those that no hand is seen in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modeling_sigma.model.clip_making import as_pose_clip
from modeling_sigma.model.skeleton_layouts import PART_SLICES, PARTS


# The layout of joints that were chosen from another one, which is not known any more.
ANY_LAYOUT = "sigma_69"
_HANDS = ("left_hand", "right_hand")


@dataclass(frozen=True, eq=False)
class ClipVector:
    """A clip as a model sees it.

    Args:
        vector (`np.ndarray` of shape `(hidden_size,)`): A unit vector, float32.
        layout (`str`): The keypoint layout that the clip's estimator writes.
    """

    vector: np.ndarray
    layout: str


def clip_vectors(pipe: Any, clips: Sequence[Any]) -> list[ClipVector]:
    """Embeds clips with a `sign-feature-extraction` pipeline.

    Args:
        pipe ([`SignFeatureExtractionPipeline`]):
            The pipeline.
        clips (`Sequence`):
            Anything that stands for one clip each: [`PoseClip`], paths, arrays, rows of a data set.

    Raises:
        ValueError: for a clip in which nobody is seen, or no hand although the model reads hands.
    """
    found = []
    for item in clips:
        clip = as_pose_clip(item)
        scores = pipe.extractor.extract(clip, pipe.extractor.max_frames)[..., 2]  # (T, 69)
        if not scores.any():
            raise ValueError(pipe.extractor.explain_unseen(clip))
        hands_read = [part for part in _HANDS if part in (pipe.extractor.parts or PARTS)]
        if hands_read and not any(scores[:, PART_SLICES[part]].any() for part in hands_read):
            raise ValueError(
                f"expected a clip with hands, found none in its {len(clip)} frames: a vector of it would resemble "
                "anything; `sigma-slu inspect` shows what the detector found"
            )
        vector = np.asarray(pipe(clip, allow_unseen=True), np.float32).reshape(-1)
        source = item.get("source_layout") if isinstance(item, Mapping) else None
        found.append(ClipVector(vector, str(source or clip.layout)))
    return found
