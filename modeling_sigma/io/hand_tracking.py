"""Tells left hands from right ones, by tracking hands that come in order of detection."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from modeling_sigma.io.reading_budget import check_time


_NUM_JOINTS = 21
_WRIST, _THUMB_BASE, _MIDDLE_BASE = 0, 2, 9
_INDEX_BASE, _LITTLE_BASE = 5, 17
_FINGER_BASES, _FINGER_TIPS = (5, 9, 13, 17), (8, 12, 16, 20)

# Costs of tracking, in units of a typical step. Lengths are shares of the image.
_STEP = 0.02  # how far a hand's joints usually move in a frame (root mean square)
_APPEARANCE = 8.0  # the cost of a hand never seen before, and the most that any jump costs
_DUPLICATE = 0.015  # two detections this close, joint by joint, are one hand found twice
_SHAPE_WEIGHT, _SIDE_WEIGHT, _DOMINANT_WEIGHT = 0.6, 0.3, 0.4  # weights of the evidence in one frame
_LABEL_WEIGHT = 1.5  # instead of the shape, where the detector says which hand it is
_SIDE_DISTANCE = 0.1


def track_hands(detections: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Sorts the hands of a clip into left and right.

    A frame with hands can be read in two ways, depending on which detection is the left hand. Over the clip, the
    cheapest sequence of readings is chosen. These add to its cost:

    - how far each hand has moved since it was last seen, relative to the time since then. A hand that was never seen
      before, and any jump, cost no more than a fixed amount, so a hand may leave and come back;
    - disagreement with the shape of the hands: seen along the palm's normal, thumb and fingers bend to opposite sides
      in left and right hands (88 % correct for single frames of WLASL, both hands well apart); or with what the
      detector says about each hand;
    - a left hand on the image's left, to some degree (signers face the camera), and slightly, each left hand that is
      seen alone (most signers are right-handed).

    Two detections in the same place are one hand found twice; the second is dropped.

    Args:
        detections (`np.ndarray` of shape `(T, 2, 21, 3)`):
            x, y (shares of the image) and z of up to two hands per frame, in any order, with 21 joints in MediaPipe's
            order. All NaN where nothing was found.
        labels (`np.ndarray` of shape `(T, 2)`, *optional*):
            What the detector says about each hand: from -1 (certainly the signer's right hand) to 1 (certainly the
            left one), NaN where it says nothing.

    Returns:
        `np.ndarray` of shape `(T, 2, 21, 3)`, float32: `[:, 0]` the signer's left hand, `[:, 1]` the right; NaN where
        not found.

    Raises:
        ValueError: for a wrong shape.

    The best path is exact but for one simplification: only the best path into each reading remembers where a hand was
    last seen.
    """
    hands, swap = _read_hands(detections, labels)
    hands[swap] = hands[swap][:, ::-1]
    return hands


