"""One run from start to end: build the model, resume, train, score, save. Recipes call it with a task."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import EarlyStoppingCallback, set_seed
from transformers.trainer_utils import IntervalStrategy, SaveStrategy
from transformers.utils import logging as transformers_logging

from modeling_sigma.hub.bundle import KEY_FILE, WEIGHT_FILES
from modeling_sigma.jobs.atomic_files import lone_writer
from modeling_sigma.jobs.atomic_folders import staged_files
from modeling_sigma.training.adapters.label_means import start_from_means
from modeling_sigma.training.adapters.lora import add_adapter
from modeling_sigma.training.arguments import AdapterArguments, DataArguments, ModelArguments
from modeling_sigma.training.data.clip_dataset import ClipDataset
from modeling_sigma.training.data.corpus_splits import fingerprint
from modeling_sigma.training.data.streamed_clips import StreamedCorpus
from modeling_sigma.training.model_building import build_model
from modeling_sigma.training.run.calibrated_bundle import calibrate_trained
from modeling_sigma.training.run.callbacks import RunRecorder
from modeling_sigma.training.run.checkpoints import (
    last_complete_checkpoint,
    list_checkpoints,
    num_processes_of,
    remove_incomplete_checkpoints,
    saving_model_failed,
)
from modeling_sigma.training.run.interruptions import EvaluationCut, StopOnRequest, is_lost_peer, peer_lost, stopped
from modeling_sigma.training.run.run_folder import RunFolder
from modeling_sigma.training.run.trained_bundle import save_trained
from modeling_sigma.training.task import Task
from modeling_sigma.training.training_arguments import SigmaTrainingArguments


logger = logging.getLogger(__name__)

# Seconds to wait for the folder: workers of a run that was killed hold its lock until they see that it is gone.
_PATIENCE = 15.0


def check_purpose(model_args: ModelArguments, args: SigmaTrainingArguments) -> None:
    """Refuses a run that would build a corpus to score a random model, or to do nothing at all.

    Raises:
        ValueError: if nothing is to be trained, and nothing trained is to be scored.
    """
    if not args.do_train and (model_args.model is None or not (args.do_eval or args.do_predict)):
        raise ValueError(
            "expected something to train, or a trained model to score, received neither: add --do_train true, or take "
            "a --recipe; --model with --do_predict true scores a model alone"
        )


def run_training(
    task: Task,
    splits: Mapping[str, Any],
    model_args: ModelArguments,
    data_args: DataArguments,
    args: SigmaTrainingArguments,
    adapter_args: AdapterArguments | None = None,
) -> dict[str, Any]:
    """Trains a model, or continues its training, scores it on validation and test, and saves it in a folder that
    `from_pretrained` loads. With an adapter, the folder holds the merged model, and its subfolder `adapter` the
    adapter alone.

    Args:
        task ([`Task`]):
            What the model learns.
        splits (`Mapping[str, datasets.Dataset]`):
            The clips by split: `train`, and optionally `validation` and `test`.
        model_args, data_args, args, adapter_args:
            The options of the run.

    Returns:
        `dict`: scores by split, as in `metrics.json`.

    Raises:
        ValueError, OSError: for arguments or a checkpoint that cannot be used, a split without clips, or an output
            folder that holds another run's checkpoints or is being written by another run.
        RunStopped: if the process was asked to end (SIGTERM, Ctrl-C); a checkpoint has what was learnt.
    """
    if isinstance(splits["train"], StreamedCorpus) and args.do_train and args.max_steps <= 0:
        raise ValueError("expected max_steps with streaming, received none: nobody knows how long an epoch is")
    for name, rows in splits.items():
        if not isinstance(rows, StreamedCorpus) and len(rows) == 0:
            raise ValueError(f"expected clips in the {name} split, received none: add clips, or leave the split out")
    is_first = args.process_index == 0
    with lone_writer(Path(args.output_dir), _PATIENCE) if is_first else nullcontext():
        return _run(task, splits, model_args, data_args, args, adapter_args)


def _run(
    task: Task,
    splits: Mapping[str, Any],
    model_args: ModelArguments,
    data_args: DataArguments,
    args: SigmaTrainingArguments,
    adapter_args: AdapterArguments | None,
) -> dict[str, Any]:
    _set_up(args, task, "validation" in splits)
    task.number_labels(splits)
    augmentation: Any = data_args.augmentation  # a mapping since it was parsed
    model, processor = build_model(model_args, task, splits["train"], augmentation)
    if model_args.label_start == "means" and args.do_train:
        start_from_means(model, _batches(task, splits["train"], processor, args.per_device_eval_batch_size))
    if adapter_args is not None and adapter_args.adapter == "lora":
        model = add_adapter(model, adapter_args)
    folder = RunFolder(args.output_dir, is_writer=args.should_save)
    extractor = getattr(processor, "feature_extractor", processor)
    data = {name: task.dataset(rows, args.seed, extractor, name == "train") for name, rows in splits.items()}
    stop = StopOnRequest()
    callbacks: list[Any] = [RunRecorder(folder), stop]
    if args.early_stopping_patience is not None:
        callbacks.append(EarlyStoppingCallback(args.early_stopping_patience))
    trainer = task.trainer_class(
        task=task, model=model, args=args, train_dataset=data["train"], eval_dataset=data.get("validation"),
        processing_class=processor, callbacks=callbacks,
    )  # fmt: skip
    metrics: dict[str, Any] = {}
    if args.do_train:
        checkpoint = _checkpoint_to_resume(args, trainer)
        arguments = [entry for entry in (model_args, data_args, adapter_args, args) if entry is not None]
        folder.start(arguments, trainer.model, {name: fingerprint(rows) for name, rows in splits.items()})
        metrics["train"] = _train(trainer, stop, checkpoint)
        trainer.save_state()
        _save_whole(trainer, partial(save_trained, trainer, adapter_base=str(model_args.model)))
    for name in ("validation", "test"):
        if name not in data or not (args.do_eval if name == "validation" else args.do_predict):
            continue
        output = trainer.predict(data[name], metric_key_prefix=name)
        metrics[name] = {key.removeprefix(f"{name}_"): value for key, value in output.metrics.items()}
        if args.should_save:
            task.write_predictions(output.predictions, splits[name], processor, folder.path, name)
    folder.write("metrics.json", metrics)
    if args.do_train and args.should_save and task.name == "islr" and task.kind.has_labels and "validation" in splits:
        calibrate_trained(folder.path, splits["validation"], data_args.validation_corpus or data_args.corpus[-1], args)
    if args.should_log:
        for name, scores in metrics.items():
            shown = {key: round(value, 4) for key, value in scores.items() if isinstance(value, (int, float))}
            logger.info("%s: %s", name, shown)
    if args.do_train and args.push_to_hub:
        trainer.push_to_hub()  # at last: a network that fails loses nothing
    return metrics


def _batches(task: Task, rows: Any, processor: Any, size: int) -> Iterator[dict[str, Any]]:
    """What the model reads of each clip, not augmented."""
    if isinstance(rows, StreamedCorpus):
        raise ValueError("expected clips at hand for label_start means, received a stream: leave one of them out")
    clips = ClipDataset(rows)
    for start in range(0, len(clips), size):
        yield task.collate(processor, [clips[row] for row in range(start, min(start + size, len(clips)))])


def _set_up(args: SigmaTrainingArguments, task: Task, has_validation: bool) -> None:
    """Fills in what depends on the task and its splits: the metric that chooses the checkpoint, and no evaluation
    without validation clips. Also sets the seed, and turns on the logs of our modules."""
    logging.basicConfig(format="%(message)s", level=logging.INFO if args.should_log else logging.ERROR)
    transformers_logging.set_verbosity_warning()
    transformers_logging.disable_progress_bar()  # for single files; training has its own
    set_seed(args.seed)  # before the model is made
    args.remove_unused_columns = False
    if not has_validation:
        args.eval_strategy = IntervalStrategy.NO
        args.load_best_model_at_end = False
        if SaveStrategy(args.save_strategy) is SaveStrategy.BEST:
            args.save_strategy = SaveStrategy.EPOCH
    if args.metric_for_best_model in (None, "loss"):  # transformers' own default is the loss
        args.metric_for_best_model, args.greater_is_better = task.best_metric
    folder = Path(args.output_dir)
    if args.do_train and list_checkpoints(folder) and not (args.resume or args.overwrite):
        raise ValueError(
            f"{folder} holds checkpoints of an earlier run: continue with --resume, start again with --overwrite, or "
            "choose another --output_dir"
        )


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
        if checkpoint is not None and (number := num_processes_of(checkpoint)) != args.world_size:
            logger.warning(
                "%s was written by %d processes, and now there are %d: weights, optimiser and schedule go on at its "
                "step. Steps have the same clips as before only if processes x gradient_accumulation_steps stay what "
                "they were; otherwise epochs count by the new number of steps",
                checkpoint,
                number,
                args.world_size,
            )
    return checkpoint


def _train(trainer: Any, stop: StopOnRequest, checkpoint: Path | None) -> dict[str, float]:
    """Trains to the end, or to where the run is stopped from outside; returns the metrics of training."""
    args, folder = trainer.args, Path(trainer.args.output_dir)
    try:
        with stop.listening():
            result = trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except EvaluationCut:
        trainer._save_checkpoint(trainer.model, trial=None)  # of the step before the evaluation
    except RuntimeError as error:
        if args.world_size == 1 or not is_lost_peer(error):
            raise
        raise peer_lost(trainer.state.global_step, last_complete_checkpoint(folder)) from error
    if stop.has_stopped:
        raise stopped(trainer.state.global_step, last_complete_checkpoint(folder), stop.request)
    metrics: dict[str, float] = result.metrics
    return metrics


def _save_whole(trainer: Any, save: Callable[[Path], object]) -> None:
    """Saves the model, whole or not at all; `save` is called by all processes, of which one writes."""
    folder, is_writer = Path(trainer.args.output_dir), trainer.args.should_save
    try:
        with staged_files(folder, KEY_FILE, WEIGHT_FILES) if is_writer else nullcontext(folder) as staged:
            save(staged)
    except (OSError, SafetensorError) as error:
        raise saving_model_failed(folder, error) from error
