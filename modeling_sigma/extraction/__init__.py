"""Videos to clips: decoding, pose estimators (one file each), and the extraction of whole folders.

Not here: files that hold keypoints already (`io`).
"""

from __future__ import annotations

from modeling_sigma.extraction.pose_estimators import PoseEstimator, estimate_clip, make_estimator


__all__ = ["PoseEstimator", "estimate_clip", "make_estimator"]
