"""Frames of MediaPipe landmarks as people write them into JSON: many spellings of the same few names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from modeling_sigma.io.detections import check_num_frames
from modeling_sigma.io.mediapipe_landmarks import (
    MediapipeFrame,
    is_list_of_landmarks,
    landmark_rows,
    recording_of_landmarks,
)
from modeling_sigma.io.mediapipe_results import hands_of
from modeling_sigma.io.reading_budget import check_time
from modeling_sigma.io.recording import Recording


# The part, by the letters of its name without "landmarks": `pose_landmarks`, `poseLandmarks`, `pose`.
_PARTS = {
    "pose": "pose",
    "body": "pose",
    "face": "face",
    "lefthand": "left_hand",
    "lh": "left_hand",
    "left": "left_hand",
    "righthand": "right_hand",
    "rh": "right_hand",
    "right": "right_hand",
}
_HANDS = ("multihand", "hand", "hands", "")
# Which parts a list of this many landmarks holds.
_SIZES = {
    33: {"pose": 33},
    75: {"pose": 33, "left_hand": 21, "right_hand": 21},
    543: {"pose": 33, "face": 468, "left_hand": 21, "right_hand": 21},
    553: {"pose": 33, "face": 478, "left_hand": 21, "right_hand": 21},
}
_SIDES = ("multihandedness", "handedness", "handednesses")


def recording_of_mediapipe_frames(frames: Sequence[Any], **stated: Any) -> Recording | None:
    """The recording of frames with MediaPipe's landmarks; None if no frame has any under a known name.

    Hands without a part of their own are sorted into left and right over the clip (see `clip_from_mediapipe` for what
    is assumed of their sides).

    Args:
        frames (sequence of `dict`):
            One dictionary per frame, in order; None or an empty one is a frame without anybody.
        **stated:
            What the file states about the recording: `fps`, `width` and `height`.

    Raises:
        ValueError: if the number of landmarks is not MediaPipe's.
    """
    if not all(frame is None or isinstance(frame, dict) for frame in frames):
        return None
    check_num_frames(len(frames))
    found = []
    for frame in frames:
        check_time()
        found.append(_frame_of(frame or {}))
    if not any(frame.parts or frame.hands for frame in found):
        return None
    return recording_of_landmarks(found, stated.get("width"), stated.get("height"), stated.get("fps"))


def _frame_of(frame: dict[str, Any]) -> MediapipeFrame:
    names = {_plain(key): value for key, value in frame.items()}
    parts: dict[str, np.ndarray] = {}
    for name, part in _PARTS.items():
        rows = landmark_rows(names[name]) if isinstance(names.get(name), (list, dict)) else None
        if rows is not None:
            if part != "pose":
                rows[:, 3] = 1.0
            parts.setdefault(part, rows)
    sides = next((names[name] for name in _SIDES if isinstance(names.get(name), list)), None)
    hands = next((names[name] for name in _HANDS if isinstance(names.get(name), list) and names[name]), None)
    if is_list_of_landmarks(hands):
        rows = landmark_rows(hands)
        if rows is not None and len(rows) in _SIZES:
            return MediapipeFrame(_split(rows))
        hands = [hands]
    if hands is not None:
        return MediapipeFrame(parts, hands_of(*_with_sides(hands, sides)))
    if not parts:
        for value in frame.values():  # {"landmarks": {"pose": ...}}
            if isinstance(value, dict) and (below := _frame_of(value)) and (below.parts or below.hands):
                return below
    return MediapipeFrame(parts)


def _split(rows: np.ndarray) -> dict[str, np.ndarray]:
    """All landmarks in one list: pose, face, left hand, right hand."""
    parts, start = {}, 0
    for name, size in _SIZES[len(rows)].items():
        parts[name] = rows[start : start + size]
        if name != "pose":
            parts[name][:, 3] = 1.0
        start += size
    return parts


def _with_sides(hands: list[Any], sides: Any) -> tuple[list[Any], Any]:
    """Hands that are dictionaries carry their side with them: `{"handedness": "Left", "landmarks": [...]}`."""
    if not all(isinstance(hand, dict) and "landmarks" in hand for hand in hands):
        return hands, sides
    labels = [
        next((hand[name] for name in ("handedness", "label", "side", "hand") if name in hand), "") for hand in hands
    ]
    return [hand["landmarks"] for hand in hands], labels


def _plain(key: Any) -> str:
    return re.sub("[^a-z]", "", str(key).lower()).removesuffix("landmarks")
