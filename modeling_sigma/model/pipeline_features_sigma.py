"""`pipeline("sign-feature-extraction")`: a clip as one vector, whatever the model's head."""

from __future__ import annotations

from typing import Any

import torch

from .pipeline_arguments_sigma import only_clip_arguments
from .pipeline_base_sigma import SigmaPipeline


class SignFeatureExtractionPipeline(SigmaPipeline):
    """`pipeline("sign-feature-extraction")`: the vector of a clip, to compare it with the vectors of others.

    Inputs as in [`SignLanguageTranslationPipeline`].

    Call arguments: `language` (of the prompt, where the model reads one), `max_frames`, `allow_unseen`, `coordinates`
    and `aspect_ratio`.

    Returns:
        `torch.Tensor` of shape `(hidden_size,)` and length 1 for each clip: see `get_pose_features` of the model.
        Cosines of vectors of two models mean nothing.
    """

    _load_processor = None
    _load_feature_extractor = None

    def _sanitize_parameters(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return only_clip_arguments(options), {}, {}

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        return {"vectors": self.model.get_pose_features(**model_inputs).pooler_output}

    def postprocess(self, model_outputs: dict[str, Any]) -> torch.Tensor:
        return model_outputs["vectors"].float().reshape(-1)
