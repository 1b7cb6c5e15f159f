"""Edit distances, word error rates, and accuracies of isolated signs."""

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_sigma.metrics import (
    RecognitionStatistics,
    WordErrorStatistics,
    align,
    count_edits,
    recognition_scores,
    word_error_rates,
)
from modeling_sigma.metrics.edit_distance import COSTS, EditCosts
from modeling_sigma.metrics.prediction_files import pair_samples, read_sample_texts


words = st.lists(st.sampled_from("ABCD"), max_size=9)
word_pairs = st.lists(st.tuples(words, words), min_size=1, max_size=8)


def by_recursion(
    reference: tuple[str, ...], prediction: tuple[str, ...], costs: EditCosts
) -> tuple[int, int, int, int]:
    """(cost, substitutions, deletions, insertions), straight from the definition, for short sequences."""

    @cache
    def solve(i: int, j: int) -> tuple[int, int, int, int]:
        if i == 0 or j == 0:
            return costs.deletion * i + costs.insertion * j, 0, i, j
        cost, substitutions, deletions, insertions = solve(i - 1, j - 1)
        if reference[i - 1] == prediction[j - 1]:
            return cost, substitutions, deletions, insertions
        options = [(cost + costs.substitution, substitutions + 1, deletions, insertions)]
        cost, substitutions, deletions, insertions = solve(i, j - 1)
        options.append((cost + costs.insertion, substitutions, deletions, insertions + 1))
        cost, substitutions, deletions, insertions = solve(i - 1, j)
        options.append((cost + costs.deletion, substitutions, deletions + 1, insertions))
        return min(options, key=lambda option: option[0])  # the first of equals: substitution, insertion, deletion

    return solve(len(reference), len(prediction))


# --- alignments by hand


def counts_of(reference: str, prediction: str, costs: str) -> tuple[int, int, int]:
    counts = count_edits([reference.split()], [prediction.split()], costs)
    return int(counts.substitutions[0]), int(counts.deletions[0]), int(counts.insertions[0])


@pytest.mark.parametrize(
    ("reference", "prediction", "field", "levenshtein"),
    [
        ("A B C", "A B C", (0, 0, 0), (0, 0, 0)),
        ("A B C", "A X C", (1, 0, 0), (1, 0, 0)),
        ("A B C", "A C", (0, 1, 0), (0, 1, 0)),
        ("A C", "A B C", (0, 0, 1), (0, 0, 1)),
        ("A B", "", (0, 2, 0), (0, 2, 0)),
        ("", "A B", (0, 0, 2), (0, 0, 2)),
        # Two indels (6) are cheaper than two substitutions (8).
        ("A B", "B C", (0, 1, 1), (2, 0, 0)),
        # Six indels (18) are cheaper than five substitutions (20): one error more than Levenshtein.
        ("A B C D E", "D E X Y Z", (0, 3, 3), (5, 0, 0)),
        # Four indels and three substitutions cost the same (12): the substitutions are taken.
        ("A B C", "C X Y", (3, 0, 0), (3, 0, 0)),
    ],
)
def test_counts_by_hand(
    reference: str, prediction: str, field: tuple[int, int, int], levenshtein: tuple[int, int, int]
) -> None:
    assert counts_of(reference, prediction, "3/3/4") == field
    assert counts_of(reference, prediction, "levenshtein") == levenshtein


def test_alignment_by_hand() -> None:
    alignment = align("A B C D E".split(), "D E X Y Z".split())
    assert [word.operation for word in alignment] == ["deletion"] * 3 + ["match"] * 2 + ["insertion"] * 3
    assert [word.reference for word in alignment] == ["A", "B", "C", "D", "E", None, None, None]
    assert [word.prediction for word in alignment] == [None, None, None, "D", "E", "X", "Y", "Z"]
    assert align([], []) == []


# --- properties


