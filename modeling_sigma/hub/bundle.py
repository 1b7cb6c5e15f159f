"""A folder that `from_pretrained` loads anywhere: weights, configuration, processor and the code that reads them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

import modeling_sigma


# What AutoX.from_pretrained(..., trust_remote_code=True) loads where the package is not installed.
AUTO_MAP = {
    "AutoConfig": "configuration_sigma.SigmaConfig",
    "AutoFeatureExtractor": "feature_extraction_sigma.SigmaFeatureExtractor",
    "AutoProcessor": "processing_sigma.SigmaProcessor",
    "AutoModel": "modeling_sigma.SigmaModel",
    "AutoModelForPreTraining": "modeling_sigma_pretraining.SigmaForPreTraining",
    "AutoModelForSeq2SeqLM": "modeling_sigma_heads.SigmaForConditionalGeneration",
    "AutoModelForSequenceClassification": "modeling_sigma_heads.SigmaForSequenceClassification",
    "AutoModelForCTC": "modeling_sigma_heads.SigmaForCTC",
}
# task -> the pipeline's class
PIPELINE_CLASSES = {
    "sign-language-translation": "pipeline_sigma.SignLanguageTranslationPipeline",
    "isolated-sign-recognition": "pipeline_sigma.IsolatedSignRecognitionPipeline",
    "continuous-sign-recognition": "pipeline_sigma.ContinuousSignRecognitionPipeline",
    "sign-text-retrieval": "pipeline_retrieval_sigma.SignTextRetrievalPipeline",
}


def remote_code_files() -> list[Path]:
    """The flat modules that travel with a checkpoint."""
    package = Path(modeling_sigma.__file__).parent
    return sorted(path for path in (package / "model").glob("*.py") if path.name != "__init__.py")


def save_bundle(model: PreTrainedModel, processor: Any, directory: str | Path) -> Path:
    """Saves everything that inference needs into one folder.

    Args:
        model ([`SigmaPreTrainedModel`]):
            Any Sigma model.
        processor ([`SigmaProcessor`] or [`SigmaFeatureExtractor`]):
            The processor, or for a label head without a prompt the feature extractor.
        directory (`str` or `Path`):
            Made if it does not exist; files of the same names are overwritten.

    Returns:
        `Path`: the folder.
    """
    directory = Path(directory)
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    feature_extractor = getattr(processor, "feature_extractor", processor)
    if feature_extractor is not processor:
        feature_extractor.save_pretrained(directory)
    auto_map = dict(AUTO_MAP)
    if feature_extractor is processor:  # no tokenizer: AutoProcessor gives the extractor, as for audio
        auto_map["AutoProcessor"] = auto_map["AutoFeatureExtractor"]
        _add_to_json(directory / "preprocessor_config.json", processor_class=type(processor).__name__)
    facts = {"sigma_slu_version": modeling_sigma.__version__}
    _add_to_json(directory / "config.json", auto_map=auto_map, custom_pipelines=custom_pipelines(model), **facts)
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (directory / name).exists():
            classes = {auto: auto_map[auto] for auto in ("AutoFeatureExtractor", "AutoProcessor")}
            _add_to_json(directory / name, auto_map=classes)
            # What AutoFeatureExtractor reads where a processor's file is beside its own.
            _add_to_json(directory / name, within="feature_extractor", auto_map=classes)
    for source in remote_code_files():
        shutil.copyfile(source, directory / source.name)
    return directory


def custom_pipelines(model: PreTrainedModel) -> dict[str, dict[str, Any]]:
    """The pipelines that a model of this class serves, as `config.json` lists them.

    A label head serves its own task, a model of two encoders retrieval, and a model that writes all others. The
    pre-training model serves all that its weights load as.
    """
    writing = {task: "AutoModelForSeq2SeqLM" for task in PIPELINE_CLASSES if task != "sign-text-retrieval"}
    retrieval = {"sign-text-retrieval": "AutoModel"}
    served = {
        "SigmaForSequenceClassification": {"isolated-sign-recognition": "AutoModelForSequenceClassification"},
        "SigmaForCTC": {"continuous-sign-recognition": "AutoModelForCTC"},
        "SigmaModel": retrieval,
        "SigmaForPreTraining": {**writing, **retrieval},
    }.get(type(model).__name__, writing)
    return {
        task: {"impl": PIPELINE_CLASSES[task], "pt": [auto], "type": "multimodal"} for task, auto in served.items()
    }


def _add_to_json(path: Path, within: str | None = None, **fields: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    target = content if within is None else content.get(within)
    if target is not None:
        target.update(fields)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
