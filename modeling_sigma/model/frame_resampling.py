"""Clips at another number of frames: what lies between two frames is interpolated. Pure numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .clip_units import warn_once
from .pose_clip import PoseClip
from .skeleton_layouts import HANDS_SLICE


def span_with_hands(pose_values: np.ndarray) -> tuple[int, int]:
    """First and last frame `(first, last)` in which a hand was seen; of the whole clip if none ever was.

    Args:
        pose_values (`np.ndarray` of shape `(T, 69, 3)`):
            What [`normalize_joints`] returns.
    """
    seen = np.flatnonzero(pose_values[:, HANDS_SLICE, 2].any(axis=1))
    return (int(seen[0]), int(seen[-1])) if len(seen) else (0, len(pose_values) - 1)


def interpolate_frames(pose_values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The clip at other moments.

    A joint that was seen in both neighbouring frames lies between them; otherwise it is what it was in the nearest.

    Args:
        pose_values (`np.ndarray` of shape `(T, 69, 3)`):
            What [`normalize_joints`] returns.
        positions (`np.ndarray` of shape `(N,)`):
            Moments in frames, from 0 to T - 1.

    Returns:
        `np.ndarray` of shape `(N, 69, 3)`, float32.
    """
    positions = np.clip(positions, 0, len(pose_values) - 1)
    before = positions.astype(np.int64)
    after = np.minimum(before + 1, len(pose_values) - 1)
    share = (positions - before)[:, None, None].astype(np.float32)
    one, other = pose_values[before], pose_values[after]
    nearest = np.where(share < 0.5, one, other)
    both = (one[..., 2:] != 0) & (other[..., 2:] != 0)
    return np.where(both, one + (other - one) * share, nearest)


def interpolate_between_hands(pose_values: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """The clip at moments that count from 0, the first frame with a hand, to 1, the last one.

    Args:
        pose_values (`np.ndarray` of shape `(T, 69, 3)`):
            What [`normalize_joints`] returns.
        moments (`np.ndarray` of shape `(N,)`):
            Moments in [0, 1].

    Returns:
        `np.ndarray` of shape `(N, 69, 3)`, float32.
    """
    first, last = span_with_hands(pose_values)
    return interpolate_frames(pose_values, first + moments * (last - first))


def num_frames_at(num_frames: int, fps: float, frame_rate: float) -> int:
    """How many frames a clip has at another frame rate; at least one."""
    return max(1, round(num_frames * frame_rate / fps))


def at_frame_rate(clip: PoseClip, frame_rate: float, start: int = 0, stop: int | None = None) -> PoseClip:
    """A clip, or a part of it, at another frame rate: what lies between two frames is interpolated.

    Args:
        clip ([`PoseClip`]):
            A clip with a frame rate.
        frame_rate (`float`):
            Frames per second of the result.
        start, stop (`int`, *optional*):
            The part to return, in frames of the result; of long recordings only this part is read.

    Raises:
        ValueError: for a clip without a frame rate.
    """
    if clip.fps is None:
        raise ValueError(
            f"expected a clip with a frame rate, to read it at {frame_rate:g}, received none: set its fps"
        )
    count = num_frames_at(len(clip), clip.fps, frame_rate)
    stop = count if stop is None else min(stop, count)
    if count == len(clip):
        return replace(clip.frames(slice(start, stop)), fps=frame_rate)
    positions = np.clip((np.arange(start, stop) + 0.5) * len(clip) / count - 0.5, 0, len(clip) - 1)
    first, last = int(positions[0]), int(positions[-1]) + 2
    part = clip.frames(slice(first, last))
    values = interpolate_frames(np.concatenate([part.keypoints, part.scores[..., None]], axis=-1), positions - first)
    return replace(part, keypoints=values[..., :2], scores=values[..., 2], fps=frame_rate)


def at_learnt_rate(clip: PoseClip, frame_rate: float | None) -> PoseClip:
    """A clip at the frame rate that a model has learnt: as it is if one is None (the clip's: with a warning)."""
    if frame_rate is None or clip.fps is not None:
        return clip if frame_rate is None else at_frame_rate(clip, frame_rate)
    warn_once(
        f"this model reads {frame_rate:g} frames per second, a clip states no rate: it is read as if it had this one"
    )
    return clip
