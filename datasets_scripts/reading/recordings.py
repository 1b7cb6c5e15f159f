"""Recordings that many clips are cut out of: the last ones are kept, so that each is read once."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

from datasets_scripts.reading.pose_files import files_of
from modeling_sigma.io.load_clip import load_clip
from modeling_sigma.model.pose_clip import PoseClip


# Tables list the clips of a recording together, or take turns between two cameras. An hour can take half a gigabyte.
_NUM_KEPT = 2


def read_recording(path: str, person: int = 0, estimator: Any = None) -> PoseClip:
    """`load_clip`, which remembers the last recordings until their files change.

    Raises:
        ValueError, OSError: as `load_clip`.
    """
    statuses = map(os.stat, files_of(path))
    state = tuple((status.st_size, status.st_mtime_ns) for status in statuses)
    return _read(path, person, estimator, state)


@lru_cache(maxsize=_NUM_KEPT)
def _read(path: str, person: int, estimator: Any, state: tuple[tuple[int, int], ...]) -> PoseClip:
    return load_clip(path, person, estimator)