def swapped_frames(detections: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """In which frames [`track_hands`] exchanges the two slots, `(T,)` bool; the arguments are its own."""
    return _read_hands(detections, labels)[1]


def _read_hands(detections: np.ndarray, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The hands as they came, without doubled ones, and whether slot 1 is the left hand."""
    hands = np.array(detections, np.float32)
    if hands.ndim != 4 or hands.shape[1:] != (2, 21, 3):
        raise ValueError(f"expected detections (T, 2, 21, 3) with x, y, z, received {hands.shape}")
    found: np.ndarray = np.asarray(np.isfinite(hands).all(axis=(2, 3)))  # (T, 2)
    apart = np.sqrt(np.square(hands[:, 0, :, :2] - hands[:, 1, :, :2]).sum(-1).mean(-1))  # (T,), NaN without two
    found[:, 1] &= ~(apart < _DUPLICATE)
    hands[~found] = np.nan
    known = np.full(found.shape, np.nan) if labels is None else np.asarray(labels, np.float64)
    return hands, _best_readings(np.nan_to_num(hands), found, known)


def count_jumps(hands: np.ndarray, distance: float = 0.15) -> int:
    """Counts how often a hand found in two successive frames has moved by `distance` or more.

    Args:
        hands (`np.ndarray` of shape `(T, 2, 21, 2 or more)`):
            x, y (shares of the image); NaN where not found.
        distance (`float`, *optional*, defaults to 0.15):
            The smallest jump, as the root mean square over the joints. Hands rarely move so far in a 30th of a second.
    """
    points = np.asarray(hands, np.float64)[..., :2]
    moved = np.sqrt(np.square(np.diff(points, axis=0)).sum(-1).mean(-1))  # (T - 1, 2), NaN unless found twice
    return int((moved >= distance).sum())


def _best_readings(hands: np.ndarray, found: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether slot 1 is the left hand, `(T,)` bool, by dynamic programming over frames with hands."""
    evidence = _left_evidence(hands, found, labels)
    points = hands[..., :2].reshape(2 * len(hands), -1).astype(np.float64)  # of detection 2 * frame + slot
    frames = np.flatnonzero(found.any(axis=1)).tolist()

    # The readings of a frame ask for the same few distances: the last ones are kept.
    @lru_cache(maxsize=16)
    def jump(last: int, now: int) -> float:
        if last < 0:
            return _APPEARANCE
        apart = points[last] - points[now]
        distance = math.sqrt(apart @ apart / _NUM_JOINTS)
        return min(distance / (_STEP * (now // 2 - last // 2) ** 0.5), _APPEARANCE)

    # For either reading of the current frame: the cost of the best path, and the detections that were the left and the
    # right hand when last seen (-1: never).
    costs, last_seen = [0.0, 0.0], [(-1, -1), (-1, -1)]
    came_from = []
    for frame in frames:
        check_time()
        new_costs, new_last_seen, sources = [], [], []
        for reading in (0, 1):
            slots = (reading, 1 - reading)  # of the left and of the right hand
            now = [2 * frame + slot if found[frame, slot] else -1 for slot in slots]
            paths = [
                costs[source] + sum(jump(last, n) for last, n in zip(last_seen[source], now) if n >= 0)
                for source in (0, 1)
            ]
            source = int(paths[1] < paths[0]) if paths[0] != paths[1] else reading
            left, right = (n if n >= 0 else last for last, n in zip(last_seen[source], now))
            new_costs.append(paths[source] + (-1, 1)[reading] * evidence[frame])
            new_last_seen.append((left, right))
            sources.append(source)
        costs, last_seen = new_costs, new_last_seen
        came_from.append(sources)

    swap = np.zeros(len(hands), bool)
    reading = int(costs[1] < costs[0])
    for frame, sources in zip(reversed(frames), reversed(came_from)):
        swap[frame] = reading == 1
        reading = sources[reading]
    return swap


def _left_evidence(hands: np.ndarray, found: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The evidence, frame by frame, that slot 0 rather than slot 1 is the left hand: `(T,)`."""
    sign = np.array([1.0, -1.0]) * found  # (T, 2)
    appearance = np.where(np.isnan(labels), _SHAPE_WEIGHT * hand_shape(hands), _LABEL_WEIGHT * np.nan_to_num(labels))
    x = hands[..., 0].mean(axis=2)  # (T, 2)
    # With one hand, its side of the image counts; with two, which one is further left.
    side = np.where(found.all(axis=1), x[:, 0] - x[:, 1], 0.5 * (sign * (x - 0.5)).sum(axis=1))
    dominant = np.where(found.all(axis=1), 0.0, sign.sum(axis=1))
    return (
        (sign * appearance).sum(axis=1) + _SIDE_WEIGHT * np.tanh(side / _SIDE_DISTANCE) - _DOMINANT_WEIGHT * dominant
    )


def hand_shape(hands: np.ndarray) -> np.ndarray:
    """From -1 (certainly a right hand's shape) to 1 (a left hand's), for x, y, z: `(..., 21, 3)` -> `(...,)`."""
    wrist = hands[..., _WRIST, :]
    palm = np.cross(hands[..., _INDEX_BASE, :] - wrist, hands[..., _LITTLE_BASE, :] - wrist)
    thumb = hands[..., _THUMB_BASE, :] - wrist
    fingers = hands[..., _FINGER_TIPS, :].mean(axis=-2) - hands[..., _FINGER_BASES, :].mean(axis=-2)
    length = np.linalg.norm(hands[..., _MIDDLE_BASE, :] - wrist, axis=-1) * np.linalg.norm(palm, axis=-1)
    bend = (palm * (fingers + 2 * thumb)).sum(axis=-1) / np.maximum(length, 1e-12)
    return np.tanh(-3 * bend)
