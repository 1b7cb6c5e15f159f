"""Whether confidences mean something: calibration error, Brier score, and risk against coverage.

A confidence is the probability that an answer is right, as a model states it. Plain functions of confidences and of
which answers were right, so that they serve every model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeling_sigma.metrics.signature import make_signature


NUM_BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """The answers whose confidences lie in one interval.

    Args:
        low, high (`float`): The ends of the interval; `low` itself belongs to the interval below, except 0.
        count (`int`): The number of answers in it.
        confidence (`float`): Their mean confidence; NaN without answers.
        accuracy (`float`): The share of them that is right; NaN without answers.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability_bins(confidences: ArrayLike, is_right: ArrayLike, num_bins: int = NUM_BINS) -> list[ReliabilityBin]:
    """Sorts answers by confidence into intervals of equal width.

    Args:
        confidences (`array` of shape `(N,)`):
            How sure the model is of each answer, in [0, 1].
        is_right (`array` of shape `(N,)`):
            Whether each answer is right.
        num_bins (`int`, *optional*, defaults to 15):
            The number of intervals.

    Raises:
        ValueError: for no answer, unequal lengths, or confidences outside [0, 1].
    """
    sure, right = _checked(confidences, is_right)
    if num_bins < 1:
        raise ValueError(f"expected num_bins of at least 1, received {num_bins}")
    numbers = np.clip(np.ceil(sure * num_bins).astype(int) - 1, 0, num_bins - 1)
    bins = []
    for number in range(num_bins):
        inside = numbers == number
        means = (float(sure[inside].mean()), float(right[inside].mean())) if inside.any() else (np.nan, np.nan)
        bins.append(ReliabilityBin(number / num_bins, (number + 1) / num_bins, int(inside.sum()), *means))
    return bins


def expected_calibration_error(confidences: ArrayLike, is_right: ArrayLike, num_bins: int = NUM_BINS) -> float:
    """The mean distance of confidence and accuracy over the bins, weighted by their answers, in [0, 1].

    Args:
        confidences, is_right, num_bins:
            As in [`reliability_bins`].

    Example:

    ```python
    >>> from modeling_sigma.metrics import expected_calibration_error
    >>> round(expected_calibration_error([0.9, 0.9, 0.2], [True, False, False]), 4)
    0.3333

    ```
    """
    bins = [one for one in reliability_bins(confidences, is_right, num_bins) if one.count]
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.confidence - one.accuracy) for one in bins) / total


def brier_score(confidences: ArrayLike, is_right: ArrayLike) -> float:
    """The mean squared distance of the first answer's confidence from 1 (right) or 0 (wrong), in [0, 1]."""
    sure, right = _checked(confidences, is_right)
    return float(np.square(sure - right).mean())


@dataclass(frozen=True)
class RiskCoverage:
    """What a model gets wrong if it answers only where it is surest.

    Args:
        coverages (`np.ndarray` of shape `(N,)`): The share of clips that are answered: 1/N, 2/N, ..., 1.
        risks (`np.ndarray` of shape `(N,)`): The share of wrong answers among them.
    """

    coverages: NDArray[np.float64]
    risks: NDArray[np.float64]

    @property
    def area(self) -> float:
        """The mean risk over all coverages; lower is better."""
        return float(self.risks.mean())

    def points(self, most: int = 100) -> list[list[float]]:
        """Pairs of coverage and risk, at most so many and evenly spaced."""
        rows = np.unique(np.linspace(0, len(self.risks) - 1, min(most, len(self.risks))).round().astype(int))
        return np.stack([self.coverages[rows], self.risks[rows]], axis=1).tolist()

    def accuracy_of_surest(self, share: float) -> float:
        """The share of right answers among the surest `share` of all clips, at least one clip."""
        if not 0 < share <= 1:
            raise ValueError(f"expected share in (0, 1], received {share}")
        number = max(1, round(share * len(self.risks)))
        return float(1 - self.risks[number - 1])


def risk_coverage(confidences: ArrayLike, is_right: ArrayLike) -> RiskCoverage:
    """Risk against coverage; answers of equal confidence count as in random order, so that their order is no matter.

    Args:
        confidences, is_right:
            As in [`reliability_bins`]; any number that is higher for surer answers will do as a confidence.

    Example:

    ```python
    >>> from modeling_sigma.metrics import risk_coverage
    >>> risk_coverage([0.9, 0.8, 0.1], [True, False, False]).risks.round(2).tolist()
    [0.0, 0.5, 0.67]

    ```
    """
    sure, right = _checked(confidences, is_right, bounded=False)
    _, places, counts = np.unique(-sure, return_inverse=True, return_counts=True)
    mean_of_ties = np.bincount(places, right) / counts
    expected = np.repeat(mean_of_ties, counts)  # surest first
    numbers = np.arange(1, len(sure) + 1)
    return RiskCoverage(numbers / len(sure), 1 - np.cumsum(expected) / numbers)


def confidence_scores(
    confidences: ArrayLike, is_right: ArrayLike, *, num_bins: int = NUM_BINS, match: str = "exact"
) -> dict[str, Any]:
    """All scores of confidences at once.

    Args:
        confidences, is_right, num_bins:
            As in [`reliability_bins`].
        match (`str`, *optional*, defaults to `"exact"`):
            For the signature: when an answer counts as right, such as `"label-groups"`.

    Returns:
        `dict`: `ece`, `brier`, `mean_confidence`, `accuracy`, `surest_half`, `surest_tenth` (accuracies among the
        surest answers) and `risk_coverage_area`, all in percent; `bins`, the fields of each [`ReliabilityBin`], and
        `risk_coverage`, up to 100 pairs of coverage and risk, both for pictures; `num_samples`, `signature`.

    Raises:
        ValueError: as [`reliability_bins`].
    """
    sure, right = _checked(confidences, is_right)
    curve = risk_coverage(sure, right)
    values = {
        "ece": expected_calibration_error(sure, right, num_bins),
        "brier": brier_score(sure, right),
        "mean_confidence": float(sure.mean()),
        "accuracy": float(right.mean()),
        "surest_half": curve.accuracy_of_surest(0.5),
        "surest_tenth": curve.accuracy_of_surest(0.1),
        "risk_coverage_area": curve.area,
    }
    return {
        **{name: 100 * value for name, value in values.items()},
        "bins": [asdict(one) for one in reliability_bins(sure, right, num_bins)],
        "risk_coverage": curve.points(),
        "num_samples": len(sure),
        "signature": make_signature(task="confidence", match=match, bins=num_bins, answer="first"),
    }


def _checked(
    confidences: ArrayLike, is_right: ArrayLike, bounded: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sure, right = np.asarray(confidences, np.float64), np.asarray(is_right)
    if sure.ndim != 1 or sure.shape != right.shape or not len(sure):
        raise ValueError(
            "expected a confidence and a right or wrong for each of at least one answer, received shapes "
            f"{sure.shape} and {right.shape}"
        )
    if not np.isin(right, (0, 1)).all():
        raise ValueError("expected is_right as True or False for each answer, received other values")
    if bounded and not ((sure >= 0) & (sure <= 1)).all():
        raise ValueError(
            f"expected confidences in [0, 1], received {sure.min():.4g} to {sure.max():.4g}: apply a softmax first"
        )
    if np.isnan(sure).any():
        raise ValueError("expected confidences that are numbers, received NaN")
    return sure, right.astype(np.float64)
