"""BLEU, ROUGE-L and chrF: by hand, against the libraries, on bad input, and on the dumps of the field."""

import math
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_sigma.metrics import ROUGE_VARIANTS, TranslationStatistics, translation_scores
from modeling_sigma.metrics.prediction_files import pair_samples, read_sample_texts
from modeling_sigma.metrics.rouge_l import lcs_length, longest_common_subsequence, rouge_l_scores


SCORES = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "chrf", "chrf_plus_plus")

# Words that meet often, with dots, brackets, entities, several scripts and white space of every kind.
WORDS = [
    "a",
    "b",
    "the",
    "The",
    "cat",
    "3.5",
    "U.S.",
    ".",
    "(hi)",
    "don't",
    "&quot;x",
    "天",
    "气?",
    "قط",
    "é-é",
    "..",
    "!",
]
texts = st.lists(st.sampled_from(WORDS), max_size=12).flatmap(
    lambda words: st.sampled_from([" ", "  ", " \n", "\u3000", ". "]).map(lambda space: space.join(words))
)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=6)


def quietly(*args: object, **kwargs: object) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return translation_scores(*args, **kwargs)  # type: ignore[arg-type]


# --- by hand


def test_bleu_by_hand() -> None:
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 quadruples; equal lengths.
    scores = translation_scores(["the cat sat on the mat"], ["the cat sat on a mat"])
    product = 100.0
    for order, precision in enumerate([5 / 6, 3 / 5, 2 / 4, 1 / 3], start=1):
        product *= precision
        assert scores[f"bleu{order}"] == pytest.approx(100 * (product / 100) ** (1 / order))


def test_bleu_counts_over_the_corpus_with_brevity_penalty_and_smoothing() -> None:
    # 3 of 4 words; no pair of 2: smoothed to 1 / (2 * 2). 4 words against 8.
    scores = translation_scores(["a x", "b c"], ["a b c d", "c b b a"])
    penalty = math.exp(1 - 8 / 4)
    assert scores["bleu1"] == pytest.approx(100 * penalty * 3 / 4)
    assert scores["bleu2"] == pytest.approx(100 * penalty * math.sqrt(3 / 4 * 1 / 4))


def test_bleu_is_cased_and_splits_punctuation() -> None:
    scores = translation_scores(["the end."], ["The end."])
    assert scores["bleu1"] == pytest.approx(100 * 2 / 3)


