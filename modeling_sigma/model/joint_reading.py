"""The joints of a clip as a model has learnt them: in its proportions, with mended hands and a whole head."""

from __future__ import annotations

import numpy as np
from transformers.utils import logging

from .clip_units import x_factor
from .hand_mending import mend_hands
from .pose_clip import PoseClip
from .pose_transforms import fill_head_from_face, lacks_head, select_joints


logger = logging.get_logger(__name__)


def isotropic_joints(
    clip: PoseClip, learnt_aspect_ratio: float | None, assumed_aspect_ratio: float | None, mended_above: float | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Keypoints `(T, 69, 2)` and scores `(T, 69)` of the selected joints, and what x was multiplied by.

    Args:
        clip ([`PoseClip`]):
            The clip.
        learnt_aspect_ratio, assumed_aspect_ratio (`float`, *optional*):
            As in [`SigmaFeatureExtractor`].
        mended_above (`float`, *optional*):
            Mend the hands, of joints with a score above this; None leaves them as they are.
    """
    keypoints, scores = select_joints(clip)
    factor = x_factor(clip, learnt_aspect_ratio, assumed_aspect_ratio)
    if factor != 1:
        keypoints[..., 0] *= factor
    if mended_above is not None:
        mend_hands(keypoints, scores, mended_above)
    return keypoints, scores, factor


def complete_head(keypoints: np.ndarray, scores: np.ndarray, scale_reference: str, score_threshold: float) -> None:
    """Takes nose and ears that the body lacks from the face, in place, and warns of both kinds of clips."""
    if fill_head_from_face(keypoints, scores):
        logger.warning_once(
            "a clip's body has no nose and no ears: they are taken from the face, so that the signer keeps the "
            "same size"
        )
    elif scale_reference == "body" and lacks_head(scores > score_threshold):
        logger.warning_once(
            "a clip's body has no nose and no ears, nor is there a face to take them from: the signer's size is taken "
            "from shoulders and arms, and comes out larger, by 6 % in the median"
        )
