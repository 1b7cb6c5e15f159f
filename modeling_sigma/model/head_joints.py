"""Nose and ears for a body that has none, since the signer's size is measured by them."""

from __future__ import annotations

import numpy as np
from transformers.utils import logging

from .pose_transforms import fill_head_from_face, lacks_head


logger = logging.get_logger(__name__)


def complete_head(keypoints: np.ndarray, scores: np.ndarray, score_threshold: float, scale_reference: str) -> None:
    """Takes a missing head from the face, in place; says so, or that there is none.

    Args:
        keypoints (`np.ndarray` of shape `(T, 69, 2)`), scores (`np.ndarray` of shape `(T, 69)`):
            Joints of a clip.
        score_threshold (`float`):
            A joint counts as found where its score exceeds this.
        scale_reference (`str`):
            What the signer's size comes from; only `"body"` needs a head.
    """
    if fill_head_from_face(keypoints, scores):
        logger.warning_once(
            "a clip's body has no nose and no ears: they are taken from the face, so that the signer keeps the same "
            "size"
        )
    elif scale_reference == "body" and lacks_head(scores > score_threshold):
        logger.warning_once(
            "a clip's body has no nose and no ears, nor is there a face to take them from: the signer's size is "
            "taken from shoulders and arms, and comes out larger, by 6 % in the median"
        )
