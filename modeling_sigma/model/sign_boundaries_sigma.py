"""Signs as tags of frames (outside, begin, inside): from times to tags, and from a model's tags to times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


# The labels of [`SigmaForSignSegmentation`], by number.
TAGS = ("outside", "begin", "inside")
OUTSIDE, BEGIN, INSIDE = range(3)
# How long a sign begins: one frame alone is easily missed, by people as by models.
BEGIN_SECONDS = 0.08
# Shorter signs are noise.
_SHORTEST_SECONDS = 0.16
# From this probability on, a frame belongs to a sign, or a new sign begins.
_THRESHOLD = 0.5
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
    """The signs that tags show.

    A sign lasts while a frame is likelier in a sign than not. It ends where the next begins: where `begin` is likely,
    and likelier than in the frames around.

    Args:
        probabilities (`np.ndarray` of shape `(T, 3)`):
            Of the tags of each frame.
        frame_rate (`float`):
            Frames per second.

    Returns:
        `list[tuple[int, int, float]]`: first frame, the frame after the last one, and how sure the model is that these
        frames belong to a sign, from 0 to 1.
    """
    if not len(probabilities):
        return []
    in_sign = probabilities[:, BEGIN] + probabilities[:, INSIDE]
    begin = probabilities[:, BEGIN]
    reach = max(1, round(BEGIN_SECONDS * frame_rate))
    around = np.lib.stride_tricks.sliding_window_view(np.pad(begin, reach), 2 * reach + 1).max(axis=1)
    begins = (begin >= _THRESHOLD) & (begin == around)
    shortest = max(1, round(_SHORTEST_SECONDS * frame_rate))
    found: list[tuple[int, int, float]] = []
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (in_sign > _THRESHOLD).astype(np.int8), [0]])))
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist()):
        cuts = [start]
        for cut in (np.flatnonzero(begins[start:stop]) + start).tolist():
            if cut - cuts[-1] >= shortest:
                cuts.append(cut)
        for first, last in zip(cuts, [*cuts[1:], stop]):
            if last - first >= shortest:
                found.append((first, last, float(in_sign[first:last].mean())))
    return found
