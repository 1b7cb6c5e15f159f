"""`SignStream`: names single signs while somebody signs, from a camera's keypoints."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from modeling_sigma.inference.sign_segmentation import SignBorder, SignSegmenter
from modeling_sigma.model.keypoint_arrays import hide_invalid
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import select_joints
from modeling_sigma.model.skeleton_layouts import get_layout


TOP_K = 5


@dataclass(frozen=True)
class SignEvent:
    """What happened in a stream.

    Attributes:
        kind (`"began"` or `"ended"`): A sign began, or ended.
        start, end (`float`): The times of its first frame, and of its last one until now, in seconds.
        answers (`list[dict]`): Of a sign that has ended, the likeliest: `{"label": str, "score": float}`, best first;
            empty if the model sees nobody in it.
    """

    kind: Literal["began", "ended"]
    start: float
    end: float
    answers: list[dict[str, Any]] = field(default_factory=list)


class SignStream:
    """Finds single signs in a stream of frames, and names each as soon as it has ended.

    A sign lasts from hands up to hands at rest: docs/streaming.md says it precisely. What is said of a stream is what
    the pipeline says of the same frames in a finished clip; see [`~modeling_sigma.inference.segment_signs`]. Only the
    frames of the sign that lasts are kept, at most ten seconds.

    Args:
        model (`str`, `Path` or [`SigmaPipeline`]):
            A model that recognises isolated signs: its folder, its name on the Hub, or its pipeline.
        layout (`str`, *optional*, defaults to `"mediapipe_holistic_553"`):
            The layout of the keypoints.
        width, height (`int`, *optional*):
            The size of the picture in pixels.

    Raises:
        ValueError: for a layout that does not exist, or another kind of model.

    Example:

    ```python
    >>> import numpy as np
    >>> from modeling_sigma.inference import SignStream
    >>> def model(clip, top_k):  # in the place of a pipeline
    ...     return [{"label": f"{len(clip)} frames", "score": 1.0}]
    >>> hand, nobody = np.ones((42, 3)), np.zeros((42, 3))
    >>> stream = SignStream(model, layout="hands_42")
    >>> frames = [nobody] * 10 + [hand] * 20 + [nobody] * 20
    >>> events = [event for t, frame in enumerate(frames) for event in stream.push(frame, t / 25)]
    >>> [(event.kind, event.start, event.answers) for event in events]
    [('began', 0.4, []), ('ended', 0.4, [{'label': '20 frames', 'score': 1.0}])]

    ```
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Callable[..., Any],
        layout: str = "mediapipe_holistic_553",
        width: int | None = None,
        height: int | None = None,
    ) -> None:
        self._num_keypoints = get_layout(layout).num_keypoints
        self._facts: dict[str, Any] = {"layout": layout, "width": width, "height": height, "coordinates": "pixels"}
        if callable(model):
            task = getattr(model, "task", "isolated-sign-recognition")
            if task != "isolated-sign-recognition":
                raise ValueError(f"expected a pipeline for isolated-sign-recognition, received one for {task}")
            self._pipeline: Any = model
        else:
            from modeling_sigma.inference.load_pipeline import load_pipeline

            self._pipeline = load_pipeline(os.fspath(model), "isolated-sign-recognition")
        self._segmenter = SignSegmenter()
        self._frames: list[np.ndarray] = []
        self._first = 0  # the index in the stream of the first frame that is kept
        self._time = -np.inf

    def push(self, keypoints: np.ndarray | Sequence[Any] | None, time: float) -> list[SignEvent]:
        """Takes the next frame.

        Args:
            keypoints (`np.ndarray` of shape `(K, 3)`, *optional*):
                x and y in pixels and the score of each keypoint; None if nobody is seen.
            time (`float`):
                The frame's time in seconds, later than that of the frame before.

        Returns:
            `list[SignEvent]`: what this frame shows to have happened; mostly nothing.

        Raises:
            ValueError: for keypoints of another shape, and for a time that is not later.
        """
        frame = self._checked(keypoints)
        if not (np.isfinite(time) and time > self._time):
            raise ValueError(f"expected a time after {self._time:g} s, received {time!r}: push frames in their order")
        self._time = float(time)
        self._frames.append(frame)
        joints, scores = select_joints(self._clip([frame]))
        events = [self._event(border) for border in self._segmenter.push(joints[0], scores[0], self._time)]
        self._forget()
        return events

    def finish(self) -> list[SignEvent]:
        """Ends the stream: a sign that lasts ends here. Another stream may follow, from any time on."""
        events = [self._event(border) for border in self._segmenter.finish()]
        self._segmenter = SignSegmenter()
        self._frames, self._first, self._time = [], 0, -np.inf
        return events

    def _checked(self, keypoints: Any) -> np.ndarray:
        if keypoints is None:
            return np.zeros((self._num_keypoints, 3), np.float32)
        frame = np.array(keypoints, np.float32)  # a copy: the caller may write the next frame into the same place
        if frame.shape != (self._num_keypoints, 3):
            raise ValueError(
                f"expected keypoints ({self._num_keypoints}, 3) of layout {self._facts['layout']} (x, y and score), "
                f"received {frame.shape}: name the layout, or pass None where nobody is seen"
            )
        frame[:, :2], frame[:, 2] = hide_invalid(frame[:, :2], frame[:, 2])
        return frame

    def _clip(self, frames: list[np.ndarray]) -> PoseClip:
        points = np.stack(frames)
        return PoseClip(points[..., :2], points[..., 2], **self._facts)

    def _event(self, border: SignBorder) -> SignEvent:
        if border.stop is None:
            return SignEvent("began", border.start_time, border.stop_time)
        clip = self._clip(self._frames[border.start - self._first : border.stop - self._first])
        sees_somebody = getattr(self._pipeline, "sees_somebody", None)
        is_seen = sees_somebody is None or sees_somebody(clip)
        answers = list(self._pipeline(clip, top_k=TOP_K)) if is_seen else []
        return SignEvent("ended", border.start_time, border.stop_time, answers)

    def _forget(self) -> None:
        """Drops the frames that no sign can need any more."""
        num_seen = self._first + len(self._frames)
        needed = num_seen if self._segmenter.start is None else self._segmenter.start
        del self._frames[: needed - self._first]
        self._first = needed
