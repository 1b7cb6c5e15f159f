"""Exact search among stored vectors."""

from __future__ import annotations

import numpy as np


def nearest_rows(queries: np.ndarray, rows: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows most like each query, by the product of the vectors: the cosine, if all have length 1.

    Args:
        queries (`np.ndarray` of shape `(Q, hidden_size)`), rows (`np.ndarray` of shape `(N, hidden_size)`):
            What is searched for, and among what; float32.
        top_k (`int`):
            The number of results per query; all rows if there are fewer.

    Returns:
        `tuple`: similarities `(Q, top_k)`, best first, and their rows `(Q, top_k)`. Equal ones are in row order.

    Raises:
        ValueError: for queries of another width, or `top_k` below 1.
    """
    queries = np.asarray(queries, np.float32)
    if queries.ndim != 2 or queries.shape[1] != rows.shape[1]:
        raise ValueError(f"expected queries (Q, {rows.shape[1]}), received {queries.shape}")
    if top_k < 1:
        raise ValueError(f"expected top_k of at least 1, received {top_k}")
    # Few queries go one by one: a vector product takes half the time of a matrix product with one column.
    scores = np.stack([rows @ query for query in queries]) if 0 < len(queries) < 4 else queries @ rows.T
    first = len(rows) - min(top_k, len(rows))
    best = np.stack([np.argpartition(row, first)[first:] for row in scores])
    found = np.take_along_axis(scores, best, axis=1)
    order = np.lexsort((best, -found), axis=1)
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(best, order, axis=1)
