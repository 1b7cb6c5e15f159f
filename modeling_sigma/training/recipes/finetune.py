"""Fine-tuning for isolated signs, glosses and translation: what `examples/finetune.py` runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from modeling_sigma.model.label_trie_sigma import LabelTrie
from modeling_sigma.training.adapters.lora import import_peft, lora_config
from modeling_sigma.training.arguments import (
    AdapterArguments,
    DataArguments,
    ModelArguments,
    SigmaTrainingArguments,
    parse_arguments,
)
from modeling_sigma.training.data.corpus_splits import load_splits
from modeling_sigma.training.data.data_collator import SigmaDataCollator, target_of, text_rows
from modeling_sigma.training.model_building import build_model, choose_head
from modeling_sigma.training.run.training_run import run_training, set_up
from modeling_sigma.training.task_scores import build_metrics, keep_scores, prediction_writer
from modeling_sigma.training.trainers import SigmaCTCTrainer, SigmaSeq2SeqTrainer, SigmaTrainer


logger = logging.getLogger(__name__)

TRAINERS = {"generation": SigmaSeq2SeqTrainer, "classification": SigmaTrainer, "ctc": SigmaCTCTrainer}
DESCRIPTION = "Fine-tune Sigma for isolated signs, glosses or translation."


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Fine-tunes as the command line says; returns the scores."""
    classes = (ModelArguments, DataArguments, SigmaTrainingArguments)
    return finetune(*parse_arguments(classes, argv, description=DESCRIPTION))


def finetune(
    model_args: ModelArguments,
    data_args: DataArguments,
    args: SigmaTrainingArguments,
    adapter_args: AdapterArguments | None = None,
    splits: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One run; see [`run_training`] for what it leaves behind.

    Args:
        model_args, data_args, args:
            What to train, on what, and how.
        adapter_args ([`AdapterArguments`], *optional*):
            Train an adapter of the model, not the model.
        splits (`dict`, *optional*):
            Clips that are loaded already, instead of those that `data_args` names.

    Raises:
        ValueError, OSError: for arguments, data or a checkpoint that cannot be used.
    """
    task = data_args.task
    splits = load_splits(data_args) if splits is None else splits
    set_up(args, task, "validation" in splits)
    head = choose_head(model_args, task)
    labels = labels_of(splits, head, task)
    texts = [target_of(row, task) for row in text_rows(splits["train"])]
    languages = [data_args.language] if data_args.language else splits["train"].unique("spoken_language")
    model, processor = build_model(model_args, head, texts, languages, labels, data_args.augmentation)
    if head == "generation":
        warn_unknown_pieces(processor.tokenizer, texts)
    collator = SigmaDataCollator(processor, task, head, model.config.label2id, data_args.language)
    arguments: list[Any] = [model_args, data_args]
    if adapter_args is not None:
        model = add_adapter(model, adapter_args)
        arguments.append(adapter_args)
    options: dict[str, Any] = {}
    if head == "classification":
        options["preprocess_logits_for_metrics"] = keep_scores
    elif head == "generation" and task == "islr" and data_args.constrain_labels:
        trie = LabelTrie.from_labels(sorted(set(texts)), processor.tokenizer)
        options["generation_options"] = {"prefix_allowed_tokens_fn": trie}
    return run_training(
        TRAINERS[head],
        model,
        processor,
        collator,
        splits,
        [*arguments, args],
        build_metrics(processor, data_args, head, labels),
        prediction_writer(processor, task, head, labels),
        base=model_args.model,
        **options,
    )


def warn_unknown_pieces(tokenizer: Any, texts: Sequence[str]) -> None:
    """Says if targets hold characters that the tokenizer cannot write: a model never learns them."""
    distinct = sorted(set(texts))
    unknown = [text for text in distinct if tokenizer.unk_token_id in tokenizer(text, verbose=False)["input_ids"]]
    if unknown:
        logger.warning(
            "the tokenizer cannot write %d of %d texts in full, first %r: use a text model that knows the language, "
            "or a head with labels (--head classification, --head ctc)",
            len(unknown),
            len(distinct),
            unknown[0],
        )


def add_adapter(model: Any, arguments: AdapterArguments) -> Any:
    """The model with a new adapter, which alone trains."""
    peft = import_peft()
    return peft.get_peft_model(
        model,
        lora_config(
            model,
            arguments.lora_rank,
            arguments.lora_alpha,
            arguments.lora_dropout,
            arguments.pose_encoder,
            arguments.modules_to_save,
        ),
    )


def labels_of(splits: Any, head: str, task: str) -> list[str] | None:
    """Names of the labels (for CTC blank and glosses) in the order of their numbers; None for heads that write.

    They are those of all splits: a corpus's label set is known beforehand, and a clip of a sign that training lacks
    counts as a mistake, not as a clip less. Warns of such labels.
    """
    if head == "generation":
        return None
    rows = {name: text_rows(clips) for name, clips in splits.items()}
    if head == "ctc":
        from modeling_sigma.model.ctc_sigma import build_gloss_labels

        trained = set(build_gloss_labels(row["gloss"] for row in rows["train"]).values())
        labels = list(build_gloss_labels(row["gloss"] for clips in rows.values() for row in clips).values())
    else:
        trained = {target_of(row, task) for row in rows["train"]}
        labels = sorted({target_of(row, task) for clips in rows.values() for row in clips})
    unseen = [label for label in labels if label not in trained]
    if unseen:
        logger.warning(
            "%d of %d labels have no training clip, first %r: the model cannot learn them, and clips of them count as "
            "mistakes",
            len(unseen),
            len(labels),
            unseen[0],
        )
    return labels
