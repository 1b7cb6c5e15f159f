"""`pipeline("sign-segmentation")`: where the signs of a recording begin and end, whatever they mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .pipeline_arguments_sigma import only_clip_arguments
from .pipeline_base_sigma import SigmaPipeline
from .sign_finding_sigma import SignFinding


class SignSegmentationPipeline(SignFinding, SigmaPipeline):
    """Finds signs in recordings of any length, with a model that tags frames ([`SigmaForSignSegmentation`]).

    Inputs are recordings with a frame rate, as in [`SignLanguageTranslationPipeline`]; one in which nobody is seen is
    a `ValueError`.

    Call arguments: `batch_size` (8 by default), `progress` (called with the windows done and in all), `allow_unseen`,
    `coordinates`, `aspect_ratio`.

    Returns:
        A list for each recording, in the order of time, of `{"start", "end"}` (seconds) and `"score"`, the mean
        probability of its frames to belong to a sign.
    """

    _load_processor = None
    _load_feature_extractor = None

    def _sanitize_parameters(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return only_clip_arguments(options), {}, {}

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        num_frames = model_inputs["pose_attention_mask"].sum(dim=1)
        return {"logits": self.model(**model_inputs).logits, "num_frames": num_frames}

    def postprocess(self, model_outputs: dict[str, Any]) -> np.ndarray:
        """Of a window the probabilities of the tags, `(T, 3)`."""
        logits = model_outputs["logits"].float().squeeze(0)[: int(model_outputs["num_frames"])]
        self._check_numbers(logits)
        probabilities: np.ndarray = torch.softmax(logits, dim=-1).cpu().numpy()
        return probabilities
