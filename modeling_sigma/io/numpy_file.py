"""Reader of `.npy` files: the bare array of one clip, and folders with one such file per frame."""

from __future__ import annotations

import io
import math
import os
import re
from pathlib import Path
from typing import Literal

import numpy as np

from modeling_sigma.io.clip_dictionary import clips_of
from modeling_sigma.io.detections import check_num_frames
from modeling_sigma.io.many_clips import ManyClips
from modeling_sigma.io.point_arrays import recording_of_array
from modeling_sigma.io.reading_budget import check_time, file_bytes, take_bytes
from modeling_sigma.io.reading_errors import naming_file
from modeling_sigma.io.recording import Recording


# Twice what numpy reads.
_LONGEST_HEADER = 20_000
_FRAME_NAME = re.compile(r"\d+\.npy")


def read_numpy_file(path: str | os.PathLike[str]) -> Recording | ManyClips:
    """Reads a `.npy` file: `(T, K, 2)`, `(T, K, 3)`, or one row of numbers per frame (see `clips_of`).

    Raises:
        ValueError: for other content, python objects, or a damaged file.
        OSError: if there is no such file or it cannot be read.
    """
    raw = file_bytes(path)
    with naming_file(path, "a .npy clip"):
        array = array_of_bytes(raw)
        return clips_of(array[None] if array.ndim == 1 else array, path)


def is_frame_folder(folder: Path) -> bool:
    """Whether a folder holds one clip as numbered `.npy` files of one row each: `0.npy`, `1.npy`, ..."""
    files = list(folder.glob("*.npy"))
    return bool(files) and all(_FRAME_NAME.fullmatch(file.name) for file in files) and _is_row(files[0])


def read_frame_folder(folder: str | os.PathLike[str]) -> Recording:
    """Reads a folder with one numbered `.npy` file per frame, each one row of numbers.

    Raises:
        ValueError: for rows of different lengths, or damaged files.
        OSError: if there is no such folder or it cannot be read.
    """
    with naming_file(folder, "a folder of .npy frames"):
        files = sorted(Path(folder).glob("*.npy"), key=lambda file: int(file.stem))
        check_num_frames(len(files))
    rows = []
    for file in files:
        with naming_file(file, "a .npy frame"):
            check_time()
            rows.append(array_of_bytes(file_bytes(file)).ravel())
    with naming_file(folder, "a folder of .npy frames"):
        lengths = sorted({len(row) for row in rows})
        if len(lengths) != 1:
            raise ValueError(
                f"expected rows of one length in all frames, received lengths {lengths[:5]}: remove others"
            )
        return recording_of_array(np.stack(rows))


def array_of_bytes(raw: bytes) -> np.ndarray:
    """The array in a `.npy` file, read-only. Nothing in it is run, and it takes no memory of its own.

    Raises:
        ValueError: for python objects, other content, or a file that is cut short.
    """
    shape, dtype, start, order = _header(raw)
    if dtype.hasobject:
        raise ValueError(
            "expected an array of numbers, received python objects, which could run code: save keypoints (T, K, 2) "
            "with dtype float32, or a dictionary of arrays with numpy.savez"
        )
    expected = math.prod(shape) * dtype.itemsize
    if dtype.itemsize < 4:
        take_bytes(4 * math.prod(shape))  # points are at least float32
    if len(raw) - start < expected:
        raise ValueError(f"expected {expected:,} bytes of numbers, received {len(raw) - start:,}: it is cut short")
    numbers = np.frombuffer(raw, dtype, math.prod(shape), start) if expected else np.empty(0, dtype)
    return numbers.reshape(shape, order=order)


def holds_objects(raw: bytes) -> bool:
    """Whether a `.npy` file holds python objects instead of numbers."""
    return bool(_header(raw)[1].hasobject)


def _header(raw: bytes) -> tuple[tuple[int, ...], np.dtype, int, Literal["C", "F"]]:
    """Shape, dtype, the position at which the numbers begin, and their order."""
    file = io.BytesIO(raw)
    read = np.lib.format.read_array_header_1_0
    if np.lib.format.read_magic(file) != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(file)
    return shape, dtype, file.tell(), "F" if is_fortran else "C"


def _is_row(file: Path) -> bool:
    try:
        with file.open("rb") as opened, naming_file(file, "a .npy frame"):
            return len(_header(opened.read(_LONGEST_HEADER))[0]) == 1
    except (ValueError, OSError):
        return False
