"""Corpora whose `.npz` files hold the frames of all clips one after the other: how such files are read and cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from datasets_scripts.reading.named_arrays import read_named_arrays


Content = TypeVar("Content")


def read_clip_arrays(path: Path, shapes: Mapping[str, tuple[int | str, ...] | None]) -> dict[str, np.ndarray]:
    """The arrays of a file, one of which is `length`: the number of frames of each clip.

    Args:
        path (`Path`):
            The `.npz` file.
        shapes (`Mapping[str, tuple]`):
            The shape of each array; None for any. A size is a number, `"clips"`, or the name of an array that counts
            or marks rows: `"length"` for one row per frame, `"present"` for one row per frame marked there.

    Raises:
        ValueError: if an array is missing or has another shape, or the file is damaged; it names the file.
    """
    arrays = read_named_arrays(path, [*shapes])
    num_clips, num_frames = arrays["length"].size, int(arrays["length"].sum())

    def number(size: int | str) -> int:
        if isinstance(size, int):
            return size
        return num_clips if size == "clips" else int(arrays[size].sum())

    expected = {name: tuple(map(number, shape)) for name, shape in shapes.items() if shape is not None}
    wrong = [name for name, shape in expected.items() if arrays[name].shape != shape]
    if wrong:
        raise ValueError(f"{path}: expected {num_clips} clips of {num_frames} frames, {', '.join(wrong)} do not fit")
    return arrays


def frames_of_clip(lengths: np.ndarray, index: int) -> slice:
    """Where the frames of clip number `index` are among those of all clips."""
    stop = int(lengths[: index + 1].sum())
    return slice(stop - int(lengths[index]), stop)


def kept_until_changed(read: Callable[[Path], Content]) -> Callable[[Path], Content]:
    """Makes a function that reads a file keep what it read, for some files, until they change."""

    @lru_cache(maxsize=4)
    def read_again(path: Path, time_of_change: int) -> Content:
        return read(path)

    return lambda path: read_again(path, path.stat().st_mtime_ns)
