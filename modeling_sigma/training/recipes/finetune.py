"""Fine-tuning for isolated signs, glosses and translation: what `sigma-slu finetune` runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modeling_sigma.training.arguments import AdapterArguments, DataArguments, ModelArguments, parse_arguments
from modeling_sigma.training.data.corpus_splits import load_splits
from modeling_sigma.training.run.training_run import check_purpose, run_training
from modeling_sigma.training.task import choose_task
from modeling_sigma.training.training_arguments import SigmaTrainingArguments


def main(argv: Sequence[str]) -> dict[str, Any]:
    """Fine-tunes as the command line says; returns the scores."""
    return finetune(*parse_arguments((ModelArguments, DataArguments, SigmaTrainingArguments, AdapterArguments), argv))


def finetune(
    model_args: ModelArguments,
    data_args: DataArguments,
    args: SigmaTrainingArguments,
    adapter_args: AdapterArguments | None = None,
    splits: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Fine-tunes a model; see [`run_training`] for what the run writes.

    Args:
        model_args ([`ModelArguments`]), data_args ([`DataArguments`]), args ([`SigmaTrainingArguments`]):
            What to train, on what, and how.
        adapter_args ([`AdapterArguments`], *optional*):
            Whether to train an adapter instead of the model.
        splits (`dict`, *optional*):
            Clips that are already loaded, by split, instead of those that `data_args` names.

    Returns:
        `dict`: scores by split.

    Raises:
        ValueError, OSError: for arguments, data or a checkpoint that cannot be used.
    """
    check_purpose(model_args, args)
    if adapter_args is not None and adapter_args.adapter != "none" and model_args.model is None:
        raise ValueError("expected --model, the trained Sigma that the adapter changes")
    task = choose_task(
        data_args.task,
        model_args.head,
        model_args.model,
        language=data_args.language,
        preset=data_args.preset,
        constrain_labels=data_args.constrain_labels,
    )
    splits = load_splits(data_args) if splits is None else splits
    return run_training(task, splits, model_args, data_args, args, adapter_args)
