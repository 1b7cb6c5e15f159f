"""Where signs are in a long recording: windows of many lengths, and the best of them that do not overlap."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from .pose_clip import PoseClip
from .pose_transforms import SCORE_THRESHOLD, select_joints
from .skeleton_layouts import PART_SLICES


Window = tuple[int, int]

# Seconds. Isolated signs of WLASL last 0.4 to 3.5, most of them about 1.5.
WINDOW_SECONDS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
_STEP_SECONDS = 0.2
_LONGEST_SECONDS = 3.2
_SHORTEST_SECONDS = 0.2
# Detectors lose hands for a few frames in the middle of a sign.
GONE_SECONDS = 0.3
# What a sign costs, as a share of the evidence of a second of clear signing: otherwise halves of signs are signs.
_COST_SHARE, _CLEAR = 0.3, 0.9

_BLOCK = 10_000  # frames at a time, so that hours need little memory
_WRISTS = [PART_SLICES["body"].start + 7, PART_SLICES["body"].start + 8]


def signing_stretches(clip: PoseClip) -> list[Window]:
    """Stretches `(start, stop)` in frames in which a hand, or a wrist, is seen. Shorter gaps than 0.3 s are bridged.

    Raises:
        ValueError: for a clip without a frame rate.
    """
    fps = frame_rate_of(clip)
    seen = np.zeros(len(clip), bool)
    hands = [*range(*PART_SLICES["left_hand"].indices(69)), *range(*PART_SLICES["right_hand"].indices(69))]
    for start in range(0, len(clip), _BLOCK):
        _, scores = select_joints(clip.frames(slice(start, start + _BLOCK)))
        seen[start : start + _BLOCK] = (scores[:, hands + _WRISTS] > SCORE_THRESHOLD).any(axis=1)
    stretches: list[Window] = []
    for start, stop in runs_of(seen):
        if stretches and start - stretches[-1][1] < GONE_SECONDS * fps:
            start = stretches.pop()[0]
        stretches.append((start, stop))
    return [(start, stop) for start, stop in stretches if stop - start >= _SHORTEST_SECONDS * fps]


def runs_of(flags: np.ndarray) -> list[Window]:
    """Runs `(start, stop)` of true values."""
    steps = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    return [(int(a), int(b)) for a, b in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1))]


def candidate_windows(clip: PoseClip) -> list[Window]:
    """Windows `(start, stop)` in frames that may be signs: of six lengths, every 0.2 s of each signing stretch.

    Raises:
        ValueError: for a clip without a frame rate.
    """
    fps = frame_rate_of(clip)
    step = max(1, round(_STEP_SECONDS * fps))
    windows: set[Window] = set()
    for start, stop in signing_stretches(clip):
        if stop - start <= _LONGEST_SECONDS * fps:
            windows.add((start, stop))
        for seconds in WINDOW_SECONDS:
            size = max(1, round(seconds * fps))
            if size < stop - start:
                windows.update((first, first + size) for first in (*range(start, stop - size, step), stop - size))
    return sorted(windows)


def evidence_of(logits: np.ndarray) -> np.ndarray:
    """How much more than nothing a label head sees, `(B,)` from `(B, num_labels)`: 0 where all logits are 0.

    It is the logarithm of the mean of the exponentials. Windows that cut a sign or join two have less of it than the
    sign itself, and rests have least.
    """
    highest = logits.max(axis=-1, keepdims=True)
    return np.asarray(highest[..., 0] + np.log(np.exp(logits - highest).mean(axis=-1)))


def best_windows(windows: Sequence[Window], evidence: Sequence[float], fps: float) -> list[int]:
    """Numbers of the windows that are signs, in the order of time: those that together gain most without overlapping.

    A window gains its evidence times its length in seconds, less what every sign costs: three tenths of the evidence
    that a tenth of the windows exceed.
    """
    if not windows:
        return []
    cost = _COST_SHARE * max(0.0, float(np.quantile(evidence, _CLEAR)))
    order = sorted(range(len(windows)), key=lambda number: windows[number][::-1])
    stops = [windows[number][1] for number in order]
    totals = [0.0]  # the best of the first windows
    taken: list[int | None] = []  # how many windows end before the last of them; None if it is left out
    for place, number in enumerate(order):
        start, stop = windows[number]
        gain = evidence[number] * (stop - start) / fps - cost
        before = bisect_right(stops, start, 0, place)
        is_better = gain > 0 and totals[before] + gain > totals[place]
        totals.append(totals[before] + gain if is_better else totals[place])
        taken.append(before if is_better else None)
    chosen, place = [], len(order)
    while place > 0:
        before_it = taken[place - 1]
        if before_it is None:
            place -= 1
        else:
            chosen.append(order[place - 1])
            place = before_it
    return chosen[::-1]


def windows_of(spans: Sequence[tuple[float, float]], fps: float, num_frames: int) -> list[Window]:
    """Spans in seconds as windows `(start, stop)` in frames, each of at least one frame of the recording.

    Raises:
        ValueError: for spans that end before they begin, or lie outside of the recording.
    """
    windows = []
    for start, end in spans:
        if not 0 <= start < end or start * fps >= num_frames:
            raise ValueError(
                f"expected spans within the {num_frames / fps:.2f} s of the recording, received {start} to {end}"
            )
        first = min(round(start * fps), num_frames - 1)
        windows.append((first, min(max(round(end * fps), first + 1), num_frames)))
    return windows


def frame_rate_of(clip: PoseClip) -> float:
    """Frames per second.

    Raises:
        ValueError: for a clip without a frame rate.
    """
    if clip.fps is None:
        raise ValueError(
            "expected a recording with a frame rate, to find signs by time, received none: set fps (--fps)"
        )
    return float(clip.fps)
