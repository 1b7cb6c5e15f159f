"""MediaPipe's Holistic landmarker, frame by frame, in this process."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from modeling_sigma.extraction.doubled_hands import hide_doubled_hands
from modeling_sigma.io.detections import Detection
from modeling_sigma.io.mediapipe_results import detection_from_mediapipe
from modeling_sigma.io.reading_errors import one_line


LAYOUT = "mediapipe_holistic_553"


class HolisticLandmarker:
    """The network. It follows a person through a video, so each video begins with a new one.

    Mind that mediapipe sends figures about its use to its maker: [`MediapipeProcess`] keeps it from doing so.

    Args:
        content (`bytes`):
            The model file.

    Raises:
        ImportError: if mediapipe is not installed, or lacks a library.
    """

    def __init__(self, content: bytes) -> None:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision

        self._mediapipe = mediapipe
        self._create = vision.HolisticLandmarker.create_from_options
        self._options = vision.HolisticLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=content), running_mode=vision.RunningMode.VIDEO
        )
        self._landmarker: Any = None

    def begin(self) -> None:
        """Begins a video.

        Raises:
            ValueError: if the model file cannot be used.
        """
        self.end()
        try:
            self._landmarker = self._create(self._options)
        except (RuntimeError, ValueError, OSError) as error:
            raise ValueError(f"mediapipe could not load the model file ({one_line(error)[:200]})") from error

    def detect(self, frame: np.ndarray, milliseconds: int) -> Detection:
        """Finds the person in the next frame `(H, W, 3)`, uint8, RGB, at a later time than that of the last one.

        A hand that was found twice is taken back; see `hide_doubled_hands`.

        Raises:
            ValueError: if the network fails on it.
        """
        height, width = frame.shape[:2]
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame))
        try:
            result = self._landmarker.detect_for_video(image, milliseconds)
        except RuntimeError as error:
            raise ValueError(f"mediapipe failed: {one_line(error)[:200]}") from error
        return hide_doubled_hands(detection_from_mediapipe(result, LAYOUT, width, height), LAYOUT)

    def end(self) -> None:
        """Ends a video."""
        landmarker, self._landmarker = self._landmarker, None
        if landmarker is not None:
            with suppress(RuntimeError):  # raised again by a network that has already failed
                landmarker.close()
