"""Statistics of ranks: how well a number tells two groups apart, and whether two numbers rise together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def known_unknown_auroc(known: ArrayLike, unknown: ArrayLike) -> float:
    """The area under the ROC curve of known against unknown clips, in [0, 1].

    It is the probability that a random known clip has a higher score than a random unknown one, where equal scores
    count one half: 0.5 is chance, 1 a perfect separation.

    Args:
        known (`array` of shape `(N,)`):
            The scores of clips that the model should know, higher for "known".
        unknown (`array` of shape `(M,)`):
            The scores of clips that it cannot know.

    Raises:
        ValueError: without scores on one side, or for scores that are not numbers.

    Example:

    ```python
    >>> from modeling_sigma.metrics import known_unknown_auroc
    >>> known_unknown_auroc(known=[3.0, 2.0], unknown=[1.0, 2.0])
    0.875

    ```
    """
    known, unknown = _numbers(known, "known"), _numbers(unknown, "unknown")
    ranks = mean_ranks(np.concatenate([known, unknown]))[: len(known)]
    num_wins = ranks.sum() - len(known) * (len(known) + 1) / 2
    return float(num_wins / (len(known) * len(unknown)))


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's rank correlation, in [-1, 1]; NaN where one side is constant.

    Args:
        first, second (`array` of shape `(N,)`):
            Two numbers about each sample.

    Raises:
        ValueError: for fewer than two samples, unequal lengths, or values that are not numbers.

    Example:

    ```python
    >>> from modeling_sigma.metrics import rank_correlation
    >>> round(rank_correlation([0.1, 0.2, 0.9], [10, 30, 20]), 2)
    0.5

    ```
    """
    first, second = _numbers(first, "first"), _numbers(second, "second")
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(
            f"expected two equally long lists of at least 2 numbers, received {len(first)} and {len(second)}"
        )
    deviations = [ranks - ranks.mean() for ranks in (mean_ranks(first), mean_ranks(second))]
    norms = [float(np.sqrt(np.square(one).sum())) for one in deviations]
    if 0.0 in norms:
        return float("nan")
    return float(deviations[0] @ deviations[1] / (norms[0] * norms[1]))


def mean_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """The rank of each value, from 1; equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places]


def _numbers(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or np.isnan(array).any():
        raise ValueError(f"expected {name} as a list of numbers, received shape {array.shape}: leave NaN out")
    return array
