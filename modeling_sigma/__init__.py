"""Sigma: sign language understanding from skeletons, for the Hugging Face ecosystem (arXiv:2509.21223).

Importing this package is cheap: its names are imported when they are used, and Sigma is registered with transformers'
Auto classes and pipelines when a program imports these.
"""

from __future__ import annotations

import importlib
from typing import Any

from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS, PIPELINE_KINDS
from modeling_sigma.registration import register_when_transformers_is_there


__version__ = "0.1.0"

# Public name -> the module that defines it.
_EXPORTS = {
    "PoseClip": "modeling_sigma.model.pose_clip",
    "PoseAugmentation": "modeling_sigma.model.pose_augmentation",
    "load_clip": "modeling_sigma.io",
    "save_clip": "modeling_sigma.io",
    "SigmaConfig": "modeling_sigma.model.configuration_sigma",
    "SigmaPoseConfig": "modeling_sigma.model.configuration_sigma",
    "SigmaFeatureExtractor": "modeling_sigma.model.feature_extraction_sigma",
    "SigmaProcessor": "modeling_sigma.model.processing_sigma",
    "SigmaPreTrainedModel": "modeling_sigma.model.modeling_sigma",
    **{kind.class_name: f"modeling_sigma.model.{kind.module}" for kind in MODEL_KINDS.values()},
    **{kind.class_name: f"modeling_sigma.model.{kind.module}" for kind in PIPELINE_KINDS.values()},
    "register_sigma": "modeling_sigma.registration",
    "save_bundle": "modeling_sigma.hub.bundle",
    "convert_uni_sign": "modeling_sigma.conversion.released_checkpoints",
    "convert_sigma_pretraining": "modeling_sigma.conversion.released_checkpoints",
    "translation_scores": "modeling_sigma.metrics",
    "word_error_rates": "modeling_sigma.metrics",
    "recognition_scores": "modeling_sigma.metrics",
    "retrieval_scores": "modeling_sigma.metrics",
    "load_pipeline": "modeling_sigma.inference.load_pipeline",
    "shipped_model": "modeling_sigma.hub.shipped_files",
    "SignDictionary": "modeling_sigma.inference.sign_dictionary",
    "load_corpus": "datasets_scripts.corpora",
    "decode_clip": "datasets_scripts.schema",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


register_when_transformers_is_there()
