"""From a video to the clip of one person in it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import numpy as np

from modeling_sigma.extraction.estimator_protocol import BatchPoseEstimator, PoseEstimator
from modeling_sigma.extraction.estimators import DEFAULT_ESTIMATOR, describe_estimator, kept_estimator
from modeling_sigma.extraction.video import DecodingLog, frame_rate, read_frames
from modeling_sigma.io.detections import MAX_FRAMES, Detection, check_num_frames, check_person, clip_of
from modeling_sigma.io.person_tracking import follow_person
from modeling_sigma.io.reading_errors import MissingExtraError, naming_file
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import get_layout


def estimate_clip(
    path: str | os.PathLike[str],
    estimator: PoseEstimator | str | None = None,
    person: int = 0,
    broken: list[str] | None = None,
) -> PoseClip:
    """The clip of one person in a video.

    People are tracked by place and size; the first is the signer, the person seen most often, largest and best. Frames
    in which the person is not seen get score 0.

    Args:
        path (`str` or `os.PathLike`):
            The video.
        estimator (`PoseEstimator` or `str`, *optional*):
            The estimator that finds the keypoints, or a name from `ESTIMATORS`; `"mediapipe"` by default.
        person (`int`, *optional*, defaults to 0):
            The index of the person: 0 is the signer.
        broken (`list[str]`, *optional*):
            A list to which an error is added for each part of the video that cannot be decoded, and is left out. There
            is a warning by default.

    Raises:
        ValueError: if the file is no video, if nobody is seen in it, if there are fewer people, or if the estimator's
            output does not fit its layout; as `MissingExtraError` if no estimator is installed.
        OSError: if there is no such file or it cannot be read.
    """
    with naming_file(path, "a video"):
        check_person(person)
    if not Path(path).exists():
        raise FileNotFoundError(f"{os.fspath(path)}: no such file")
    with naming_file(path, "a video"):
        model = _find_estimator(path, estimator)
    fps = frame_rate(path)
    frames: list[Detection] = []
    height = width = 0
    log = DecodingLog()
    pictures = islice(read_frames(path, log), MAX_FRAMES + 1)
    with model.video(fps) if hasattr(model, "video") else nullcontext():
        while batch := list(islice(pictures, model.batch_size if isinstance(model, BatchPoseEstimator) else 1)):
            height, width = batch[0].shape[:2]
            for detection in _detections(model, batch, path):
                frames.append(_checked(detection, model, path))
    with naming_file(path, "a video"):
        if not frames:
            why = f"that can be decoded ({log.broken[0][:99]})" if log.broken else "in it"
            raise ValueError(f"expected a video, found no frame {why}: record or copy it again")
        check_num_frames(len(frames))
        picks = follow_person(frames, person)
        maker = describe_estimator(model)
        fps = log.frame_rate(fps)
        clip = clip_of(frames, picks, model.layout, fps, width, height, coordinates="pixels", estimator=maker)
    if broken is not None:
        broken += log.broken
    elif log.broken:
        message = f"{os.fspath(path)}: left out {len(log.broken)} broken frames ({log.broken[0][:99]})"
        warnings.warn(message, stacklevel=2)
    return clip


def _find_estimator(path: str | os.PathLike[str], estimator: PoseEstimator | str | None) -> PoseEstimator:
    if estimator is not None and not isinstance(estimator, str):
        return estimator
    try:
        return kept_estimator(estimator or DEFAULT_ESTIMATOR)
    except MissingExtraError as error:
        raise MissingExtraError(f"{os.fspath(path)}: {error}") from error


def _detections(
    model: PoseEstimator, batch: Sequence[np.ndarray], path: str | os.PathLike[str]
) -> Iterator[Detection]:
    try:
        if isinstance(model, BatchPoseEstimator):
            yield from model.detect_batch(batch)
        else:
            yield from (model(picture) for picture in batch)
    except ValueError as error:
        if type(error) is not ValueError or str(error).startswith(os.fspath(path)):
            raise
        raise ValueError(f"{os.fspath(path)}: {error}") from error


def _checked(detection: Detection, model: PoseEstimator, path: str | os.PathLike[str]) -> Detection:
    keypoints, scores = (np.asarray(array) for array in detection)
    num_keypoints = get_layout(model.layout).num_keypoints
    if keypoints.shape[1:] != (num_keypoints, 2) or scores.shape != keypoints.shape[:2]:
        raise ValueError(
            f"{os.fspath(path)}: expected keypoints (N, {num_keypoints}, 2) and scores (N, {num_keypoints}) of "
            f"estimator {model.name}, received {keypoints.shape} and {scores.shape}: its layout is {model.layout}"
        )
    return keypoints, scores
