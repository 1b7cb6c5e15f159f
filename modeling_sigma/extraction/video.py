"""Decoding videos with PyAV: upright RGB frames, one at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from modeling_sigma.io.reading_errors import MissingExtraError, naming_file, one_line


# Containers round the times of frames, at worst to milliseconds.
_RATE_TOLERANCE = 0.05


def frame_rate(path: str | os.PathLike[str]) -> float | None:
    """The average number of frames per second that the header of a video states; None if it states none.

    Raises:
        ValueError: if the file holds no video; as `MissingExtraError` if PyAV is not installed.
        OSError: if there is no such file or it cannot be read.
    """
    with _opened(path) as (_, stream):
        rate = stream.average_rate or stream.guessed_rate
        return float(rate) if rate else None


@dataclass
class DecodingLog:
    """What `read_frames` notes about a video.

    Attributes:
        broken (`list[str]`): An error for each packet that could not be decoded, and was left out.
        times (`list[float]`): The time in seconds of each frame that has one.
    """

    broken: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def frame_rate(self, stated: float | None) -> float | None:
        """The average number of frames per second; `stated`, the header's, unless the frames' times contradict it.

        Headers state the rate of the clock where the frame rate varies, and know nothing of broken frames.
        """
        if len(self.times) < 2 or self.times[-1] <= self.times[0]:
            return stated
        measured = (len(self.times) - 1) / (self.times[-1] - self.times[0])
        is_alike = stated is not None and abs(measured / stated - 1) <= _RATE_TOLERANCE
        return stated if is_alike else measured


def read_frames(path: str | os.PathLike[str], log: DecodingLog | None = None) -> Iterator[np.ndarray]:
    """Decodes a video.

    Args:
        path (`str` or `os.PathLike`):
            The file.
        log ([`DecodingLog`], *optional*):
            Where to note the frames' times, and the packets that cannot be decoded, which are then left out.

    Yields:
        `np.ndarray` of shape `(H, W, 3)`, uint8: the frames as a player shows them (rotation applied), in RGB.

    Raises:
        ValueError: if the file holds no video or is damaged; as `MissingExtraError` if PyAV is not installed.
        OSError: if there is no such file or it cannot be read.
    """
    with _opened(path) as (container, stream):
        stream.thread_type = "AUTO"
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except ValueError as error:  # of this packet's content
                if log is None:
                    raise
                log.broken.append(one_line(error))
                continue
            for frame in frames:
                if log is not None and frame.time is not None:
                    log.times.append(frame.time)
                yield rotate(frame.to_ndarray(format="rgb24"), frame.rotation)


def rotate(frame: np.ndarray, degrees: float) -> np.ndarray:
    """`frame` (H, W, C), turned counterclockwise by `degrees`, rounded to quarter turns.

    Phones store what their sensor sees, and how to turn it: an upright recording has `degrees` -90 or 90.
    """
    return np.ascontiguousarray(np.rot90(frame, round(degrees / 90) % 4))


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[Any, Any]]:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError(
            f'{os.fspath(path)}: reading a video needs PyAV: pip install -e ".[video]" in the folder of sigma-slu'
        ) from error

    with Path(path).open("rb") as file, naming_file(path, "a video"), av.open(file) as container:
        if not container.streams.video:
            raise ValueError("expected a video, received a file without pictures: is it a sound recording?")
        yield container, container.streams.video[0]
