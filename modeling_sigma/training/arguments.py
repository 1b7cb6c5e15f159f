"""Everything that a training run can be told: typed fields, from a YAML file and the command line, which wins."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from transformers import HfArgumentParser, Seq2SeqTrainingArguments


TASKS = ("islr", "cslr", "slt")
HEADS = ("generation", "classification", "ctc")

# task -> (the metric of the validation split that chooses the best checkpoint, whether more is better)
BEST_METRICS = {
    "pretrain": ("loss", False),
    "islr": ("top1_per_instance", True),
    "cslr": ("wer", False),
    "slt": ("bleu4", True),
}


def _help(text: str, default: Any = None, **metadata: Any) -> Any:
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"help": text, **metadata})
    return field(default=default, metadata={"help": text, **metadata})


@dataclass
class ModelArguments:
    """Which model is trained: a Sigma checkpoint, a new Sigma around a T5 / mT5, or a new one from sizes alone."""

    _argument_group_name = "model"

    model: str | None = _help("Sigma checkpoint to start from: a folder, or a name on the Hub")
    text_model: str | None = _help(
        "T5 or mT5 to build a new Sigma around: a folder, or a name on the Hub; not used with `model`"
    )
    model_config: dict | str | None = _help(
        "fields of SigmaConfig, as JSON on the command line; with `model` they change its configuration"
    )
    tokenizer: str | None = _help(
        "tokenizer of a new model: `words` (one piece a word of the training texts), `unigram` (trained on them), a "
        "folder, or a name on the Hub; by default that of `text_model`, else `words`"
    )
    vocabulary_size: int = _help("pieces of a `unigram` tokenizer", 8000)
    feature_extractor: dict | str | None = _help("fields of SigmaFeatureExtractor that differ from its defaults")
    max_text_length: int | None = _help("longest target in tokens (default: the checkpoint's, or 50)")
    head: Literal["auto", "generation", "classification", "ctc"] = _help(
        "what writes the answer; auto: the head of `model` where it fits the task, else generation", "auto"
    )

    def __post_init__(self) -> None:
        self.model_config = as_mapping("model_config", self.model_config)
        self.feature_extractor = as_mapping("feature_extractor", self.feature_extractor)


@dataclass
class DataArguments:
    """Which clips are trained on."""

    _argument_group_name = "data"

    task: Literal["islr", "cslr", "slt"] = _help("isolated signs, glosses, or translation", "slt")
    corpus: list[str] = _help(
        "corpora, joined where there are several: NAME or NAME:CONFIG, where NAME is one of ours (synthetic, "
        "wlasl_hands, ...), a folder made by `sigma-slu build-dataset`, or a name on the Hub",
        ["synthetic"],
    )
    data_dir: list[str] | None = _help("folder of each corpus's own files; one for all, or one a corpus")
    corpus_options: dict | str | None = _help("other options of the corpus builders")
    validation_corpus: str | None = _help("the corpus that is validated and tested on (default: the last of `corpus`)")
    train_split: str = _help("split to train on; slices such as train[:10%%] work", "train")
    validation_split: str = _help("split that chooses the checkpoint; none: do not validate", "validation")
    test_split: str = _help("split that is looked at once, at the end; none: do not test", "test")
    max_train_clips: int | None = _help("train on the first N clips alone")
    max_validation_clips: int | None = _help("validate on the first N clips alone")
    max_test_clips: int | None = _help("test on the first N clips alone")
    language: str | None = _help("spoken language of the prompt (default: the corpus's own, clip by clip)")
    augmentation: dict | str | None = _help(
        "fields of PoseAugmentation, applied in training alone; none: no augmentation (default: the checkpoint's)"
    )
    constrain_labels: bool = _help(
        "isolated signs that are written: nothing but labels of the training split can be", False
    )
    preset: str = _help("normalisation of texts before they are scored, see `sigma-slu evaluate --help`", "none")

    def __post_init__(self) -> None:
        self.corpus_options = as_mapping("corpus_options", self.corpus_options)
        if self.augmentation is not None:  # which would leave it to the checkpoint
            self.augmentation = {} if self.augmentation == "none" else as_mapping("augmentation", self.augmentation)
        if not self.corpus:
            raise ValueError("expected at least one corpus, received none")
        if self.data_dir is not None and len(self.data_dir) not in (1, len(self.corpus)):
            raise ValueError(
                f"expected one data_dir, or one for each of {len(self.corpus)} corpora, received {len(self.data_dir)}"
            )


@dataclass
class AdapterArguments:
    """What of a trained model an adapter changes (`finetune_lora.py`)."""

    _argument_group_name = "adapter"

    lora_rank: int = _help("rank of the changes", 8)
    lora_alpha: float | None = _help("their scale is alpha / rank (default: twice the rank)")
    lora_dropout: float = _help("dropout in front of them", 0.0)
    pose_encoder: Literal["full", "frozen", "lora"] = _help(
        "the pose encoder trains in full, stays as it is, or gets low-rank changes and trains its norms", "lora"
    )
    modules_to_save: list[str] = _help("further modules that train in full, for example lm_head", [])


@dataclass
class SigmaTrainingArguments(Seq2SeqTrainingArguments):
    """`Seq2SeqTrainingArguments` with the paper's defaults, and what clips need on top.

    Source of the defaults: arXiv:2509.21223, experiments (AdamW with eps 1e-9 and weight decay 1e-4, learning rate
    1e-4, cosine schedule, 10 epochs, batch 16, clipping at 1).
    """

    frames_per_batch: int | None = _help(
        "most frames, padding included, on a device at once: batches hold fewer long clips and more short ones, at "
        "most per_device_train_batch_size"
    )
    length_grouping: bool = _help("put clips of similar length into one batch", True)
    pose_learning_rate: float | None = _help("learning rate of the pose encoder (default: learning_rate)")
    text_learning_rate: float | None = _help("learning rate of the text backbone (default: learning_rate)")
    head_learning_rate: float | None = _help("learning rate of everything else (default: learning_rate)")
    matrix_learning_rate: float | None = _help(
        "train the backbone's matrices with Muon at this rate, and the rest with AdamW: fewer steps from scratch"
    )
    freeze: list[str] = _help("parts that are not trained: pose_encoder, text_backbone, embeddings, heads", [])
    freeze_batch_norm: bool = _help("keep the pose encoder's running statistics (few clips)", False)
    sync_batch_norm: bool = _help("statistics over the batches of all processes together", True)
    ema_decay: float | None = _help("keep and evaluate a moving average of the weights, for example 0.999")
    on_non_finite: Literal["stop", "skip"] = _help("what a NaN or infinite loss does: stop, or skip and count", "stop")
    early_stopping_patience: int | None = _help("stop after so many evaluations without a better one")
    resume: bool = _help("go on from the last complete checkpoint of output_dir, if there is one", False)
    overwrite: bool = _help("start again although output_dir holds the checkpoints of another run", False)

    # The paper's, and ours where a mistake would be silent.
    learning_rate: float = _help("peak learning rate", 1e-4)
    adam_epsilon: float = _help("epsilon of AdamW", 1e-9)
    weight_decay: float = _help("weight decay of AdamW", 1e-4)
    lr_scheduler_type: str = _help("learning rate schedule", "cosine")
    num_train_epochs: float = _help("passes over the clips", 10.0)
    per_device_train_batch_size: int = _help("most clips on a device at once", 16)
    per_device_eval_batch_size: int = _help("clips on a device at once in evaluation", 16)
    eval_strategy: str = _help("when to evaluate: no, steps or epoch", "epoch")
    save_strategy: str = _help("when to save: no, steps, epoch or best", "epoch")
    save_total_limit: int | None = _help("checkpoints that are kept, the best among them", 2)
    load_best_model_at_end: bool = _help("end with the checkpoint that is best on validation", True)
    logging_steps: float = _help("optimiser steps between two lines of the log", 10)
    logging_nan_inf_filter: bool = _help("hide non-finite losses from the log", False)
    predict_with_generate: bool = _help("let models that write generate in evaluation", True)
    remove_unused_columns: bool = _help("leave it off: the collator needs all columns", False)

    def __post_init__(self) -> None:
        self.logging_steps = float(self.logging_steps)
        for name in ("pose_learning_rate", "text_learning_rate", "head_learning_rate", "matrix_learning_rate"):
            rate = getattr(self, name)
            if rate is not None and rate <= 0:
                raise ValueError(f"expected {name} > 0, received {rate}: use --freeze to keep a part as it is")
        if self.frames_per_batch is not None and self.frames_per_batch < 1:
            raise ValueError(f"expected frames_per_batch of at least 1, received {self.frames_per_batch}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"expected ema_decay between 0 and 1, received {self.ema_decay}")
        if self.resume and self.overwrite:
            raise ValueError("expected resume or overwrite, received both")
        # transformers takes bfloat16 on a processor only from those who ask for the processor.
        if not torch.accelerator.is_available():
            self.use_cpu = True
        super().__post_init__()


def as_mapping(name: str, value: dict[str, Any] | str | None) -> dict[str, Any]:
    """A field that is a mapping in YAML and JSON on the command line.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"expected {name} as JSON, for example '{{\"a\": 1}}', received {value!r}") from error
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"expected {name} as a mapping, received {value!r}")
    return dict(value or {})


