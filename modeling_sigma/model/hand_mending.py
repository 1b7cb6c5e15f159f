"""What detectors of hands get wrong here and there, mended: joints and whole hands that jump away for a frame.

Pure numpy, on joints in isotropic coordinates. Lengths are in hands: the distance from the wrist to the knuckle of the
middle finger, in the median of the clip.
"""

from __future__ import annotations

import numpy as np

from .skeleton_layouts import PART_SLICES


HANDS = ("left_hand", "right_hand")
_MIDDLE_KNUCKLE = 9  # among a hand's 21 joints, of which the wrist is the first

# A joint is out of place if it is further from the middle of its hand than any finger reaches: by the size of the hand
# in the clip, and, since a hand may come near the camera, by that of its other joints in the frame.
_REACH, _REACH_IN_FRAME = 1.75, 4.0
# A hand is out of place if it jumps so far from where it was before, and from where it is after, while these are near.
_JUMP, _RETURN = 3.0, 1.5


def hand_length(keypoints: np.ndarray, seen: np.ndarray) -> float:
    """Wrist to knuckle of the middle finger, in the median over frames and hands; 0 without a hand.

    Args:
        keypoints (`np.ndarray` of shape `(T, 69, 2)`): Joints; x and y in one unit.
        seen (`np.ndarray` of shape `(T, 69)`): Whether each was found.
    """
    lengths = []
    for hand in HANDS:
        wrist, knuckle = PART_SLICES[hand].start, PART_SLICES[hand].start + _MIDDLE_KNUCKLE
        both = seen[:, wrist] & seen[:, knuckle]
        lengths.append(np.linalg.norm(keypoints[both, knuckle] - keypoints[both, wrist], axis=-1))
    found = np.concatenate(lengths)
    return float(np.median(found)) if len(found) else 0.0


def mend_hands(keypoints: np.ndarray, scores: np.ndarray, score_threshold: float) -> int:
    """Puts joints of hands that are out of place where their neighbours in time say, in place.

    A hand that is somewhere else for a single frame counts as not found there.

    Args:
        keypoints (`np.ndarray` of shape `(T, 69, 2)`), scores (`np.ndarray` of shape `(T, 69)`):
            Joints; x and y in one unit.
        score_threshold (`float`):
            A joint counts as found where its score exceeds this.

    Returns:
        `int`: how many joints were changed.
    """
    length = hand_length(keypoints, scores > score_threshold)
    if length == 0:
        return 0
    changed = 0
    for hand in HANDS:
        joints = PART_SLICES[hand]
        points, found = keypoints[:, joints], scores[:, joints] > score_threshold  # views: (T, 21, 2), (T, 21)
        frames = np.flatnonzero(found.sum(axis=1) > found.shape[1] // 2)
        if not len(frames):
            continue
        here = np.where(found[frames][..., None], points[frames], np.nan)
        middle = np.nanmedian(here, axis=1)  # (N, 2): a few joints far away do not move it
        away = np.nan_to_num(np.linalg.norm(here - middle[:, None], axis=-1))  # (N, 21)
        reach = np.maximum(_REACH * length, _REACH_IN_FRAME * np.median(away, axis=1))
        is_wrong = found[frames] & (away > reach[:, None])
        _fill(points, frames, middle, is_wrong, found[frames])
        changed += int(is_wrong.sum())
        jumped = frames[_jumps(middle, _JUMP * length, _RETURN * length)]
        keypoints[jumped, joints] = 0.0
        scores[jumped, joints] = 0.0
        changed += len(jumped) * points.shape[1]
    return changed


def _fill(points: np.ndarray, frames: np.ndarray, middle: np.ndarray, is_wrong: np.ndarray, found: np.ndarray) -> None:
    """Places wrong joints relative to the middle of their hand, as between the frames in which they are right."""
    for joint in np.flatnonzero(is_wrong.any(axis=0)):
        right = found[:, joint] & ~is_wrong[:, joint]
        if not right.any():
            continue
        relative = points[frames, joint] - middle
        wrong = np.flatnonzero(is_wrong[:, joint])
        for axis in range(2):
            between = np.interp(frames[wrong], frames[right], relative[right, axis])
            points[frames[wrong], joint, axis] = middle[wrong, axis] + between


def _jumps(middle: np.ndarray, jump: float, near: float) -> np.ndarray:
    """Which of these moments `(N,)` lie far from both neighbours, which are near one another."""
    is_jump = np.zeros(len(middle), bool)
    if len(middle) > 2:
        steps = np.linalg.norm(np.diff(middle, axis=0), axis=-1)
        across = np.linalg.norm(middle[2:] - middle[:-2], axis=-1)
        is_jump[1:-1] = (steps[:-1] > jump) & (steps[1:] > jump) & (across < near)
    return is_jump
