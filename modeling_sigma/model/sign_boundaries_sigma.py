"""Signs as tags of frames (outside, begin, inside): from times to tags, and from a model's tags to times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


# The labels of [`SigmaForSignSegmentation`], by number.
TAGS = ("outside", "begin", "inside")
OUTSIDE, BEGIN, INSIDE = range(3)
# How long a sign begins: one frame alone is easily missed, by people as by models.
BEGIN_SECONDS = 0.08
# Shorter signs are noise; whatever lasts longer is cut.
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.16, 5.0
# How long signs last: the logarithm of the seconds is normally distributed around this one.
_USUAL_SECONDS, _SPREAD = 1.3, 0.7
# Tags of neighbouring frames err together: each counts for a tenth of an observation.
_TAG_WEIGHT = 0.1
# Training counts beginnings twice, so that they are not missed.
_BEGIN_SHARE = 0.5
# No model is surer than this.
_LEAST_PROBABILITY = 1e-7
# Windows see too little around their first and last frames: there, the neighbouring window counts for more.
_MARGIN_SECONDS = 2.0

Span = tuple[int, int]


def tag_frames(spans: Sequence[tuple[float, float]], num_frames: int, frame_rate: float) -> np.ndarray:
    """The tag of each frame.

    Args:
        spans (`Sequence[tuple[float, float]]`):
            Where signs begin and end, in frames, which need not be whole; in the order of time. Signs may touch.
        num_frames (`int`):
            T.
        frame_rate (`float`):
            Frames per second.

    Returns:
        `np.ndarray` of shape `(T,)`, int64: numbers of [`TAGS`].
    """
    tags = np.full(num_frames, OUTSIDE, np.int64)
    begins = max(1, round(BEGIN_SECONDS * frame_rate))
    for start, stop in spans:
        first = round(start)
        last = max(round(stop), first + 1)
        tags[max(first, 0) : max(last, 0)] = INSIDE
        tags[max(first, 0) : max(min(first + begins, last), 0)] = BEGIN
    return tags


def join_windows(
    windows: Sequence[Span], probabilities: Sequence[np.ndarray], num_frames: int, frame_rate: float
) -> np.ndarray:
    """The tags of a recording from those of overlapping windows.

    Args:
        windows (`Sequence[tuple[int, int]]`):
            First frame of each window, and the frame after its last.
        probabilities (`Sequence[np.ndarray]` of shapes `(length, 3)`):
            Of each window what the model says.
        num_frames (`int`), frame_rate (`float`):
            Of the recording.

    Returns:
        `np.ndarray` of shape `(T, 3)`: means, in which frames near the ends of a window count less; outside where no
        window is.
    """
    totals, weights = np.zeros((num_frames, len(TAGS))), np.zeros((num_frames, 1))
    margin = max(1.0, _MARGIN_SECONDS * frame_rate)
    for (start, stop), values in zip(windows, probabilities, strict=True):
        places = np.arange(stop - start)
        weight = np.minimum(np.minimum(places + 1, places[::-1] + 1), margin)[:, None] / margin
        totals[start:stop] += values * weight
        weights[start:stop] += weight
    totals[weights[:, 0] == 0, OUTSIDE] = 1.0
    return np.asarray(totals / np.where(weights > 0, weights, 1.0))


def signs_in(probabilities: np.ndarray, frame_rate: float) -> list[tuple[int, int, float]]:
    """The likeliest signs, given the tags of all frames and how long signs last.

    Dynamic programming over all ways to lay signs of 0.16 to 5 s over the frames. A sign gains what its frames tell
    for its tags (`begin` in the first, `inside` in the others) rather than `outside`, and loses by an unusual length.
    Without the lengths, long signs in which a hand repeats its movement would fall into halves.

    Args:
        probabilities (`np.ndarray` of shape `(T, 3)`):
            Of the tags of each frame.
        frame_rate (`float`):
            Frames per second.

    Returns:
        `list[tuple[int, int, float]]`: first frame, the frame after the last one, and how sure the model is that these
        frames belong to a sign, from 0 to 1.
    """
    num_frames = len(probabilities)
    begins = max(1, round(BEGIN_SECONDS * frame_rate))
    shortest = max(begins, round(_SHORTEST_SECONDS * frame_rate))
    lengths = np.arange(round(_LONGEST_SECONDS * frame_rate), shortest - 1, -1)
    if num_frames < shortest:
        return []
    outside, begin, inside = np.log(np.maximum(probabilities, _LEAST_PROBABILITY)).T
    begin = begin + np.log(_BEGIN_SHARE)
    as_begin, as_inside = (_TAG_WEIGHT * np.concatenate([[0.0], (tag - outside).cumsum()]) for tag in (begin, inside))
    # A sign from `first` to `stop` gains opening[first] + as_inside[stop] + for_length[stop - first].
    opening = as_begin[begins:] - as_begin[:-begins] - as_inside[begins:]
    for_length = -(((np.log(lengths / frame_rate) - np.log(_USUAL_SECONDS)) / _SPREAD) ** 2) / 2
    best = np.zeros(num_frames + 1)  # what the signs until here gain
    opened = np.empty(num_frames + 1)  # the same, with a sign that begins here
    came_from = np.full(num_frames + 1, -1)
    for stop in range(num_frames + 1):
        best[stop] = best[stop - 1] if stop else 0.0
        if stop >= shortest:
            earliest = max(0, stop - lengths[0])
            totals = opened[earliest : stop - shortest + 1]
            totals = totals + for_length[len(for_length) - len(totals) :]
            place = int(totals.argmax())
            if totals[place] + as_inside[stop] > best[stop]:
                best[stop], came_from[stop] = totals[place] + as_inside[stop], earliest + place
        if stop < len(opening):
            opened[stop] = best[stop] + opening[stop]
    found: list[tuple[int, int, float]] = []
    stop = num_frames
    while stop > 0:
        first = int(came_from[stop])
        if first >= 0:
            found.append((first, stop, float(1 - probabilities[first:stop, OUTSIDE].mean())))
        stop = first if first >= 0 else stop - 1
    return found[::-1]