@given(word_pairs, st.sampled_from([*COSTS.values(), EditCosts(2, 5, 3)]))
@settings(max_examples=60, deadline=None)
def test_counts_equal_the_definition_in_any_batch(pairs: list[tuple[list[str], list[str]]], costs: EditCosts) -> None:
    references, predictions = map(list, zip(*pairs))
    counts = count_edits(references, predictions, costs)
    for index, (reference, prediction) in enumerate(pairs):
        _, *expected = by_recursion(tuple(reference), tuple(prediction), costs)
        assert [counts.substitutions[index], counts.deletions[index], counts.insertions[index]] == expected
        operations = [word.operation for word in align(reference, prediction, costs)]
        assert [operations.count(name) for name in ("substitution", "deletion", "insertion")] == expected
        assert [word.reference for word in align(reference, prediction, costs) if word.reference] == reference
        assert [word.prediction for word in align(reference, prediction, costs) if word.prediction] == prediction


@given(word_pairs)
@settings(max_examples=60, deadline=None)
def test_levenshtein_equals_jiwer(pairs: list[tuple[list[str], list[str]]]) -> None:
    import jiwer

    texts = [(" ".join(prediction), " ".join(reference)) for reference, prediction in pairs if reference]
    if not texts:
        return
    predictions, references = map(list, zip(*texts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = word_error_rates(predictions, references, "levenshtein")
        statistics = WordErrorStatistics.from_texts(predictions, references, "levenshtein")
    theirs = jiwer.process_words(references, predictions)
    assert scores["wer"] == pytest.approx(100 * theirs.wer)
    for index, (prediction, reference) in enumerate(texts):
        single = jiwer.process_words(reference, prediction)
        assert statistics.counts.errors[index] == single.substitutions + single.deletions + single.insertions


def test_a_batch_of_every_length_equals_singles() -> None:
    rng = np.random.default_rng(0)
    references, predictions = (
        [rng.integers(0, 5, length).tolist() for length in rng.integers(0, 60, 300)] for _ in "rp"
    )
    together = count_edits(references, predictions)
    for index in range(0, 300, 7):
        single = count_edits(references[index : index + 1], predictions[index : index + 1])
        assert single.errors[0] == together.errors[index]


def test_thousands_of_words_do_not_overflow() -> None:
    # 8-bit tables end at 85 words: 3 * 86 = 258.
    for length in (85, 86, 200, 4000):
        counts = count_edits([["A"] * length], [["B"] * length])
        assert (counts.substitutions[0], counts.errors[0]) == (length, length)
        counts = count_edits([["A"] * length], [[]])
        assert counts.deletions[0] == length
    rng = np.random.default_rng(0)
    reference, prediction = (rng.integers(0, 50, 3000).tolist() for _ in range(2))
    counts = count_edits([reference], [prediction], "levenshtein")
    import jiwer

    theirs = jiwer.process_words(" ".join(map(str, reference)), " ".join(map(str, prediction)))
    assert counts.errors[0] == theirs.substitutions + theirs.deletions + theirs.insertions
    assert sum(word.operation != "match" for word in align(reference, prediction, "levenshtein")) == counts.errors[0]


def test_bad_costs_and_lengths() -> None:
    with pytest.raises(ValueError, match="expected costs of .*, received '3/3/3'"):
        count_edits([["A"]], [["A"]], "3/3/3")
    with pytest.raises(ValueError, match="costs above zero"):
        count_edits([["A"]], [["A"]], EditCosts(0, 1, 1))
    with pytest.raises(ValueError, match="received 0 and 1"):
        count_edits([["A"]], [])
    with pytest.raises(ValueError, match="words in a sequence"):
        count_edits([range(2_000_000)], [[]])


# --- word error rates


def test_word_error_rates_by_hand() -> None:
    scores = word_error_rates(["A X", "B C", "D"], ["A B", "C", "D E F"])
    # One substitution, one insertion, two deletions, over six words.
    assert scores["wer"] == pytest.approx(100 * 4 / 6)
    assert scores["substitution_rate"] == scores["insertion_rate"] == pytest.approx(100 / 6)
    assert scores["deletion_rate"] == pytest.approx(200 / 6)
    assert (scores["num_substitutions"], scores["num_deletions"], scores["num_insertions"]) == (1, 2, 1)
    assert (scores["num_reference_words"], scores["num_sentences"]) == (6, 3)
    assert "costs:3/3/4" in scores["signature"]


def test_word_error_rate_may_exceed_100() -> None:
    assert word_error_rates(["A B C"], ["X"])["wer"] == 300


def test_alignments_on_demand() -> None:
    scores = word_error_rates(["B A"], ["A"], return_alignments=True)
    assert [word.operation for word in scores["alignments"][0]] == ["insertion", "match"]
    assert "alignments" not in word_error_rates(["B A"], ["A"])


def test_phoenix_presets_clean_both_sides() -> None:
    predictions, references = ["loc-NORD REGEN"], ["__ON__ NORDRAUM REGEN-PLUSPLUS REGEN __OFF__"]
    assert word_error_rates(predictions, references, preset="phoenix2014")["wer"] == 0
    assert word_error_rates(predictions, references, preset="phoenix2014t")["wer"] == 0
    assert word_error_rates(predictions, references)["wer"] > 0


def test_characters_as_units() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert word_error_rates(["今天 星期五"], ["今天星期几"], unit="character")["wer"] == 20
    with pytest.warns(UserWarning, match="unit='character'"):
        assert word_error_rates(["今天星期五"], ["今天星期几"])["wer"] == 100
    with pytest.raises(ValueError, match="expected a unit"):
        word_error_rates(["a"], ["a"], unit="byte")


def test_empty_sides_are_counted() -> None:
    with pytest.warns(UserWarning, match="1 of 3 predictions are empty and 1 of 3 references are empty"):
        scores = word_error_rates(["", "A", "B"], ["A B", "", "B"])
    assert (scores["num_deletions"], scores["num_insertions"], scores["num_reference_words"]) == (2, 1, 3)
    assert scores["wer"] == pytest.approx(100)
    with pytest.raises(ValueError, match="references with text"):
        word_error_rates(["A"], [""])


def test_weights_repeat_sentences() -> None:
    predictions, references = ["A X", "B C", "D"], ["A B", "C", "D E F"]
    weighted = WordErrorStatistics.from_texts(predictions, references).score(np.array([2.0, 0.0, 1.0]))
    repeated = WordErrorStatistics.from_texts(["A X", "A X", "D"], ["A B", "A B", "D E F"]).score()
    assert weighted == pytest.approx(repeated)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "field", "levenshtein"), [("csl_daily.dev", 64.6209, 64.2915), ("how2sign.test", 85.2275, 85.0508)]
)
def test_dumps_give_the_proxies_of_the_protocol(
    shared_data: Path, name: str, field: float, levenshtein: float
) -> None:
    files = (shared_data / "eval_dumps" / f"{name}.{side}.txt" for side in ("predictions", "references"))
    predictions, references = pair_samples(*map(read_sample_texts, files))
    assert round(word_error_rates(predictions, references)["wer"], 4) == field
    assert round(word_error_rates(predictions, references, "levenshtein")["wer"], 4) == levenshtein
    if name == "csl_daily.dev":
        assert round(word_error_rates(predictions, references, unit="character")["wer"], 4) == field


