"""Writing arrays to a safetensors file part by part, without a copy of all of it in memory."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np


_NAMES = {np.dtype(np.float16): "F16", np.dtype(np.float32): "F32", np.dtype(np.int64): "I64"}

# The shape of an array, its type, and its parts along the first axis.
Parts = tuple[tuple[int, ...], "np.dtype[np.generic]", Iterable[np.ndarray]]


def write_tensors(path: Path, arrays: Mapping[str, Parts]) -> None:
    """Writes a file that `safetensors` reads.

    Args:
        path (`Path`):
            The file.
        arrays (`Mapping[str, tuple]`):
            Name -> shape, type (float16, float32 or int64), and an iterable of parts that make up this shape.

    Raises:
        ValueError: if the parts do not.
    """
    header: dict[str, dict[str, object]] = {}
    start = 0
    # Wide types first: every array is aligned to its own type.
    ordered = sorted(arrays.items(), key=lambda item: -item[1][1].itemsize)
    for name, (shape, dtype, _) in ordered:
        end = start + int(np.prod(shape)) * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, (shape, dtype, parts) in ordered:
            before = file.tell()
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype.newbyteorder("<")).tobytes())
            if file.tell() - before != int(np.prod(shape)) * dtype.itemsize:
                raise ValueError(f"{name}: expected parts that make up {shape}, received other ones")
