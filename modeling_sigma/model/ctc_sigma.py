"""All of CTC except the model: the gloss vocabulary, the loss, and decoding frame scores into glosses with times.

The loss names clips that are too short for their glosses instead of becoming NaN. Decoding follows the best path or
searches with prefix beams.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F


BLANK = "<blank>"
_IMPOSSIBLE = -math.inf


def build_gloss_labels(sentences: Iterable[Sequence[str]]) -> dict[int, str]:
    """Numbers the glosses of a training set: the blank is 0, the glosses follow in alphabetical order.

    Args:
        sentences (`Iterable[Sequence[str]]`):
            The glosses of each clip, as the corpora's column `gloss` holds them.

    Returns:
        `dict[int, str]`: the `id2label` of a [`SigmaConfig`] with `ctc_blank_id=0`.

    Raises:
        ValueError: for a sentence that is one string, glosses that are empty or contain white space, or no gloss.

    Example:

    ```python
    >>> from modeling_sigma.model.ctc_sigma import build_gloss_labels
    >>> build_gloss_labels([["RAIN", "NORTH"], ["RAIN"]])
    {0: '<blank>', 1: 'NORTH', 2: 'RAIN'}

    ```
    """
    glosses: set[str] = set()
    for sentence in sentences:
        if isinstance(sentence, str):
            raise ValueError(f"expected a list of glosses per clip, received the string {sentence!r:.60}: split it")
        glosses.update(sentence)
    bad = sorted(gloss for gloss in glosses if not gloss or gloss.split() != [gloss] or gloss == BLANK)
    if bad:
        raise ValueError(f"expected glosses without white space, none of them {BLANK!r}, received {bad[0]!r}")
    if not glosses:
        raise ValueError("expected at least one gloss, received none: does the corpus have gloss annotations?")
    return {0: BLANK, **dict(enumerate(sorted(glosses), start=1))}


def encode_glosses(sentences: Sequence[Sequence[str]], label2id: Mapping[str, int]) -> Tensor:
    """The `labels` of [`SigmaForCTC`].

    Args:
        sentences (`Sequence[Sequence[str]]` of length B):
            The glosses of each clip.
        label2id (`Mapping[str, int]`):
            Gloss to number, from the model's configuration.

    Returns:
        `torch.LongTensor` of shape `(B, L)`: -100 after the last gloss of a clip.

    Raises:
        ValueError: for a gloss that the vocabulary does not have.
    """
    rows = []
    for row, sentence in enumerate(sentences):
        unknown = [gloss for gloss in sentence if gloss not in label2id]
        if unknown:
            raise ValueError(
                f"expected glosses of the vocabulary of {len(label2id)}, received {unknown[0]!r} in sentence {row}: "
                "build id2label from all glosses that are trained on, or leave the sentence out"
            )
        rows.append([label2id[gloss] for gloss in sentence])
    labels = torch.full((len(rows), max(map(len, rows), default=0)), -100)
    for row, numbers in enumerate(rows):
        labels[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.long)
    return labels


def ctc_frames_needed(labels: Tensor) -> Tensor:
    """The least number of frames that can hold each sequence: one per gloss, and a blank between equal neighbours.

    Args:
        labels (`torch.LongTensor` of shape `(B, L)`):
            Gloss numbers; negative ones (-100) are ignored, wherever they stand.

    Returns:
        `torch.LongTensor` of shape `(B,)`.

    ```python
    >>> import torch
    >>> from modeling_sigma.model.ctc_sigma import ctc_frames_needed
    >>> ctc_frames_needed(torch.tensor([[3, 3, 2], [4, -100, -100]]))
    tensor([4, 1])

    ```
    """
    packed, lengths = _pack(labels)
    inside = torch.arange(1, packed.shape[1], device=labels.device) < lengths[:, None]
    repeats = (packed[:, 1:] == packed[:, :-1]) & inside
    return lengths + repeats.sum(dim=1)


@torch.compiler.disable  # torch's own loss has shapes that depend on values
def ctc_loss(
    logits: Tensor,
    num_frames: Tensor,
    labels: Tensor,
    blank_id: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
    short_clips: str = "error",
) -> tuple[Tensor, Tensor]:
    """Connectionist temporal classification: minus the log probability of all alignments of the glosses.

    Args:
        logits (`torch.Tensor` of shape `(B, T, num_labels)`):
            Unnormalised scores of blank and glosses in each frame.
        num_frames (`torch.LongTensor` of shape `(B,)`):
            Real frames of each clip; they come first.
        labels (`torch.LongTensor` of shape `(B, L)`):
            Numbers of the glosses, never that of the blank; -100 is ignored.
        blank_id (`int`, *optional*, defaults to 0):
            The label that means "no gloss here".
        reduction (`"mean"` or `"sum"`, *optional*, defaults to `"mean"`):
            `"mean"`: mean over the clips of the loss divided by the number of glosses (at least 1). `"sum"`: sum over
            the clips.
        zero_infinity (`bool`, *optional*, defaults to `False`):
            Count infinite losses, and their gradients, as zero.
        short_clips (`"error"` or `"skip"`, *optional*, defaults to `"error"`):
            What to do with clips that have too few frames (see [`ctc_frames_needed`]): refuse them, or leave them out.

    Returns:
        `tuple`: the loss, `()`, at least float32, 0 when no clip is left; and the number of clips left out, `()`.

    Raises:
        ValueError: for labels that are not glosses, shapes that do not fit, or a clip that is too short.

    Source: Graves et al. (2006), Connectionist temporal classification.
    """
    if reduction not in ("mean", "sum") or short_clips not in ("error", "skip"):
        raise ValueError(
            f"expected a reduction 'mean' or 'sum' and short_clips 'error' or 'skip', received {reduction!r} and "
            f"{short_clips!r}"
        )
    if labels.dim() != 2 or len(labels) != len(logits):
        raise ValueError(f"expected labels of shape ({len(logits)}, length), received {tuple(labels.shape)}")
    _check_labels(labels, logits.shape[-1], blank_id)
    packed, lengths = _pack(labels)
    needed = ctc_frames_needed(labels)
    is_short = needed > num_frames
    if short_clips == "error" and is_short.any():
        raise ValueError(_describe_short(is_short, num_frames, lengths, needed))
    dtype = torch.promote_types(logits.dtype, torch.float32)
    log_probabilities = logits.to(dtype).log_softmax(dim=-1).transpose(0, 1)  # (T, B, num_labels)
    with torch.backends.cudnn.flags(enabled=False):  # cudnn has limits of its own, and another kernel's rounding
        losses = F.ctc_loss(
            log_probabilities,
            packed.clamp(min=0),
            num_frames,
            lengths,
            blank=blank_id,
            reduction="none",
            zero_infinity=zero_infinity or short_clips == "skip",
        )
    if reduction == "mean":
        losses = losses / lengths.clamp(min=1)
    total = losses.masked_fill(is_short, 0.0).sum()
    num_skipped = is_short.sum()
    return (total / (len(losses) - num_skipped).clamp(min=1) if reduction == "mean" else total), num_skipped


def _pack(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The labels of each row side by side, -100 after them (at least one column); and how many there are."""
    if labels.shape[1] == 0:
        labels = labels.new_full((len(labels), 1), -100)
    is_real = labels >= 0
    order = (~is_real).long().argsort(dim=1, stable=True)
    return labels.gather(1, order), is_real.sum(dim=1)


