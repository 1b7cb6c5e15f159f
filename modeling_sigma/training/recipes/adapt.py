"""Adapting a trained model to new signs, new signers or another sign language, from a folder of clips.

This is what `sigma-slu adapt` runs: fine-tuning with settings that suit few clips.
"""

from __future__ import annotations

import logging
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from datasets_scripts.corpora import CORPORA, load_corpus
from datasets_scripts.folder import UNKNOWN
from modeling_sigma.io.json_text import read_json
from modeling_sigma.model.model_kinds_sigma import ModelKind
from modeling_sigma.training.arguments import AdapterArguments, DataArguments, ModelArguments
from modeling_sigma.training.data.corpus_splits import hold_out, split_name
from modeling_sigma.training.recipes.finetune import finetune
from modeling_sigma.training.run.interruptions import RunStopped
from modeling_sigma.training.task import kind_of
from modeling_sigma.training.training_arguments import SigmaTrainingArguments


logger = logging.getLogger(__name__)

# Variations of a clip as another signer, camera or day would bring them.
AUGMENTATION = {
    "rotation": 12.0, "scale": 0.15, "stretch": 0.15, "shift": 0.1, "noise": 0.01, "frame_dropout": 0.1,
    "joint_dropout": 0.03, "speed": 0.2,
}  # fmt: skip
# For the label layer alone: as the shipped model learnt its signs, but not mirrored, as letters may differ by hand.
HEAD_AUGMENTATION = {
    "rotation": 17.0, "scale": 0.15, "stretch": 0.2, "shear": 0.2, "hand_scale": 0.15, "shift": 0.05, "noise": 0.006,
    "crop": 0.12, "tempo": 0.3, "hand_loss": 0.4,
}  # fmt: skip
_MIN_STEPS, _MAX_STEPS, _EPOCHS = 200, 2000, {"head": 10, "lora": 40, "full": 40}
_RATES = {"head": 1e-3, "lora": 3e-3, "full": 1e-3}
# With more clips of a sign than this, the other weights have something to learn from, too. Measured up to 12.
_FEW_CLIPS = 16


@dataclass
class AdaptOptions:
    """The options of `sigma-slu adapt`.

    Args:
        model (`str`):
            The trained model: a folder, or a name on the Hub.
        data (`str`):
            A folder with a table of clips or with annotated recordings, a folder made by `build-dataset`, or
            `NAME[:CONFIG]` of a corpus.
        out (`str`):
            The folder for the adapted model; with LoRA, its subfolder `adapter` holds the adapter alone.
        task (`str`, *optional*, defaults to `"auto"`):
            `"islr"`, `"cslr"` or `"slt"`. `"auto"` takes the task of the model's label head, and guesses from the
            table if the model has none.
        head (`str`, *optional*, defaults to `"auto"`):
            The head to train. `"auto"` gives isolated signs a head with one class per sign.
        method (`str`, *optional*, defaults to `"auto"`):
            `"head"`: the label layer alone (and the token before the frames, where a model has one), from the mean
            of each label's clips; `"lora"`: an adapter; `"full"`: every weight. `"auto"` takes `"head"` for isolated
            signs of at most 16 clips each if the model has learnt signs with a label head already, else `"lora"`.
        rank (`int`, *optional*, defaults to 8), pose_encoder (`str`, *optional*, defaults to `"lora"`):
            The rank of the low-rank changes, and what happens to the pose encoder: see [`lora_config`].
        clips_per_text (`int`, *optional*):
            Train on this many clips of each text only, to learn what fewer recordings would give.
        steps (`int`, *optional*):
            The number of optimiser steps; by default 40 passes over the clips (10 for the label layer alone), but at
            least 200 and at most 2,000.
        batch_size (`int`, *optional*, defaults to 32):
            The number of clips per step; all of them if there are fewer.
        learning_rate (`float`, *optional*):
            The peak learning rate; by default 3e-3 with LoRA, 1e-3 otherwise.
        freeze_batch_norm (`bool`, *optional*, defaults to `False`):
            Whether to keep the model's running statistics.
        sign_language, spoken_language (`str`, *optional*):
            English names of the languages, if the data does not state them.
        data_dir (`str`, *optional*):
            The folder with the files of a corpus that is given by name.
        corpus_options (`dict`, *optional*):
            Other options of the corpus.
        augmentation (`dict`, *optional*):
            Fields of [`PoseAugmentation`] in place of the recipe's own; empty for none.
        seed (`int`, *optional*, defaults to 0):
            The seed of everything random.
        use_cpu (`bool`, *optional*, defaults to `False`):
            Whether to train on the CPU even if there is a GPU.
    """

    model: str
    data: str
    out: str
    task: str = "auto"
    head: str = "auto"
    method: str = "auto"
    rank: int = 8
    pose_encoder: str = "lora"
    clips_per_text: int | None = None
    steps: int | None = None
    batch_size: int = 32
    learning_rate: float | None = None
    freeze_batch_norm: bool = False
    sign_language: str | None = None
    spoken_language: str | None = None
    data_dir: str | None = None
    corpus_options: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, float] | None = None
    seed: int = 0
    use_cpu: bool = False


