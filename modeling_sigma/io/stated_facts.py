"""Finds the frame rate, image size and unit of a clip under the names that files give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


_NAMES = {
    "fps": ("fps", "frame_rate", "frameRate", "framerate"),
    "width": ("width", "frame_width", "image_width", "video_width", "frameWidth", "imageWidth", "videoWidth"),
    "height": ("height", "frame_height", "image_height", "video_height", "frameHeight", "imageHeight", "videoHeight"),
    "aspect_ratio": ("aspect_ratio",),
}
_LONGEST_ESTIMATOR = 500  # characters
# Height and width, as numpy gives a picture's shape.
_SHAPES = ("img_shape", "original_shape")
_FOLDED = ("metadata", "meta", "meta_info", "info", "video_info", "video", "video_metadata")


def stated_facts(content: Mapping[Any, Any]) -> dict[str, Any]:
    """What a dictionary states, either directly or in its `metadata`: `fps`, `width` and `height`, `coordinates`,
    `aspect_ratio`, and `estimator`, as `save_clip` writes it.

    Raises:
        ValueError: for a number that is not positive.
    """
    stated: dict[str, Any] = {}
    for place in (content, *(content[name] for name in _FOLDED if isinstance(content.get(name), Mapping))):
        for fact, names in _NAMES.items():
            value = next((place[name] for name in names if place.get(name) is not None), None)
            if value is not None and fact not in stated:
                stated[fact] = _positive(value, fact)
    shape = next((content[name] for name in _SHAPES if content.get(name) is not None), None)
    if shape is not None and len(shape) == 2 and not stated.keys() & {"width", "height"}:
        stated["height"], stated["width"] = (_positive(side, "img_shape") for side in shape)
    if not {"width", "height"} <= stated.keys():  # half a size is no size
        stated = {name: value for name, value in stated.items() if name not in ("width", "height")}
    facts: dict[str, Any] = {
        name: int(value) if name in ("width", "height") else value for name, value in stated.items()
    }
    if content.get("coordinates") is not None:
        facts["coordinates"] = str(content["coordinates"])
    estimator = content.get("estimator")
    if isinstance(estimator, np.ndarray) and estimator.dtype.kind == "U" and estimator.size == 1:
        estimator = estimator.item()
    if isinstance(estimator, str):
        facts["estimator"] = estimator[:_LONGEST_ESTIMATOR]
    return facts


def _positive(value: Any, name: str) -> float:
    if type(value) in (list, tuple) and len(value) == 1:
        (value,) = value
    number = np.asarray(value if isinstance(value, (int, float, np.generic, np.ndarray)) else None)
    if number.size != 1 or number.dtype.kind not in "fiu":
        raise ValueError(f"expected {name} as one number, received {number.dtype} of shape {number.shape}: remove it")
    if not (np.isfinite(number.item()) and number.item() > 0):
        raise ValueError(f"expected a positive number for {name}, received {number.item()!r}: leave it out if unknown")
    return float(number.item())
