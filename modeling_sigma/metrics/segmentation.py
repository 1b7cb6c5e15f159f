"""Finding signs in long recordings: F1 at a temporal overlap, with and without the right label, and false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from modeling_sigma.metrics.signature import make_signature


IOU_THRESHOLDS = (0.3, 0.5)


class Span(NamedTuple):
    """A stretch of a recording.

    Args:
        start, end (`float`): Seconds.
        label (`str`): What is signed; empty where only the place counts.
    """

    start: float
    end: float
    label: str = ""


def overlap(first: Span, second: Span) -> float:
    """Intersection over union of two stretches, from 0 to 1; 0 if both are empty."""
    union = max(first.end, second.end) - min(first.start, second.start)
    return max(0.0, min(first.end, second.end) - max(first.start, second.start)) / union if union > 0 else 0.0


def matched_pairs(predictions: Sequence[Span], references: Sequence[Span], threshold: float) -> list[tuple[int, int]]:
    """Pairs of a prediction and a reference that overlap by at least `threshold`, each in one pair at most.

    The pairs that overlap most are taken first.
    """
    order = sorted(range(len(references)), key=lambda index: references[index].start)
    candidates = []
    for number, found in enumerate(predictions):
        for index in order:
            if references[index].start >= found.end:
                break
            share = overlap(found, references[index])
            if share >= threshold and share > 0:
                candidates.append((-share, number, index))
    pairs: list[tuple[int, int]] = []
    used: tuple[set[int], set[int]] = (set(), set())
    for _, number, index in sorted(candidates):
        if number not in used[0] and index not in used[1]:
            used[0].add(number)
            used[1].add(index)
            pairs.append((number, index))
    return pairs


def segmentation_scores(
    predictions: Sequence[Sequence[Span]], references: Sequence[Sequence[Span]], minutes: float
) -> dict[str, Any]:
    """How well signs were found, over several recordings together.

    Args:
        predictions (`Sequence[Sequence[Span]]`):
            For each recording what was found.
        references (`Sequence[Sequence[Span]]`):
            For each recording what is there.
        minutes (`float`):
            The length of all recordings together.

    Returns:
        `dict`: for each overlap (intersection over union of 0.3 and 0.5) `precision@...`, `recall@...` and `f1@...` in
        percent, and `labelled_f1@...`, for which a found sign also needs the right label; `false_alarms_per_minute`,
        found signs that overlap with no sign of their own by 0.3; `num_predictions`, `num_references`, `signature`.

    Raises:
        ValueError: for numbers of recordings that differ, recordings without signs, or a length that is not positive.

    Example:

    ```python
    >>> from modeling_sigma.metrics.segmentation import Span, segmentation_scores
    >>> found = [[Span(0.0, 1.0, "home"), Span(3.0, 4.0, "go")]]
    >>> scores = segmentation_scores(found, [[Span(0.0, 1.5, "home")]], minutes=0.1)
    >>> round(scores["f1@0.5"], 2), scores["false_alarms_per_minute"]
    (66.67, 10.0)

    ```
    """
    if len(predictions) != len(references):
        raise ValueError(
            f"expected predictions and references of the same recordings, received {len(predictions)} and "
            f"{len(references)}: give an empty list where nothing was found"
        )
    if not minutes > 0:
        raise ValueError(f"expected the length of the recordings in minutes, received {minutes}: add their seconds")
    num_references, num_predictions = sum(map(len, references)), sum(map(len, predictions))
    if not num_references:
        raise ValueError("expected signs in the references, received none: are their times read?")
    scores: dict[str, Any] = {}
    for threshold in IOU_THRESHOLDS:
        num_right = num_labelled = 0
        for found, there in zip(predictions, references):
            pairs = matched_pairs(found, there, threshold)
            num_right += len(pairs)
            num_labelled += sum(found[number].label == there[index].label for number, index in pairs)
        scores[f"precision@{threshold}"] = 100 * num_right / num_predictions if num_predictions else 0.0
        scores[f"recall@{threshold}"] = 100 * num_right / num_references
        scores[f"f1@{threshold}"] = 200 * num_right / (num_predictions + num_references)
        scores[f"labelled_f1@{threshold}"] = 200 * num_labelled / (num_predictions + num_references)
        if threshold == min(IOU_THRESHOLDS):
            scores["false_alarms_per_minute"] = (num_predictions - num_right) / minutes
    return {
        **scores,
        "num_predictions": num_predictions,
        "num_references": num_references,
        "signature": make_signature(task="segmentation", matches="one_to_one", alarms=f"iou<{min(IOU_THRESHOLDS)}"),
    }


def corrections_needed(prediction: Sequence[Span], reference: Sequence[Span]) -> dict[str, int]:
    """What somebody has to do to a transcript: signs to `add`, to `remove`, and to `rename`, and the `total`.

    A sign that overlaps with a true one by less than 0.5 is removed, and the true one added: to drag both of its ends
    takes as long.

    Args:
        prediction (`Sequence[Span]`):
            The transcript of one recording.
        reference (`Sequence[Span]`):
            The corrected one.
    """
    pairs = matched_pairs(prediction, reference, max(IOU_THRESHOLDS))
    rename = sum(prediction[number].label != reference[index].label for number, index in pairs)
    add, remove = len(reference) - len(pairs), len(prediction) - len(pairs)
    return {"add": add, "remove": remove, "rename": rename, "total": add + remove + rename}
