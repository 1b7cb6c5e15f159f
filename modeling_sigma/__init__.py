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

# Public name -> the module that defines it.
_EXPORTS = {
    "PoseClip": "pose_clip",
    "PoseAugmentation": "pose_augmentation",
    "load_clip": "io",
    "save_clip": "io",
    "SigmaConfig": "configuration_sigma",
    "SigmaPoseConfig": "configuration_sigma",
    "SigmaFeatureExtractor": "feature_extraction_sigma",
    "SigmaProcessor": "processing_sigma",
    "SigmaPreTrainedModel": "modeling_sigma",
    "SigmaModel": "modeling_sigma_pretraining",
    "SigmaForPreTraining": "modeling_sigma_pretraining",
    "SigmaForConditionalGeneration": "modeling_sigma_heads",
    "SigmaForSequenceClassification": "modeling_sigma_heads",
    "SigmaForCTC": "modeling_sigma_ctc",
    "SignLanguageTranslationPipeline": "pipeline_sigma",
    "IsolatedSignRecognitionPipeline": "pipeline_sigma",
    "ContinuousSignRecognitionPipeline": "pipeline_sigma",
    "SignTextRetrievalPipeline": "pipeline_retrieval_sigma",
    "register_sigma": "registration_sigma",
    "save_bundle": "hub.bundle",
}

__all__ = ["__version__", *_EXPORTS]

if TYPE_CHECKING:
    from .configuration_sigma import SigmaConfig, SigmaPoseConfig
    from .feature_extraction_sigma import SigmaFeatureExtractor
    from .modeling_sigma import SigmaPreTrainedModel
    from .modeling_sigma_ctc import SigmaForCTC
    from .modeling_sigma_heads import SigmaForConditionalGeneration, SigmaForSequenceClassification
    from .modeling_sigma_pretraining import SigmaForPreTraining, SigmaModel
    from .pipeline_retrieval_sigma import SignTextRetrievalPipeline
    from .pipeline_sigma import (
        ContinuousSignRecognitionPipeline,
        IsolatedSignRecognitionPipeline,
        SignLanguageTranslationPipeline,
    )
    from .pose_augmentation import PoseAugmentation
    from .pose_clip import PoseClip
    from .processing_sigma import SigmaProcessor
    from .registration_sigma import register_sigma


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_EXPORTS[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def _is_command_line() -> bool:
    return bool(sys.argv) and Path(sys.argv[0]).stem == "sigma-slu"


if not _is_command_line():
    from .registration_sigma import register_sigma

    register_sigma()
