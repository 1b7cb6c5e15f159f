"""How alike two clips are, given the clips that a dictionary holds: learnt from these alone.

Vectors of one model share a direction, which says nothing about the sign: it is taken away. And clips of one sign
differ in directions that do not matter, such as who signs and how fast: these count less, the more of them were seen.
With one clip per sign there is nothing to learn that from, and only the shared direction goes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


# A dictionary starts as if it held so many clips around zero. One clip alone must not become its own centre.
_CLIPS_BEFORE_CENTRE = 10
# And as if so many pairs of clips of a sign had been seen that differ in all directions alike.
_PAIRS_BEFORE_SPREAD = 50


@dataclass(frozen=True, eq=False)
class SimilaritySpace:
    """A centre, and the directions that count.

    Args:
        centre (`np.ndarray` of shape `(hidden_size,)`):
            What is taken away from every vector.
        projection (`np.ndarray` of shape `(hidden_size, hidden_size)`, *optional*):
            What the rest is multiplied by; None leaves it as it is.
    """

    centre: np.ndarray
    projection: np.ndarray | None

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors of a model `(N, hidden_size)` as unit vectors of this space, float32."""
        moved = np.asarray(vectors, np.float32) - self.centre
        if self.projection is not None:
            moved = moved @ self.projection
        return unit_rows(moved)


def learn_space(vectors: np.ndarray, groups: np.ndarray) -> SimilaritySpace:
    """Learns the space of a dictionary.

    Args:
        vectors (`np.ndarray` of shape `(N, hidden_size)`):
            Unit vectors of a model.
        groups (`np.ndarray` of shape `(N,)`, integers):
            Clips with the same number are of one sign, made in the same way.
    """
    width = vectors.shape[1]
    centre = vectors.sum(axis=0, dtype=np.float64) / (len(vectors) + _CLIPS_BEFORE_CENTRE)
    _, places, counts = np.unique(groups, return_inverse=True, return_counts=True)
    num_pairs = len(vectors) - len(counts)
    space = SimilaritySpace(centre.astype(np.float32), None)
    if num_pairs == 0:
        return space
    order = np.argsort(places, kind="stable")
    starts = np.cumsum(counts) - counts
    means = np.add.reduceat(vectors[order], starts, axis=0) / counts[:, None].astype(np.float32)
    has_pair = counts[places] > 1
    apart = vectors[has_pair] - means[places[has_pair]]
    scatter = (apart.T @ apart).astype(np.float64)
    variance = np.trace(scatter) / (num_pairs * width)
    if variance < 1e-9:  # copies of one recording
        return space
    spread = (scatter / variance + _PAIRS_BEFORE_SPREAD * np.eye(width)) / (num_pairs + _PAIRS_BEFORE_SPREAD)
    # With spread = L L', distances in the spread's own units are those between inverse(L) x.
    projection = np.linalg.inv(np.linalg.cholesky(spread)).T
    return SimilaritySpace(space.centre, projection.astype(np.float32))


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """The same directions `(N, width)` with length 1; zeros stay zeros."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


class GroupedRows:
    """Rows of several groups, to ask how alike queries and groups are.

    Args:
        rows (`np.ndarray` of shape `(N, width)`):
            Unit vectors.
        groups (`np.ndarray` of shape `(N,)`, integers):
            The group of each row.
    """

    def __init__(self, rows: np.ndarray, groups: np.ndarray) -> None:
        order = np.argsort(groups, kind="stable")
        self._rows = rows[order]
        self.groups, self._starts = np.unique(groups[order], return_index=True)  # (G,), in rising order
        self._middles = unit_rows(np.add.reduceat(self._rows, self._starts, axis=0))

    def similarities(self, queries: np.ndarray) -> np.ndarray:
        """The mean of two cosines, `(Q, width)` -> `(Q, G)`: with the most similar row of the group, and with the
        middle of all its rows."""
        best = np.maximum.reduceat(queries @ self._rows.T, self._starts, axis=1)
        result: np.ndarray = (best + queries @ self._middles.T) / 2
        return result