def parse_arguments(classes: Sequence[type], argv: Sequence[str] | None = None, **kwargs: Any) -> tuple[Any, ...]:
    """Instances of the dataclasses `classes`, from `[CONFIG.yaml] [--field value ...]`.

    The command line wins over the file, and the file over the defaults.

    Args:
        classes (`Sequence[type]`):
            Dataclasses.
        argv (`Sequence[str]`, *optional*):
            Arguments; the process's by default.
        **kwargs:
            Passed to `HfArgumentParser`, such as `description`.

    Raises:
        ValueError: for a file that cannot be read, or a field that does not exist.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = HfArgumentParser(classes, usage="%(prog)s [CONFIG.yaml] [--field value ...]", **kwargs)
    if argv and not argv[0].startswith("-"):
        parser.set_defaults(**read_config(argv.pop(0), classes))
    return tuple(parser.parse_args_into_dataclasses(args=argv, look_for_args_file=False))


def read_config(path: str | Path, classes: Sequence[type]) -> dict[str, Any]:
    """The fields of a YAML file.

    Raises:
        ValueError: if it is no mapping, or has a field that none of `classes` has.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: expected YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected fields and values, received {type(content).__name__}")
    known = sorted({entry.name for cls in classes for entry in fields(cls) if entry.init})
    for name in content:
        if name not in known:
            similar = difflib.get_close_matches(str(name), known, n=1)
            hint = f": did you mean {similar[0]}?" if similar else ""
            raise ValueError(f"{path}: unknown field {name!r}{hint}")
    # A single value where a list is meant is that list; numbers such as 1e-4 are strings in YAML and are parsed.
    lists = {entry.name for cls in classes for entry in fields(cls) if str(entry.type).startswith("list[")}
    return {n: [v] if n in lists and not isinstance(v, list) and v is not None else v for n, v in content.items()}
