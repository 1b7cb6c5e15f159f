"""From a video to a clip: the whole-body estimators that can be used, and the one person they are asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np

from modeling_sigma.extraction.mediapipe_estimator import MediapipeEstimator
from modeling_sigma.extraction.rtmlib_estimator import RtmlibEstimator, needs_estimator
from modeling_sigma.extraction.sapiens2_estimator import Sapiens2Estimator
from modeling_sigma.extraction.video import read_frames, video_info
from modeling_sigma.io.detections import (
    MAX_FRAMES,
    Detection,
    by_box_area,
    check_num_frames,
    check_person,
    clip_of,
    follow_person,
)
from modeling_sigma.io.reading_errors import MissingExtraError, naming_file
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import get_layout


class PoseEstimator(Protocol):
    """What `estimate_clip` needs of an estimator; any object like this will do.

    Attributes:
        name (`str`):
            What to call it in data sets and model cards: two estimators give two different clips of one video.
        layout (`str`):
            A name of `modeling_sigma.model.skeleton_layouts.LAYOUTS`.
        versions (`dict[str, str]`, *optional*):
            Packages and networks with their versions, for manifests.

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


# By the name that `--estimator` takes.
ESTIMATORS: Mapping[str, Callable[..., PoseEstimator]] = MappingProxyType(
    {"rtmlib": RtmlibEstimator, "sapiens2": Sapiens2Estimator, "mediapipe": MediapipeEstimator}
)


def make_estimator(name: str, **options: Any) -> PoseEstimator:
    """The estimator called `name`.

    Args:
        name (`str`):
            A name of `ESTIMATORS`.
        options:
            Arguments of its class: `RtmlibEstimator`, `Sapiens2Estimator` or `MediapipeEstimator`.

    Raises:
        ValueError: for another name, or what the class raises; also `MissingExtraError` where it needs a package that
            is not installed.
    """
    if name not in ESTIMATORS:
        raise ValueError(f"expected estimator {' or '.join(ESTIMATORS)}, received {name!r}")
    return ESTIMATORS[name](**options)


def estimate_clip(
    path: str | os.PathLike[str],
    estimator: PoseEstimator | str | None = None,
    person: int = 0,
    progress: Callable[[int, int | None], None] | None = None,
) -> PoseClip:
    """The clip of one person of a video.

    Persons are numbered in the first frame that has enough of them, the one with the largest box first, and followed
    by position. Frames in which the person is not seen get score 0.

    Args:
        path (`str` or `os.PathLike`):
            The video.
        estimator (`PoseEstimator` or `str`, *optional*):
            An estimator, or a name of `ESTIMATORS`; `"rtmlib"` by default.
        person (`int`, *optional*, defaults to 0):
            Which person.
        progress (*optional*):
            Called after each frame with the number of frames done and, where the video states it, of all frames.

    Raises:
        ValueError: if the file is no video, nobody is seen in it, no frame has so many persons, or the estimator's
            output does not fit its layout; also `MissingExtraError` where no estimator is installed.
        OSError: if there is no such file or it cannot be read.
    """
    with naming_file(path, "a video"):
        check_person(person)
    if not Path(path).exists():
        raise FileNotFoundError(f"{os.fspath(path)}: no such file")
    with naming_file(path, "a video"):
        model = _find_estimator(path, estimator)
    info = video_info(path)
    frames: list[Detection] = []
    height = width = 0
    pictures = islice(read_frames(path), MAX_FRAMES + 1)
    with model.video(info.fps) if hasattr(model, "video") else nullcontext():
        while batch := list(islice(pictures, model.batch_size if isinstance(model, BatchPoseEstimator) else 1)):
            height, width = batch[0].shape[:2]
            for detection in _detections(model, batch):
                frames.append(_checked(detection, model, path))
                if progress is not None:
                    progress(len(frames), info.num_frames)
    with naming_file(path, "a video"):
        check_num_frames(len(frames))
        picks = follow_person(frames, person, rank=by_box_area)
        return clip_of(frames, picks, model.layout, info.fps, width, height)


def _find_estimator(path: str | os.PathLike[str], estimator: PoseEstimator | str | None) -> PoseEstimator:
    if estimator is not None and not isinstance(estimator, str):
        return estimator
    if estimator is None and "rtmlib" not in sys.modules and find_spec("rtmlib") is None:
        raise MissingExtraError(f"{os.fspath(path)}: {needs_estimator('rtmlib')}")
    try:
        return make_estimator(estimator or "rtmlib")
    except MissingExtraError as error:
        raise MissingExtraError(f"{os.fspath(path)}: {error}") from error


def _detections(model: PoseEstimator, batch: Sequence[np.ndarray]) -> Iterator[Detection]:
    if isinstance(model, BatchPoseEstimator):
        yield from model.detect_batch(batch)
    else:
        yield from (model(picture) for picture in batch)


def _checked(detection: Detection, model: PoseEstimator, path: str | os.PathLike[str]) -> Detection:
    keypoints, scores = (np.asarray(array) for array in detection)
    num_keypoints = get_layout(model.layout).num_keypoints
    if keypoints.shape[1:] != (num_keypoints, 2) or scores.shape != keypoints.shape[:2]:
        raise ValueError(
            f"{os.fspath(path)}: expected keypoints (N, {num_keypoints}, 2) and scores (N, {num_keypoints}) of "
            f"estimator {model.name}, received {keypoints.shape} and {scores.shape}: its layout is {model.layout}"
        )
    return keypoints, scores
