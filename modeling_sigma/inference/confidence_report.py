"""Whether a model's confidences mean something, from what it computed for the clips of a corpus."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeling_sigma.inference.corpus_predictions import CorpusPredictions
from modeling_sigma.metrics import TranslationStatistics, confidence_scores, rank_correlation
from modeling_sigma.metrics.signature import make_signature
from modeling_sigma.model.calibration_sigma import probabilities_of


# For each label that shares a recording with others, those that count as it.
Accepted = Mapping[str, set[str]]


def first_answers(
    logits: NDArray[Any],
    references: Sequence[str],
    labels: Sequence[str],
    temperature: float,
    accepted: Accepted | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How sure the first answer for each clip is, and whether it is right.

    Args:
        logits (`np.ndarray` of shape `(N, num_labels)`):
            The logits of all labels.
        references (`Sequence[str]`):
            The true label of each clip.
        labels (`Sequence[str]`):
            The label of each column.
        temperature (`float`):
            The temperature of the softmax.
        accepted (`Mapping[str, set[str]]`, *optional*):
            Labels that count as one; the confidence of an answer is then the sum over the labels that count as it.

    Returns:
        `tuple`: confidences in [0, 1] and right or wrong, each of shape `(N,)`.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    sure, right = np.empty(len(logits)), np.empty(len(logits), bool)
    for row, reference in enumerate(references):  # row by row: all at once would double a large corpus in memory
        probabilities = probabilities_of(logits[row], temperature)
        best = labels[int(probabilities.argmax())]
        same = {best} if accepted is None else {best, *accepted.get(best, ())}
        sure[row] = min(1.0, sum(float(probabilities[numbers[label]]) for label in same if label in numbers))
        right[row] = reference in same
    return sure, right


def confidence_of_logits(
    logits: NDArray[Any],
    references: Sequence[str],
    labels: Sequence[str],
    temperature: float,
    accepted: Accepted | None = None,
) -> dict[str, Any]:
    """[`confidence_scores`] of the first answers; arguments as in [`first_answers`]."""
    return confidence_scores(*first_answers(logits, references, labels, temperature, accepted), match=_match(accepted))


def confidence_of_predictions(
    found: CorpusPredictions, accepted: Accepted | None = None, left_out: Collection[str] = ()
) -> dict[str, Any]:
    """[`confidence_scores`] of ranked labels, and how many clips a calibrated model would not have answered.

    Args:
        found ([`CorpusPredictions`]):
            The best labels for each clip, with their scores.
        accepted (`Mapping[str, set[str]]`, *optional*):
            As in [`first_answers`]; the sum runs over the labels that were predicted.
        left_out (`Collection[str]`, *optional*):
            The ids of clips that do not count, such as those whose recording was trained on.

    Raises:
        ValueError: if no clip is left.
    """
    assert found.scores is not None
    sure, right = [], []
    rows = [row for row, sample_id in enumerate(found.sample_ids) if sample_id not in left_out]
    for row in rows:
        candidates, scores, reference = found.predictions[row], found.scores[row], found.references[row]
        same = {candidates[0]} if accepted is None else {candidates[0], *accepted.get(candidates[0], ())}
        sure.append(min(1.0, sum(score for label, score in zip(candidates, scores, strict=True) if label in same)))
        right.append(reference in same)
    report = confidence_scores(sure, right, match=_match(accepted))
    if found.is_unknown is not None:
        report["called_unknown"] = 100 * float(np.mean([found.is_unknown[row] for row in rows]))
    return report


def confidence_of_texts(found: CorpusPredictions, preset: str = "none") -> dict[str, Any]:
    """Whether the score of a text tells how good it is.

    Args:
        found ([`CorpusPredictions`]):
            Texts with their scores.
        preset (`str`, *optional*, defaults to `"none"`):
            The text normalisation, as in [`translation_scores`].

    Returns:
        `dict`: `chrf_rank_correlation` (Spearman, of score and chrF of each sentence, in percent), `chrf_surest_half`
        and `chrf_other_half` (mean chrF of the sentences whose score is above the median, and of the others),
        `num_samples`, `signature`.
    """
    scores = np.asarray(found.text_scores, float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the scores of the corpus have warned
        statistics = TranslationStatistics.from_texts(found.predictions, found.references, preset)
    chrf = statistics.sentence_chrf()
    order = np.argsort(-scores, kind="stable")
    half = (len(order) + 1) // 2
    correlation = rank_correlation(scores, chrf) if len(scores) > 1 else float("nan")
    return {
        "chrf_rank_correlation": 100 * correlation,
        "chrf_surest_half": float(chrf[order[:half]].mean()),
        "chrf_other_half": float(chrf[order[half:]].mean()) if half < len(order) else float("nan"),
        "num_samples": len(scores),
        "signature": make_signature(task="text-confidence", preset=preset, score="mean-token", against="chrf2"),
    }


def _match(accepted: Accepted | None) -> str:
    return "exact" if accepted is None else "label-groups"
