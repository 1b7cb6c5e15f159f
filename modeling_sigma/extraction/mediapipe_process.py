"""Runs MediaPipe in a process of its own, from which it can send nothing, and which may crash without harm."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from modeling_sigma.extraction.estimator_protocol import needs_estimator
from modeling_sigma.extraction.mediapipe_worker import read_message, write_message
from modeling_sigma.io.detections import Detection
from modeling_sigma.io.reading_errors import MissingExtraError, one_line


# mediapipe 1.x sends figures about its use to its maker, and has no switch for it. It respects the settings of
# proxies: these lead to a port of this machine at which nobody listens, so that not even a server's name is looked up.
NOWHERE = "http://127.0.0.1:9"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_EXCEPTIONS = ("no_proxy", "NO_PROXY")


class MediapipeProcess:
    """A process that runs the Holistic landmarker; the methods are those of `HolisticLandmarker`.

    Args:
        model (`Path`):
            The model file.

    Raises:
        MissingExtraError: if mediapipe is not installed, or lacks a library.
        ValueError: if it cannot be started.
    """

    def __init__(self, model: Path) -> None:
        self._noise = tempfile.TemporaryFile()
        environment = {name: value for name, value in os.environ.items() if name not in _EXCEPTIONS}
        environment.update(dict.fromkeys(_PROXIES, NOWHERE))
        # The same packages as here, wherever they come from.
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "modeling_sigma.extraction.mediapipe_worker", os.fspath(model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
            env=environment,
        )
        self.close = weakref.finalize(self, _stop, self._process)
        answer = self._answer()
        if "missing" in answer:
            raise MissingExtraError(f"{needs_estimator('video')} ({one_line(ImportError(answer['missing']))})")

    def begin(self) -> None:
        """Begins a video.

        Raises:
            ValueError: if the model file cannot be used.
        """
        self._ask({"do": "begin"})

    def detect(self, frame: np.ndarray, milliseconds: int) -> Detection:
        """Finds the person in the next frame `(H, W, 3)`, uint8, RGB, at a later time than that of the last one.

        Raises:
            ValueError: if the network fails on it.
        """
        points: np.ndarray = self._ask({"do": "detect", "milliseconds": milliseconds}, frame)["array"]
        return points[..., :2], points[..., 2]

    def end(self) -> None:
        """Ends a video."""
        self._ask({"do": "end"})

    @property
    def is_running(self) -> bool:
        """Whether the process can take another request."""
        return self._process.poll() is None

    def _ask(self, request: dict[str, Any], frame: np.ndarray | None = None) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            write_message(self._process.stdin, request, frame)  # type: ignore[arg-type]
        except OSError:
            pass  # it has stopped: its answer says so
        answer = self._answer()
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            answer = read_message(self._process.stdout)  # type: ignore[arg-type]
        except (ValueError, EOFError):
            answer = None
        if answer is None:
            self.close()
            self._noise.seek(0)
            lines = self._noise.read().decode(errors="replace").split("\n")
            said = one_line(ValueError(next((line for line in reversed(lines) if line.strip()), "without a word")))
            raise ValueError(f"mediapipe has stopped, exit code {self._process.returncode} ({said[:200]})")
        return answer


def _stop(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()  # at the end of its input, it ends
            except OSError:
                pass
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