# --- isolated signs


def test_accuracies_by_hand() -> None:
    # Class a: 2 of 3; class b: 0 of 1; class c: 1 of 1.
    scores = recognition_scores(["a", "a", "b", "a", "c"], ["a", "a", "a", "b", "c"])
    assert scores["top1_per_instance"] == 60
    assert scores["top1_per_class"] == pytest.approx(100 * (2 / 3 + 0 + 1) / 3)
    assert scores["confusions"] == [
        {"reference": "a", "prediction": "b", "count": 1},
        {"reference": "b", "prediction": "a", "count": 1},
    ]
    assert (scores["num_samples"], scores["num_classes"]) == (5, 3)
    assert "top5_per_instance" not in scores


def test_candidates_give_top_5() -> None:
    candidates = [["a", "b"], ["b", "a"], ["c", "d", "e", "f", "a"], ["c", "d", "e", "f", "g", "b"], []]
    with pytest.warns(UserWarning, match="1 of 5 predictions are empty"):
        scores = recognition_scores(candidates, ["a", "a", "a", "b", "b"])
    assert scores["top1_per_instance"] == 20
    assert scores["top5_per_instance"] == 60
    assert scores["top1_per_class"] == pytest.approx(100 / 6)
    assert scores["top5_per_class"] == 50


