"""MediaPipe Holistic through the `mediapipe` package: the default estimator."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

import numpy as np

from modeling_sigma.extraction.estimator_protocol import EstimatorOption, needs_estimator
from modeling_sigma.extraction.holistic_model import holistic_model
from modeling_sigma.extraction.mediapipe_landmarker import LAYOUT
from modeling_sigma.extraction.mediapipe_process import MediapipeProcess
from modeling_sigma.io.detections import Detection
from modeling_sigma.io.reading_errors import MissingExtraError, one_line


_MILLISECONDS_WITHOUT_RATE = 40


class MediapipeEstimator:
    """MediaPipe Holistic: 553 keypoints of one person, on a CPU.

    The network tracks a person through a video, so each video gets its own network (`video`): its keypoints do not
    depend on earlier videos.

    mediapipe 1.x sends figures about its use to its maker. Here it runs in a process from which it cannot.

    Args:
        model (`str`, *optional*):
            A model file `holistic_landmarker.task`; by default one that is assembled once and kept in the cache.
        device (`str`, *optional*, defaults to `"cpu"`):
            The device; only `"cpu"` is possible.

    Raises:
        ValueError: for another device, or if the model cannot be downloaded; as `MissingExtraError` if `mediapipe` is
            not installed.
        OSError: if there is no such model file.
    """

    layout: ClassVar[str] = LAYOUT
    name: ClassVar[str] = "mediapipe-holistic"
    options: ClassVar[dict[str, EstimatorOption]] = {
        "model": EstimatorOption("holistic_landmarker.task (default: one in the cache, assembled at first use)")
    }

    def __init__(self, model: str | None = None, device: str = "cpu") -> None:
        if device != "cpu":
            raise ValueError(f"expected device cpu for mediapipe, received {device!r}")
        if model is not None and not Path(model).is_file():
            raise FileNotFoundError(f"{model}: no such model file: leave it out to use the one that is made by itself")
        try:
            package = version("mediapipe")
        except PackageNotFoundError as error:
            raise MissingExtraError(needs_estimator("video")) from error
        try:
            self._model = holistic_model() if model is None else Path(model)
        except ImportError as error:
            raise MissingExtraError(f"{needs_estimator('video')} ({one_line(error)})") from error
        digest = hashlib.sha256(self._model.read_bytes()).hexdigest()
        # Equal ones give equal keypoints.
        self.versions = {"mediapipe": package, "model": f"{self._model.name} (sha256 {digest[:16]})"}
        self._process: MediapipeProcess | None = None
        self._process_owner = 0
        self._lock = threading.RLock()
        self._in_video = False
        self._time = self._step = 0.0

    @contextmanager
    def video(self, fps: float | None) -> Iterator[None]:
        """A context in which all frames come from one video, in order. Another thread's video waits for its end.

        Raises:
            ValueError: if the model file cannot be used.
        """
        with self._lock:
            process = self._running_process()
            try:
                process.begin()
            except ValueError as error:
                raise ValueError(f"{error}: replace {self._model.name}, or leave it out for the default") from error
            self._time, self._step = 0.0, 1000 / fps if fps else _MILLISECONDS_WITHOUT_RATE
            self._in_video = True
            try:
                yield
            finally:
                self._in_video = False
                if process.is_running:
                    process.end()

    def __call__(self, frame: np.ndarray) -> Detection:
        """Finds the person in the next frame `(H, W, 3)`, uint8, RGB.

        Raises:
            ValueError: if the network fails on it.
        """
        with self._lock:
            if not self._in_video:  # a single picture
                with self.video(None):
                    return self(frame)
            assert self._process is not None
            found = self._process.detect(frame, int(self._time))
            self._time += max(self._step, 1.0)  # times in whole milliseconds must increase
            return found

    def _running_process(self) -> MediapipeProcess:
        # A process that was forked must not talk to its parent's.
        if self._process is None or self._process_owner != os.getpid() or not self._process.is_running:
            self._process, self._process_owner = MediapipeProcess(self._model), os.getpid()
        return self._process