def test_chrf_by_hand() -> None:
    # Order 1: precision 2/2, recall 2/3; order 2: 1/1 and 1/2; the prediction has nothing of order 3.
    precision, recall = 1.0, (2 / 3 + 1 / 2) / 2
    scores = translation_scores(["ab"], ["abc"])
    assert scores["chrf"] == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))
    # chrF++ adds words: none of one.
    precision, recall = 2 / 3, (2 / 3 + 1 / 2) / 3
    assert scores["chrf_plus_plus"] == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        # variants                          pypi_rouge  coco  rouge_score  token_f1
        ("a b a b", "a b", (1.0, 2.44 * 0.5 / (1 + 1.44 * 0.5), 2 / 3, 2 / 3)),
        ("a c. b", "a b c", (1.0, 2 / 3, 2 / 3, 2 / 3)),
        ("A b", "a b", (0.5, 0.5, 1.0, 0.5)),
        ("a  b", "a b", (1.0, 2.44 * 2 / 3 / (1 + 1.44 * 2 / 3), 1.0, 1.0)),
        ("天 气", "天 气", (1.0, 1.0, 0.0, 1.0)),
        ("x y", "a b", (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_rouge_l_by_hand(prediction: str, reference: str, expected: tuple[float, ...]) -> None:
    for variant, value in zip(("pypi_rouge", "coco", "rouge_score", "token_f1"), expected):
        assert rouge_l_scores([prediction], [reference], variant)[0][0] == pytest.approx(value, abs=1e-7), variant


def test_rouge_variants_have_the_numbers_of_the_protocol() -> None:
    for number, name in {1: "pypi_rouge", 3: "coco", 4: "rouge_score", 5: "token_f1"}.items():
        scores = translation_scores(["a b c."], ["a c b."], rouge_variant=number)
        assert f"rouge_l:{name}" in scores["signature"]
        assert scores["rouge_l"] == translation_scores(["a b c."], ["a c b."], rouge_variant=name)["rouge_l"]
    with pytest.raises(ValueError, match="expected a ROUGE-L variant of .*, received 'rouge2'"):
        translation_scores(["a"], ["a"], rouge_variant="rouge2")


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
@settings(max_examples=80, deadline=None)
def test_longest_common_subsequence(first: str, second: str) -> None:
    table = np.zeros((len(first) + 1, len(second) + 1), int)
    for i, x in enumerate(first):
        for j, y in enumerate(second):
            table[i + 1, j + 1] = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
    found = longest_common_subsequence(first, second)
    assert len(found) == lcs_length(first, second) == table[-1, -1]
    for whole in (first, second):
        rest = iter(whole)
        assert all(token in rest for token in found)


# --- against the libraries


@given(pairs)
@settings(max_examples=60, deadline=None)
def test_bleu_and_chrf_equal_sacrebleu(samples: list[tuple[str, str]]) -> None:
    from sacrebleu.metrics import BLEU, CHRF

    predictions, references = map(list, zip(*samples))
    statistics = {
        **{f"bleu{order}": BLEU(max_ngram_order=order, tokenize="13a") for order in (1, 2, 3, 4)},
        "chrf": CHRF(),
        "chrf_plus_plus": CHRF(word_order=2),
    }
    if not any(reference.strip() for reference in references):
        return
    scores = quietly(predictions, references)
    for name, metric in statistics.items():
        assert scores[name] == pytest.approx(metric.corpus_score(predictions, [references]).score, abs=1e-9), name


@given(texts, texts)
@settings(max_examples=150, deadline=None)
def test_rouge_l_equals_the_rouge_package(prediction: str, reference: str) -> None:
    from rouge import Rouge

    scores, num_unscorable = rouge_l_scores([prediction], [reference])
    if not prediction.strip() or not reference.strip():
        assert (scores[0], num_unscorable) == (0, 1)
        return
    try:
        expected = Rouge(metrics=["rouge-l"]).get_scores([prediction], [reference])[0]["rouge-l"]["f"]
    except ValueError:  # nothing but dots
        assert (scores[0], num_unscorable) == (0, 1)
    else:
        assert scores[0] == pytest.approx(expected, abs=1e-12)


@given(texts, texts)
@settings(max_examples=80, deadline=None)
def test_rouge_l_equals_the_rouge_score_package(prediction: str, reference: str) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    expected = RougeScorer(["rougeL"]).score(reference, prediction)["rougeL"].fmeasure
    assert rouge_l_scores([prediction], [reference], "rouge_score")[0][0] == pytest.approx(expected, abs=1e-12)


# --- properties


@given(pairs, st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_weights_repeat_sentences(samples: list[tuple[str, str]], seed: int) -> None:
    predictions, references = map(list, zip(*samples))
    weights = np.random.default_rng(seed).integers(0, 3, len(samples))
    repeated = [sample for sample, weight in zip(samples, weights) for _ in range(weight)]
    if not any(reference.strip() for _, reference in repeated):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weighted = TranslationStatistics.from_texts(predictions, references).score(weights.astype(np.float64))
        plain = TranslationStatistics.from_texts(*map(list, zip(*repeated))).score()
    assert weighted == pytest.approx(plain, abs=1e-9)


def test_a_perfect_translation_scores_100() -> None:
    sentences = ["the cat sat on the mat.", "هذا قط صغير جدا", "今 天 星 期 五 。"]
    scores = translation_scores(sentences, sentences)
    assert [scores[name] for name in SCORES] == pytest.approx([100] * len(SCORES), abs=1e-5)


def test_csl_daily_preset_scores_characters_however_they_are_spaced() -> None:
    spaced = translation_scores(["今 天 星 期 五 。"], ["今 天 星 期 几 ？"], "csl_daily")
    plain = translation_scores(["今天星期五。"], ["今天星期几？"], "csl_daily")
    assert plain == spaced
    assert plain["bleu1"] == pytest.approx(100 * 4 / 6)


# --- bad input


def test_empty_predictions_score_zero_and_are_counted() -> None:
    with pytest.warns(UserWarning, match="1 of 2 predictions are empty"):
        scores = translation_scores(["a b c d e", ""], ["a b c d e", "f g h i j"])
    assert scores["num_empty_predictions"] == scores["num_rouge_unscorable"] == 1
    assert scores["rouge_l"] == pytest.approx(50, abs=1e-5)
    assert scores["bleu4"] == pytest.approx(100 * math.exp(1 - 10 / 5))
    with pytest.warns(UserWarning) as caught:
        scores = translation_scores(["", " "], ["a", "b"])
    assert len(caught) == 1
    assert [scores[name] for name in SCORES] == [0] * len(SCORES)


def test_dots_are_unscorable_for_rouge_alone() -> None:
    scores = translation_scores(["...", "a b."], ["a b.", "a b."])
    assert (scores["num_empty_predictions"], scores["num_rouge_unscorable"]) == (0, 1)
    assert scores["rouge_l"] == pytest.approx(50, abs=1e-5)


def test_empty_references_score_zero_and_are_counted() -> None:
    with pytest.warns(UserWarning, match="1 of 2 references are empty"):
        scores = translation_scores(["a b", "c"], ["a b", ""])
    assert scores["num_empty_references"] == 1
    assert scores["bleu1"] == pytest.approx(100 * 2 / 3)


def test_a_variant_without_tokens_is_told() -> None:
    with pytest.warns(UserWarning, match="'rouge_score' finds no token in 1 of 1 pairs"):
        scores = translation_scores(["今 天"], ["今 天"], rouge_variant="rouge_score")
    assert scores["rouge_l"] == 0


@pytest.mark.parametrize("variant", ROUGE_VARIANTS)
def test_thousands_of_words(variant: str) -> None:
    rng = np.random.default_rng(0)
    prediction, reference = (" ".join(map(str, rng.integers(0, 2000, 6000))) for _ in range(2))
    scores = translation_scores([prediction, reference], [reference, reference], rouge_variant=variant)
    assert 50 < scores["rouge_l"] < 90
    assert 50 < scores["bleu4"] < 60


def test_right_to_left_and_mixed_scripts() -> None:
    scores = translation_scores(["הילד הלך הביתה היום"], ["הילד הלך לבית היום"])
    assert scores["bleu1"] == pytest.approx(75)
    assert scores["rouge_l"] == pytest.approx(75, abs=1e-5)
    assert 0 < scores["chrf"] < 100


def test_bad_pairs_are_refused_with_the_fix() -> None:
    with pytest.raises(ValueError, match="as many predictions as references"):
        translation_scores(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="to be a string"):
        translation_scores([None], ["a"])  # type: ignore[list-item]


# --- signature and BLEURT


def test_signature_names_every_choice() -> None:
    from sacrebleu import __version__

    signature = translation_scores(["a"], ["a"], "openasl", "coco", num_bootstrap=5, seed=7)["signature"]
    for field in (
        "task:slt",
        "preset:openasl",
        "tok:13a",
        "rouge_l:coco",
        "bootstrap:5@7",
        f"sacrebleu:{__version__}",
    ):
        assert field in signature.split("|")


def test_intervals_on_demand() -> None:
    predictions, references = ["a b c", "a b", "x y", "c d e"], ["a b c", "a c", "y x", "c e d"]
    scores = translation_scores(predictions, references, num_bootstrap=50)
    assert set(scores["intervals"]) == set(SCORES)
    for name, (low, high) in scores["intervals"].items():
        assert 0 <= low <= scores[name] <= high <= 100 + 1e-9
    assert "intervals" not in translation_scores(predictions, references)


def test_bleurt_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    class BleurtScorer:
        def __init__(self, checkpoint: str) -> None:
            assert checkpoint == "models/BLEURT-20"

        def score(self, *, references: list[str], candidates: list[str]) -> list[float]:
            return [0.5 if candidate == reference else 0.25 for candidate, reference in zip(candidates, references)]

    module = types.ModuleType("bleurt.score")
    module.BleurtScorer = BleurtScorer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bleurt", types.ModuleType("bleurt"))
    monkeypatch.setitem(sys.modules, "bleurt.score", module)
    with pytest.warns(UserWarning, match="empty"):
        scores = translation_scores(["a", "b", ""], ["a", "c", "d"], bleurt_checkpoint="models/BLEURT-20")
    assert scores["bleurt"] == pytest.approx(25)
    assert "bleurt:BLEURT-20" in scores["signature"]


def test_bleurt_where_it_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bleurt", None)
    with pytest.raises(ImportError, match="expected the package `bleurt`"):
        translation_scores(["a"], ["a"], bleurt_checkpoint="x")
    assert "bleurt" not in translation_scores(["a"], ["a"])


# --- the figures of the field

PUBLISHED = {
    "csl_daily.dev": (53.2951, 40.5583, 31.6529, 25.2676, {1: 54.3024, 3: 52.5543, 4: 0.0, 5: 52.8536}, 22.1530),
    "how2sign.test": (39.3817, 26.4434, 19.2171, 14.4988, {1: 34.5062, 3: 32.0054, 4: 37.5286, 5: 32.1301}, 34.6102),
}


def read_dump(shared_data: Path, name: str) -> tuple[list[str], list[str]]:
    files = (shared_data / "eval_dumps" / f"{name}.{side}.txt" for side in ("predictions", "references"))
    return pair_samples(*map(read_sample_texts, files))


@pytest.mark.data
@pytest.mark.parametrize("name", PUBLISHED)
def test_dumps_give_the_figures_of_the_protocol(shared_data: Path, name: str) -> None:
    *bleu, rouge, chrf = PUBLISHED[name]
    predictions, references = read_dump(shared_data, name)
    scores = translation_scores(predictions, references, preset=name.split(".")[0])
    assert [scores[f"bleu{order}"] for order in (1, 2, 3, 4)] == pytest.approx(bleu, abs=5e-5)
    assert scores["chrf"] == pytest.approx(chrf, abs=5e-5)
    for variant, value in rouge.items():
        assert 100 * rouge_l_scores(predictions, references, variant)[0].mean() == pytest.approx(value, abs=5e-5), (
            variant
        )
    assert scores["rouge_l"] == pytest.approx(rouge[1], abs=5e-5)


@pytest.mark.data
def test_forgetting_the_spacing_of_csl_daily_shows(shared_data: Path) -> None:
    predictions, references = read_dump(shared_data, "csl_daily.dev")
    glued = ["".join(text.split()) for text in predictions], ["".join(text.split()) for text in references]
    with pytest.warns(UserWarning, match="csl_daily"):
        assert translation_scores(*glued)["bleu4"] < 5
    assert translation_scores(*glued, preset="csl_daily")["bleu4"] == pytest.approx(25.2676, abs=5e-5)


@pytest.mark.data
def test_the_repaired_references_of_how2sign_are_another_preset(shared_data: Path) -> None:
    predictions, references = read_dump(shared_data, "how2sign.test")
    assert sum(not reference.isascii() for reference in references) == 23
    repaired = translation_scores(predictions, references, preset="how2sign_repaired")
    assert repaired["bleu4"] > translation_scores(predictions, references, preset="how2sign")["bleu4"]
