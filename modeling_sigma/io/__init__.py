"""Readers: from skeleton files and detector results to `PoseClip`, one file per format.

Not here: pose estimation in videos (`extraction`), which `load_clip` calls for a video.
"""

from __future__ import annotations

from modeling_sigma.io.load_clip import load_clip
from modeling_sigma.io.mediapipe_results import clip_from_mediapipe
from modeling_sigma.io.numpy_archive import save_clip
from modeling_sigma.io.pickles import UnsafePickleError, load_label_file


__all__ = ["UnsafePickleError", "clip_from_mediapipe", "load_clip", "load_label_file", "save_clip"]
