"""RTMW and RTMPose through the `rtmlib` package."""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from modeling_sigma.extraction.estimator_protocol import EstimatorOption, needs_estimator
from modeling_sigma.io.detections import Detection, nobody
from modeling_sigma.io.reading_errors import MissingExtraError, one_line
from modeling_sigma.model.skeleton_layouts import get_layout


class RtmlibEstimator:
    """RTMW through the `rtmlib` package: 133 keypoints, on a CPU or a GPU. Its networks are downloaded at first use.

    Args:
        mode (`str`, *optional*, defaults to `"balanced"`):
            The size of the networks: `"lightweight"`, `"balanced"` or `"performance"`.
        device (`str`, *optional*, defaults to `"cpu"`):
            The device: `"cpu"`, `"cuda"` or another that `rtmlib` knows.
        detector, model (`str`, *optional*):
            Your own ONNX files instead of the mode's: a YOLOX that finds persons, and an RTMPose or RTMW with 133
            keypoints. Give both or neither; the sizes of their inputs are read from them.

    Raises:
        ValueError: for another mode, a GPU that cannot be used, or networks that cannot be fetched; as
            `MissingExtraError` if `rtmlib` is not installed.
    """

    layout: ClassVar[str] = "coco_wholebody_133"
    options: ClassVar[dict[str, EstimatorOption]] = {
        "mode": EstimatorOption("size of the networks: lightweight, balanced (default) or performance"),
        "model": EstimatorOption("your own ONNX pose network, together with --detector"),
        "detector": EstimatorOption("your own ONNX person detector, together with --model"),
    }

    def __init__(
        self, mode: str = "balanced", device: str = "cpu", detector: str | None = None, model: str | None = None
    ) -> None:
        if mode not in ("lightweight", "balanced", "performance"):
            raise ValueError(f"expected mode lightweight, balanced or performance, received {mode!r}")
        if (detector is None) != (model is None):
            raise ValueError("expected both ONNX files, detector and model, or none: rtmlib runs one after the other")
        if not re.fullmatch(r"cpu|cuda(:\d+)?|rocm|mps", device):
            raise ValueError(f"expected device cpu, cuda, cuda:1, rocm or mps for rtmlib, received {device!r}")
        try:
            import rtmlib
        except ImportError as error:
            raise MissingExtraError(f"{needs_estimator('rtmlib')} ({one_line(error)})") from error
        if device.startswith("cuda"):
            _check_cuda()
        self.name = f"rtmlib-wholebody-{mode if model is None else 'custom'}"
        options: dict[str, Any] = {"mode": mode, "to_openpose": False, "backend": "onnxruntime", "device": device}
        if detector is not None and model is not None:
            options.update(det=detector, det_input_size=_input_size(detector))
            options.update(
                pose=model, pose_input_size=_input_size(model)[::-1]
            )  # width first, unlike that of the detector
        try:
            with contextlib.redirect_stdout(sys.stderr):  # it reports what it loads; our output may be parsed
                self._model: Any = rtmlib.Wholebody(**options)
        except Exception as error:  # network, archive and runtime raise many kinds, and rtmlib passes them on
            raise ValueError(
                f"rtmlib could not load the networks of mode {mode} ({type(error).__name__}: {one_line(error)[:99]}): "
                "they are downloaded at first use, so go online once, or copy rtmlib's cache folder"
            ) from error

    @property
    def versions(self) -> dict[str, str]:
        """The versions of packages and networks: equal ones give equal keypoints."""
        return {
            **{package: version(package) for package in ("rtmlib", "onnxruntime")},
            "detector": _file_identity(self._model.det_model.onnx_model),
            "model": _file_identity(self._model.pose_model.onnx_model),
        }

    def __call__(self, frame: np.ndarray) -> Detection:
        image = np.ascontiguousarray(frame[..., ::-1])  # rtmlib expects BGR
        boxes = self._model.det_model(image)
        if len(boxes) == 0:  # given no boxes, rtmlib would take the whole picture for a person
            return nobody(get_layout(self.layout).num_keypoints)
        keypoints, scores = self._model.pose_model(image, bboxes=boxes)
        return np.asarray(keypoints, np.float32), np.asarray(scores, np.float32)


def _check_cuda() -> None:
    # Without its GPU build, onnxruntime silently runs on the CPU.
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise ValueError(
            "expected onnxruntime with CUDA, received one without, which would run on the CPU: "
            "pip install onnxruntime-gpu, or use device='cpu'"
        )


def _input_size(path: str) -> tuple[int, int]:
    """Height and width of the pictures that a network of an ONNX file takes."""
    import onnxruntime

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such ONNX file")
    try:
        shape = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()[0].shape
    except Exception as error:  # the runtime has exceptions of its own
        raise ValueError(f"{path}: cannot be read as an ONNX network ({one_line(error)[:99]})") from error
    if len(shape) != 4 or not all(isinstance(size, int) for size in shape[2:]):
        raise ValueError(f"{path}: expected a network for pictures (N, 3, height, width), received {shape}")
    return shape[2], shape[3]


def _file_identity(path: str) -> str:
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return f"{Path(path).name} (sha256 {digest[:16]})"
