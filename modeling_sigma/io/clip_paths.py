"""Which files and folders are clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from modeling_sigma.io.load_clip import READERS, VIDEO_SUFFIXES


def is_clip(path: Path) -> bool:
    """Whether `load_clip` would take this for a skeleton file, a video or the OpenPose folder of one clip."""
    if path.is_dir():
        return any(path.glob("*_keypoints.json"))
    return path.suffix.lower() in READERS or path.suffix.lower() in VIDEO_SUFFIXES


def clip_paths(path: Path, is_wanted: Callable[[Path], bool] = is_clip) -> Iterator[Path]:
    """The clips that a path stands for: itself, or all those below a folder, in the order of their names.

    What does not exist, or is no clip, is left for the reader to refuse.

    Raises:
        ValueError: for a folder without any.
    """
    if not path.is_dir() or is_clip(path):
        yield path
        return
    below = [inside for inside in sorted(path.rglob("*")) if is_wanted(inside)]
    if not below and any(path.glob("*.json")):
        below = [path]  # perhaps the frames of one clip under names of their own
    if not below:
        raise ValueError(f"expected skeleton files in the folder {path}, found none: name the files")
    yield from below
