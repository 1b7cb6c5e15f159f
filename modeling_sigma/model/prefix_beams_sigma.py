"""The search of CTC decoding: prefixes of glosses, and the probability of all their alignments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np


_IMPOSSIBLE = -math.inf


def search_prefixes(
    scores: np.ndarray,
    blank_id: int,
    num_beams: int,
    num_candidates: int,
    language_model: Callable[[Sequence[int], int], float] | None,
) -> list[tuple[list[int], float]]:
    """Prefixes with the log probability of all their alignments and of their glosses, best first."""
    candidates = np.argsort(-scores, axis=1, kind="stable")[:, :num_candidates].tolist()
    # Prefixes are numbered; each knows its parent and its last label.
    parents, lasts = [-1], [blank_id]
    gains = [0.0]  # what the language model adds for the last label of a prefix
    children: dict[tuple[int, int], int] = {}
    beams = {0: (0.0, _IMPOSSIBLE)}  # prefix -> log probability of ending in a blank, and of ending in its last label
    for row, labels in zip(scores.tolist(), candidates):
        following: dict[int, tuple[float, float]] = {}
        for prefix, (in_blank, in_label) in beams.items():
            total, last = _log_add(in_blank, in_label), lasts[prefix]
            stays = in_label + row[last] if prefix else _IMPOSSIBLE
            _add(following, prefix, total + row[blank_id], stays)
            for label in labels:
                if label == blank_id:
                    continue
                child = children.setdefault((prefix, label), len(parents))
                if child == len(parents):
                    history = _labels_of(prefix, parents, lasts) if language_model is not None else []
                    gains.append(0.0 if language_model is None else language_model(history, label))
                    parents.append(prefix)
                    lasts.append(label)
                # A gloss that follows itself needs the blank in between.
                before = in_blank if prefix and label == last else total
                _add(following, child, _IMPOSSIBLE, before + row[label] + gains[child])
        possible = [(prefix, both) for prefix, both in following.items() if max(both) > _IMPOSSIBLE]
        beams = dict(sorted(possible, key=lambda item: _log_add(*item[1]), reverse=True)[:num_beams])
    found = [(_labels_of(prefix, parents, lasts), _log_add(*both)) for prefix, both in beams.items()]
    if language_model is None:
        return found
    ended = [(labels, score + language_model(labels, -1)) for labels, score in found]
    return sorted(ended, key=lambda reading: -reading[1])


def _add(beams: dict[int, tuple[float, float]], prefix: int, in_blank: float, in_label: float) -> None:
    before = beams.get(prefix, (_IMPOSSIBLE, _IMPOSSIBLE))
    beams[prefix] = (_log_add(before[0], in_blank), _log_add(before[1], in_label))


def _log_add(first: float, second: float) -> float:
    if first < second:
        first, second = second, first
    return first if second == _IMPOSSIBLE else first + math.log1p(math.exp(second - first))


def _labels_of(prefix: int, parents: list[int], lasts: list[int]) -> list[int]:
    labels = []
    while prefix:
        labels.append(lasts[prefix])
        prefix = parents[prefix]
    return labels[::-1]
