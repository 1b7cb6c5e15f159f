"""One run from start to end: resume, train, score, save. What to train, `pretrain`, `finetune` and `adapt` say."""

from __future__ import annotations

import copy
import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, set_seed
from transformers.trainer_utils import IntervalStrategy, SaveStrategy
from transformers.utils import logging as transformers_logging

from modeling_sigma.hub.bundle import save_bundle
from modeling_sigma.registration import register_sigma
from modeling_sigma.training.adapters.lora import save_adapter
from modeling_sigma.training.arguments import BEST_METRICS, SigmaTrainingArguments
from modeling_sigma.training.data.clip_dataset import ClipDataset
from modeling_sigma.training.data.corpus_splits import fingerprint
from modeling_sigma.training.run.callbacks import RunRecorder
from modeling_sigma.training.run.checkpoints import (
    last_complete_checkpoint,
    list_checkpoints,
    remove_incomplete_checkpoints,
)
from modeling_sigma.training.run.run_folder import RunFolder


logger = logging.getLogger(__name__)


def set_up(arguments: SigmaTrainingArguments, task: str, has_validation: bool) -> None:
    """Fills in what depends on the task: the metric that chooses, and no evaluation where there is nothing to
    evaluate on. Also seeds what is random, and turns the logs of our modules on.

    Raises:
        ValueError: if the output folder holds another run's checkpoints.
    """
    logging.basicConfig(format="%(message)s", level=logging.INFO if arguments.should_log else logging.ERROR)
    transformers_logging.set_verbosity_warning()
    transformers_logging.disable_progress_bar()  # of single files; training has its own
    register_sigma()
    set_seed(arguments.seed)  # before the model is made
    arguments.remove_unused_columns = False
    if not has_validation:
        arguments.eval_strategy = IntervalStrategy.NO
        arguments.load_best_model_at_end = False
        if SaveStrategy(arguments.save_strategy) is SaveStrategy.BEST:
            arguments.save_strategy = SaveStrategy.EPOCH
    if arguments.metric_for_best_model in (None, "loss"):  # transformers' own default is the loss
        arguments.metric_for_best_model, arguments.greater_is_better = BEST_METRICS[task]
    folder = Path(arguments.output_dir)
    if arguments.do_train and list_checkpoints(folder) and not (arguments.resume or arguments.overwrite):
        raise ValueError(
            f"{folder} holds checkpoints of an earlier run: go on with --resume, start again with --overwrite, or "
            "choose another --output_dir"
        )


def run_training(
    trainer_class: Callable[..., Any],
    model: Any,
    processor: Any,
    collator: Any,
    splits: Mapping[str, Any],
    arguments: Sequence[Any],
    compute_metrics: Callable[[Any], dict[str, float]] | None,
    write_predictions: Callable[[Any, Any, Path, str], None] | None = None,
    base: str | None = None,
    **trainer_options: Any,
) -> dict[str, Any]:
    """Trains (or goes on with) a model, scores it on validation and test, and saves it as a folder that
    `from_pretrained` loads. Of an adapter, the folder is the merged model, and `adapter` in it the adapter alone.

    Args:
        trainer_class (`Callable`):
            One of [`ClipTrainer`]'s kinds.
        model, processor, collator:
            What trains, and what makes its inputs.
        splits (`Mapping[str, datasets.Dataset]`):
            `train`, and maybe `validation` and `test`.
        arguments (`Sequence`):
            The dataclasses that the run was told by; the last is [`SigmaTrainingArguments`].
        compute_metrics (`Callable`, *optional*):
            Scores of predictions.
        write_predictions (`Callable`, *optional*):
            Writes the predictions of a split into the output folder.
        base (`str`, *optional*):
            For adapters: where the model that they change is found.
        **trainer_options:
            Further arguments of the trainer.

    Returns:
        `dict`: scores by split, as in `metrics.json`.
    """
    args: SigmaTrainingArguments = arguments[-1]
    folder = RunFolder(args.output_dir, is_writer=args.should_save)
    data = {name: ClipDataset(rows, seed=args.seed) for name, rows in splits.items()}
    callbacks: list[Any] = [RunRecorder(folder)]
    if args.early_stopping_patience is not None:
        callbacks.append(EarlyStoppingCallback(args.early_stopping_patience))
    trainer = trainer_class(
        model=model,
        args=args,
        data_collator=collator,
        train_dataset=data["train"],
        eval_dataset=data.get("validation"),
        processing_class=processor,
        compute_metrics=compute_metrics,
        callbacks=callbacks,
        **trainer_options,
    )
    metrics: dict[str, Any] = {}
    if args.do_train:
        checkpoint = _checkpoint_to_resume(args, trainer)
        folder.start(arguments, trainer.model, {name: fingerprint(rows) for name, rows in splits.items()})
        result = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        metrics["train"] = result.metrics
        trainer.save_state()
        _save_trained(trainer, processor, type(model), splits["train"], base)
    for name in ("validation", "test"):
        if name not in data or not (args.do_eval if name == "validation" else args.do_predict):
            continue
        output = trainer.predict(data[name], metric_key_prefix=name)
        metrics[name] = {key.removeprefix(f"{name}_"): value for key, value in output.metrics.items()}
        if write_predictions is not None and args.should_save:
            write_predictions(output, splits[name], Path(args.output_dir), name)
    folder.write("metrics.json", metrics)
    if args.should_log:
        for name, scores in metrics.items():
            shown = {key: round(value, 4) for key, value in scores.items() if isinstance(value, (int, float))}
            logger.info("%s: %s", name, shown)
    return metrics


def _checkpoint_to_resume(args: SigmaTrainingArguments, trainer: Any) -> Path | None:
    if args.resume_from_checkpoint:
        return Path(args.resume_from_checkpoint)
    if args.overwrite and args.should_save:
        for name in ("log.jsonl", "metrics.json"):
            (Path(args.output_dir) / name).unlink(missing_ok=True)
    if not args.resume:
        return None
    with trainer.accelerator.main_process_first():
        if args.should_save:
            removed = remove_incomplete_checkpoints(args.output_dir)
            if removed:
                logger.info("removed incomplete checkpoints: %s", ", ".join(path.name for path in removed))
        checkpoint = last_complete_checkpoint(args.output_dir)
    if args.should_log:
        logger.info("resuming from %s", checkpoint or "the start: there is no complete checkpoint")
    return checkpoint


def _save_trained(trainer: Any, processor: Any, model_class: Any, rows: Any, base: str | None) -> None:
    """The trained model as a bundle. Its extractor remembers the layout that most clips came in."""
    folder = Path(trainer.args.output_dir)
    is_sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    if is_sharded:
        trainer.save_model()  # all processes together
    if not trainer.args.should_save:
        return
    layouts = Counter(rows["source_layout"])
    extractor = getattr(processor, "feature_extractor", processor)
    extractor.training_layout = layouts.most_common(1)[0][0]
    model = model_class.from_pretrained(folder) if is_sharded else trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "merge_and_unload"):
        languages = {f"{name}s": rows.unique(name) for name in ("sign_language", "spoken_language")}
        save_adapter(model, processor, folder / "adapter", str(base), **languages)
        # A copy: the trainer goes on with the adapter.
        model = copy.deepcopy(model).merge_and_unload()
    save_bundle(model, processor, folder)
    extractor.training_layout = None


def run_script(main: Callable[[], Any]) -> None:
    """Runs a script's main function; an error that its user can mend takes one line."""
    try:
        main()
    except (ValueError, OSError, ImportError, MemoryError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"error: {message}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
