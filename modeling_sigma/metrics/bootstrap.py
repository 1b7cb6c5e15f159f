"""Bootstrap confidence intervals, and the paired bootstrap for two systems.

Resampling draws sentences with replacement. It works on what each sentence contributes to a score (its n-gram counts,
its errors), so that a thousand resamples cost no more than a few passes over a matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


Weights = NDArray[np.float64]
Progress = Callable[[int, int], None]

DEFAULT_SEED = 12345


class ScoreStatistics(Protocol):
    """What the bootstrap needs: per-sample statistics that can be scored under weights."""

    def __len__(self) -> int:
        """The number of samples."""

    def score(self, weights: Weights | None = None) -> dict[str, float]:
        """The scores when sample i counts `weights[i]` times; each once by default."""


def bootstrap_intervals(
    statistics: ScoreStatistics,
    num_resamples: int = 1000,
    seed: int = DEFAULT_SEED,
    confidence: float = 95.0,
    progress: Progress | None = None,
) -> dict[str, tuple[float, float]]:
    """Percentile confidence intervals of every score.

    Args:
        statistics ([`ScoreStatistics`]):
            For example [`TranslationStatistics`].
        num_resamples (`int`, defaults to 1000):
            How often to draw as many samples as there are, with replacement.
        seed (`int`, defaults to 12345):
            The same seed gives the same intervals.
        confidence (`float`, defaults to 95.0):
            Coverage in percent.
        progress (`Callable[[int, int], None]`, *optional*):
            Called with the number of resamples done and the total.

    Returns:
        `dict[str, tuple[float, float]]`: lower and upper end of each score's interval.

    Raises:
        ValueError: for a number of resamples below 1, or a confidence outside 0 to 100.

    Example:

    ```python
    >>> from modeling_sigma.metrics import WordErrorStatistics, bootstrap_intervals
    >>> statistics = WordErrorStatistics.from_texts(["A B", "A C", "D"], ["A B", "A B", "D"])
    >>> bootstrap_intervals(statistics, num_resamples=200)["wer"]
    (0.0, 50.0)

    ```
    """
    _check_options(num_resamples, confidence)
    names = list(statistics.score())
    samples = np.empty((num_resamples, len(names)))
    for index, weights in enumerate(_resamples(len(statistics), num_resamples, seed)):
        scores = statistics.score(weights)
        samples[index] = [scores[name] for name in names]
        if progress is not None:
            progress(index + 1, num_resamples)
    return {name: _interval(samples[:, column], confidence) for column, name in enumerate(names)}


def paired_bootstrap(
    statistics: ScoreStatistics,
    other_statistics: ScoreStatistics,
    num_resamples: int = 1000,
    seed: int = DEFAULT_SEED,
    confidence: float = 95.0,
    progress: Progress | None = None,
) -> dict[str, dict[str, float | tuple[float, float]]]:
    """Compares two systems on the same resamples of the same references.

    Args:
        statistics, other_statistics ([`ScoreStatistics`]):
            The statistics of the two systems, with the samples in the same order.
        num_resamples, seed, confidence, progress:
            The options of the resampling, as in [`bootstrap_intervals`].

    Returns:
        `dict[str, dict]`: for each score that both have

        - `score`, `other_score`: on all samples;
        - `difference`: `other_score - score`;
        - `interval`: lower and upper end of the difference's confidence interval;
        - `p_value`: two-sided; how often the resampled difference lies as far from its mean as the observed one lies
          from zero, with one added to both counts.

    Raises:
        ValueError: for unequal numbers of samples, and as [`bootstrap_intervals`].

    Source: Koehn (2004), Statistical significance tests for machine translation evaluation; the shift to the mean
    follows Riezler and Maxwell (2005).
    """
    _check_options(num_resamples, confidence)
    if len(statistics) != len(other_statistics):
        raise ValueError(
            f"expected two systems on the same samples, received {len(statistics)} and {len(other_statistics)}: "
            "score both on the same references"
        )
    scores, other_scores = statistics.score(), other_statistics.score()
    names = [name for name in scores if name in other_scores]
    samples = np.empty((num_resamples, len(names)))
    for index, weights in enumerate(_resamples(len(statistics), num_resamples, seed)):
        first, second = statistics.score(weights), other_statistics.score(weights)
        samples[index] = [second[name] - first[name] for name in names]
        if progress is not None:
            progress(index + 1, num_resamples)
    comparison: dict[str, dict[str, float | tuple[float, float]]] = {}
    for column, name in enumerate(names):
        differences = samples[:, column][np.isfinite(samples[:, column])]
        observed = other_scores[name] - scores[name]
        # A small slack keeps equal differences equal in floating point.
        num_as_far = (
            int((np.abs(differences - differences.mean()) >= abs(observed) - 1e-9).sum()) if differences.size else 0
        )
        comparison[name] = {
            "score": scores[name],
            "other_score": other_scores[name],
            "difference": observed,
            "interval": _interval(differences, confidence),
            "p_value": (num_as_far + 1) / (differences.size + 1),
        }
    return comparison


def _check_options(num_resamples: int, confidence: float) -> None:
    if num_resamples < 1:
        raise ValueError(f"expected at least 1 resample, received {num_resamples}: 1000 is usual")
    if not 0 < confidence < 100:
        raise ValueError(f"expected a confidence between 0 and 100 percent, received {confidence}: 95 is usual")


def _resamples(num_samples: int, num_resamples: int, seed: int) -> Iterator[Weights]:
    """How often each sample was drawn, for one resample after the other."""
    generator = np.random.default_rng(seed)
    for _ in range(num_resamples):
        drawn = generator.integers(0, num_samples, num_samples)
        yield np.bincount(drawn, minlength=num_samples).astype(np.float64)  # (N,)


def _interval(samples: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    # A resample without any reference word has no error rate.
    finite = samples[np.isfinite(samples)]
    if finite.size == 0:
        return math.nan, math.nan
    low, high = np.percentile(finite, [50 - confidence / 2, 50 + confidence / 2])
    return float(low), float(high)
