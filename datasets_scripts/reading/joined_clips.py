"""Recordings made of single clips: rests and movements between them, and the frames of each clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


# Keypoints (T, K, 2) and scores (T, K), in one unit and at one frame rate.
Piece = tuple[np.ndarray, np.ndarray]

# What lies between two clips, and how often: hands that move from one to the other, that are gone, or that stay.
BETWEEN = {"movement": 0.5, "gone": 0.25, "still": 0.25}
# Seconds that each takes.
_SECONDS = {"movement": (0.1, 0.55), "gone": (0.15, 1.6), "still": (0.25, 1.7)}
# How far hands tremble and drift while they stay, per frame, in units of the extent of all points.
_TREMBLE, _DRIFT = (0.0003, 0.003), 0.001


def join_clips(
    pieces: Sequence[Piece], fps: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, tuple[tuple[int, int], ...]]:
    """One recording of several clips.

    Args:
        pieces (`Sequence[Piece]`):
            The clips, at least one, in one place and unit.
        fps (`float`):
            Their frame rate.
        rng (`np.random.Generator`):
            Chooses what lies between them.

    Returns:
        `tuple`: keypoints `(T, K, 2)`, scores `(T, K)`, and of each clip its first frame and the frame after its last.
    """
    parts: list[Piece] = []
    spans: list[tuple[int, int]] = []
    length = 0
    for place, piece in enumerate(pieces):
        for part in ([_between(pieces[place - 1], piece, fps, rng)] if place else []) + [piece]:
            parts.append(part)
            length += len(part[0])
        spans.append((length - len(piece[0]), length))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]), tuple(spans)


def _between(before: Piece, after: Piece, fps: float, rng: np.random.Generator) -> Piece:
    kind = str(rng.choice(list(BETWEEN), p=list(BETWEEN.values())))
    count = max(1, round(rng.uniform(*_SECONDS[kind]) * fps))
    shape = (count, *before[1].shape[1:])
    if kind == "gone":
        return np.zeros((*shape, 2)), np.zeros(shape)
    if kind == "movement":
        share = np.linspace(0, 1, count + 2)[1:-1]
        if rng.random() < 0.5:  # hands start and stop gently
            share = share * share * (3 - 2 * share)
        points = before[0][-1] + (after[0][0] - before[0][-1]) * share[:, None, None]
        scores = np.minimum(before[1][-1], after[1][0])
    else:
        frame, scores = (before[0][-1], before[1][-1]) if rng.random() < 0.6 else (after[0][0], after[1][0])
        seen = frame[scores > 0]
        extent = float(np.ptp(seen, axis=0).max()) if len(seen) else 0.0
        drift = rng.normal(0, _DRIFT * extent, (count, 1, 2)).cumsum(axis=0)
        points = frame + drift + rng.normal(0, rng.uniform(*_TREMBLE) * extent, (*shape, 2))
    scores = np.repeat(scores[None], count, axis=0)
    return np.where(scores[..., None] > 0, points, 0.0), scores
