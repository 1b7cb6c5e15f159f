"""CTC decoding: frame scores into glosses with times, by the best path or by a search with prefix beams.

It computes with numpy, so that exported models are decoded where torch is not installed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .gloss_spans_sigma import GlossHypothesis, GlossSpan
from .pose_transforms import even_frame_indices
from .prefix_beams_sigma import search_prefixes


_IMPOSSIBLE = -math.inf


def decode_greedily(logits: Any, num_frames: Any = None, blank_id: int = 0) -> list[GlossHypothesis]:
    """The best path: the best label of every frame, equal neighbours merged, blanks dropped.

    Args:
        logits (array or tensor of shape `(B, T, num_labels)`):
            Scores of [`SigmaForCTC`].
        num_frames (array or tensor of shape `(B,)`, *optional*):
            Real frames of each clip; all by default.
        blank_id (`int`, *optional*, defaults to 0):
            The label that means "no gloss here".

    Returns:
        `list[GlossHypothesis]`: one for each clip.

    ```python
    >>> import numpy as np
    >>> from modeling_sigma.model.ctc_decoding_sigma import decode_greedily
    >>> [reading] = decode_greedily(9.0 * np.eye(3)[[[2, 2, 0, 2, 1]]])
    >>> reading.labels, [(span.start, span.end) for span in reading.spans]
    ([2, 2, 1], [(0, 2), (3, 4), (4, 5)])

    ```
    """
    hypotheses = []
    for scores in _clips(logits, num_frames):
        best, path = scores.max(axis=-1), scores.argmax(axis=-1)
        spans = _spans_of_path(path.tolist(), best.tolist(), blank_id)
        hypotheses.append(GlossHypothesis([span.label for span in spans], float(best.sum()), spans))
    return hypotheses


def decode_with_beams(
    logits: Any,
    num_frames: Any = None,
    blank_id: int = 0,
    num_beams: int = 10,
    num_hypotheses: int = 1,
    num_candidates: int = 40,
    language_model: Callable[[Sequence[int], int], float] | None = None,
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
        language_model (`Callable[[Sequence[int], int], float]`, *optional*):
            What is added to the log probability of a reading for each of its glosses, given those before it, and for
            its end (-1): [`GlossNgrams`] of the training sentences.

    Returns:
        `list[list[GlossHypothesis]]`: for each clip its readings, best first.

    Raises:
        ValueError: for numbers below 1, or more hypotheses than beams.

    Source: Hannun et al. (2014), First-pass large vocabulary continuous speech recognition using bi-directional
    recurrent DNNs (prefix beam search).
    """
    if num_beams < 1 or num_candidates < 1 or not 1 <= num_hypotheses <= num_beams:
        raise ValueError(
            "expected num_beams >= num_hypotheses >= 1 and num_candidates >= 1, received "
            f"{num_beams}, {num_hypotheses} and {num_candidates}"
        )
    return [
        [
            GlossHypothesis(labels, score, align_glosses(scores, labels, blank_id))
            for labels, score in search_prefixes(scores, blank_id, num_beams, num_candidates, language_model)[
                :num_hypotheses
            ]
        ]
        for scores in _clips(logits, num_frames)
    ]


def align_glosses(log_probabilities: Any, labels: list[int], blank_id: int = 0) -> list[GlossSpan]:
    """When each of some known glosses was signed: the best alignment (Viterbi).

    Args:
        log_probabilities (array or tensor of shape `(T, num_labels)`):
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
    scores = _floats(log_probabilities)
    num_frames = len(scores)
    if not labels:
        return []
    states = [blank_id]
    for label in labels:
        states += [label, blank_id]
    emissions = scores[:, states]  # (T, S)
    # A path may skip a blank, unless the blank keeps two equal glosses apart.
    may_skip = np.array(
        [
            index >= 2 and states[index] != blank_id and states[index] != states[index - 2]
            for index in range(len(states))
        ]
    )
    best = np.full_like(emissions[0], _IMPOSSIBLE)
    best[:2] = emissions[0, :2]
    steps = np.zeros(emissions.shape, np.int8)  # states back, by frame
    for frame in range(1, num_frames):
        shifted = np.stack([best, _shift(best, 1), np.where(may_skip, _shift(best, 2), _IMPOSSIBLE)])
        steps[frame] = shifted.argmax(axis=0)
        best = shifted.max(axis=0) + emissions[frame]
    state = len(states) - 1 if best[-1] > best[-2] else len(states) - 2
    if best[state] == _IMPOSSIBLE:
        raise ValueError(
            f"expected enough frames for {len(labels)} glosses (a blank between equal ones), received {num_frames}"
        )
    path = []
    for frame in reversed(range(num_frames)):
        path.append(state)
        state -= int(steps[frame, state])
    path.reverse()
    frame_scores = emissions[np.arange(num_frames), path].tolist()
    return _spans_of_states(path, frame_scores, labels)


def name_spans(
    spans: Sequence[GlossSpan], names: Mapping[int, str], clip_length: int, num_frames: int, fps: float | None
) -> list[dict[str, Any]]:
    """Spans of the model's input as spans of the clip that it was made of.

    Args:
        spans (`Sequence[GlossSpan]`):
            From decoding.
        names (`Mapping[int, str]`):
            Number -> gloss: the configuration's `id2label`.
        clip_length (`int`), num_frames (`int`):
            Frames of the clip, and those of them that the model has read.
        fps (`float`, *optional*):
            Frames per second of the clip; None or NaN if unknown.

    Returns:
        `list[dict]`: `"gloss"`, `"start"` and `"end"` (frames of the clip), `"score"`; `"start_seconds"` and
        `"end_seconds"` where the frame rate is known.
    """
    bounds = [*even_frame_indices(clip_length, num_frames).tolist(), clip_length]
    named = []
    for span in spans:
        start, end = bounds[span.start], bounds[span.end]
        entry: dict[str, Any] = {"gloss": names[span.label], "start": start, "end": end, "score": span.score}
        if fps is not None and fps > 0:
            entry.update(start_seconds=start / fps, end_seconds=end / fps)
        named.append(entry)
    return named


def _floats(values: Any) -> np.ndarray:
    """Arrays and tensors of any precision and device as float32 in CPU memory."""
    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()
    return np.asarray(values, np.float32)


def _clips(logits: Any, num_frames: Any) -> list[np.ndarray]:
    """The log probabilities of each clip, without padding."""
    scores = _floats(logits)
    if scores.ndim != 3:
        raise ValueError(f"expected logits of shape (batch_size, num_frames, num_labels), received {scores.shape}")
    scores = scores - scores.max(axis=-1, keepdims=True)
    scores = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    lengths = [scores.shape[1]] * len(scores) if num_frames is None else num_frames.tolist()
    return [clip[:length] for clip, length in zip(scores, lengths, strict=True)]


def _shift(values: np.ndarray, places: int) -> np.ndarray:
    """The values of the states `places` earlier, and nothing before the first."""
    return np.concatenate([np.full(min(places, len(values)), _IMPOSSIBLE, values.dtype), values[:-places]])


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
