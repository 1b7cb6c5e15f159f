"""Makes Sigma known to transformers' Auto classes and pipelines."""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForCTC,
    AutoModelForPreTraining,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoProcessor,
)
from transformers.pipelines import PIPELINE_REGISTRY

from modeling_sigma.model.configuration_sigma import SigmaConfig, SigmaPoseConfig
from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
from modeling_sigma.model.modeling_sigma_ctc import SigmaForCTC
from modeling_sigma.model.modeling_sigma_heads import SigmaForConditionalGeneration, SigmaForSequenceClassification
from modeling_sigma.model.modeling_sigma_pretraining import SigmaForPreTraining, SigmaModel
from modeling_sigma.model.pipeline_retrieval_sigma import SignTextRetrievalPipeline
from modeling_sigma.model.pipeline_sigma import (
    ContinuousSignRecognitionPipeline,
    IsolatedSignRecognitionPipeline,
    SignLanguageTranslationPipeline,
)
from modeling_sigma.model.processing_sigma import SigmaProcessor


# task -> (pipeline, the Auto class that loads its model)
PIPELINES = {
    "sign-language-translation": (SignLanguageTranslationPipeline, AutoModelForSeq2SeqLM),
    "isolated-sign-recognition": (IsolatedSignRecognitionPipeline, AutoModelForSequenceClassification),
    "continuous-sign-recognition": (ContinuousSignRecognitionPipeline, AutoModelForCTC),
    "sign-text-retrieval": (SignTextRetrievalPipeline, AutoModel),
}


def register_sigma() -> None:
    """Registers configuration, processor, models and pipelines. Calling it again changes nothing."""
    AutoConfig.register("sigma", SigmaConfig, exist_ok=True)
    AutoConfig.register("sigma_pose", SigmaPoseConfig, exist_ok=True)
    AutoFeatureExtractor.register(SigmaConfig, SigmaFeatureExtractor, exist_ok=True)
    AutoProcessor.register(SigmaConfig, SigmaProcessor, exist_ok=True)
    # AutoProcessor knows classes that are registered, and a model without a tokenizer names this one as its processor.
    AutoProcessor.register(SigmaPoseConfig, SigmaFeatureExtractor, exist_ok=True)
    AutoModel.register(SigmaConfig, SigmaModel, exist_ok=True)
    AutoModelForPreTraining.register(SigmaConfig, SigmaForPreTraining, exist_ok=True)
    AutoModelForSeq2SeqLM.register(SigmaConfig, SigmaForConditionalGeneration, exist_ok=True)
    AutoModelForSequenceClassification.register(SigmaConfig, SigmaForSequenceClassification, exist_ok=True)
    AutoModelForCTC.register(SigmaConfig, SigmaForCTC, exist_ok=True)
    for task, (pipeline_class, auto_model) in PIPELINES.items():
        if task not in PIPELINE_REGISTRY.get_supported_tasks():
            PIPELINE_REGISTRY.register_pipeline(
                task, pipeline_class=pipeline_class, pt_model=auto_model, type="multimodal"
            )
