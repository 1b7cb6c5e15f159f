"""From videos to clips: decoding, pose estimators (one file each, one table), single videos and whole folders.

Not here: who is who among several people (`io.person_tracking`), files that already hold keypoints (`io`), and how
work survives a kill (`jobs`).
"""

from __future__ import annotations

from modeling_sigma.extraction.clip_from_video import estimate_clip
from modeling_sigma.extraction.estimator_protocol import PoseEstimator
from modeling_sigma.extraction.estimators import make_estimator


__all__ = ["PoseEstimator", "estimate_clip", "make_estimator"]
