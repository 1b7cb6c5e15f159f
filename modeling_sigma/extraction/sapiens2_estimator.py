"""Sapiens2, transformers' own whole-body estimator, behind a person detector of transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from modeling_sigma.extraction.estimator_protocol import EstimatorOption
from modeling_sigma.io.detections import Detection, nobody
from modeling_sigma.io.reading_errors import DeviceError, one_line
from modeling_sigma.jobs.torch_devices import usable_device
from modeling_sigma.model.skeleton_layouts import get_layout


_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# The corners of the mouth, and the points halfway along the lips: (the subject's right, left) once sorted.
_LIP_RIGHT, _LIP_LEFT = 204, 205
_UNSORTED_PAIRS = ((208, 209), (211, 210))

_Loaded = TypeVar("_Loaded")


class Sapiens2Estimator:
    """Sapiens2: 308 keypoints, on any torch device. The networks come from the Hub, or from folders.

    The detector finds the persons in every frame; the largest boxes are cropped and go through the pose network, in
    batches. Needs no package but transformers and torch. Mind the license of each checkpoint.

    Args:
        model (`str`, *optional*, defaults to `"facebook/sapiens2-pose-0.4b"`):
            The Sapiens2 checkpoint for pose estimation with 308 keypoints.
        detector (`str`, *optional*, defaults to `"PekingU/rtdetr_r18vd"`):
            Any object detector from transformers that knows the label "person".
        device (`str`, *optional*, defaults to `"cpu"`):
            The torch device to compute on.
        batch_size (`int`, *optional*, defaults to 8):
            The number of frames per batch of the detector, and of persons per batch of the pose network.
        max_persons (`int`, *optional*, defaults to 3):
            The largest number of persons per frame; the largest boxes are kept.
        box_threshold (`float`, *optional*, defaults to 0.5):
            The lowest score, 0 to 1, at which the detector's box counts as a person.
        dtype (`str`, *optional*, defaults to `"float32"`):
            The precision of the pose network; `"bfloat16"` halves its memory on a GPU.

    Raises:
        ValueError: for networks that cannot be loaded or are of another kind, and for a device that is not there.
    """

    layout: ClassVar[str] = "sapiens_308"
    options: ClassVar[dict[str, EstimatorOption]] = {
        "model": EstimatorOption("checkpoint for pose estimation (default facebook/sapiens2-pose-0.4b)"),
        "detector": EstimatorOption("object detector from transformers (default PekingU/rtdetr_r18vd)"),
        "max_persons": EstimatorOption("number of persons per frame, the largest first (default 3)", int),
        "box_threshold": EstimatorOption("lowest score of a detected person, 0 to 1 (default 0.5)", float),
        "dtype": EstimatorOption("precision of the pose network: float32 (default), bfloat16 or float16"),
        "batch_size": EstimatorOption("number of frames per batch (default 8)", int, decides_keypoints=False),
    }

    def __init__(
        self,
        model: str = "facebook/sapiens2-pose-0.4b",
        detector: str = "PekingU/rtdetr_r18vd",
        device: str = "cpu",
        batch_size: int = 8,
        max_persons: int = 3,
        box_threshold: float = 0.5,
        dtype: str = "float32",
    ) -> None:
        import torch
        from transformers import AutoImageProcessor, AutoModelForObjectDetection, Sapiens2ForPoseEstimation

        if batch_size < 1 or max_persons < 1:
            raise ValueError(f"expected batch_size and max_persons from 1, received {batch_size} and {max_persons}")
        if dtype not in ("float32", "bfloat16", "float16"):
            raise ValueError(f"expected dtype float32, bfloat16 or float16, received {dtype!r}")
        self.batch_size, self.max_persons, self.box_threshold = batch_size, max_persons, box_threshold
        self._device = usable_device(device)
        self._dtype = getattr(torch, dtype)
        pose = _loaded(lambda: Sapiens2ForPoseEstimation.from_pretrained(model, dtype=self._dtype), model)
        boxes = _loaded(lambda: AutoModelForObjectDetection.from_pretrained(detector), detector)
        # The PIL backend is available on every machine, so that equal pictures give equal boxes on all of them.
        self._processor: Any = _loaded(lambda: AutoImageProcessor.from_pretrained(detector, backend="pil"), detector)
        num_keypoints = get_layout(self.layout).num_keypoints
        if pose.config.num_labels != num_keypoints:
            raise ValueError(
                f"{model}: expected a Sapiens2 network with {num_keypoints} keypoints, found one with "
                f"{pose.config.num_labels}: use a checkpoint for pose estimation"
            )
        self._person_labels = {label for label, name in boxes.config.id2label.items() if name.lower() == "person"}
        if not self._person_labels:
            raise ValueError(f"{detector}: expected a detector with the label person, found none: choose another one")
        self._pose: Any = pose.to(self._device).eval()
        self._detector: Any = boxes.to(self._device).eval()
        self._size, mean, std = _input_format(model, pose.config)
        self._mean, self._std = (torch.tensor(values, device=self._device)[:, None, None] for values in (mean, std))
        self.name = f"sapiens2-{_public_name(model)}"
        self.versions = {
            **{package: version(package) for package in ("transformers", "torch")},
            "model": _identity(model, pose.config),
            "detector": _identity(detector, boxes.config),
            "dtype": dtype,
        }

    def __call__(self, frame: np.ndarray) -> Detection:
        """Finds the persons in one frame `(H, W, 3)`, uint8, RGB."""
        return self.detect_batch([frame])[0]

    def detect_batch(self, frames: Sequence[np.ndarray]) -> list[Detection]:
        """Finds the persons in several frames, each `(H, W, 3)`, uint8, RGB.

        Raises:
            ValueError: as `DeviceError`, if the device runs out of memory.
        """
        import torch

        try:
            with torch.inference_mode():
                return self._detect(frames)
        except torch.OutOfMemoryError as error:
            raise DeviceError(f"{self._device} is out of memory: use a batch size below {self.batch_size}") from error

    def _detect(self, frames: Sequence[np.ndarray]) -> list[Detection]:
        import torch

        from modeling_sigma.extraction.heatmaps import crop_persons, crop_windows, decode_heatmaps, place_in_image

        boxes = self._find_persons(frames)
        crops, windows = [], []
        for frame, frame_boxes in zip(frames, boxes, strict=True):
            image = torch.from_numpy(np.ascontiguousarray(frame)).to(self._device).permute(2, 0, 1).float()
            crops.append(crop_persons(image, frame_boxes, self._size))
            windows.append(crop_windows(frame_boxes, self._size))
        pixels = (torch.cat(crops) / 255 - self._mean) / self._std  # (N, 3, H, W)
        corners, extents = (torch.cat(parts) for parts in zip(*windows))
        keypoints, scores = [], []
        for start in range(0, len(pixels), self.batch_size):
            chosen = slice(start, start + self.batch_size)
            heatmaps = self._pose(pixel_values=pixels[chosen].to(self._dtype)).heatmaps  # (n, 308, H / 4, W / 4)
            points, certainty = decode_heatmaps(heatmaps)
            placed = place_in_image(points, (heatmaps.shape[2], heatmaps.shape[3]), corners[chosen], extents[chosen])
            keypoints.append(placed.cpu().numpy())
            scores.append(certainty.cpu().numpy())
        if not keypoints:
            return [nobody(get_layout(self.layout).num_keypoints) for _ in frames]
        everyone = sort_lip_pairs(np.concatenate(keypoints), np.concatenate(scores))
        ends = np.cumsum([len(frame_boxes) for frame_boxes in boxes])[:-1]
        return list(zip(*(np.split(array, ends) for array in everyone)))

    def _find_persons(self, frames: Sequence[np.ndarray]) -> list[Any]:
        """The largest boxes of persons in each frame, `(n, 4)` in pixels: x_min, y_min, x_max, y_max."""
        import torch

        inputs = self._processor(images=list(frames), return_tensors="pt").to(self._device)
        outputs = self._detector(**inputs)
        results = self._processor.post_process_object_detection(
            outputs, threshold=self.box_threshold, target_sizes=[frame.shape[:2] for frame in frames]
        )
        found = []
        for result in results:
            labels = result["labels"].tolist()
            is_person = torch.tensor([label in self._person_labels for label in labels], dtype=torch.bool)
            boxes = result["boxes"][is_person.to(self._device)].float().reshape(-1, 4)
            areas = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)
            found.append(boxes[areas.argsort(descending=True, stable=True)[: self.max_persons]])
        return found


def sort_lip_pairs(keypoints: np.ndarray, scores: np.ndarray) -> Detection:
    """Sorts the points halfway along the lips, whose order is not published, into that of layout `sapiens_308`.

    Args:
        keypoints (`np.ndarray` of shape `(N, 308, 2)`), scores (`np.ndarray` of shape `(N, 308)`):
            The persons as the network finds them.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: the sorted keypoints and scores. In each pair, the right point is the one that
        comes first from the right corner of the mouth to the left one. Keypoints with score 0 are at (0, 0).
    """
    keypoints, scores = keypoints.copy(), scores.copy()
    for right, left in _UNSORTED_PAIRS:
        # Along the line from the right corner to the left one, the right point comes first.
        across = keypoints[:, _LIP_LEFT] - keypoints[:, _LIP_RIGHT]  # (N, 2)
        is_swapped = ((keypoints[:, right] - keypoints[:, left]) * across).sum(axis=1) > 0
        for array in (keypoints, scores):
            array[is_swapped, right], array[is_swapped, left] = array[is_swapped, left], array[is_swapped, right]
    keypoints[scores <= 0] = 0
    return keypoints, scores


def _loaded(load: Callable[[], _Loaded], name: str) -> _Loaded:
    try:
        return load()
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(
            f"{name} could not be loaded ({type(error).__name__}: {one_line(error)[:150]}): go online once, or give a "
            "folder that holds it"
        ) from error


def _input_format(model: str, config: Any) -> tuple[tuple[int, int], Sequence[float], Sequence[float]]:
    """The height and width of the network's input, and the mean and standard deviation of its colours (0 to 1)."""
    from transformers.image_processing_utils import BaseImageProcessor

    try:
        settings: dict[str, Any] = BaseImageProcessor.get_image_processor_dict(model)[0]
    except OSError:  # the checkpoint has no such file
        settings = {}
    size = settings.get("size", {})
    height, width = (size["height"], size["width"]) if "height" in size else _pair(config.image_size)
    return (
        (int(height), int(width)),
        settings.get("image_mean", _IMAGENET_MEAN),
        settings.get("image_std", _IMAGENET_STD),
    )


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _public_name(model: str) -> str:
    return Path(model).name  # folder or Hub name, without the owner and this machine's folders


def _identity(model: str, config: Any) -> str:
    commit = getattr(config, "_commit_hash", None)
    name = _public_name(model) if Path(model).is_dir() else model
    return f"{name} at {commit}" if commit else name
