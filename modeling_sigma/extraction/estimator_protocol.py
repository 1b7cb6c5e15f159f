"""The interface of pose estimators: they find the persons in a picture, and have a name and options."""

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
            The help text: what to give, and the default.
        type (`Callable[[str], Any]`, *optional*, defaults to `str`):
            A function that converts the typed text into the value.
        decides_keypoints (`bool`, *optional*, defaults to `True`):
            Whether another value may give other keypoints. All clips of a folder share one set of such values.
    """

    help: str
    type: Callable[[str], Any] = str
    decides_keypoints: bool = True


class PoseEstimator(Protocol):
    """What `estimate_clip` needs from an estimator; any object like this will do.

    Attributes:
        name (`str`):
            The name in data sets and model cards: two estimators make two different clips of the same video.
        layout (`str`):
            The layout of its keypoints, a name from `modeling_sigma.model.skeleton_layouts.LAYOUTS`.
        versions (`dict[str, str]`, *optional*):
            The packages and networks it uses, with their versions, for manifests.

        options (`Mapping[str, EstimatorOption]`, *optional*):
            The arguments of its class, besides `device`, that the command line offers.

    An estimator that takes several frames at a time is a [`BatchPoseEstimator`]. One that remembers earlier frames has
    a method `video(fps)`: a context in which all frames come from one video.
    """

    @property
    def name(self) -> str: ...

    @property
    def layout(self) -> str: ...

    def __call__(self, frame: np.ndarray) -> Detection:
        """Finds the persons in one frame.

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
        """Finds the persons in each of at most `batch_size` frames, as `PoseEstimator.__call__` does in one."""
        ...


def needs_estimator(extra: str) -> str:
    """The message for an estimator that is not installed."""
    return f'reading a video needs a pose estimator: pip install -e ".[{extra}]" in the folder of sigma-slu'