def test_scores_of_classes() -> None:
    logits = np.array([[0.1, 0.9, 0.0, 0, 0, 0], [6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1], [1, 1, 1, 1, 1, 1]])
    numbers = recognition_scores(None, [1, 4, 5, 1], scores=logits)
    assert (numbers["top1_per_instance"], numbers["top5_per_instance"]) == (25, 75)
    names = list("abcdef")
    named = recognition_scores(None, ["b", "e", "f", "b"], scores=logits, label_names=names)
    assert named["top5_per_class"] == numbers["top5_per_class"] == pytest.approx(100 * 2 / 3)
    assert named["confusions"][0] == {"reference": "e", "prediction": "a", "count": 1}


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_scores_equal_sorting_even_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = rng.integers(0, 4, (20, 9)), rng.integers(0, 9, 20)
    best = np.argsort(-logits, axis=1, kind="stable")
    from_scores = recognition_scores(None, labels, scores=logits)
    from_candidates = recognition_scores(best.tolist(), labels)
    assert from_scores == from_candidates
    assert from_scores["top5_per_instance"] == pytest.approx(100 * (best[:, :5] == labels[:, None]).any(axis=1).mean())


def test_generated_text_outside_the_vocabulary_is_an_error() -> None:
    with pytest.warns(UserWarning, match="1 of 4 predictions are empty"):
        scores = recognition_scores(
            [" book ", "bookk", "", "Book"], ["book"] * 4, vocabulary=["book", "drink"], is_constrained=False
        )
    assert scores["top1_per_instance"] == 25
    assert (scores["num_outside_vocabulary"], scores["num_empty_predictions"]) == (3, 1)
    assert "decoding:free" in scores["signature"]
    assert "decoding:constrained" in recognition_scores(["a"], ["a"], is_constrained=True)["signature"]


def test_resampling_leaves_absent_classes_out() -> None:
    statistics = RecognitionStatistics.from_labels(["a", "a", "c"], ["a", "b", "c"])
    assert statistics.score(np.array([1.0, 0.0, 2.0]))["top1_per_class"] == 100
    assert statistics.score(np.array([0.0, 3.0, 0.0])) == {"top1_per_instance": 0, "top1_per_class": 0}


@pytest.mark.parametrize(
    ("predictions", "references", "options", "message"),
    [
        (["a"], ["a", "b"], {}, "received 1 and 2"),
        ([], [], {}, "at least one label in references"),
        ("a", ["a"], {}, "predictions to be a list of labels"),
        (["a"], "a", {}, "references to be a list of labels"),
        ([None], ["a"], {}, r"predictions\[0\] to be a string or an integer, received None"),
        ([True], [1], {}, r"predictions\[0\] to be a string or an integer"),
        ([1], ["a"], {}, "of the same kind"),
        (None, ["a"], {}, "received neither"),
        (["a"], ["a"], {"scores": [[1.0]]}, "received both"),
        (None, [0], {"scores": [1.0]}, r"scores of shape \(1, classes\), received \(1,\)"),
        (None, [0], {"scores": [[np.nan, 1.0]]}, "finite scores"),
        (None, [2], {"scores": [[0.0, 1.0]]}, "among the 2 labels of the scores, received 2"),
        (None, ["a"], {"scores": [[0.0, 1.0]], "label_names": ["a"]}, "each of the 2 columns"),
    ],
)
def test_bad_labels(predictions: object, references: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recognition_scores(predictions, references, **options)  # type: ignore[arg-type]