def _check_labels(labels: Tensor, num_labels: int, blank_id: int) -> None:
    if labels.numel() and int(labels.max()) >= num_labels:
        raise ValueError(
            f"expected gloss numbers below {num_labels}, received {int(labels.max())}: build the configuration's "
            "id2label from all glosses of the training data"
        )
    if (labels == blank_id).any():
        raise ValueError(
            f"expected no blank among the labels, received {blank_id} = ctc_blank_id: number glosses by label2id"
        )


def _describe_short(is_short: Tensor, num_frames: Tensor, lengths: Tensor, needed: Tensor) -> str:
    row = int(is_short.nonzero()[0])
    return (
        f"expected clips with at least one frame per gloss (and one between equal ones), {int(is_short.sum())} of "
        f"{len(is_short)} are too short: clip {row} of the batch has {int(num_frames[row])} frames for "
        f"{int(lengths[row])} glosses, which need {int(needed[row])}. Raise max_frames, leave the clip out, or set "
        'ctc_short_clips="skip"'
    )


@dataclass(frozen=True)
class GlossSpan:
    """A gloss that was recognised, and where.

    Args:
        label (`int`):
            Number of the gloss.
        start, end (`int`):
            First frame, and the frame after the last, of the model's input. CTC marks where a gloss is recognised,
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
    """One reading of a clip: its glosses in order.

    Args:
        labels (`list[int]`):
            Gloss numbers in the order of signing.
        log_probability (`float`):
            Log probability of the best alignment (best path), or of all alignments that the search kept (beam search).
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
            The label that means "no gloss here".

    Returns:
        `list[GlossHypothesis]`: one for each clip.

    ```python
    >>> import torch
    >>> from modeling_sigma.model.ctc_sigma import decode_greedily
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
            How many of the best labels of a frame may continue a prefix.

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
            The label that means "no gloss here".

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
    # A path may skip a blank, unless the blank keeps two equal glosses apart.
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
    """The log probabilities of each clip, without padding, in CPU memory."""
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
    """The values of the states `places` earlier, and nothing before the first."""
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
