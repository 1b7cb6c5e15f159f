"""The model and the processor of a run: from a checkpoint, around a text model, or new, of given sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoProcessor, AutoTokenizer

from modeling_sigma.model.configuration_sigma import SigmaConfig
from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
from modeling_sigma.model.model_kinds_sigma import ModelKind
from modeling_sigma.model.processing_sigma import PROMPT_TEMPLATE, SigmaProcessor
from modeling_sigma.registration import defined_class, register_sigma
from modeling_sigma.training.arguments import ModelArguments, as_mapping
from modeling_sigma.training.data.word_tokenizer import unigram_tokenizer, word_tokenizer
from modeling_sigma.training.task import Task


def build_model(
    arguments: ModelArguments, task: Task, rows: Any, augmentation: dict[str, Any] | None = None
) -> tuple[Any, Any]:
    """The model that a run trains, and its processor.

    Args:
        arguments ([`ModelArguments`]):
            Which model to start from, or the sizes of a new one.
        task ([`Task`]):
            What is learnt. For heads that choose a label, its labels are numbered already.
        rows (`datasets.Dataset`):
            The training split: a new tokenizer is made for its texts and prompts.
        augmentation (`dict`, *optional*):
            Augmentation in training, saved with the feature extractor; empty for none. By default that of the
            checkpoint's extractor.

    Raises:
        ValueError, OSError: for a checkpoint, tokenizer or configuration that cannot be used.
    """
    register_sigma()
    cls, writes = defined_class(task.kind), not task.kind.has_labels
    fields = as_mapping("model_config", arguments.model_config)
    if task.labels is not None:
        fields["id2label"] = dict(enumerate(task.labels))
        fields["label2id"] = {label: number for number, label in enumerate(task.labels)}
    if arguments.model is not None:
        config = _changed_config(arguments.model, fields)
        if writes and not config.use_prompt:
            raise ValueError(
                f"{arguments.model}: expected a model that reads a prompt and can write, this one has no tokenizer: "
                "use --head classification (islr) or --head ctc (cslr)"
            )
        model = cls.from_pretrained(arguments.model, config=config, ignore_mismatched_sizes=task.labels is not None)
        if task.labels is not None:
            _keep_known_labels(model, arguments.model, task.kind)
        return model, _processor_of(arguments, model.config, augmentation)
    tokenizer = None
    if fields.get("use_prompt", True) or writes:
        prompts = [PROMPT_TEMPLATE.format(language=language) for language in sorted(task.prompt_languages(rows))]
        tokenizer = _new_tokenizer(arguments, [*task.targets(rows), *prompts])
    if arguments.text_model is not None:
        model = cls.from_text_pretrained(arguments.text_model, **fields)
    else:
        model = cls(_new_config(fields, tokenizer))
    return model, _new_processor(arguments, model.config, tokenizer, augmentation)


def _keep_known_labels(model: Any, name: str, kind: ModelKind) -> None:
    """Copies the weights of labels that the checkpoint's head, if it is of the same kind, has too."""
    old_config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    old_numbers = {label: number for number, label in old_config.id2label.items()}
    known = {label: number for number, label in model.config.id2label.items() if label in old_numbers}
    if not known or kind.class_name not in (old_config.architectures or ()):
        return
    old = getattr(type(model).from_pretrained(name, config=old_config), str(kind.label_layer))
    new = getattr(model, str(kind.label_layer))
    rows, old_rows = list(known.values()), [old_numbers[label] for label in known]
    with torch.no_grad():
        new.weight[rows] = old.weight[old_rows].to(new.weight.dtype)
        new.bias[rows] = old.bias[old_rows].to(new.bias.dtype)


def _changed_config(name: str, fields: dict[str, Any]) -> Any:
    config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    if config.model_type != "sigma":
        raise ValueError(f"{name}: expected a Sigma checkpoint, found {config.model_type}: use --text_model for a T5")
    config.calibration = None  # other weights have other scores
    for sizes in ("text_config", "pose_config"):
        for field, value in fields.pop(sizes, {}).items():
            setattr(getattr(config, sizes), field, value)
    for field, value in fields.items():
        if not hasattr(config, field):
            raise ValueError(f"model_config: SigmaConfig has no field {field!r}")
        setattr(config, field, value)
    return config


def _new_config(fields: dict[str, Any], tokenizer: Any) -> SigmaConfig:
    text_config = {"model_type": "mt5", "decoder_start_token_id": 0, **fields.pop("text_config", {})}
    text_config["vocab_size"] = 2 if tokenizer is None else len(tokenizer)
    kind = text_config.pop("model_type")
    return SigmaConfig(text_config=AutoConfig.for_model(kind, **text_config), **fields)


def _new_tokenizer(arguments: ModelArguments, texts: Sequence[str]) -> Any:
    name = arguments.tokenizer or arguments.text_model or "words"
    if name == "words":
        return word_tokenizer(texts)
    if name == "unigram":
        return unigram_tokenizer(texts, arguments.vocabulary_size)
    return AutoTokenizer.from_pretrained(name, trust_remote_code=False)


def _new_processor(arguments: ModelArguments, config: Any, tokenizer: Any, augmentation: dict[str, Any] | None) -> Any:
    fields = {"max_frames": config.max_frames, **as_mapping("feature_extractor", arguments.feature_extractor)}
    if fields["max_frames"] > config.max_frames:
        raise ValueError(
            f"expected the extractor's max_frames up to the model's {config.max_frames}, received "
            f"{fields['max_frames']}: set both"
        )
    if augmentation is not None:
        fields["augmentation"] = augmentation or None
    extractor = SigmaFeatureExtractor(**fields)
    if tokenizer is None:
        return extractor
    return SigmaProcessor(extractor, tokenizer, max_text_length=arguments.max_text_length or 50)


def _processor_of(arguments: ModelArguments, config: Any, augmentation: dict[str, Any] | None) -> Any:
    """The checkpoint's processor, with the fields that the run changes. The clips may come from another estimator."""
    name = str(arguments.model)
    if config.use_prompt:
        processor = AutoProcessor.from_pretrained(name, trust_remote_code=False)
        extractor = processor.feature_extractor
        processor.max_text_length = arguments.max_text_length or processor.max_text_length
    else:
        processor = extractor = AutoFeatureExtractor.from_pretrained(name, trust_remote_code=False)
    changed = as_mapping("feature_extractor", arguments.feature_extractor)
    fields = {**extractor.to_dict(), **changed, "training_layout": None, "training_estimator": None}
    if augmentation is not None:
        fields["augmentation"] = augmentation or None
    known = {key: fields[key] for key in fields if key in SigmaFeatureExtractor.__init__.__code__.co_varnames}
    fresh = SigmaFeatureExtractor(**known)
    if fresh.max_frames > config.max_frames:
        fresh.max_frames = config.max_frames
    if processor is extractor:
        return fresh
    processor.feature_extractor = fresh
    return processor
