"""Rows of numbers to which more are added, without copying those that are there each time."""

from __future__ import annotations

import numpy as np


class GrowingRows:
    """A float32 matrix that doubles its memory when it is full.

    Args:
        rows (`np.ndarray` of shape `(N, width)`):
            The first rows; they may be none.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._memory = np.ascontiguousarray(rows, np.float32)
        self._num_rows = len(rows)

    def __len__(self) -> int:
        return self._num_rows

    @property
    def array(self) -> np.ndarray:
        """The rows `(N, width)`: a view, good until the next change."""
        return self._memory[: self._num_rows]

    def append(self, row: np.ndarray) -> None:
        """Adds a row `(width,)`."""
        if self._num_rows == len(self._memory):
            larger = np.empty((max(2 * self._num_rows, 16), len(row)), np.float32)
            larger[: self._num_rows] = self.array
            self._memory = larger
        self._memory[self._num_rows] = row
        self._num_rows += 1

    def keep(self, is_kept: np.ndarray) -> None:
        """Removes the rows where `is_kept` `(N,)` is false; nothing of them stays in memory."""
        self._memory = self.array[is_kept].copy()
        self._num_rows = len(self._memory)
