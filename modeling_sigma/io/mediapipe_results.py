"""Makes clips from MediaPipe results in memory: Holistic or only hands, from both of its interfaces.

Nothing here imports MediaPipe.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from modeling_sigma.io.detections import Detection, clip_of
from modeling_sigma.io.mediapipe_landmarks import (
    MediapipeFrame,
    frame_detection,
    landmark_rows,
    recording_of_landmarks,
)
from modeling_sigma.model.pose_clip import PoseClip


# The attribute of a Holistic result for each part.
_ATTRIBUTES = {
    "pose": "pose_landmarks",
    "face": "face_landmarks",
    "left_hand": "left_hand_landmarks",
    "right_hand": "right_hand_landmarks",
}
# The attributes for landmarks and sides in results of hand detectors: the Tasks interface, and `solutions`.
_HAND_ATTRIBUTES = {"hand_landmarks": "handedness", "multi_hand_landmarks": "multi_handedness"}


def clip_from_mediapipe(results: Iterable[Any], *, width: int, height: int, fps: float | None = None) -> PoseClip:
    """The clip from the results that MediaPipe gave for the frames of a video.

    Takes the results of Holistic (`mediapipe.solutions.holistic`, and `HolisticLandmarkerResult` of the Tasks
    interface) and of hand detectors (`mediapipe.solutions.hands`, `HandLandmarkerResult`). If a result lists several
    persons, the first one is taken; of more than two hands, the two largest. The body's score is its visibility. Hands
    and face have none: their score is 1 where found, 0 where not.

    A hand detector lists hands in any order, with a side that MediaPipe states for a *mirrored* picture, such as a
    selfie camera takes: what it calls "Left" is the right hand of a signer whose video is not mirrored. The video is
    assumed not to be mirrored, so the sides are swapped. The hands are then tracked over the clip, which corrects
    single frames with wrong sides.

    Args:
        results (iterable):
            One result per frame, or None where nobody was seen.
        width, height (`int`):
            The size of the frames in pixels. MediaPipe divides x by the width and y by the height, so both are needed
            to get one unit.
        fps (`float`, *optional*):
            The number of frames per second.

    Returns:
        `PoseClip`: in pixels, layout `mediapipe_holistic_543`, `mediapipe_holistic_553` for faces with irises, or
        `hands_42`.

    Raises:
        ValueError: for no results, results of other models, or another number of landmarks.

    Example:

    ```python
    >>> from types import SimpleNamespace as Result
    >>> from modeling_sigma.io import clip_from_mediapipe
    >>> hand = [Result(x=0.5, y=0.25)] * 21
    >>> result = Result(pose_landmarks=[], face_landmarks=[], left_hand_landmarks=hand, right_hand_landmarks=[])
    >>> clip = clip_from_mediapipe([result], width=640, height=480, fps=30.0)
    >>> clip.layout, clip.keypoints[0, 33 + 468].tolist(), float(clip.scores.sum())
    ('mediapipe_holistic_543', [320.0, 120.0], 21.0)

    ```
    """
    frames, is_holistic = [], False
    if not isinstance(results, Iterable):
        raise ValueError(
            f"expected one MediaPipe result per frame, received a single {type(results).__name__}: put the results of "
            "all frames into a list"
        )
    for t, result in enumerate(results):
        frames.append(_frame_of(result, t))
        is_holistic = is_holistic or _is_holistic(result)
    if not frames:
        raise ValueError(
            "expected one MediaPipe result per frame, received none: run the detector on the frames first"
        )
    layout = "mediapipe_holistic_543" if is_holistic else "hands_42"
    recording = recording_of_landmarks(frames, width, height, fps, layout)
    picks = [0 if len(scores) else None for _, scores in recording.frames]
    return clip_of(recording.frames, picks, recording.layout, **recording.facts())


def detection_from_mediapipe(result: Any, layout_name: str, width: int, height: int) -> Detection:
    """The keypoints that one result of MediaPipe Holistic gives for one picture, always in the same layout.

    Args:
        result:
            The result, or None if nobody was seen; see `clip_from_mediapipe`.
        layout_name (`str`):
            The layout: `mediapipe_holistic_543` or `mediapipe_holistic_553`.
        width, height (`int`):
            The size of the picture in pixels.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: keypoints `(N, K, 2)` in pixels and scores `(N, K)`; N is 0 or 1.

    Raises:
        ValueError: for results of another model.
    """
    return frame_detection(_frame_of(result, 0), layout_name, (width, height))


def _is_holistic(result: Any) -> bool:
    return any(hasattr(result, attribute) for attribute in _ATTRIBUTES.values())


def _frame_of(result: Any, t: int) -> MediapipeFrame:
    if result is None:  # nobody was seen
        return MediapipeFrame()
    if _is_holistic(result):
        parts = {name: landmark_rows(getattr(result, attribute, None)) for name, attribute in _ATTRIBUTES.items()}
        for name, rows in parts.items():
            if rows is not None and name != "pose":
                rows[:, 3] = 1.0  # here a visibility of 0 means that there is none
        return MediapipeFrame({name: rows for name, rows in parts.items() if rows is not None})
    for attribute, sides in _HAND_ATTRIBUTES.items():
        if hasattr(result, attribute):
            return MediapipeFrame(hands=hands_of(getattr(result, attribute), getattr(result, sides, None)))
    raise ValueError(
        f"expected MediaPipe results with {', '.join(_ATTRIBUTES.values())}, or {' or '.join(_HAND_ATTRIBUTES)}, "
        f"received {type(result).__name__} for frame {t}: run Holistic or the hand landmarker"
    )


def hands_of(landmarks: Any, sides: Any) -> list[tuple[np.ndarray, float]]:
    """The hands of one frame in order of detection, each with the side that the detector gives it.

    MediaPipe's side is that in a mirrored picture, hence the opposite one here: 1 is the signer's left hand.
    """
    hands = []
    for place, hand in enumerate(landmarks or ()):
        rows = landmark_rows(hand)
        if rows is not None:
            rows[:, 3] = 1.0
            hands.append((rows, _side(sides[place]) if sides is not None and place < len(sides) else np.nan))
    return hands


def _side(category: Any) -> float:
    """From -1 (right) to 1 (left), in an unmirrored picture, of a category (or list of them) called Left or Right."""
    category = getattr(category, "classification", category)
    if isinstance(category, dict) and "classification" in category:
        category = category["classification"]
    if isinstance(category, (list, tuple)) or (
        hasattr(category, "__getitem__") and not isinstance(category, (dict, str))
    ):
        return _side(category[0]) if len(category) else np.nan

    def get(*names: str) -> Any:
        for name in names:
            value = category.get(name) if isinstance(category, dict) else getattr(category, name, None)
            if value is not None:
                return value
        return None

    label = category if isinstance(category, str) else get("category_name", "categoryName", "label", "display_name")
    sign = {"left": -1.0, "right": 1.0}.get(str(label).lower(), np.nan)
    certainty = None if isinstance(category, str) else get("score")
    # A certainty of one half says nothing.
    return sign * (1.0 if certainty is None else float(np.clip(2 * certainty - 1, 0, 1)))
