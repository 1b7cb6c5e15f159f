"""Options of a run beyond transformers' own: typed fields, from a YAML file and the command line.

Imports neither torch nor transformers before something is parsed: `sigma-slu finetune --help` shows these fields.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from modeling_sigma.hub.shipped_files import model_folder
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS


# The values of `--head`: all heads that can be fine-tuned.
HEADS = tuple(kind.head for kind in MODEL_KINDS.values() if kind.head and "pretrain" not in kind.tasks)


# Characters of a configuration: YAML is read slowly.
_MAX_CONFIG = 200_000


def described(text: str, default: Any = None, **metadata: Any) -> Any:
    """A field of a dataclass with its help text; `metadata` goes to `add_argument`."""
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata={"help": text, **metadata})
    return field(default=default, metadata={"help": text, **metadata})


@dataclass
class ModelArguments:
    """Which model is trained: a Sigma checkpoint, a new Sigma around a T5 / mT5, or a new one of given sizes."""

    _argument_group_name = "model"

    model: str | None = described("Sigma checkpoint to start from: a folder, or a name on the Hub")
    text_model: str | None = described(
        "T5 or mT5 to build a new Sigma around: a folder, or a name on the Hub; not used with `model`"
    )
    model_config: dict | str | None = described(
        "fields of SigmaConfig, on the command line as '{a: 1, b: 2}'; with `model` they change its configuration"
    )
    tokenizer: str | None = described(
        "tokenizer of a new model: `words` (one token per word of the training texts), `unigram` (trained on them), a "
        "folder, or a name on the Hub; by default that of `text_model`, else `words`"
    )
    vocabulary_size: int = described("number of tokens of a `unigram` tokenizer", 8000)
    feature_extractor: dict | str | None = described("fields of SigmaFeatureExtractor that differ from its defaults")
    max_text_length: int | None = described("longest target in tokens (default: the checkpoint's, or 50)")
    head: str = described(
        "the head that answers; auto: that of `model` if it chooses among labels and serves the task, else generation",
        "auto",
        choices=("auto", *HEADS),
    )
    label_start: Literal["random", "means"] = described(
        "how a new label layer for isolated signs starts: at random, or at the mean of each label's training clips "
        "(few clips, and a `model` that has learnt signs)",
        "random",
    )

    def __post_init__(self) -> None:
        self.model = None if self.model is None else model_folder(self.model)
        self.model_config = as_mapping("model_config", self.model_config)
        self.feature_extractor = as_mapping("feature_extractor", self.feature_extractor)


@dataclass
class DataArguments:
    """Which clips are trained on."""

    _argument_group_name = "data"

    task: Literal["islr", "cslr", "slt", "segmentation"] = described(
        "isolated signs, glosses, translation, or where signs begin and end", "slt"
    )
    corpus: list[str] = described(
        "corpora, joined where there are several: NAME or NAME:CONFIG, where NAME is one of ours (synthetic, "
        "wlasl_hands, ...), a folder made by `sigma-slu build-dataset`, or a name on the Hub",
        ["synthetic"],
    )
    data_dir: list[str] | None = described("folder of each corpus's own files; one for all, or one per corpus")
    corpus_options: dict | str | None = described("other options of the corpus builders")
    validation_corpus: str | None = described("corpus to validate and test on (default: the last of `corpus`)")
    train_split: str = described("split to train on; slices such as train[:10%%] work", "train")
    validation_split: str = described("split that chooses the checkpoint; none: do not validate", "validation")
    test_split: str = described("split that is scored once, at the end; none: do not test", "test")
    max_train_clips: int | None = described("train on the first N clips only")
    max_validation_clips: int | None = described("validate on the first N clips only")
    max_test_clips: int | None = described("test on the first N clips only")
    streaming: bool = described(
        "read the training split from its Parquet files while it is needed, instead of copying it to a local cache "
        "first; needs max_steps",
        False,
    )
    shuffle_window: int = described("with streaming: number of clips that each reader holds and shuffles", 1000)
    corpus_weights: list[float] | None = described(
        "with streaming and several corpora: how often each is drawn from, for example 3 1"
    )
    joined_sentences: int = described(
        "cslr: train on so many more sentences, joined from pieces of the training clips in a random order", 0
    )
    joined_piece: int = described("the most neighbouring signs that stay together in a joined sentence", 4)
    joined_length: int | None = described("the most signs of a joined sentence (default: those of the longest clip)")
    joined_alone: bool = described("train on the joined sentences alone, so that no order of signs is learnt", False)
    language: str | None = described("spoken language of the prompt (default: each clip's own)")
    augmentation: dict | str | None = described(
        "fields of PoseAugmentation, applied in training only; none: no augmentation (default: the checkpoint's)"
    )
    constrain_labels: bool = described(
        "isolated signs with a generative head: write only labels of the training split", False
    )
    preset: str = described("normalisation of texts before they are scored, see `sigma-slu evaluate --help`", "none")

    def __post_init__(self) -> None:
        self.corpus_options = as_mapping("corpus_options", self.corpus_options)
        if self.augmentation is not None:  # None leaves it to the checkpoint
            self.augmentation = {} if self.augmentation == "none" else as_mapping("augmentation", self.augmentation)
        if not self.corpus:
            raise ValueError("expected at least one corpus, received none")
        if self.corpus_weights is not None and not self.streaming:
            raise ValueError("corpus_weights belong to streaming: joined corpora are read once each in an epoch")
        if self.joined_sentences and self.streaming:
            raise ValueError("joined_sentences are cut from clips that are at hand: leave streaming out")
        if self.joined_alone and not self.joined_sentences:
            raise ValueError("expected joined_sentences, the number to make, with joined_alone, received none")
        if self.joined_sentences and self.task != "cslr":
            raise ValueError(f"expected joined_sentences for the task cslr, received them for {self.task}")
        if self.data_dir is not None and len(self.data_dir) not in (1, len(self.corpus)):
            raise ValueError(
                f"expected one data_dir, or one for each of {len(self.corpus)} corpora, received {len(self.data_dir)}"
            )


@dataclass
class AdapterArguments:
    """What an adapter changes in a trained model."""

    _argument_group_name = "adapter"

    adapter: Literal["none", "lora"] = described(
        "none: train every weight; lora: train low-rank changes of a trained `model`", "none"
    )
    lora_rank: int = described("rank of the adapter's changes", 8)
    lora_alpha: float | None = described("scale of the changes, times the rank (default: twice the rank)")
    lora_dropout: float = described("dropout before the adapter's changes", 0.0)
    pose_encoder: Literal["full", "frozen", "lora"] = described(
        "train the pose encoder in full, freeze it, or train low-rank changes of it and its norms", "lora"
    )
    modules_to_save: list[str] = described("further modules that train in full, for example lm_head", [])


@dataclass
class ClipTrainingFields:
    """Options of training on clips beyond transformers' own."""

    _argument_group_name = "training"

    frames_per_batch: int | None = described(
        "largest number of frames in a device's batch, padding included: batches hold fewer long clips and more short "
        "ones, at most per_device_train_batch_size"
    )
    length_grouping: bool = described("put clips of similar length into one batch", True)
    pose_learning_rate: float | None = described("learning rate of the pose encoder (default: learning_rate)")
    text_learning_rate: float | None = described("learning rate of the text backbone (default: learning_rate)")
    head_learning_rate: float | None = described("learning rate of everything else (default: learning_rate)")
    matrix_learning_rate: float | None = described(
        "train the backbone's matrices with Muon at this rate, and the rest with AdamW: fewer steps from scratch"
    )
    freeze: list[str] = described("parts that are not trained: pose_encoder, text_backbone, embeddings, heads", [])
    freeze_batch_norm: bool = described("keep the pose encoder's running statistics (few clips)", False)
    sync_batch_norm: bool = described("statistics over the batches of all processes together", True)
    ema_decay: float | None = described("keep and evaluate a moving average of the weights, with this decay: 0.999")
    mixup: float = described(
        "label heads: mix clips in pairs, and their labels, by shares from Beta(mixup, mixup); 0 mixes nothing", 0.0
    )
    teachers: list[str] = described(
        "label heads: trained models with the same labels, folders or names on the Hub, whose mean answer to every "
        "training clip is learnt beside its label (distillation)",
        [],
    )
    teacher_weight: float = described("share of the teachers in the loss; the rest is the label's", 0.5)
    on_non_finite: Literal["stop", "skip"] = described(
        "on a NaN or infinite loss: stop, or skip the step and count it", "stop"
    )
    early_stopping_patience: int | None = described("stop after this many evaluations without a better score")
    resume: bool = described("continue from the last complete checkpoint of output_dir, if there is one", False)
    overwrite: bool = described("start again although output_dir holds the checkpoints of another run", False)


