"""Better times for subtitles whose times are loose: dynamic programming over the signs that were found. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Placed(NamedTuple):
    """Where a subtitle is.

    Args:
        start, end (`float`): Seconds.
        signs (`tuple[int, int]`, *optional*): Its first sign and the sign after its last; None if no signs were found
            for it, and it was moved like its neighbours.
    """

    start: float
    end: float
    signs: tuple[int, int] | None


# In the unit of the scores: the logarithm of how much likelier a sign is in a subtitle than elsewhere.
_SHIFT_COST = 0.05  # per second that a subtitle moves
_CHANGE_COST = 0.5  # per second that it moves otherwise than the one before it
_LENGTH_COST = 2.0  # times the logarithm of how much longer or shorter it becomes
_SIGN_COST = 0.5  # per sign between two subtitles
_MISSING_COST = 4.0  # of a subtitle without signs
_PAUSE_GAIN = 0.5  # per second of rest (up to one) before its first sign
_MOST_STATES = 400


def place_subtitles(
    subtitles: Sequence[tuple[float, float]],
    signs: Sequence[tuple[float, float]],
    scores: np.ndarray,
    max_shift: float = 10.0,
) -> list[Placed]:
    """Gives each subtitle a run of signs, in the order of both, so that all together gain most.

    A subtitle gains the scores of its signs. It costs to move far, to move otherwise than the subtitle before, to
    become longer or shorter, to leave signs out, and to cut where the hands do not rest. Times may be wrong by one
    shift for all, by jitter, or both.

    Args:
        subtitles (`Sequence[tuple[float, float]]`):
            Loose start and end in seconds, in the order of time.
        signs (`Sequence[tuple[float, float]]`):
            Start and end of the signs, in the order of time.
        scores (`np.ndarray` of shape `(num_subtitles, num_signs)`):
            The logarithm of how much likelier each sign is in each subtitle than by chance; 0: no idea.
        max_shift (`float`, *optional*, defaults to 10):
            How many seconds a subtitle may move at most.

    Returns:
        `list[Placed]`: of each subtitle its place.

    Raises:
        ValueError: for scores of another shape.
    """
    scores = np.asarray(scores, np.float64)
    if scores.shape != (len(subtitles), len(signs)):
        raise ValueError(
            f"expected a score for each of {len(subtitles)} subtitles and {len(signs)} signs, received {scores.shape}"
        )
    starts, ends = (np.array([sign[side] for sign in signs], np.float64) for side in (0, 1))
    rests = np.clip(starts - np.concatenate([[-np.inf], ends[:-1]]), 0, 1) if len(signs) else starts
    # States after each subtitle: the next free sign, the last shift (NaN: none yet), the gain, and the way here.
    free, shift, total = np.zeros(1, np.int64), np.full(1, np.nan), np.zeros(1)
    ways: list[tuple[np.ndarray, np.ndarray]] = []
    for number, (start, end) in enumerate(subtitles):
        runs, moved, gains = _candidates(start, end, starts, ends, rests, scores[number], max_shift)
        change = np.abs(moved[None] - shift[:, None])
        reached = total[:, None] + gains[None] - _CHANGE_COST * np.where(np.isnan(change), 0.0, change)
        left_out = runs[None, :, 0] - free[:, None]
        # Signs before the first subtitle are free: recordings begin early.
        cost = np.where(np.isnan(shift)[:, None], 0.0, _SIGN_COST * left_out)
        reached = np.where(left_out >= 0, reached - cost, -np.inf)
        before = reached.argmax(axis=0) if len(runs) else np.zeros(0, np.int64)
        best = reached.max(axis=0) if len(runs) else np.zeros(0)
        # Or the subtitle has no signs, and everything stays as it is.
        free = np.concatenate([free, runs[:, 1]])
        shift = np.concatenate([shift, moved])
        before = np.concatenate([np.arange(len(total)), before])
        run = np.concatenate([np.full((len(total), 2), -1), runs])
        total = np.concatenate([total - _MISSING_COST, best])
        kept = np.argsort(-total, kind="stable")[:_MOST_STATES]
        free, shift, total = free[kept], shift[kept], total[kept]
        ways.append((before[kept], run[kept]))
    return _traced(subtitles, starts, ends, ways, int(total.argmax()))


def _candidates(
    start: float,
    end: float,
    starts: np.ndarray,
    ends: np.ndarray,
    rests: np.ndarray,
    scores: np.ndarray,
    max_shift: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs of signs `(C, 2)` that a subtitle may have, the shifts `(C,)` that they mean, and what they gain `(C,)`."""
    length = max(end - start, 0.1)
    sums = np.concatenate([[0.0], scores.cumsum()])
    runs, moved, gains = [], [], []
    for first in np.flatnonzero(np.abs(starts - start) <= max_shift).tolist():
        for last in range(first, len(starts)):
            ratio = (ends[last] - starts[first]) / length
            if ratio > 3:
                break
            if ratio < 1 / 3:
                continue
            shift = (starts[first] + ends[last] - start - end) / 2
            runs.append((first, last + 1))
            moved.append(shift)
            gains.append(
                sums[last + 1] - sums[first] + _PAUSE_GAIN * rests[first]
                - _LENGTH_COST * abs(np.log(ratio)) - _SHIFT_COST * abs(shift)
            )  # fmt: skip
    return np.array(runs, np.int64).reshape(-1, 2), np.array(moved), np.array(gains)


def _traced(
    subtitles: Sequence[tuple[float, float]],
    starts: np.ndarray,
    ends: np.ndarray,
    ways: list[tuple[np.ndarray, np.ndarray]],
    state: int,
) -> list[Placed]:
    chosen: list[tuple[int, int] | None] = []
    for before, runs in reversed(ways):
        first, stop = runs[state].tolist()
        chosen.append(None if first < 0 else (first, stop))
        state = int(before[state])
    chosen.reverse()
    shifts = [
        np.nan if run is None else (starts[run[0]] + ends[run[1] - 1] - start - end) / 2
        for run, (start, end) in zip(chosen, subtitles)
    ]
    known = np.flatnonzero(np.isfinite(shifts))
    placed = []
    for number, (run, (start, end)) in enumerate(zip(chosen, subtitles)):
        if run is not None:
            placed.append(Placed(float(starts[run[0]]), float(ends[run[1] - 1]), run))
            continue
        shift = float(np.interp(number, known, np.array(shifts)[known])) if len(known) else 0.0
        placed.append(Placed(max(0.0, start + shift), max(0.0, end + shift), None))
    return placed
