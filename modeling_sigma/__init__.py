"""Sigma: sign language understanding from skeletons, for the Hugging Face ecosystem (arXiv:2509.21223).

Importing this package registers Sigma with transformers' Auto classes and pipelines. The command line does not pay
for that until a command needs a model.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any


__version__ = "0.1.0"

# Public name -> the module that defines it: of this package, or of the corpora.
_EXPORTS = {
    "PoseClip": "model.pose_clip",
    "PoseAugmentation": "model.pose_augmentation",
    "load_clip": "io",
    "save_clip": "io",
    "load_corpus": "datasets_scripts.corpora",
    "decode_clip": "datasets_scripts.schema",
    "SigmaConfig": "model.configuration_sigma",
    "SigmaPoseConfig": "model.configuration_sigma",
    "SigmaFeatureExtractor": "model.feature_extraction_sigma",
    "SigmaProcessor": "model.processing_sigma",
    "SigmaPreTrainedModel": "model.modeling_sigma",
    "SigmaModel": "model.modeling_sigma_pretraining",
    "SigmaForPreTraining": "model.modeling_sigma_pretraining",
    "SigmaForConditionalGeneration": "model.modeling_sigma_heads",
    "SigmaForSequenceClassification": "model.modeling_sigma_heads",
    "SigmaForCTC": "model.modeling_sigma_ctc",
    "SignLanguageTranslationPipeline": "model.pipeline_sigma",
    "IsolatedSignRecognitionPipeline": "model.pipeline_sigma",
    "ContinuousSignRecognitionPipeline": "model.pipeline_sigma",
    "SignTextRetrievalPipeline": "model.pipeline_retrieval_sigma",
    "register_sigma": "registration",
    "save_bundle": "hub.bundle",
}

__all__ = ["__version__", *_EXPORTS]

if TYPE_CHECKING:
    from .model.configuration_sigma import SigmaConfig, SigmaPoseConfig
    from .model.feature_extraction_sigma import SigmaFeatureExtractor
    from .model.modeling_sigma import SigmaPreTrainedModel
    from .model.modeling_sigma_ctc import SigmaForCTC
    from .model.modeling_sigma_heads import SigmaForConditionalGeneration, SigmaForSequenceClassification
    from .model.modeling_sigma_pretraining import SigmaForPreTraining, SigmaModel
    from .model.pipeline_retrieval_sigma import SignTextRetrievalPipeline
    from .model.pipeline_sigma import (
        ContinuousSignRecognitionPipeline,
        IsolatedSignRecognitionPipeline,
        SignLanguageTranslationPipeline,
    )
    from .model.pose_augmentation import PoseAugmentation
    from .model.pose_clip import PoseClip
    from .model.processing_sigma import SigmaProcessor
    from .registration import register_sigma


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _EXPORTS[name]
    is_ours = not module.startswith("datasets_scripts.")
    return getattr(importlib.import_module(f"{__name__}.{module}" if is_ours else module), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def _is_command_line() -> bool:
    return bool(sys.argv) and Path(sys.argv[0]).stem == "sigma-slu"


if not _is_command_line():
    from .registration import register_sigma

    register_sigma()
