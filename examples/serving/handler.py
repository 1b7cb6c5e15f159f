"""A handler for Hugging Face Inference Endpoints: put it into the repository of a published model, beside config.json.

The model brings its own code (`trust_remote_code`), so the endpoint needs torch and transformers, and no package of
ours. Clips come as JSON: `{"inputs": {"keypoints": [...], "scores": [...]}, "parameters": {"top_k": 5}}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import pipeline


# Of clips: what a request may ask a model to read.
MAX_CLIPS, MAX_FRAMES = 64, 3600


class EndpointHandler:
    """Answers requests with the pipeline that a model is meant for.

    Args:
        path (`str`):
            The folder of the model.

    Raises:
        ValueError: if the folder does not name a pipeline.
    """

    def __init__(self, path: str = "") -> None:
        config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
        tasks = list(config.get("custom_pipelines") or {})
        if not tasks:
            raise ValueError(f"{path}: expected the folder of a published model, found no pipeline in its config.json")
        device = 0 if torch.cuda.is_available() else -1
        self.pipe = pipeline(tasks[0], model=path, trust_remote_code=True, device=device)

    def __call__(self, data: Mapping[str, Any]) -> Any:
        """What the pipeline answers, as JSON can hold it.

        Args:
            data (`dict`):
                `"inputs"`: a clip, or a list of clips. A clip is an object with `"keypoints"` of shape `(T, K, 2)`,
                `"scores"` of shape `(T, K)` and what else is known: `"layout"`, `"fps"`, `"width"`, `"height"`.
                `"parameters"`: call arguments of the pipeline.

        Returns:
            One answer for a clip, a list of answers for a list.

        Raises:
            ValueError: for anything else.
        """
        inputs, parameters = data.get("inputs"), data.get("parameters") or {}
        if not isinstance(parameters, Mapping):
            raise ValueError(f"expected parameters as an object, received {type(parameters).__name__}")
        clips = inputs if isinstance(inputs, list) else [inputs]
        if not 1 <= len(clips) <= MAX_CLIPS:
            raise ValueError(f"expected 1 to {MAX_CLIPS} clips, received {len(clips)}: send several requests")
        options = {"batch_size": min(len(clips), 8), **parameters}
        answers = [_plain(answer) for answer in self.pipe([_clip(clip) for clip in clips], **options)]
        return answers if isinstance(inputs, list) else answers[0]


def _clip(clip: Any) -> dict[str, Any]:
    if not isinstance(clip, Mapping) or not {"keypoints", "scores"} <= clip.keys():
        raise ValueError('expected a clip as an object with "keypoints" (T, K, 2) and "scores" (T, K)')
    arrays = {}
    for name in ("keypoints", "scores"):
        try:
            arrays[name] = np.asarray(clip[name], np.float32)
        except (TypeError, ValueError) as error:
            raise ValueError(f"expected {name} as nested lists of numbers of equal length: {error}") from error
        if len(arrays[name].shape) == 0 or len(arrays[name]) > MAX_FRAMES:
            raise ValueError(f"expected {name} of up to {MAX_FRAMES} frames, received {arrays[name].shape}")
    return {**clip, **arrays}


def _plain(answer: Any) -> Any:
    return answer.tolist() if isinstance(answer, torch.Tensor) else answer
