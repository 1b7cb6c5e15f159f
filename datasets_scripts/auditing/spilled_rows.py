"""Rows of numbers that are kept on the disk while a data set is read, and read again block by block."""

from __future__ import annotations

import tempfile

import numpy as np


class SpilledRows:
    """A table of float32 in a temporary file, which has no name and goes when this object does.

    Args:
        width (`int`):
            The number of values in a row.
    """

    def __init__(self, width: int) -> None:
        self._file = tempfile.TemporaryFile(prefix="sigma-slu-")
        self._width, self._num_rows = width, 0

    def append(self, row: np.ndarray) -> None:
        """Adds a row `(width,)`."""
        if row.shape != (self._width,):
            raise ValueError(f"expected a row of shape ({self._width},), received {row.shape}")
        self._file.seek(0, 2)
        self._file.write(row.astype(np.float32).tobytes())
        self._num_rows += 1

    def __len__(self) -> int:
        return self._num_rows

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Consecutive rows, `(n, width)`."""
        start, stop, step = rows.indices(self._num_rows)
        assert step == 1
        size = 4 * self._width
        self._file.seek(start * size)
        content = self._file.read(max(stop - start, 0) * size)
        return np.frombuffer(content, np.float32).reshape(-1, self._width)
