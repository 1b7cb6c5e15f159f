"""Pre-training with all four losses: what `examples/pretrain.py` runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modeling_sigma.metrics.retrieval import retrieval_scores
from modeling_sigma.training.arguments import (
    DataArguments,
    ModelArguments,
    SigmaTrainingArguments,
    parse_arguments,
)
from modeling_sigma.training.data.corpus_splits import load_splits
from modeling_sigma.training.data.data_collator import SigmaDataCollator, text_rows
from modeling_sigma.training.model_building import build_model
from modeling_sigma.training.run.training_run import run_training, set_up
from modeling_sigma.training.trainers import SigmaPreTrainer


DESCRIPTION = "Pre-train Sigma: alignment, sign-text matching and language modelling in one."


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Pre-trains as the command line says; returns the scores."""
    classes = (ModelArguments, DataArguments, SigmaTrainingArguments)
    return pretrain(*parse_arguments(classes, argv, description=DESCRIPTION))


def pretrain(model_args: ModelArguments, data_args: DataArguments, args: SigmaTrainingArguments) -> dict[str, Any]:
    """One run; see [`run_training`] for what it leaves behind.

    Raises:
        ValueError, OSError: for arguments, data or a checkpoint that cannot be used.
    """
    splits = load_splits(data_args)
    set_up(args, "pretrain", "validation" in splits)
    texts = [row["text"] for row in text_rows(splits["train"])]
    languages = [data_args.language] if data_args.language else splits["train"].unique("spoken_language")
    model, processor = build_model(model_args, "pretrain", texts, languages, augmentation=data_args.augmentation)
    return run_training(
        SigmaPreTrainer,
        model,
        processor,
        SigmaDataCollator(processor, "pretrain", language=data_args.language),
        splits,
        (model_args, data_args, args),
        pretraining_metrics,
    )


def pretraining_metrics(evaluation: Any) -> dict[str, float]:
    """Every loss term, and retrieval between the clips and sentences of the split (equal sentences match).

    The `compute_metrics` of a [`SigmaPreTrainer`], which adds the sentences as `references`.
    """
    poses, texts, terms = (np.asarray(values, np.float64) for values in evaluation.predictions)
    means = dict(zip(SigmaPreTrainer.TERMS, np.asarray(terms).mean(axis=0).tolist()))
    scores = retrieval_scores(poses @ texts.T, evaluation.references)
    numbers = {name: float(value) for name, value in scores.items() if isinstance(value, (int, float))}
    return {**{name: value for name, value in means.items() if value == value}, **numbers}
