"""How well a sign dictionary answers: clips whose signs it has, and clips whose signs it does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modeling_sigma.inference.dictionary_search import DictionarySearch
from modeling_sigma.metrics.retrieval import RetrievalStatistics


_CLIPS_AT_A_TIME = 256


def score_dictionary(
    searched: DictionarySearch,
    vectors: np.ndarray,
    labels: Sequence[str],
    false_alarm_rate: float = 0.1,
    sign_language: str | None = None,
) -> dict[str, Any]:
    """Scores searches with clips of known labels.

    Args:
        searched ([`DictionarySearch`]):
            The dictionary's.
        vectors (`np.ndarray` of shape `(Q, hidden_size)`), labels (`Sequence[str]` of length `Q`):
            The clips as vectors of the model, and what is signed in them.
        false_alarm_rate (`float`, *optional*, defaults to 0.1), sign_language (`str`, *optional*):
            As in [`SignDictionary.search`].

    Returns:
        `dict`: `num_known` and `num_unknown` (clips whose label is, or is not, in the dictionary) and `num_labels` of
        it. Of the known ones `r1`, `r5`, `r10` (percent that find their label among the first 1, 5, 10; a label that
        is just as similar comes first), `median_rank`, `mean_rank`, `mrr` (mean reciprocal rank, percent), and
        `taken_for_unknown` (percent whose most similar sign is not similar enough). Of the others `false_alarms`
        (percent whose most similar sign is). None where there are no such clips, or too few signs to tell.
    """
    columns: dict[str, list[int]] = {}
    blocks = []
    for start in range(0, len(vectors), _CLIPS_AT_A_TIME):
        signs, block = searched.sign_similarities(vectors[start : start + _CLIPS_AT_A_TIME], sign_language)
        blocks.append(block)
    similarities = np.concatenate(blocks)  # (Q, signs)
    for column, (_, label) in enumerate(signs):
        columns.setdefault(label, []).append(column)
    is_known = np.array([label in columns for label in labels])
    ranks = []
    for label, row in zip(labels, similarities):
        if label in columns:
            others = np.delete(row, columns[label])
            ranks.append(1 + int((others >= row[columns[label]].max()).sum()))
    threshold = searched.threshold(false_alarm_rate, sign_language)
    is_taken = None if threshold is None else similarities.max(axis=1) > threshold
    scores: dict[str, Any] = {
        "num_known": int(is_known.sum()),
        "num_unknown": int((~is_known).sum()),
        "num_labels": len(columns),
        "taken_for_unknown": _percent(None if is_taken is None else ~is_taken[is_known]),
        "false_alarms": _percent(None if is_taken is None else is_taken[~is_known]),
    }
    if ranks:
        found = np.array(ranks, np.int64)
        scores.update(RetrievalStatistics(found).score(), mrr=100 * float((1 / found).mean()))
    return scores


def _percent(flags: np.ndarray | None) -> float | None:
    return None if flags is None or len(flags) == 0 else 100 * float(flags.mean())
