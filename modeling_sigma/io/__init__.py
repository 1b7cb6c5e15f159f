"""Readers: skeleton files, detector results and videos to `PoseClip`, one file per format."""

from __future__ import annotations

from modeling_sigma.io.load_clip import load_clip
from modeling_sigma.io.mediapipe_results import clip_from_mediapipe
from modeling_sigma.io.numpy_archive import save_clip
from modeling_sigma.io.pose_estimators import PoseEstimator, estimate_clip, make_estimator
from modeling_sigma.io.restricted_pickle import UnsafePickleError, load_label_file


__all__ = [
    "PoseEstimator",
    "UnsafePickleError",
    "clip_from_mediapipe",
    "estimate_clip",
    "load_clip",
    "load_label_file",
    "make_estimator",
    "save_clip",
]
