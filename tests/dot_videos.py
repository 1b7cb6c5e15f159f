"""Small videos of a white dot on a dark ground, without loss: what an estimator finds in them can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


DOT_SIZE = 3  # pixels


def dot_picture(place: tuple[int, int] | None, height: int = 64, width: int = 96) -> np.ndarray:
    """A picture `(height, width, 3)` with a dot centred on x, y, or none."""
    picture = np.full((height, width, 3), 20, np.uint8)
    if place is not None:
        x, y = place
        picture[y - DOT_SIZE // 2 : y + DOT_SIZE // 2 + 1, x - DOT_SIZE // 2 : x + DOT_SIZE // 2 + 1] = 255
    return picture


def write_dot_video(path: Path, places: Sequence[tuple[int, int] | None], rate: int = 25) -> Path:
    """Writes a frame for each place of the dot; `path` ends in .mkv."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "bgr0"
        for place in places:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(dot_picture(place), format="rgb24")))
        container.mux(stream.encode())
    return path


def dot_path(num_frames: int, start: int = 20) -> list[tuple[int, int]]:
    """Places of a dot that wanders to the right and downwards."""
    return [(start + 2 * t % 50, 20 + t % 30) for t in range(num_frames)]
