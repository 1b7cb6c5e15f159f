"""From the frame scores of a CTC model to glosses: best path, prefix beam search, and when each gloss was signed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor


_IMPOSSIBLE = -math.inf


@dataclass(frozen=True)
class GlossSpan:
    """Where a gloss was found.

    Args:
        label (`int`):
            Its number.
        start, end (`int`):
            Frames `start` up to, not including, `end` of the model's input. CTC marks where a gloss is recognised,
            often a few frames inside the sign, not where the sign begins and ends.
        score (`float`):
            Mean probability of the gloss in these frames.
    """

    label: int
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class GlossHypothesis:
    """A reading of a clip.

    Args:
        labels (`list[int]`):
            Gloss numbers in the order of signing.
        log_probability (`float`):
            Of the best alignment (best path), or of all alignments that the search kept (beam search).
        spans (`list[GlossSpan]`):
            One for each label, from the best alignment.
    """

    labels: list[int]
    log_probability: float
    spans: list[GlossSpan] = field(default_factory=list)


def decode_greedily(logits: Tensor, num_frames: Tensor | None = None, blank_id: int = 0) -> list[GlossHypothesis]:
    """The best path: the best label of every frame, equal neighbours merged, blanks dropped.

    Args:
        logits (`torch.Tensor` of shape `(B, T, num_labels)`):
            Scores of [`SigmaForCTC`].
        num_frames (`torch.LongTensor` of shape `(B,)`, *optional*):
            Real frames of each clip; all by default.
        blank_id (`int`, *optional*, defaults to 0):
            The blank.

    Returns:
        `list[GlossHypothesis]`: one for each clip.

    ```python
    >>> import torch
    >>> from modeling_sigma.model.ctc_decoding_sigma import decode_greedily
    >>> path = torch.tensor([[2, 2, 0, 2, 1]])
    >>> [reading] = decode_greedily(torch.nn.functional.one_hot(path, 3) * 9.0)
    >>> reading.labels, [(span.start, span.end) for span in reading.spans]
    ([2, 2, 1], [(0, 2), (3, 4), (4, 5)])

    ```
    """
    hypotheses = []
    for scores in _clips(logits, num_frames):
        best, path = scores.max(dim=-1)
        spans = _spans_of_path(path.tolist(), best.tolist(), blank_id)
        hypotheses.append(GlossHypothesis([span.label for span in spans], float(best.sum()), spans))
    return hypotheses


def decode_with_beams(
    logits: Tensor,
    num_frames: Tensor | None = None,
    blank_id: int = 0,
    num_beams: int = 10,
    num_hypotheses: int = 1,
    num_candidates: int = 40,
) -> list[list[GlossHypothesis]]:
    """Prefix beam search: sums the probabilities of all alignments of the same glosses.

    Args:
        logits, num_frames, blank_id:
            As for [`decode_greedily`].
        num_beams (`int`, *optional*, defaults to 10):
            Prefixes kept after each frame.
        num_hypotheses (`int`, *optional*, defaults to 1):
            Readings to return for each clip, at most `num_beams`.
        num_candidates (`int`, *optional*, defaults to 40):
            Only so many best labels of a frame may continue a prefix.

    Returns:
        `list[list[GlossHypothesis]]`: for each clip its readings, best first.

    Raises:
        ValueError: for numbers below 1, or more hypotheses than beams.

    Source: Hannun et al. (2014), First-pass large vocabulary continuous speech recognition using bi-directional
    recurrent DNNs (prefix beam search), without a language model.
    """
    if num_beams < 1 or num_candidates < 1 or not 1 <= num_hypotheses <= num_beams:
        raise ValueError(
            "expected num_beams >= num_hypotheses >= 1 and num_candidates >= 1, received "
            f"{num_beams}, {num_hypotheses} and {num_candidates}"
        )
    return [
        [
            GlossHypothesis(labels, score, align_glosses(scores, labels, blank_id))
            for labels, score in _search_prefixes(scores, blank_id, num_beams, num_candidates)[:num_hypotheses]
        ]
        for scores in _clips(logits, num_frames)
    ]


def align_glosses(log_probabilities: Tensor, labels: list[int], blank_id: int = 0) -> list[GlossSpan]:
    """When each of some known glosses was signed: the best alignment (Viterbi).

    Args:
        log_probabilities (`torch.Tensor` of shape `(T, num_labels)`):
            Log-softmax of one clip's logits.
        labels (`list[int]`):
            The glosses, such as a reference or a beam's reading.
        blank_id (`int`, *optional*, defaults to 0):
            The blank.

    Returns:
        `list[GlossSpan]`: one for each label, in order.

    Raises:
        ValueError: if the clip has too few frames for the labels.
    """
    num_frames = len(log_probabilities)
    if not labels:
        return []
    states = [blank_id]
    for label in labels:
        states += [label, blank_id]
    emissions = log_probabilities[:, states]  # (T, S)
    # From the second-last state: over a blank, unless it keeps two equal glosses apart.
    may_skip = torch.tensor(
        [
            index >= 2 and states[index] != blank_id and states[index] != states[index - 2]
            for index in range(len(states))
        ],
        device=emissions.device,
    )
    best = torch.full_like(emissions[0], _IMPOSSIBLE)
    best[:2] = emissions[0, :2]
    steps = torch.zeros(emissions.shape, dtype=torch.int8, device=emissions.device)  # states back, by frame
    for frame in range(1, num_frames):
        shifted = [best, _shift(best, 1), _shift(best, 2).masked_fill(~may_skip, _IMPOSSIBLE)]
        best, steps[frame] = torch.stack(shifted).max(dim=0)
        best = best + emissions[frame]
    state = len(states) - 1 if best[-1] > best[-2] else len(states) - 2
    if best[state] == _IMPOSSIBLE:
        raise ValueError(
            f"expected enough frames for {len(labels)} glosses (a blank between equal ones), received {num_frames}"
        )
    path = []
    for back in reversed(steps.tolist()):
        path.append(state)
        state -= back[state]
    path.reverse()
    frame_scores = emissions.gather(1, torch.tensor(path, device=emissions.device)[:, None])[:, 0].tolist()
    return _spans_of_states(path, frame_scores, labels)


def _clips(logits: Tensor, num_frames: Tensor | None) -> list[Tensor]:
    """The log probabilities of each clip, without padding, in memory of the processor."""
    if logits.dim() != 3:
        raise ValueError(f"expected logits of shape (batch_size, num_frames, num_labels), received {logits.shape}")
    scores = logits.detach().float().log_softmax(dim=-1).cpu()
    lengths = [scores.shape[1]] * len(scores) if num_frames is None else num_frames.tolist()
    return [clip[:length] for clip, length in zip(scores, lengths, strict=True)]


def _search_prefixes(
    scores: Tensor, blank_id: int, num_beams: int, num_candidates: int
) -> list[tuple[list[int], float]]:
    """Prefixes with the log probability of all their alignments, best first."""
    candidates = scores.topk(min(num_candidates, scores.shape[1]), dim=1).indices.tolist()
    # Prefixes are numbered; each knows its parent and its last label.
    parents, lasts = [-1], [blank_id]
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
                    parents.append(prefix)
                    lasts.append(label)
                # A gloss that follows itself needs the blank in between.
                _add(following, child, _IMPOSSIBLE, (in_blank if prefix and label == last else total) + row[label])
        possible = [(prefix, both) for prefix, both in following.items() if max(both) > _IMPOSSIBLE]
        beams = dict(sorted(possible, key=lambda item: _log_add(*item[1]), reverse=True)[:num_beams])
    return [(_labels_of(prefix, parents, lasts), _log_add(*both)) for prefix, both in beams.items()]


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


def _shift(values: Tensor, places: int) -> Tensor:
    """Values of states further in front, nothing in front of the first."""
    return torch.cat([values.new_full((min(places, len(values)),), _IMPOSSIBLE), values[:-places]])


def _spans_of_path(path: list[int], frame_scores: list[float], blank_id: int) -> list[GlossSpan]:
    """Runs of one label in a path of labels."""
    states, labels = [], []
    before = blank_id
    for label in path:
        if label != blank_id and label != before:
            labels.append(label)
        states.append(2 * len(labels) - 1 if label != blank_id else 2 * len(labels))
        before = label
    return _spans_of_states(states, frame_scores, labels)


def _spans_of_states(path: list[int], frame_scores: list[float], labels: list[int]) -> list[GlossSpan]:
    """Spans of a path of states: gloss i is state 2 i + 1, blanks are even."""
    spans = []
    for index, label in enumerate(labels):
        frames = [frame for frame, state in enumerate(path) if state == 2 * index + 1]
        score = sum(math.exp(frame_scores[frame]) for frame in frames) / len(frames)
        spans.append(GlossSpan(label, frames[0], frames[-1] + 1, score))
    return spans
