"""Retrieval in both directions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_sigma.metrics import retrieval_scores


def test_ranks_by_hand() -> None:
    similarity = np.array(
        [
            [0.9, 0.1, 0.2, 0.3],  # rank 1
            [0.8, 0.5, 0.1, 0.2],  # rank 2
            [0.7, 0.6, 0.1, 0.5],  # rank 4
            [0.1, 0.2, 0.3, 0.4],  # rank 1
        ]
    )
    scores = retrieval_scores(similarity)
    assert [scores[f"pose_to_text_r{k}"] for k in (1, 5, 10)] == [50, 100, 100]
    assert (scores["pose_to_text_median_rank"], scores["pose_to_text_mean_rank"]) == (1.5, 2)
    # Columns: 0.9 is first; 0.5 is behind 0.6; 0.1 is behind 0.2, 0.3 and, equal, 0.1; 0.4 is behind 0.5.
    assert (scores["text_to_pose_median_rank"], scores["text_to_pose_mean_rank"]) == (2, 2.25)
    assert scores["text_to_pose_r1"] == 25
    assert (scores["num_poses"], scores["num_texts"], scores["num_distinct_texts"]) == (4, 4, 4)


def test_identical_sentences_match_each_other() -> None:
    # Without the sentences, clip 0 finds text 1 first and the other way round.
    similarity = np.array([[0.5, 0.9, 0.1], [0.9, 0.5, 0.1], [0.6, 0.6, 0.2]])
    assert retrieval_scores(similarity)["pose_to_text_mean_rank"] == pytest.approx(7 / 3)
    scores = retrieval_scores(similarity, ["yes", "yes", "no"])
    assert scores["pose_to_text_r1"] == pytest.approx(200 / 3)
    assert scores["pose_to_text_mean_rank"] == pytest.approx(5 / 3)
    assert scores["text_to_pose_r1"] == 100
    assert scores["num_distinct_texts"] == 2
    assert "matches:identical_texts" in scores["signature"]


def test_distinct_sentences_as_columns() -> None:
    scores = retrieval_scores([[0.9, 0.1], [0.2, 0.8], [0.3, 0.4]], ["yes", "no", "yes"], ["yes", "no"])
    assert scores["pose_to_text_r1"] == pytest.approx(200 / 3)
    assert scores["text_to_pose_r1"] == 100
    assert (scores["num_poses"], scores["num_texts"]) == (3, 2)


def test_a_collapsed_model_scores_like_a_bad_one() -> None:
    scores = retrieval_scores(np.ones((20, 20)))
    assert scores["pose_to_text_r1"] == scores["text_to_pose_r10"] == 0
    assert scores["pose_to_text_mean_rank"] == 20


def test_copies_of_the_right_sentence_do_not_stand_in_its_way() -> None:
    scores = retrieval_scores(np.ones((4, 4)), ["same"] * 4)
    assert scores["pose_to_text_r1"] == scores["text_to_pose_r1"] == 100


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_ranks_equal_sorting(seed: int) -> None:
    similarity = np.random.default_rng(seed).normal(size=(15, 15))
    ranks = [int(np.flatnonzero(np.argsort(-row) == index)[0]) + 1 for index, row in enumerate(similarity)]
    scores, turned = retrieval_scores(similarity), retrieval_scores(similarity.T)
    assert scores["pose_to_text_median_rank"] == np.median(ranks)
    assert scores["pose_to_text_mean_rank"] == pytest.approx(np.mean(ranks))
    assert scores["pose_to_text_r5"] == pytest.approx(100 * np.mean(np.array(ranks) <= 5))
    for name in ("r1", "r5", "r10", "median_rank", "mean_rank"):
        assert turned[f"text_to_pose_{name}"] == scores[f"pose_to_text_{name}"]


def test_intervals_on_demand() -> None:
    similarity = np.random.default_rng(0).normal(size=(40, 40)) + 2 * np.eye(40)
    scores = retrieval_scores(similarity, num_bootstrap=100)
    assert len(scores["intervals"]) == 10
    for name, (low, high) in scores["intervals"].items():
        assert low <= scores[name] <= high
    assert scores["intervals"]["pose_to_text_r1"][0] < scores["intervals"]["pose_to_text_r1"][1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0],), r"received \(2,\)"),
        ((np.zeros((0, 0)),), r"received \(0, 0\)"),
        (([[np.nan]],), "finite similarities"),
        (([[1.0, 2.0]],), "expected 2 texts"),
        (([[1.0]], ["a", "b"]), "expected 1 pose_texts"),
        (([[1.0, 2.0]], ["a"], ["a", "b"]), "expected a match for every text, received none for text 1"),
        (([[1.0], [2.0]], ["a", "b"], ["a"]), "expected a match for every clip, received none for clip 1"),
        (([[1.0]], None, ["a"]), "expected `pose_texts` together with `texts`"),
    ],
)
def test_bad_similarities(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retrieval_scores(*arguments)  # type: ignore[arg-type]
