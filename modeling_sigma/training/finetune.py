"""Fine-tuning for isolated signs, glosses and translation: what `examples/finetune.py` runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modeling_sigma.metrics.trainer_metrics import build_compute_metrics, decode_token_ids
from modeling_sigma.training.arguments import (
    DataArguments,
    ModelArguments,
    SigmaTrainingArguments,
    parse_arguments,
)
from modeling_sigma.training.corpus_splits import load_splits
from modeling_sigma.training.data_collator import SigmaDataCollator, target_of
from modeling_sigma.training.model_building import build_model, choose_head
from modeling_sigma.training.trainers import SigmaSeq2SeqTrainer, SigmaTrainer
from modeling_sigma.training.training_run import run_training, set_up


DESCRIPTION = "Fine-tune Sigma for isolated signs, glosses or translation."


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Fine-tunes as the command line says; returns the scores."""
    classes = (ModelArguments, DataArguments, SigmaTrainingArguments)
    return finetune(*parse_arguments(classes, argv, description=DESCRIPTION))


def finetune(model_args: ModelArguments, data_args: DataArguments, args: SigmaTrainingArguments) -> dict[str, Any]:
    """One run; see [`run_training`] for what it leaves behind.

    Raises:
        ValueError, OSError: for arguments, data or a checkpoint that cannot be used.
    """
    splits = load_splits(data_args)
    set_up(args, data_args.task, "validation" in splits)
    head = choose_head(model_args, data_args.task)
    labels = labels_of(splits, head, data_args.task)
    texts = [target_of(row, data_args.task) for row in text_rows(splits["train"])]
    languages = [data_args.language] if data_args.language else splits["train"].unique("spoken_language")
    model, processor = build_model(model_args, head, texts, languages, labels, data_args.augmentation)
    collator = SigmaDataCollator(processor, data_args.task, head, model.config.label2id, data_args.language)
    return run_training(
        SigmaSeq2SeqTrainer if head == "generation" else SigmaTrainer,
        model,
        processor,
        collator,
        splits,
        (model_args, data_args, args),
        build_metrics(processor, data_args, head, labels),
        prediction_writer(processor, data_args.task, head, labels),
        **({} if head == "generation" else {"preprocess_logits_for_metrics": keep_scores}),
    )


def text_rows(rows: Any) -> Any:
    """A split without its keypoints: quick to read through."""
    return rows.select_columns(["sample_id", "text", "gloss", "spoken_language"])


def labels_of(splits: Any, head: str, task: str) -> list[str] | None:
    """Names of the labels (for CTC blank and glosses) in the order of their numbers; None for heads that write.

    Raises:
        ValueError: if other splits have labels that training has not.
    """
    if head == "generation":
        return None
    if head == "ctc":
        from modeling_sigma.gloss_vocabulary_sigma import build_gloss_labels

        return list(build_gloss_labels(row["gloss"] for row in text_rows(splits["train"])).values())
    names = {name: {target_of(row, task) for row in text_rows(rows)} for name, rows in splits.items()}
    for name, found in names.items():
        unseen = sorted(found - names["train"])
        if unseen:
            raise ValueError(
                f"the {name} split has {len(unseen)} labels that no training clip has, first {unseen[0]!r}: move "
                "clips of them to train, leave them out, or use --head generation"
            )
    return sorted(names["train"])


def build_metrics(
    processor: Any, data_args: DataArguments, head: str, labels: list[str] | None
) -> Callable[[Any], dict[str, float]]:
    """The scores of the task; see `modeling_sigma.metrics`."""
    tokenizer = getattr(processor, "tokenizer", None)
    return build_compute_metrics(tokenizer, data_args.task, data_args.preset, label_names=labels)


def keep_scores(logits: Any, labels: Any) -> Any:
    """Of all that a model returns, the label scores alone are gathered."""
    return logits[0] if isinstance(logits, tuple) else logits


def prediction_writer(
    processor: Any, task: str, head: str, labels: list[str] | None
) -> Callable[[Any, Any, Path, str], None]:
    """Writes `predictions_SPLIT.txt` and `references_SPLIT.txt`, one clip a line, for `sigma-slu evaluate`."""

    def write(output: Any, rows: Any, folder: Path, split: str) -> None:
        if head == "classification" and labels is not None:
            texts = [labels[number] for number in np.asarray(output.predictions).argmax(axis=-1)]
        else:
            texts = decode_token_ids(np.asarray(output.predictions), processor)
        references = [target_of(row, task) for row in text_rows(rows)]
        for name, lines in (("predictions", texts), ("references", references)):
            content = "".join(" ".join(line.split()) + "\n" for line in lines)
            (folder / f"{name}_{split}.txt").write_text(content, encoding="utf-8")

    return write
