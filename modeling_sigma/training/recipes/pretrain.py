"""Pre-training with all four losses: what `sigma-slu pretrain` runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modeling_sigma.training.arguments import DataArguments, ModelArguments, parse_arguments
from modeling_sigma.training.data.corpus_splits import load_splits
from modeling_sigma.training.run.training_run import check_purpose, run_training
from modeling_sigma.training.task import choose_task
from modeling_sigma.training.training_arguments import SigmaTrainingArguments


def main(argv: Sequence[str]) -> dict[str, Any]:
    """Pre-trains as the command line says; returns the scores."""
    return pretrain(*parse_arguments((ModelArguments, DataArguments, SigmaTrainingArguments), argv))


def pretrain(model_args: ModelArguments, data_args: DataArguments, args: SigmaTrainingArguments) -> dict[str, Any]:
    """Pre-trains a model; see [`run_training`] for what the run writes.

    Returns:
        `dict`: scores by split.

    Raises:
        ValueError, OSError: for arguments, data or a checkpoint that cannot be used.
    """
    check_purpose(model_args, args)
    task = choose_task("pretrain", language=data_args.language)
    return run_training(task, load_splits(data_args), model_args, data_args, args)
