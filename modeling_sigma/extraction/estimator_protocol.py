"""What a pose estimator is: the persons of a picture, under a name and with options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from modeling_sigma.io.detections import Detection


@dataclass(frozen=True)
class EstimatorOption:
    """An argument of an estimator's class that `extract-poses` offers.

    Args:
        help (`str`):
            What to give, and the default.
        type (`Callable[[str], Any]`, *optional*, defaults to `str`):
            Makes the value of what is typed.
        decides_keypoints (`bool`, *optional*, defaults to `True`):
            Whether another value may give other keypoints; a folder of clips has one set of such values.
    """

    help: str
    type: Callable[[str], Any] = str
    decides_keypoints: bool = True


class PoseEstimator(Protocol):
    """What `estimate_clip` needs of an estimator; any object like this will do.

    Attributes:
        name (`str`):
            What to call it in data sets and model cards: two estimators give two different clips of one video.
        layout (`str`):
            A name of `modeling_sigma.model.skeleton_layouts.LAYOUTS`.
        versions (`dict[str, str]`, *optional*):
            Packages and networks with their versions, for manifests.

        options (`Mapping[str, EstimatorOption]`, *optional*):
            Arguments of its class, besides `device`, that the command line offers.

    An estimator that takes several frames at a time is a [`BatchPoseEstimator`]. One that remembers earlier frames has
    a method `video(fps)`: a context in which the frames are those of one video.
    """

    @property
    def name(self) -> str: ...

    @property
    def layout(self) -> str: ...

    def __call__(self, frame: np.ndarray) -> Detection:
        """Finds the persons of one frame.

        Args:
            frame (`np.ndarray` of shape `(H, W, 3)`):
                The picture: uint8, RGB.

        Returns:
            `tuple[np.ndarray, np.ndarray]`: keypoints `(N, K, 2)` in pixels and scores `(N, K)` of N persons, where
            N may be 0.
        """
        ...


@runtime_checkable
class BatchPoseEstimator(Protocol):
    """A [`PoseEstimator`] that works on `batch_size` frames at a time."""

    batch_size: int

    def detect_batch(self, frames: Sequence[np.ndarray]) -> list[Detection]:
        """As `PoseEstimator.__call__`, for each of at most `batch_size` frames."""
        ...


def needs_estimator(extra: str) -> str:
    """The message of a missing estimator."""
    return f'reading a video needs a pose estimator: pip install -e ".[{extra}]" in the folder of sigma-slu'
