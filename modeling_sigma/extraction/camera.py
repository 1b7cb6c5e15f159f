"""The pictures of a camera, through OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from modeling_sigma.io.reading_errors import MissingExtraError


def read_camera(camera: int | str) -> Iterator[tuple[np.ndarray, float]]:
    """The pictures of a camera, for as long as it gives any, each the newest one when it is asked for.

    Args:
        camera (`int` or `str`):
            The number of the camera, 0 for the first, or what else OpenCV opens: a device, an address of a stream.

    Yields:
        `tuple[np.ndarray, float]`: a picture `(H, W, 3)`, uint8, RGB, and when it came, in seconds from the first.

    Raises:
        ValueError: if there is no such camera; as `MissingExtraError` if OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError(
            'a camera needs OpenCV: pip install -e ".[video]" in the folder of sigma-slu'
        ) from error

    device = cv2.VideoCapture(camera)
    try:
        if not device.isOpened():
            raise ValueError(f"expected a camera, found none at {camera!r}: plug it in, or give the number of another")
        device.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # old pictures are of no use; cameras that cannot, ignore it
        begin, last = time.monotonic(), -1.0
        while True:
            is_there, picture = device.read()
            if not is_there:
                return
            now = time.monotonic() - begin
            last = now if now > last else last + 1e-6
            yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), last
    finally:
        device.release()
