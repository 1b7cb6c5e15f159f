"""Where signing starts and ends in a clip whose hands rest before and after. Pure numpy."""

from __future__ import annotations

import numpy as np

from .hand_mending import HANDS, hand_length
from .skeleton_layouts import PART_SLICES


ASSUMED_FPS = 25.0  # of clips that state no frame rate
_SHORTEST_REST = 0.4  # seconds: a hold that is shorter belongs to the sign
# Mean distance of a hand's joints from where they rested, in hands: what is certainly movement, and where it begins.
_MOVED, _BEGINS = 0.35, 0.12
# A hand that is raised by so much, within so many seconds, comes from its rest, which is left out, and so is the way
# up but for its last part.
_RAISED, _RAISING_SECONDS, _WAY = 2.0, 0.5, 0.7
_FEWEST_FRAMES = 8  # that remain: else there is no signing between rests, and the clip stays as it is


def span_without_rest(keypoints: np.ndarray, seen: np.ndarray, fps: float | None) -> slice:
    """The frames between the hands' rest before signing, from which they are raised, and their rest after it.

    Args:
        keypoints (`np.ndarray` of shape `(T, 69, 2)`):
            Joints; x and y in one unit.
        seen (`np.ndarray` of shape `(T, 69)`):
            Whether each was found.
        fps (`float`, *optional*):
            Frames per second; 25 are assumed if unknown.

    Returns:
        `slice`: of frames; all of them where the hands do not rest, or never do anything else.
    """
    length = hand_length(keypoints, seen)
    whole = slice(0, len(keypoints))
    if length == 0:
        return whole
    rate = fps or ASSUMED_FPS
    hands = [keypoints[:, PART_SLICES[hand]] / length for hand in HANDS]  # of (T, 21, 2)
    found: list[np.ndarray] = [np.asarray(seen[:, PART_SLICES[hand]].all(axis=1)) for hand in HANDS]  # of (T,)
    start = _signing_starts(hands, found, rate)
    reverse = slice(None, None, -1)
    left_out = _signing_starts([hand[reverse] for hand in hands], [one[reverse] for one in found], rate)
    stop = len(keypoints) - left_out
    return slice(start, stop) if stop - start >= _FEWEST_FRAMES else whole


def _signing_starts(hands: list[np.ndarray], found: list[np.ndarray], rate: float) -> int:
    """The frame before which the hands rest and are raised; 0 if they do not, or if they rest all the time."""
    num_frames = len(found[0])
    moved = np.zeros(num_frames)  # of the hand that has moved most
    for points, is_there in zip(hands, found):
        frames = np.flatnonzero(is_there)
        if len(frames):
            distances = np.linalg.norm(points[frames] - points[frames[0]], axis=-1).mean(axis=1)
            np.maximum.at(moved, frames, distances)
    far = np.flatnonzero(moved > _MOVED)
    if not len(far):
        return 0
    at_rest = np.flatnonzero(moved[: far[0]] < _BEGINS)
    onset = int(at_rest[-1]) if len(at_rest) else 0
    first = min(int(np.flatnonzero(is_there)[0]) for is_there in found if is_there.any())
    if onset - first < _SHORTEST_REST * rate:
        return 0
    heights = [points[..., 1].mean(axis=1) for points in hands]
    raised = max(_end_of_raising(height, is_there, onset, rate) for height, is_there in zip(heights, found))
    return raised if raised > onset else 0  # a hold in the air may be the sign itself, as a letter's is


def _end_of_raising(heights: np.ndarray, is_there: np.ndarray, onset: int, rate: float) -> int:
    """The frame in which a hand has been raised most of the way from its rest; `onset` if it is not raised."""
    frames = np.arange(onset, min(len(heights), onset + round(_RAISING_SECONDS * rate) + 1))
    frames = frames[is_there[frames]]
    if len(frames) < 2:
        return onset
    risen = heights[frames[0]] - heights[frames]  # y points downwards
    if risen.max() < _RAISED:
        return onset
    return int(frames[np.flatnonzero(risen >= _WAY * risen.max())[0]])
