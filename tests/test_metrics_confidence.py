"""Calibration error, Brier score, risk against coverage, prediction sets and ranks, worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modeling_sigma.metrics import (
    brier_score,
    confidence_scores,
    expected_calibration_error,
    known_unknown_auroc,
    prediction_set_scores,
    rank_correlation,
    reliability_bins,
    risk_coverage,
)
from modeling_sigma.metrics.rank_statistics import mean_ranks


# --- calibration error


def test_calibration_error_by_hand() -> None:
    # Two bins: (0, 0.5] holds 0.2 and 0.4 (mean 0.3, none right), (0.5, 1] holds 0.6 and 1.0 (mean 0.8, one right).
    confidences, is_right = [0.2, 0.4, 0.6, 1.0], [False, False, True, False]
    low, high = reliability_bins(confidences, is_right, num_bins=2)
    assert (low.count, low.accuracy, high.count, high.accuracy) == (2, 0.0, 2, 0.5)
    assert (low.confidence, high.confidence) == (pytest.approx(0.3), pytest.approx(0.8))
    assert expected_calibration_error(confidences, is_right, num_bins=2) == pytest.approx(0.5 * 0.3 + 0.5 * 0.3)


def test_bins_hold_their_upper_end_and_the_first_holds_zero() -> None:
    bins = reliability_bins([0.0, 0.5, 1.0], [0, 0, 1], num_bins=2)
    assert [one.count for one in bins] == [2, 1]
    assert [(one.low, one.high) for one in bins] == [(0, 0.5), (0.5, 1)]
    empty = reliability_bins([1.0], [1])[0]
    assert empty.count == 0 and np.isnan(empty.accuracy)


def test_perfect_and_hopeless_confidence() -> None:
    assert expected_calibration_error([1.0, 1.0, 0.0], [1, 1, 0]) == 0
    assert expected_calibration_error([1.0, 1.0], [0, 0]) == 1
    generator = np.random.default_rng(0)
    sure = generator.uniform(size=200_000)
    assert expected_calibration_error(sure, generator.uniform(size=len(sure)) < sure) < 0.01


def test_brier_by_hand() -> None:
    assert brier_score([0.5, 1.0], [True, True]) == pytest.approx(0.125)
    assert brier_score([0.8, 0.3], [False, True]) == pytest.approx((0.64 + 0.49) / 2)


# --- risk against coverage


def test_risk_coverage_by_hand() -> None:
    curve = risk_coverage([0.3, 0.9, 0.5, 0.7], [False, True, True, False])
    assert curve.coverages.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risks.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert curve.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert [curve.accuracy_of_surest(share) for share in (0.5, 1.0)] == [0.5, 0.5]
    assert curve.accuracy_of_surest(0.01) == 1.0  # at least one clip


def test_risk_coverage_does_not_depend_on_the_order_of_ties() -> None:
    first = risk_coverage([0.5, 0.5, 0.9], [True, False, True])
    second = risk_coverage([0.5, 0.5, 0.9], [False, True, True])
    assert first.risks.tolist() == second.risks.tolist() == pytest.approx([0, 0.25, 1 / 3])


@pytest.mark.parametrize("share", [0, -0.1, 1.1])
def test_shares_are_checked(share: float) -> None:
    with pytest.raises(ValueError, match=r"expected share in \(0, 1\]"):
        risk_coverage([0.5], [True]).accuracy_of_surest(share)


def test_all_scores_at_once() -> None:
    scores = confidence_scores([0.9, 0.8, 0.2, 0.1], [True, True, False, False], match="label-groups")
    assert (scores["accuracy"], scores["mean_confidence"], scores["surest_half"]) == (50, 50, 100)
    assert scores["ece"] == pytest.approx(15) and scores["brier"] == pytest.approx(
        100 * (0.01 + 0.04 + 0.04 + 0.01) / 4
    )
    assert scores["num_samples"] == 4 and sum(one["count"] for one in scores["bins"]) == 4
    assert scores["risk_coverage"] == [[0.25, 0], [0.5, 0], [0.75, pytest.approx(1 / 3)], [1, 0.5]]
    assert scores["signature"].startswith("task:confidence|match:label-groups|bins:15|answer:first|sigma-slu:")


@pytest.mark.parametrize(
    ("confidences", "is_right", "message"),
    [
        ([], [], "at least one answer"),
        ([0.5], [True, False], "shapes"),
        ([[0.5]], [[True]], "shapes"),
        ([1.5], [True], r"expected confidences in \[0, 1\], received 1.5"),
        ([float("nan")], [True], "expected confidences"),
        ([0.5], [2], "True or False"),
    ],
)
def test_wrong_confidences(confidences: Any, is_right: Any, message: str) -> None:
    for function in (expected_calibration_error, brier_score, confidence_scores):
        with pytest.raises(ValueError, match=message):
            function(confidences, is_right)
    if "1.5" not in message:
        with pytest.raises(ValueError):
            risk_coverage(confidences, is_right)


def test_bins_are_counted() -> None:
    with pytest.raises(ValueError, match="num_bins of at least 1"):
        reliability_bins([0.5], [True], num_bins=0)


# --- prediction sets


def test_prediction_sets_by_hand() -> None:
    scores = prediction_set_scores(
        [{"a"}, set(), {"b", "c", "à l'école"}, {"d", "e"}], ["a", "x", "à l'école", "f"], 0.9
    )
    assert (scores["coverage"], scores["nominal_coverage"]) == (50, 90)
    assert (scores["mean_set_size"], scores["median_set_size"], scores["largest_set_size"]) == (1.5, 1.5, 3)
    assert (scores["num_empty_sets"], scores["num_samples"]) == (1, 4)


@pytest.mark.parametrize(
    ("sets", "references", "coverage", "message"),
    [
        ([], [], 0.9, "expected one set for each reference"),
        ([{"a"}], ["a", "b"], 0.9, "received 1 and 2"),
        ([{"a"}], ["a"], 90, "such as 0.9, received 90"),
    ],
)
def test_wrong_prediction_sets(sets: Any, references: Any, coverage: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prediction_set_scores(sets, references, coverage)


# --- ranks


def test_mean_ranks_by_hand() -> None:
    assert mean_ranks(np.array([10, 20, 10, 5])).tolist() == [2.5, 4, 2.5, 1]


def test_auroc_by_hand() -> None:
    # Of the pairs (3, 2), (3, 1), (2, 2), (2, 1) the known one wins three, and one is a tie.
    assert known_unknown_auroc([3, 2], [2, 1]) == 3.5 / 4
    assert known_unknown_auroc([2, 3], [0, 1]) == 1
    assert known_unknown_auroc([0, 1], [2, 3]) == 0
    assert known_unknown_auroc([1, 1], [1]) == 0.5
    assert known_unknown_auroc([np.inf], [-np.inf]) == 1


def test_auroc_counts_pairs() -> None:
    generator = np.random.default_rng(1)
    known, unknown = generator.integers(0, 20, 50), generator.integers(0, 15, 40)
    pairs = np.sign(known[:, None] - unknown[None])
    assert known_unknown_auroc(known, unknown) == pytest.approx((pairs == 1).mean() + (pairs == 0).mean() / 2)


def test_rank_correlation_by_hand() -> None:
    assert rank_correlation([1, 2, 3], [10, 20, 1000]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    # Ranks 1, 2, 3, 4 and 2, 1, 4, 3: 1 - 6 * 4 / (4 * 15).
    assert rank_correlation([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(0.6)
    assert np.isnan(rank_correlation([1, 1], [1, 2]))


@pytest.mark.parametrize(("first", "second"), [([], [1]), ([np.nan], [1]), ([[1]], [1])])
def test_wrong_scores(first: Any, second: Any) -> None:
    for pair in ((first, second), (second, first)):
        with pytest.raises(ValueError, match="as a list of numbers"):
            known_unknown_auroc(*pair)
        with pytest.raises(ValueError, match="as a list of numbers"):
            rank_correlation(*pair)
    with pytest.raises(ValueError, match="equally long lists of at least 2"):
        rank_correlation([1], [1])
