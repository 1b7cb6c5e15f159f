"""From a video to a clip: the whole-body estimators that can be used, and the one person they are asked for."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np

from modeling_sigma.io.detections import (
    MAX_FRAMES,
    Detection,
    by_box_area,
    check_num_frames,
    check_person,
    clip_of,
    follow_person,
)
from modeling_sigma.io.reading_errors import MissingExtraError, naming_file, one_line
from modeling_sigma.io.video import read_frames, video_info
from modeling_sigma.pose_clip import PoseClip
from modeling_sigma.skeleton_layouts import get_layout


class PoseEstimator(Protocol):
    """What `estimate_clip` needs of an estimator; any object like this will do.

    Attributes:
        name (`str`):
            What to call it in data sets and model cards: two estimators give two different clips of one video.
        layout (`str`):
            A name of `modeling_sigma.skeleton_layouts.LAYOUTS`.
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


class RtmlibEstimator:
    """RTMW through the `rtmlib` package: 133 keypoints, on a CPU or a GPU. Its networks are downloaded at first use.

    Args:
        mode (`str`, *optional*, defaults to `"balanced"`):
            `"lightweight"`, `"balanced"` or `"performance"`.
        device (`str`, *optional*, defaults to `"cpu"`):
            `"cpu"`, `"cuda"` or what else `rtmlib` knows.

    Raises:
        ValueError: for another mode, a GPU that cannot be used, or networks that cannot be fetched; also
            `MissingExtraError` where `rtmlib` is not installed.
    """

    package: ClassVar[str] = "rtmlib"
    extra: ClassVar[str] = "rtmlib"
    layout: ClassVar[str] = "coco_wholebody_133"

    def __init__(self, mode: str = "balanced", device: str = "cpu") -> None:
        if mode not in ("lightweight", "balanced", "performance"):
            raise ValueError(f"expected mode lightweight, balanced or performance, received {mode!r}")
        try:
            import rtmlib
        except ImportError as error:
            raise MissingExtraError(f"{_needs_estimator(self.extra)} ({one_line(error)})") from error
        if device.startswith("cuda"):
            _check_cuda()
        self.name = f"rtmlib-wholebody-{mode}"
        try:
            with contextlib.redirect_stdout(sys.stderr):  # it reports what it loads; our output may be parsed
                self._model: Any = rtmlib.Wholebody(mode=mode, to_openpose=False, backend="onnxruntime", device=device)
        except Exception as error:  # of the network, the archive or the runtime: the library lets all of them pass
            raise ValueError(
                f"rtmlib could not load the networks of mode {mode} ({type(error).__name__}: {one_line(error)[:99]}): "
                "they are downloaded at first use, so go online once, or copy rtmlib's cache folder"
            ) from error

    def __call__(self, frame: np.ndarray) -> Detection:
        image = np.ascontiguousarray(frame[..., ::-1])  # rtmlib expects BGR
        boxes = self._model.det_model(image)
        if len(boxes) == 0:  # asked for no boxes, rtmlib would place a person on the whole picture
            num_keypoints = get_layout(self.layout).num_keypoints
            return np.zeros((0, num_keypoints, 2), np.float32), np.zeros((0, num_keypoints), np.float32)
        keypoints, scores = self._model.pose_model(image, bboxes=boxes)
        return np.asarray(keypoints, np.float32), np.asarray(scores, np.float32)


ESTIMATORS: Mapping[str, type[RtmlibEstimator]] = MappingProxyType({"rtmlib": RtmlibEstimator})


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
            An estimator, or a name of `ESTIMATORS`; by default the first of these that is installed.
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
    for picture in read_frames(path):
        height, width = picture.shape[:2]
        frames.append(_checked(model(picture), model, path))
        if len(frames) > MAX_FRAMES:
            break
        if progress is not None:
            progress(len(frames), info.num_frames)
    with naming_file(path, "a video"):
        check_num_frames(len(frames))
        picks = follow_person(frames, person, rank=by_box_area)
        return clip_of(frames, picks, model.layout, info.fps, width, height)


def _find_estimator(path: str | os.PathLike[str], estimator: PoseEstimator | str | None) -> PoseEstimator:
    if estimator is None:
        for kind in ESTIMATORS.values():
            if kind.package in sys.modules or find_spec(kind.package) is not None:
                return _made(path, kind)
        extras = " or ".join(f'pip install "sigma-slu[{kind.extra}]"' for kind in ESTIMATORS.values())
        raise MissingExtraError(f"{os.fspath(path)}: reading a video needs a pose estimator: {extras}")
    if isinstance(estimator, str):
        if estimator not in ESTIMATORS:
            raise ValueError(f"expected estimator {' or '.join(ESTIMATORS)}, received {estimator!r}")
        return _made(path, ESTIMATORS[estimator])
    return estimator


def _made(path: str | os.PathLike[str], kind: type[RtmlibEstimator]) -> PoseEstimator:
    try:
        return kind()
    except MissingExtraError as error:
        raise MissingExtraError(f"{os.fspath(path)}: {error}") from error


def _needs_estimator(extra: str) -> str:
    return f'reading a video needs a pose estimator: pip install "sigma-slu[{extra}]"'


def _check_cuda() -> None:
    # Without its GPU build onnxruntime runs on the CPU and says nothing.
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise ValueError(
            "expected onnxruntime with CUDA, received one without, which would run on the CPU: "
            "pip install onnxruntime-gpu, or use device='cpu'"
        )


def _checked(detection: Detection, model: PoseEstimator, path: str | os.PathLike[str]) -> Detection:
    keypoints, scores = (np.asarray(array) for array in detection)
    num_keypoints = get_layout(model.layout).num_keypoints
    if keypoints.shape[1:] != (num_keypoints, 2) or scores.shape != keypoints.shape[:2]:
        raise ValueError(
            f"{os.fspath(path)}: expected keypoints (N, {num_keypoints}, 2) and scores (N, {num_keypoints}) of "
            f"estimator {model.name}, received {keypoints.shape} and {scores.shape}: its layout is {model.layout}"
        )
    return keypoints, scores