def adapt(options: AdaptOptions) -> dict[str, Any]:
    """The recipe for few clips: an adapter, augmentation, a fixed number of steps, and a score on held-out clips.

    Nothing is chosen by the held-out clips, so their scores are what to expect for other clips like them.

    Returns:
        `dict`: `task`, `method`, `held_out` (how clips were held out), `clips` (their number by split), `parameters`
        and `trainable` (numbers of parameters), `scores` (by split), `model` and `adapter` (folders).

    Raises:
        ValueError, OSError: for data or a model that cannot be used.
        RunStopped: if the process was asked to end (SIGTERM, Ctrl-C).
    """
    splits, how = load_clips(options)
    task: Any = options.task
    kind = kind_of(options.model)
    if task == "auto":
        task = kind.tasks[0] if kind is not None and kind.has_labels else guess_task(splits["train"])
    if options.clips_per_text is not None:
        splits["train"] = first_clips_per_text(splits["train"], options.clips_per_text, options.seed)
    head = "classification" if options.head == "auto" and task == "islr" else options.head
    method = choose_method(options.method, task, head, kind, splits["train"])
    num_clips = len(splits["train"])
    batch_size = min(options.batch_size, num_clips)
    steps = options.steps or min(_MAX_STEPS, max(_MIN_STEPS, _EPOCHS[method] * math.ceil(num_clips / batch_size)))
    is_lora, is_head = method == "lora", method == "head"
    rate = options.learning_rate or _RATES[method]
    logger.info("%s on %d clips, method %s, %d steps; held out %s", task, num_clips, method, steps, how)
    args = SigmaTrainingArguments(
        output_dir=options.out, overwrite=True, do_train=True, do_eval=True, do_predict=True, max_steps=steps,
        learning_rate=rate, warmup_steps=steps // 10, weight_decay=0.01, adam_epsilon=1e-8,
        per_device_train_batch_size=batch_size, per_device_eval_batch_size=32, eval_strategy="no", save_strategy="no",
        load_best_model_at_end=False, seed=options.seed, use_cpu=options.use_cpu, logging_steps=max(1, steps // 20),
        freeze=["pose_encoder", "text_backbone"] if is_head else [], freeze_batch_norm=options.freeze_batch_norm,
        report_to="none",
    )  # fmt: skip
    augmentation = HEAD_AUGMENTATION if is_head else AUGMENTATION
    data_args = DataArguments(
        task=task, corpus=[options.data], language=prompt_language(splits["train"], options.spoken_language),
        augmentation=dict(augmentation if options.augmentation is None else options.augmentation),
    )  # fmt: skip
    adapter: dict[str, Any] = {"adapter": "lora" if is_lora else "none", "pose_encoder": options.pose_encoder}
    adapter_args = AdapterArguments(**adapter, lora_rank=options.rank)
    model_args = ModelArguments(model=options.model, head=head, label_start="means" if is_head else "random")
    try:
        scores = finetune(model_args, data_args, args, adapter_args, splits)
    except RunStopped as error:
        if error.checkpoint is not None:
            shutil.rmtree(error.checkpoint)
        message = "asked to stop: nothing was written; the same command starts again"
        raise RunStopped(message, None, error.request) from error
    sizes = read_json(Path(options.out) / "run.json", "the record of a run", dict)["model"]
    return {
        "task": task,
        "method": method,
        "held_out": how,
        "clips": {name: len(rows) for name, rows in splits.items()},
        **{name: sizes[name] for name in ("parameters", "trainable")},
        "scores": {name: values for name, values in scores.items() if name != "train"},
        "model": options.out,
        "adapter": str(Path(options.out) / "adapter") if is_lora else None,
    }


def choose_method(method: str, task: str, head: str, kind: ModelKind | None, rows: datasets.Dataset) -> str:
    """What is trained: as given, or what [`AdaptOptions`] says of `"auto"`.

    Raises:
        ValueError: for `"head"` and anything but isolated signs with a label head.
    """
    labels_signs = task == "islr" and head == "classification"
    if method == "head" and not labels_signs:
        raise ValueError(
            f"expected isolated signs and the head classification for the method head, received the task {task} and "
            f"the head {head}: use --method lora"
        )
    if method != "auto":
        return method
    has_learnt_signs = kind is not None and kind.head == "classification"
    is_few = len(rows) <= _FEW_CLIPS * len(rows.unique("text"))
    return "head" if labels_signs and has_learnt_signs and is_few else "lora"


def load_clips(options: AdaptOptions) -> tuple[dict[str, datasets.Dataset], str]:
    """The clips by split, and how clips were held out: by the data's own splits, or by [`hold_out`] if it has one."""
    name, config = split_name(options.data)
    languages: dict[str, Any] = {
        key: value
        for key, value in (("sign_language", options.sign_language), ("spoken_language", options.spoken_language))
        if value is not None
    }
    path = Path(name)
    if name not in CORPORA and path.is_dir() and not any(path.rglob("*.parquet")):
        # Without shares the table's own splits are used, or none are made.
        shares = {"validation_share": 0.0, "test_share": 0.0}
        loaded = load_corpus("folder", data_dir=name, **languages, **{**shares, **options.corpus_options})
    else:
        loaded = load_corpus(name, config, data_dir=options.data_dir, **options.corpus_options)
    splits = {split: rows for split, rows in loaded.items() if len(rows) > 0}
    if "train" not in splits:
        raise ValueError(f"{options.data}: expected clips to train on, received {', '.join(splits) or 'none'}")
    if len(splits) > 1:
        return splits, "by the splits of the data"
    train, held, how = hold_out(splits["train"], seed=options.seed)
    return {"train": train, "test": held}, how


def prompt_language(rows: datasets.Dataset, given: str | None) -> str | None:
    """The language of the prompt: as given, else None for each clip's own, else English if that is unknown."""
    if given is not None or UNKNOWN not in rows.unique("spoken_language"):
        return given
    logger.warning("the spoken language of the clips is not known: English is assumed; say --spoken-language")
    return "English"


def guess_task(rows: datasets.Dataset) -> str:
    """`islr` if texts are short and repeated, `cslr` if most clips have no text, only glosses, else `slt`."""
    texts = [text for text in rows["text"] if text.strip()]
    if len(texts) < len(rows) / 2:
        return "cslr"
    is_repeated = len(set(texts)) <= 0.7 * len(texts)
    return "islr" if is_repeated and np.mean([len(text.split()) for text in texts]) <= 3 else "slt"


def first_clips_per_text(rows: datasets.Dataset, number: int, seed: int = 0) -> datasets.Dataset:
    """At most `number` random clips of each text."""
    if number < 1:
        raise ValueError(f"expected at least one clip per text, received {number}")
    counts: dict[str, int] = {}
    kept = []
    texts = list(rows["text"])
    for index in np.random.default_rng(seed).permutation(len(rows)):
        counts[texts[index]] = counts.get(texts[index], 0) + 1
        if counts[texts[index]] <= number:
            kept.append(int(index))
    return rows.select(sorted(kept))
