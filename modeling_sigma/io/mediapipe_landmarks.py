"""Turns MediaPipe's landmarks into a recording: in each frame one pose, one face, and hands with or without sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modeling_sigma.io.detections import Detection, nobody
from modeling_sigma.io.dot_pose_names import MEDIAPIPE_BODY, MEDIAPIPE_HAND
from modeling_sigma.io.hand_tracking import track_hands
from modeling_sigma.io.point_arrays import layout_of_parts
from modeling_sigma.io.reading_budget import take_bytes
from modeling_sigma.io.reading_errors import shown
from modeling_sigma.io.recording import Recording
from modeling_sigma.model.keypoint_arrays import hide_invalid
from modeling_sigma.model.skeleton_layouts import get_layout


# Coordinates up to here are shares of the image (a hand may leave it), larger ones are pixels.
LARGEST_SHARE = 5.0
# With more negative ones they are relative to a point of the signer.
_SHARE_BELOW_0 = 0.1


@dataclass
class MediapipeFrame:
    """The landmarks of one frame.

    Args:
        parts (`dict[str, np.ndarray]`):
            The parts that were found among `pose`, `face`, `left_hand` and `right_hand`, `(n, 4)` each: x, y, z and
            certainty.
        hands (list of `(np.ndarray, float)`):
            Hands in order of detection, `(21, 4)`, each with what the detector says about it: from -1 (the signer's
            right hand) to 1 (the left one), NaN if it says nothing.
    """

    parts: dict[str, np.ndarray] = field(default_factory=dict)
    hands: list[tuple[np.ndarray, float]] = field(default_factory=list)


def recording_of_landmarks(
    frames: Sequence[MediapipeFrame],
    width: int | None,
    height: int | None,
    fps: float | None,
    layout: str | None = None,
) -> Recording:
    """The recording of these frames, in pixels if the size of the image is known, else in their own unit.

    A hand detector lists hands in any order, which may change from frame to frame: they are sorted into left and right
    over the clip.

    Args:
        frames (sequence of `MediapipeFrame`):
            All frames of the clip, in order.
        width, height (`int`, *optional*):
            The size of the image in pixels.
        fps (`float`, *optional*):
            The number of frames per second.
        layout (`str`, *optional*):
            The layout of clips without a face; by default it follows from the parts that were found.

    Raises:
        ValueError: if the number of landmarks is not MediaPipe's, or if the landmarks come from different models.
    """
    if any(frame.hands for frame in frames):
        frames = _with_tracked_hands(frames)
    sizes: dict[str, int] = {}
    for t, frame in enumerate(frames):
        for name, points in frame.parts.items():
            if sizes.setdefault(name, len(points)) != len(points):
                raise ValueError(
                    f"expected {sizes[name]} {name} landmarks as in the other frames, received {len(points)} in frame "
                    f"{t}: use one model for the whole clip"
                )
    if layout is None or sizes:
        found = layout_of_parts(sizes)
        layout = found if layout is None or "face" in sizes else layout
    points = np.concatenate([np.zeros((1, 2)), *(rows[:, :2] for frame in frames for rows in frame.parts.values())])
    largest = float(np.nanmax(np.abs(points)))
    is_known = width is not None and height is not None
    unit = (width or 0, height or 0) if is_known and largest <= LARGEST_SHARE else (1, 1)
    stated: dict[str, Any] = {"width": width, "height": height, "coordinates": "pixels"} if is_known else {}
    if not is_known and largest <= LARGEST_SHARE and (points < 0).mean() < _SHARE_BELOW_0:
        stated["coordinates"] = "shares"
    take_bytes(sum(bool(frame.parts) for frame in frames) * get_layout(layout).num_keypoints * 12)
    detections = [frame_detection(frame, layout, unit) for frame in frames]
    return Recording(detections, layout, fps, **stated)


def frame_detection(frame: MediapipeFrame, layout_name: str, unit: tuple[float, float]) -> Detection:
    """Keypoints `(N, K, 2)`, times `unit`, and scores `(N, K)`; N is 0 or 1."""
    layout = get_layout(layout_name)
    if not frame.parts:
        return nobody(layout.num_keypoints)
    keypoints = np.zeros((1, layout.num_keypoints, 2), np.float32)
    scores = np.zeros((1, layout.num_keypoints), np.float32)
    start = 0
    for name, size in layout.components:
        points = frame.parts.get(name)
        if points is not None and points[:, :2].any():  # some exports fill what was not found with zeros
            if len(points) != size:
                raise ValueError(f"expected {size} {name} landmarks, received {len(points)}: use one model")
            keypoints[0, start : start + size] = points[:, :2] * unit
            scores[0, start : start + size] = points[:, 3]
        start += size
    return hide_invalid(keypoints, scores)


def landmark_rows(landmarks: Any) -> np.ndarray | None:
    """x, y, z and certainty `(n, 4)` of one list of landmarks; None if it is empty.

    Landmarks are objects or dictionaries with x, y, and perhaps z and visibility, or lists of such numbers. The list
    may be wrapped (`solutions`), nested in a list of persons, of whom the first is taken, or a dictionary by number.
    A landmark without a visibility is certain.
    """
    landmarks = _unwrapped(landmarks)
    if landmarks is None or len(landmarks) == 0:
        return None
    if isinstance(landmarks, np.ndarray):
        landmarks = landmarks.tolist()
    first = landmarks[0]
    if isinstance(first, (int, float)) and not isinstance(first, bool):  # one row of x, y, z
        numbers = 4 if len(landmarks) == 33 * 4 else 3
        if len(landmarks) % numbers:
            raise ValueError(
                f"expected rows of x, y, z, received {len(landmarks)} numbers: store one list per landmark"
            )
        landmarks = [landmarks[i : i + numbers] for i in range(0, len(landmarks), numbers)]
    elif not _is_landmark(first):
        return landmark_rows(first)
    return np.array([_numbers(landmark) for landmark in landmarks], np.float64)


def is_list_of_landmarks(value: Any) -> bool:
    """Whether a list holds landmarks, rather than lists of them."""
    return isinstance(value, list) and bool(value) and _is_landmark(value[0])


def _unwrapped(landmarks: Any) -> Any:
    landmarks = getattr(landmarks, "landmark", landmarks)
    if isinstance(landmarks, Mapping):
        if "landmark" in landmarks:
            return landmarks["landmark"]
        if all(str(key).isdigit() for key in landmarks):
            return [landmarks[key] for key in sorted(landmarks, key=lambda key: int(str(key)))]
        by_name = {str(key).upper(): value for key, value in landmarks.items()}
        for order in (MEDIAPIPE_BODY, MEDIAPIPE_HAND):
            if by_name.keys() <= set(order):
                return [by_name.get(name, (np.nan, np.nan)) for name in order]
        names = ", ".join(map(shown, list(landmarks)[:4]))
        raise ValueError(
            f"expected landmarks as a list, received a dictionary with {names}: store them in MediaPipe's order"
        )
    if landmarks is None or isinstance(landmarks, (str, bytes, int, float)):
        return None
    return landmarks if isinstance(landmarks, (list, tuple, np.ndarray)) else list(landmarks)


def _is_landmark(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "x" in value and "y" in value
    if isinstance(value, (list, tuple)):
        return 2 <= len(value) <= 5 and all(isinstance(number, (int, float)) or number is None for number in value)
    return hasattr(value, "x")


def _numbers(landmark: Any) -> tuple[float, float, float, float]:
    if isinstance(landmark, (list, tuple)):
        values = [np.nan if number is None else float(number) for number in landmark[:4]]
        x, y, z, certainty = values + [0.0, 1.0][len(values) - 2 :] if len(values) < 4 else values
    else:
        get = landmark.get if isinstance(landmark, Mapping) else lambda name: getattr(landmark, name, None)
        defaults = {"x": np.nan, "y": np.nan, "z": 0.0, "visibility": 1.0}
        found = ((get(name), default) for name, default in defaults.items())
        x, y, z, certainty = (default if value is None else float(value) for value, default in found)
    return x, y, z, certainty


def _with_tracked_hands(frames: Sequence[MediapipeFrame]) -> list[MediapipeFrame]:
    take_bytes(len(frames) * 2 * 21 * 3 * 32)  # as float64, and three copies while they are tracked
    points = np.full((len(frames), 2, 21, 3), np.nan)
    labels = np.full((len(frames), 2), np.nan)
    for t, frame in enumerate(frames):
        for slot, (hand, label) in enumerate(_two_largest(frame.hands, t)):
            points[t, slot], labels[t, slot] = hand[:, :3], label
    largest = np.nanmax(np.abs(points[..., :2]))
    scale = largest if largest > LARGEST_SHARE else 1.0
    tracked = track_hands(points / scale, labels) * scale
    sides = {"left_hand": tracked[:, 0], "right_hand": tracked[:, 1]}
    result = []
    for t, frame in enumerate(frames):
        found = {
            name: np.concatenate([hands[t], np.ones((21, 1))], axis=1)
            for name, hands in sides.items()
            if np.isfinite(hands[t]).all()
        }
        result.append(MediapipeFrame({**frame.parts, **found}))
    return result


def _two_largest(hands: list[tuple[np.ndarray, float]], t: int) -> list[tuple[np.ndarray, float]]:
    """The two largest hands, those of the person closest to the camera; the others are somebody else's."""
    for hand, _ in hands:
        if len(hand) != 21:
            raise ValueError(
                f"expected 21 landmarks of a hand, received {len(hand)} in frame {t}: use MediaPipe's hands"
            )
    return (
        sorted(hands, key=lambda hand: -float(np.ptp(hand[0][:, :2], axis=0).max()))[:2] if len(hands) > 2 else hands
    )
