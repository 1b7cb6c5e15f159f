"""A narrow copy of many wide rows, to find those that are worth a closer look."""

from __future__ import annotations

import numpy as np

from modeling_sigma.inference.growing_rows import GrowingRows


# The time of a search is that of reading the rows: 128 of 512 numbers take a quarter of it.
COARSE_WIDTH = 128
_LEARNT_FROM = 10_000


class CoarseRows:
    """Rows along the directions in which they are longest.

    Args:
        rows (`np.ndarray` of shape `(N, width)`):
            Unit vectors, wider than 128.
        num_learnt (`int`):
            The directions are learnt from so many first rows.
    """

    def __init__(self, rows: np.ndarray, num_learnt: int) -> None:
        some = rows[np.linspace(0, num_learnt - 1, min(num_learnt, _LEARNT_FROM)).astype(int)]
        _, directions = np.linalg.eigh(some.T @ some)  # shortest first
        self._directions = np.ascontiguousarray(directions[:, -COARSE_WIDTH:])
        self._rows = GrowingRows(rows @ self._directions)

    def append(self, row: np.ndarray) -> None:
        """Adds a row `(width,)`."""
        self._rows.append(row @ self._directions)

    def products(self, query: np.ndarray) -> np.ndarray:
        """About the product of each row and a query `(width,)`: what these directions know of it, `(N,)`."""
        result: np.ndarray = self._rows.array @ (query @ self._directions)
        return result
