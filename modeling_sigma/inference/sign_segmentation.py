"""Where single signs begin and end in a stream of frames: hands up, hands at rest.

docs/streaming.md is the specification, for other languages too; the names and numbers here are those of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import SCORE_THRESHOLD, select_joints
from modeling_sigma.model.skeleton_layouts import BODY_JOINT_NAMES, PART_SLICES


# How far a hand may be below the shoulders, in widths of the shoulders: to be raised, and to stay so.
RAISED_ABOVE, HELD_ABOVE = 0.8, 0.95
# A sign has begun once a hand has been up for this long, and has ended once all have been down for this long.
BEGIN_SECONDS, END_SECONDS = 0.2, 0.4
# Between two frames that follow each other with a hand up, nothing shows that it was down, unless they are this far
# apart: so signs are found at two frames a second too.
GAP_SECONDS = 1.0
# A longer sign is cut here, and the next begins.
MAX_SECONDS = 10.0
# Times are compared with this much room, so that 15 / 25 s is 0.2 s after 10 / 25 s in every language.
_ROOM = 1e-6

_SHOULDERS = [BODY_JOINT_NAMES.index(f"{side}_shoulder") for side in ("left", "right")]
_HANDS = (
    (PART_SLICES["left_hand"], BODY_JOINT_NAMES.index("left_wrist")),
    (PART_SLICES["right_hand"], BODY_JOINT_NAMES.index("right_wrist")),
)


@dataclass(frozen=True)
class SignBorder:
    """Where a sign begins or ends.

    Attributes:
        kind (`"began"` or `"ended"`): What happened.
        start (`int`): The index of the sign's first frame.
        stop (`int`, *optional*): The index of the frame after its last one; None while it lasts.
        start_time, stop_time (`float`): The times of its first frame, and of its last one until now, in seconds.
    """

    kind: Literal["began", "ended"]
    start: int
    stop: int | None
    start_time: float
    stop_time: float


class SignSegmenter:
    """Finds the borders of signs frame by frame, from Sigma's 69 joints; keeps a few numbers, for hours if need be."""

    def __init__(self) -> None:
        self._num_frames = 0
        self._shoulder_y = self._shoulder_width = math.nan
        self._is_signing = False
        self._start: int | None = None
        self._last_held = 0
        self._start_time = self._last_held_time = 0.0

    @property
    def start(self) -> int | None:
        """The index of the first frame of the sign that lasts, or may just begin; None while the hands rest."""
        return self._start

    def push(self, keypoints: np.ndarray, scores: np.ndarray, time: float) -> list[SignBorder]:
        """Takes the next frame.

        Args:
            keypoints (`np.ndarray` of shape `(69, 2)`), scores (`np.ndarray` of shape `(69,)`):
                One frame of what `select_joints` returns; x and y in one unit, such as pixels.
            time (`float`):
                The frame's time in seconds, later than that of the frame before.

        Returns:
            `list[SignBorder]`: what this frame shows to have happened; an end comes before a beginning.
        """
        index = self._num_frames
        self._num_frames += 1
        drop = self._smallest_drop(keypoints, scores)
        is_raised, is_held = drop < RAISED_ABOVE, drop < HELD_ABOVE
        borders = []
        is_up_since = is_held and self._last_held == index - 1
        patience = GAP_SECONDS if is_up_since else END_SECONDS
        if self._start is not None and time - self._last_held_time > patience + _ROOM:
            borders += self.finish()
        if self._is_signing:
            if is_held:
                self._last_held, self._last_held_time = index, time
            if time - self._start_time >= MAX_SECONDS - _ROOM:
                borders.append(self._end())
            return borders
        if self._start is None and is_raised:
            self._start, self._start_time = index, time
        elif not is_held:
            self._start = None
        if self._start is not None:
            self._last_held, self._last_held_time = index, time
            if time - self._start_time >= BEGIN_SECONDS - _ROOM:
                self._is_signing = True
                borders.append(SignBorder("began", self._start, None, self._start_time, time))
        return borders

    def finish(self) -> list[SignBorder]:
        """Ends the stream, and with it the sign that lasts."""
        borders = [self._end()] if self._is_signing else []
        self._start = None
        return borders

    def _end(self) -> SignBorder:
        assert self._start is not None
        border = SignBorder("ended", self._start, self._last_held + 1, self._start_time, self._last_held_time)
        self._is_signing, self._start = False, None
        return border

    def _smallest_drop(self, keypoints: np.ndarray, scores: np.ndarray) -> float:
        """How far the higher hand is below the shoulders, in widths of the shoulders; infinite if no hand is seen."""
        seen = scores > SCORE_THRESHOLD
        if seen[_SHOULDERS].all():
            left, right = keypoints[_SHOULDERS]
            width = float(np.hypot(*(left - right)))
            if width > 0:
                self._shoulder_y, self._shoulder_width = float(left[1] + right[1]) / 2, width
        drops = [math.inf]
        for hand, wrist in _HANDS:
            if seen[hand].any():
                y = float(keypoints[hand, 1][seen[hand]].mean())
            elif seen[wrist]:
                y = float(keypoints[wrist, 1])
            else:
                continue
            if not math.isnan(self._shoulder_width):
                drops.append((y - self._shoulder_y) / self._shoulder_width)
            elif seen[hand].any():  # without a body, a hand that is seen is up
                drops.append(-math.inf)
        return min(drops)


def segment_signs(clip: PoseClip) -> list[tuple[int, int]]:
    """The signs of a finished clip, as a stream finds them.

    Args:
        clip ([`PoseClip`]):
            The clip; its coordinates in one unit for x and y.

    Returns:
        `list[tuple[int, int]]`: the first frame of each sign, and the frame after its last one.

    Raises:
        ValueError: for a clip without a frame rate.
    """
    if clip.fps is None:
        raise ValueError("expected a clip with a frame rate, received one without: set fps")
    segmenter = SignSegmenter()
    keypoints, scores = select_joints(clip)
    borders = [
        border
        for index in range(len(clip))
        for border in segmenter.push(keypoints[index], scores[index], index / clip.fps)
    ]
    borders += segmenter.finish()
    return [(border.start, border.stop) for border in borders if border.stop is not None]