def as_mapping(name: str, value: dict[str, Any] | str | None) -> dict[str, Any]:
    """A field that is a mapping: as YAML, of which JSON is a part, in a file or on the command line.

    Raises:
        ValueError: for anything else.
    """
    found: Any = value
    if isinstance(value, str):
        import yaml

        from modeling_sigma.io.json_text import parsed_json

        found = None
        for parse in (parsed_json, yaml.safe_load) if len(value) <= _MAX_CONFIG else ():  # JSON first: it knows 1e-3
            try:
                found = parse(value)
                break
            except (yaml.YAMLError, RecursionError, ValueError):
                pass
    if value is not None and not isinstance(found, dict):
        raise ValueError(f"expected {name} as names and values, for example '{{a: 1, b: 2}}', received {value!r}")
    return dict(found or {})


def parse_arguments(classes: Sequence[type], argv: Sequence[str] | None = None, **kwargs: Any) -> tuple[Any, ...]:
    """Instances of the dataclasses `classes`, from `[CONFIG.yaml] [--field value ...]`.

    The command line wins over the file, and the file over the defaults.

    Args:
        classes (`Sequence[type]`):
            The dataclasses to fill.
        argv (`Sequence[str]`, *optional*):
            The arguments; by default those of the process.
        **kwargs:
            Passed to `HfArgumentParser`, such as `description`.

    Raises:
        ValueError: for a file that cannot be read, or a field that does not exist.
    """
    from transformers import HfArgumentParser

    argv = list(sys.argv[1:] if argv is None else argv)
    parser = HfArgumentParser(classes, usage="%(prog)s [CONFIG.yaml] [--field value ...]", **kwargs)
    if argv and not argv[0].startswith("-"):
        parser.set_defaults(**read_config(argv.pop(0), classes))
    return tuple(parser.parse_args_into_dataclasses(args=argv, look_for_args_file=False))


def read_config(path: str | Path, classes: Sequence[type]) -> dict[str, Any]:
    """The fields of a YAML file.

    Raises:
        ValueError: if it is not a mapping, or has a field that none of `classes` has.
    """
    import yaml

    from modeling_sigma.io.text_files import read_text

    text = read_text(path, "a configuration (YAML)")
    if len(text) > _MAX_CONFIG:
        raise ValueError(f"{path}: expected at most {_MAX_CONFIG:,} characters, received {len(text):,}: is it YAML?")
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # the last for a date or number that there is not
        raise ValueError(f"{path}: expected YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected fields and values, received {type(content).__name__}")
    known = sorted({entry.name for cls in classes for entry in fields(cls) if entry.init})
    for name in content:
        if name not in known:
            similar = difflib.get_close_matches(str(name), known, n=1)
            hint = f": did you mean {similar[0]}?" if similar else ""
            raise ValueError(f"{path}: unknown field {name!r}{hint}")
    # A single value stands for a list of one; YAML reads numbers such as 1e-4 as strings, which are parsed later.
    lists = {entry.name for cls in classes for entry in fields(cls) if str(entry.type).startswith("list[")}
    return {n: [v] if n in lists and not isinstance(v, list) and v is not None else v for n, v in content.items()}
