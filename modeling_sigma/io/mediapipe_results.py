"""Clips from MediaPipe Holistic results in memory, of both of its interfaces, without importing MediaPipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from modeling_sigma.io.detections import Detection, hide_invalid, nobody
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import SkeletonLayout, get_layout


# The attribute of a result for each component of the layout.
_ATTRIBUTES = {
    "pose": "pose_landmarks",
    "face": "face_landmarks",
    "left_hand": "left_hand_landmarks",
    "right_hand": "right_hand_landmarks",
}
_LAYOUTS = {468: "mediapipe_holistic_543", 478: "mediapipe_holistic_553"}


def clip_from_mediapipe(results: Iterable[Any], *, width: int, height: int, fps: float | None = None) -> PoseClip:
    """The clip of the results that MediaPipe Holistic gave for the frames of a video.

    Takes the results of `mediapipe.solutions.holistic` and of the Tasks interface (`HolisticLandmarkerResult`). Where
    a result lists several persons, the first one is taken. The body's score is its visibility; hands and face have
    none: 1 where found, 0 where not.

    Args:
        results (iterable):
            One result per frame.
        width, height (`int`):
            Size of the frames in pixels; MediaPipe's x and y are divided by them, so they are needed to get one unit.
        fps (`float`, *optional*):
            Frames a second.

    Returns:
        `PoseClip`: in pixels, layout `mediapipe_holistic_543`, or `mediapipe_holistic_553` for faces with irises.

    Raises:
        ValueError: for no results, other results than those of Holistic, or another number of landmarks.

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
    frames = [_landmarks_of(result, t) for t, result in enumerate(results)]
    if not frames:
        raise ValueError(
            "expected one MediaPipe result per frame, received none: run the detector on the frames first"
        )
    layout = get_layout(_layout_of(frames))
    pairs = [_frame_arrays(frame, layout, width, height, t) for t, frame in enumerate(frames)]
    keypoints, scores = hide_invalid(*map(np.stack, zip(*pairs)))
    return PoseClip(keypoints, scores, layout.name, fps, width, height, coordinates="pixels")


def detection_from_mediapipe(result: Any, layout_name: str, width: int, height: int) -> Detection:
    """What one result of MediaPipe Holistic says of one picture, always in the same layout.

    Args:
        result:
            As in `clip_from_mediapipe`.
        layout_name (`str`):
            `mediapipe_holistic_543` or `mediapipe_holistic_553`.
        width, height (`int`):
            Size of the picture in pixels.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: keypoints `(N, K, 2)` in pixels and scores `(N, K)`; N is 0 or 1.

    Raises:
        ValueError: for results of another model.
    """
    layout = get_layout(layout_name)
    frame = _landmarks_of(result, 0)
    if not any(frame.values()):
        return nobody(layout.num_keypoints)
    keypoints, scores = _frame_arrays(frame, layout, width, height, 0)
    return keypoints[None], scores[None]


def _frame_arrays(
    frame: dict[str, Sequence[Any]], layout: SkeletonLayout, width: int, height: int, t: int
) -> tuple[np.ndarray, np.ndarray]:
    keypoints = np.zeros((layout.num_keypoints, 2), np.float32)
    scores = np.zeros(layout.num_keypoints, np.float32)
    start = 0
    for name, size in layout.components:
        landmarks = frame[name]
        if landmarks:
            if len(landmarks) != size:
                raise ValueError(
                    f"expected {size} {name} landmarks as in the other frames, received {len(landmarks)} in frame "
                    f"{t}: use one model for the whole clip"
                )
            keypoints[start : start + size] = [(landmark.x * width, landmark.y * height) for landmark in landmarks]
            scores[start : start + size] = [_score(landmark, name) for landmark in landmarks]
        start += size
    return keypoints, scores


def _landmarks_of(result: Any, t: int) -> dict[str, Sequence[Any]]:
    if not any(hasattr(result, attribute) for attribute in _ATTRIBUTES.values()):
        raise ValueError(
            f"expected MediaPipe Holistic results with {', '.join(_ATTRIBUTES.values())}, received "
            f"{type(result).__name__} for frame {t}: run Holistic, not single hand or face models"
        )
    return {name: _listed(getattr(result, attribute, None)) for name, attribute in _ATTRIBUTES.items()}


def _listed(landmarks: Any) -> Sequence[Any]:
    """The landmarks of one person: `solutions` wraps them, Tasks lists them, some of its models once per person."""
    if landmarks is None:
        return ()
    points: list[Any] = list(getattr(landmarks, "landmark", landmarks))
    return _listed(points[0]) if points and not hasattr(points[0], "x") else points


def _layout_of(frames: Sequence[dict[str, Sequence[Any]]]) -> str:
    num_face_points = next((len(frame["face"]) for frame in frames if frame["face"]), 468)
    if num_face_points not in _LAYOUTS:
        raise ValueError(f"expected 468 or 478 face landmarks, received {num_face_points}: use Holistic's face mesh")
    return _LAYOUTS[num_face_points]


def _score(landmark: Any, name: str) -> float:
    if name != "pose":
        return 1.0
    visibility = getattr(landmark, "visibility", None)
    return 1.0 if visibility is None else float(visibility)
