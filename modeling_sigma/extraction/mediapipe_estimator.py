"""MediaPipe Holistic through the `mediapipe` package."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from modeling_sigma.extraction.estimator_protocol import EstimatorOption, needs_estimator
from modeling_sigma.io.detections import Detection
from modeling_sigma.io.mediapipe_results import detection_from_mediapipe
from modeling_sigma.io.reading_errors import MissingExtraError, one_line


_WHERE_TO_GET_IT = (
    "download holistic_landmarker.task from https://ai.google.dev/edge/mediapipe/solutions/vision/holistic_landmarker"
)
_MILLISECONDS_WITHOUT_RATE = 40


class MediapipeEstimator:
    """MediaPipe Holistic: 553 keypoints of one person, on a CPU.

    The network tracks a person through a video, so each video gets its own network (`video`): its keypoints do not
    depend on earlier videos.

    Args:
        model (`str`):
            The model file `holistic_landmarker.task`, which the package does not include.
        device (`str`, *optional*, defaults to `"cpu"`):
            The device; only `"cpu"` is possible.

    Raises:
        ValueError: without a model or for another device; as `MissingExtraError` if `mediapipe` is not installed.
        OSError: if there is no such model file.
    """

    layout: ClassVar[str] = "mediapipe_holistic_553"
    name: ClassVar[str] = "mediapipe-holistic"
    options: ClassVar[dict[str, EstimatorOption]] = {"model": EstimatorOption("holistic_landmarker.task")}

    def __init__(self, model: str | None = None, device: str = "cpu") -> None:
        if device != "cpu":
            raise ValueError(f"expected device cpu for mediapipe, received {device!r}")
        if model is None:  # mediapipe itself would crash the process
            raise ValueError(f"expected the model file of MediaPipe Holistic, received none: {_WHERE_TO_GET_IT}")
        if not Path(model).is_file():
            raise FileNotFoundError(f"{model}: no such model file: {_WHERE_TO_GET_IT}")
        try:
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise MissingExtraError(f"{needs_estimator('mediapipe')} ({one_line(error)})") from error
        self._mediapipe = mediapipe
        self._vision = vision
        self._content = Path(model).read_bytes()
        self._options = vision.HolisticLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=self._content), running_mode=vision.RunningMode.VIDEO
        )
        self._model_name = Path(model).name
        self._landmarker: Any = None
        self._time = self._step = 0.0

    @property
    def versions(self) -> dict[str, str]:
        """The versions of package and model: equal ones give equal keypoints."""
        digest = hashlib.sha256(self._content).hexdigest()
        return {"mediapipe": version("mediapipe"), "model": f"{self._model_name} (sha256 {digest[:16]})"}

    @contextmanager
    def video(self, fps: float | None) -> Iterator[None]:
        """A context in which all frames come from one video, in order.

        Raises:
            ValueError: if the model file cannot be used.
        """
        try:
            landmarker = self._vision.HolisticLandmarker.create_from_options(self._options)
        except (RuntimeError, ValueError, OSError) as error:
            raise ValueError(
                f"mediapipe could not load {self._model_name} ({one_line(error)[:200]}): {_WHERE_TO_GET_IT}"
            ) from error
        self._time, self._step = 0.0, 1000 / fps if fps else _MILLISECONDS_WITHOUT_RATE
        self._landmarker = landmarker
        try:
            yield
        finally:
            self._landmarker = None
            with suppress(RuntimeError):  # raised again by a network that has already failed
                landmarker.close()

    def __call__(self, frame: np.ndarray) -> Detection:
        """Finds the person in the next frame `(H, W, 3)`, uint8, RGB.

        Raises:
            ValueError: if the network fails on it.
        """
        if self._landmarker is None:  # a single picture
            with self.video(None):
                return self(frame)
        height, width = frame.shape[:2]
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame))
        try:
            result = self._landmarker.detect_for_video(image, int(self._time))
        except RuntimeError as error:
            raise ValueError(f"mediapipe failed with {self._model_name}: {one_line(error)[:200]}") from error
        self._time += max(self._step, 1.0)  # times in whole milliseconds must increase
        return detection_from_mediapipe(result, self.layout, width, height)
