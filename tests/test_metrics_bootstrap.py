"""Confidence intervals and the comparison of two systems."""

import math

import numpy as np
import pytest

from modeling_sigma.metrics import WordErrorStatistics, bootstrap_intervals, paired_bootstrap


class Mean:
    """The mean of numbers, whose sampling distribution is known."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def score(self, weights: np.ndarray | None = None) -> dict[str, float]:
        return {"mean": float(np.average(self.values, weights=weights))}


def test_interval_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = bootstrap_intervals(Mean(values), num_resamples=2000)["mean"]
    half_width = 1.96 * values.std() / math.sqrt(len(values))
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.02)
    assert (high - low) / 2 == pytest.approx(half_width, rel=0.08)
    narrow = bootstrap_intervals(Mean(values), num_resamples=2000, confidence=50)["mean"]
    assert (narrow[1] - narrow[0]) / 2 == pytest.approx(0.6745 / 1.96 * half_width, rel=0.1)


def test_the_seed_decides() -> None:
    statistics = Mean(np.arange(30.0))
    assert bootstrap_intervals(statistics, 50) == bootstrap_intervals(statistics, 50)
    assert bootstrap_intervals(statistics, 50) != bootstrap_intervals(statistics, 50, seed=1)


def test_a_system_equals_itself() -> None:
    statistics = Mean(np.random.default_rng(0).normal(size=50))
    comparison = paired_bootstrap(statistics, statistics, 200)["mean"]
    assert comparison["difference"] == 0
    assert comparison["interval"] == (0, 0)
    assert comparison["p_value"] == 1


def test_a_real_difference_and_a_chance_one() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=200)
    better = paired_bootstrap(Mean(values), Mean(values + 0.3 + rng.normal(0, 0.5, 200)), 500)["mean"]
    assert better["p_value"] < 0.01
    assert better["interval"][0] > 0  # type: ignore[index]
    assert better["difference"] == pytest.approx(better["other_score"] - better["score"])  # type: ignore[operator]
    same = paired_bootstrap(Mean(values), Mean(values + rng.normal(0, 1, 200)), 500)["mean"]
    assert same["p_value"] > 0.05


def test_pairing_removes_what_both_share() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 10, 200)
    low, high = paired_bootstrap(Mean(values), Mean(values + 0.1), 100)["mean"]["interval"]  # type: ignore[misc]
    assert (low, high) == pytest.approx((0.1, 0.1))


def test_resamples_without_reference_words_are_left_out() -> None:
    with pytest.warns(UserWarning, match="empty"):
        statistics = WordErrorStatistics.from_texts(["A", ""], ["B", ""])
    assert bootstrap_intervals(statistics, 50)["wer"] == (100, 100)


def test_progress_is_reported() -> None:
    seen: list[tuple[int, int]] = []
    bootstrap_intervals(Mean(np.arange(3.0)), 4, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_bad_options() -> None:
    statistics = Mean(np.arange(3.0))
    with pytest.raises(ValueError, match="at least 1 resample, received 0"):
        bootstrap_intervals(statistics, 0)
    with pytest.raises(ValueError, match="between 0 and 100 percent, received 100"):
        bootstrap_intervals(statistics, confidence=100)
    with pytest.raises(ValueError, match="received 3 and 4"):
        paired_bootstrap(statistics, Mean(np.arange(4.0)))
