"""A process that reads uploads for the service, each within bounds of time and memory. It imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from modeling_sigma.io import load_clip
from modeling_sigma.serving.bounded_work import RequestChannel
from modeling_sigma.serving.request_limits import WORK_MEMORY, check_clip


# Besides keypoints and scores: what is known of a clip.
CLIP_FACTS = ("layout", "fps", "width", "height", "coordinates", "aspect_ratio")


def points_path(path: Path) -> Path:
    """Where keypoints and scores of a file are written: one array (T, K, 3)."""
    return path.with_name(f"{path.name}.points.npy")


def read(request: dict[str, Any]) -> dict[str, Any]:
    """Reads a file, writes its points beside it in the plainest form, and answers with the rest.

    Raises:
        ValueError, OSError, ImportError: as [`load_clip`], or for a clip that is too long.
    """
    clip = load_clip(request["file"], person=request["person"])
    check_clip(clip, request["max_frames"])
    points = np.concatenate([clip.keypoints, clip.scores[..., None]], axis=-1)
    np.save(points_path(Path(request["file"])), points, allow_pickle=False)
    facts = {name: getattr(clip, name) for name in CLIP_FACTS}
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in facts.items()}


if __name__ == "__main__":
    RequestChannel().serve(read, WORK_MEMORY)
