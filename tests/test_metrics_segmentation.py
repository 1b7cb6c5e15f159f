"""Finding signs: overlaps, pairs and scores, worked out by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_sigma.metrics.segmentation import (
    Span,
    corrections_needed,
    matched_pairs,
    overlap,
    segmentation_scores,
)


def test_overlap_by_hand() -> None:
    assert overlap(Span(0, 2), Span(1, 3)) == pytest.approx(1 / 3)
    assert overlap(Span(0, 2), Span(0, 2)) == 1
    assert overlap(Span(0, 1), Span(1, 2)) == overlap(Span(0, 1), Span(5, 6)) == 0
    assert overlap(Span(0, 4), Span(1, 3)) == 0.5
    assert overlap(Span(1, 1), Span(1, 1)) == 0


def test_scores_by_hand() -> None:
    references = [[Span(0, 2, "A"), Span(4, 6, "B"), Span(8, 10, "C")], [Span(0, 1, "D")]]
    predictions = [
        [
            Span(0, 2, "A"),  # 1.0, right
            Span(4, 5, "X"),  # 0.5, another label
            Span(8.5, 12, "C"),  # 1.5 / 4 = 0.375, right
            Span(20, 21, "A"),  # a false alarm
        ],
        [],
    ]
    scores = segmentation_scores(predictions, references, minutes=0.5)
    assert scores["precision@0.5"] == 50 and scores["recall@0.5"] == 50
    assert scores["f1@0.5"] == 200 * 2 / 8 and scores["labelled_f1@0.5"] == 200 * 1 / 8
    assert scores["f1@0.3"] == 200 * 3 / 8 and scores["labelled_f1@0.3"] == 200 * 2 / 8
    assert scores["false_alarms_per_minute"] == 2
    assert (scores["num_predictions"], scores["num_references"]) == (4, 4)
    assert scores["signature"].startswith("task:segmentation|matches:one_to_one|alarms:iou<0.3|")


def test_each_sign_is_found_once() -> None:
    # Both halves overlap with the sign by 0.5; the second of them is a false alarm.
    scores = segmentation_scores([[Span(0, 1), Span(1, 2)]], [[Span(0, 2)]], minutes=1)
    assert scores["f1@0.5"] == pytest.approx(200 / 3) and scores["false_alarms_per_minute"] == 1
    # The pair that overlaps most goes first: 0.9 before 0.6.
    assert matched_pairs([Span(0, 6), Span(0, 9)], [Span(0, 10)], 0.5) == [(1, 0)]


def test_nothing_found_and_nothing_to_find() -> None:
    scores = segmentation_scores([[]], [[Span(0, 1)]], minutes=1)
    assert scores["f1@0.5"] == scores["precision@0.3"] == scores["false_alarms_per_minute"] == 0
    for predictions, references, minutes, message in (
        ([[]], [[], []], 1, "of the same recordings, received 1 and 2"),
        ([[]], [[]], 1, "expected signs in the references"),
        ([[]], [[Span(0, 1)]], 0, "the length of the recordings in minutes"),
        ([[]], [[Span(0, 1)]], float("nan"), "the length of the recordings in minutes"),
    ):
        with pytest.raises(ValueError, match=message):
            segmentation_scores(predictions, references, minutes)


_SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), min_size=1, max_size=8).map(
    lambda rows: [Span(start, start + length) for start, length in rows]
)


@given(_SPANS, _SPANS)
@settings(max_examples=60, deadline=None)
def test_properties(first: list[Span], second: list[Span]) -> None:
    scores = segmentation_scores([first], [second], minutes=1)
    assert scores["f1@0.5"] <= scores["f1@0.3"] <= 100
    assert segmentation_scores([first], [first], minutes=1)["f1@0.5"] == 100
    later = segmentation_scores(
        [[Span(a + 7, b + 7) for a, b, _ in first]], [[Span(a + 7, b + 7) for a, b, _ in second]], 1
    )
    assert later["f1@0.5"] == pytest.approx(scores["f1@0.5"])


def test_corrections_by_hand() -> None:
    there = [Span(0, 1, "a"), Span(2, 3, "b"), Span(4, 5, "c")]
    found = [Span(0.1, 1, "a"), Span(2, 3.2, "x"), Span(4.6, 6, "c"), Span(8, 9, "d")]
    assert corrections_needed(found, there) == {"add": 1, "remove": 2, "rename": 1, "total": 4}
    assert corrections_needed(there, there)["total"] == 0 == corrections_needed([], [])["total"]
