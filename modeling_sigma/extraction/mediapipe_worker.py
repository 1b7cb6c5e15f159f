"""The process in which [`MediapipeProcess`] runs MediaPipe: requests come on standard input, answers go to its output.

Each message is a line of JSON; the pixels of a frame, or the keypoints of an answer, follow it as raw bytes.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from modeling_sigma.extraction.mediapipe_landmarker import HolisticLandmarker


def read_message(stream: BinaryIO) -> dict[str, Any] | None:
    """The next message, with its array under `array` if it has one; None at the end.

    Raises:
        EOFError: if the other side stopped within a message.
    """
    line = stream.readline()
    if not line:
        return None
    message: dict[str, Any] = json.loads(line)
    if "shape" in message:
        array = np.empty(message["shape"], message["dtype"])
        rest = memoryview(array.reshape(-1).view(np.uint8).data)
        while len(rest):
            num_bytes = stream.readinto(rest)  # type: ignore[attr-defined]
            if not num_bytes:
                raise EOFError("a message that ends too soon")
            rest = rest[num_bytes:]
        message["array"] = array
    return message


def write_message(stream: BinaryIO, message: dict[str, Any], array: np.ndarray | None = None) -> None:
    """Writes a message, and an array with it."""
    if array is not None:
        array = np.ascontiguousarray(array)
        message = {**message, "shape": array.shape, "dtype": array.dtype.str}
    stream.write(json.dumps(message).encode() + b"\n")
    if array is not None:
        stream.write(array.reshape(-1).view(np.uint8).data)
    stream.flush()


def main() -> None:
    """Answers requests until standard input ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever libraries print
    try:
        landmarker = HolisticLandmarker(Path(sys.argv[1]).read_bytes())
    except ImportError as error:
        write_message(answers, {"missing": str(error)})
        return
    write_message(answers, {})
    while (request := read_message(requests)) is not None:
        try:
            if request["do"] == "begin":
                landmarker.begin()
                write_message(answers, {})
            elif request["do"] == "detect":
                keypoints, scores = landmarker.detect(request["array"], request["milliseconds"])
                points = np.concatenate([keypoints, scores[..., None]], axis=2).astype(np.float32)  # (N, K, 3)
                write_message(answers, {}, points)
            else:
                landmarker.end()
                write_message(answers, {})
        except ValueError as error:
            write_message(answers, {"error": str(error)})
    landmarker.end()


if __name__ == "__main__":
    main()
