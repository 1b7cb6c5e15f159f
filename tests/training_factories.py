"""Small runs to test training with: rows of a corpus, trainers of tiny models. Nothing is read from a disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import factories

from datasets_scripts.schema import encode_sample, features
from modeling_sigma.model.modeling_sigma_heads import SigmaForSequenceClassification
from modeling_sigma.registration import defined_class
from modeling_sigma.training.data.clip_dataset import ClipDataset
from modeling_sigma.training.task import Task, choose_task
from modeling_sigma.training.training_arguments import SigmaTrainingArguments


WORDS = ("hello world", "the weather is nice today", "understanding people who sign", "rain in the north")
AUGMENTATION = {"rotation": 10.0, "noise": 0.01, "speed": 0.2, "frame_dropout": 0.1}


def tiny_rows(num_clips: int = 13, split: str = "train", seed: int = 0) -> datasets.Dataset:
    """Clips of 5 to 16 frames; text and gloss are those of `WORDS` in turn, signers Ada, Ben and Cy."""
    rows = [
        encode_sample(
            factories.random_clip(5 + (7 * number) % 12, seed=1000 * seed + number),
            sample_id=f"{split}_{number}",
            text=WORDS[number % len(WORDS)],
            gloss=WORDS[number % len(WORDS)].upper().split(),
            signer_id=("Ada", "Ben", "Cy")[number % 3],
            sign_language="Test Sign Language",
            spoken_language="English",
            split=split,
        )
        for number in range(num_clips)
    ]
    return datasets.Dataset.from_list(rows, features=features())


def tiny_arguments(folder: Path, **fields: Any) -> SigmaTrainingArguments:
    """A few steps of at most 4 clips, without evaluation and checkpoints unless asked for."""
    defaults: dict[str, Any] = {
        "use_cpu": True,
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-3,
        "logging_steps": 1,
        "eval_strategy": "no",
        "save_strategy": "no",
        "load_best_model_at_end": False,
        "disable_tqdm": True,
        "report_to": "none",
    }
    return SigmaTrainingArguments(output_dir=str(folder), **{**defaults, **fields})


def label_task(name: str, head: str, labels: Sequence[str]) -> Task:
    """A task with these labels."""
    task = choose_task(name, head)
    task.set_labels(labels)
    return task


def tiny_classifier(labels: Sequence[str], **fields: Any) -> Any:
    """A tiny model with a label head, without dropout."""
    return factories.tiny_model(
        SigmaForSequenceClassification,
        text_config=factories.tiny_text_config(dropout_rate=0.0),
        id2label=dict(enumerate(labels)),
        label2id={name: number for number, name in enumerate(labels)},
        **fields,
    )


def tiny_trainer(
    folder: Path,
    task: Task | str = "slt",
    cls: type | None = None,
    rows: datasets.Dataset | None = None,
    augmentation: dict[str, float] | None = AUGMENTATION,
    model: Any = None,
    processor: Any = None,
    **fields: Any,
) -> Any:
    """A trainer of a tiny model without dropout. `fields` are those of the arguments."""
    task = choose_task(task) if isinstance(task, str) else task
    if model is None:
        text_config = factories.tiny_text_config(dropout_rate=0.0)
        model = factories.tiny_model(defined_class(task.kind), text_config=text_config)
    data = ClipDataset(tiny_rows() if rows is None else rows, seed=5)
    return (cls or task.trainer_class)(
        task=task,
        model=model,
        args=tiny_arguments(folder, **fields),
        processing_class=processor or factories.tiny_processor(max_frames=14, augmentation=augmentation),
        train_dataset=data,
        eval_dataset=data,
    )


def losses(trainer: Any) -> list[float]:
    """The loss of every logged step."""
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]
