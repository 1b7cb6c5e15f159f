"""Trainers of Sigma models: those of `transformers`, with batches by frames and the care that clips need."""

from __future__ import annotations

import inspect
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi
from safetensors import SafetensorError
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler
from transformers import Seq2SeqTrainer, Trainer
from transformers.trainer_utils import seed_worker

from modeling_sigma.hub.bundle_files import CARD, is_plain_file
from modeling_sigma.hub.push import push_folder
from modeling_sigma.hub.sending import HubSender
from modeling_sigma.io.json_text import read_json
from modeling_sigma.jobs.atomic_files import write_json
from modeling_sigma.training.data.clip_dataset import BatchStream
from modeling_sigma.training.data.frame_budget import FrameBudgetSampler
from modeling_sigma.training.data.streamed_clips import StreamedClips, StreamLoader
from modeling_sigma.training.optimization.batch_normalization import freeze_batch_norm, synchronize_batch_norm
from modeling_sigma.training.optimization.muon_adamw import MuonAdamW
from modeling_sigma.training.optimization.optimizer_groups import PARTS, freeze_parts, parameter_groups
from modeling_sigma.training.optimization.weight_average import WeightAverage, WeightAverageCallback
from modeling_sigma.training.run.callbacks import EpochCallback, LogitScaleCallback, NonFiniteGuard
from modeling_sigma.training.run.checkpoints import saving_failed
from modeling_sigma.training.run.trained_bundle import save_trained
from modeling_sigma.training.training_arguments import SigmaTrainingArguments


logger = logging.getLogger(__name__)

# Of a checkpoint, with the number of the process: where it was in a stream of clips.
_STREAM = "stream_{}.json"

_RATES = {
    "pose_encoder": "pose_learning_rate",
    "embeddings": "text_learning_rate",
    "text_backbone": "text_learning_rate",
    "heads": "head_learning_rate",
}


class SigmaTrainer(Trainer):
    """A `Trainer` whose task makes its batches and scores, and whose arguments are [`SigmaTrainingArguments`]. Label
    heads are trained with this class itself.

    A loss that is a mean over the clips of a batch is weighted by their number, so that accumulated batches, and
    processes with batches of different sizes, give the mean over the whole step. The Trainer itself does this for
    losses over tokens.

    Args:
        task ([`Task`]):
            What the model learns.
        processing_class ([`SigmaProcessor`] or [`SigmaFeatureExtractor`]):
            The model's processor, or its feature extractor if it has no tokenizer.
        **kwargs:
            Further arguments of `transformers.Trainer`. `train_dataset` is a [`ClipDataset`], a [`BatchStream`] or
            [`StreamedClips`].
    """

    softens_labels = False  # with mixup and teachers

    args: SigmaTrainingArguments
    model: Any
    optimizer: Any
    processing_class: Any
    label_smoother: Any
    _step_clips: torch.Tensor
    _step_tokens: torch.Tensor

    def __init__(self, *, task: Any, processing_class: Any, **kwargs: Any) -> None:
        self.task = task
        collator = partial(task.collate, processing_class)
        super().__init__(
            processing_class=processing_class, data_collator=collator, compute_metrics=self._scores, **kwargs
        )
        self._check_arguments()
        model = self.model
        if self.label_smoother is not None:
            # Our objectives smooth labels themselves, each in its own way.
            model.config.label_smoothing, self.label_smoother = self.args.label_smoothing_factor, None
        freeze_parts(model, self.args.freeze)
        if self.args.freeze_batch_norm:
            freeze_batch_norm(model)
        if self.args.sync_batch_norm and self.args.world_size > 1:
            synchronize_batch_norm(model)
        # transformers looks for **kwargs, which all our models have; what matters is who divides by the item count.
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.counts_tokens = "num_items_in_batch" in inspect.signature(base.forward).parameters
        self.model_accepts_loss_kwargs = self.counts_tokens
        self.loss_is_scaled_for_ga = True
        self._epochs = EpochCallback()
        self.guard = NonFiniteGuard(model, self.args.on_non_finite == "skip", not self.args.fp16)
        self.add_callback(self._epochs)
        self.add_callback(self.guard)
        self.average: WeightAverage | None = None
        if self.args.ema_decay is not None:
            self.average = WeightAverage(model, self.args.ema_decay)
            self.add_callback(WeightAverageCallback(self.average))
        self._stream: StreamLoader | None = None
        self._resumed_from: str | None = None
        self._sums: dict[str, torch.Tensor] = {}  # of what is logged besides the loss
        self._num_summed = 0.0

    def _check_arguments(self) -> None:
        if self.args.softens_labels and not self.softens_labels:
            raise ValueError(
                f"expected mixup and teachers for heads that give a clip one label (--head classification), received "
                f"them for {type(self.model).__name__}"
            )
        if self.args.n_gpu > 1:
            raise ValueError(
                f"expected one process per GPU, received {self.args.n_gpu} GPUs for one: use `accelerate launch`, "
                "or show it a single one with CUDA_VISIBLE_DEVICES=0"
            )
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            for name, value in (("ema_decay", None), ("on_non_finite", "stop")):
                if getattr(self.args, name) != value:
                    raise ValueError(f"expected {name} {value} where weights are sharded (FSDP, DeepSpeed)")

    # --- data

    def get_train_dataloader(self) -> DataLoader:
        """Batches by frames (see [`FrameBudgetSampler`]), or those of a [`BatchStream`]."""
        if self.train_dataset is None:
            raise ValueError("expected a train_dataset, received none")
        args = self.args
        if isinstance(self.train_dataset, BatchStream):
            if args.world_size > 1:
                raise ValueError(f"expected one process for a stream of batches, received {args.world_size}")
            # Its own generator, so that it does not change the random state that the model draws from.
            return DataLoader(
                self.train_dataset, batch_size=None, collate_fn=self.data_collator, generator=torch.Generator()
            )
        extractor = getattr(self.processing_class, "feature_extractor", self.processing_class)
        if isinstance(self.train_dataset, StreamedClips):
            return self._stream_loader(self.train_dataset, extractor)
        sampler = FrameBudgetSampler(
            self.train_dataset.lengths(extractor),
            max_clips=args.per_device_train_batch_size,
            frames_per_batch=args.frames_per_batch,
            num_parts=args.world_size * args.gradient_accumulation_steps,
            length_grouping=args.length_grouping,
            seed=args.seed if args.data_seed is None else args.data_seed,
            drop_last=args.dataloader_drop_last,
        )
        self._epochs.sampler = sampler
        return self._loader(
            self.train_dataset,
            sampler,
            persistent_workers=args.dataloader_persistent_workers,
            worker_init_fn=partial(seed_worker, num_workers=args.dataloader_num_workers, rank=args.process_index),
        )

    def _stream_loader(self, clips: StreamedClips, extractor: Any) -> DataLoader:
        args = self.args
        clips.prepare(
            extractor,
            args.process_index,
            args.world_size,
            max_clips=args.per_device_train_batch_size,
            frames_per_batch=args.frames_per_batch,
            num_parts=args.gradient_accumulation_steps,
            length_grouping=args.length_grouping,
            drop_last=args.dataloader_drop_last,
        )
        self._stream = StreamLoader(
            clips,
            self.data_collator,
            args.dataloader_num_workers,
            None if self._resumed_from is None else self._stream_place(self._resumed_from),
            pin_memory=args.dataloader_pin_memory,
            prefetch_factor=args.dataloader_prefetch_factor,
            generator=torch.Generator(),  # its own: it does not change the random state that the model draws from
        )
        return self._stream

    def _stream_place(self, checkpoint: str) -> dict[str, Any]:
        path = Path(checkpoint) / _STREAM.format(self.args.process_index)
        if not path.is_file():
            raise ValueError(
                f"{checkpoint}: expected {path.name}, which says where the stream was: go on with as many processes "
                "as before, and with streaming"
            )
        place: dict[str, Any] = read_json(path, "the place in a stream", dict)
        return place

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As in `Trainer`; a stream of clips goes on where the checkpoint left it."""
        if isinstance(self.train_dataset, StreamedClips):
            self._resumed_from = resume_from_checkpoint if isinstance(resume_from_checkpoint, str) else None
            self.args.ignore_data_skip = True  # reading what has been trained on would take as long as training
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """All clips in their order, whatever the arguments say about order and last batch in training: predictions are
        compared with references in this order."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(dataset, str):
            dataset = self.eval_dataset[dataset]
        if dataset is None or len(dataset) == 0:
            what = "none" if dataset is None else "one without clips"
            raise ValueError(f"expected an eval_dataset with clips, received {what}: add clips, or eval_strategy no")
        sampler = BatchSampler(SequentialSampler(dataset), self.args.eval_batch_size, drop_last=False)
        return self._loader(dataset, sampler)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader:
        """As for evaluation."""
        return self.get_eval_dataloader(test_dataset)

    def _loader(self, dataset: Any, batch_sampler: Any, **options: Any) -> DataLoader:
        args = self.args
        loader = DataLoader(
            dataset,
            batch_sampler=batch_sampler,
            collate_fn=self.data_collator,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            prefetch_factor=args.dataloader_prefetch_factor,
            **options,
        )
        return self.accelerator.prepare(loader)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Also counts the clips and target tokens of the whole step, over all processes.

        A run that goes on from its last step has no batches: transformers would train one step too many.
        """
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return [], None
        batches, num_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        counts = torch.zeros(4, device=device)
        for batch in batches:
            mask = batch["pose_attention_mask"]
            labels = batch["labels"]
            counts += torch.stack(
                [counts.new_tensor(len(mask)), (labels != -100).sum(), mask.sum(), counts.new_tensor(mask.numel())]
            ).to(counts)
        counts = self.accelerator.reduce(counts, "sum")
        self._step_clips, self._step_tokens = counts[0], counts[1]
        self._add_to_log(clips=counts[0], frames=counts[2], padding=1 - counts[2] / counts[3].clamp(min=1))
        self._num_summed += 1
        return batches, num_items

    # --- steps

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """A step on one batch.

        Raises:
            ValueError: for clips or a loss that are not finite (see `on_non_finite`).
            MemoryError: when the batch does not fit into memory, naming its size.
        """
        sample_ids = inputs.pop("sample_ids", [])
        inputs["pose_values"] = self.guard.finite_poses(inputs["pose_values"], sample_ids, self.state.global_step)
        try:
            loss = super().training_step(model, inputs, num_items_in_batch)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            raise MemoryError(self._describe_batch(inputs, sample_ids)) from error
        self.guard.watch_loss(loss, sample_ids, self.state.global_step)
        # Reached only if such steps are skipped: the Trainer sums losses, and one NaN would spoil the log for good.
        return torch.where(torch.isfinite(loss), loss, 0.0)

    def _describe_batch(self, inputs: dict[str, Any], sample_ids: list[str]) -> str:
        clips, frames = inputs["pose_attention_mask"].shape
        tokens = inputs["labels"].shape[-1] if inputs["labels"].dim() > 1 else 1
        budget = self.args.frames_per_batch
        advice = (
            f"lower frames_per_batch, now {budget}" if budget else "set frames_per_batch, for example to half of it"
        )
        return (
            f"out of memory in step {self.state.global_step + 1}: a batch of {clips} clips x {frames} frames = "
            f"{clips * frames} frames and up to {tokens} target tokens ({', '.join(sample_ids[:3])}, ...): {advice}, "
            "or lower max_frames, use bf16, or set activation_checkpointing"
        )

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """As in `Trainer`; in training, a mean over clips is weighted by the batch's share of the step."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if model.training and not self.counts_tokens:
            loss = self.scale_loss(loss, outputs, len(inputs["pose_values"]))
        return (loss, outputs) if return_outputs else loss

    def scale_loss(self, loss: torch.Tensor, outputs: Any, num_clips: int) -> torch.Tensor:
        """The batch's part of the loss of the step; gradients are averaged over processes afterwards."""
        return loss * (num_clips / self._step_clips * self.args.world_size)

    def prediction_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As in `Trainer`, without the sample ids."""
        return super().prediction_step(
            model, {name: value for name, value in inputs.items() if name != "sample_ids"}, *args, **kwargs
        )

    def evaluation_loop(self, dataloader: DataLoader, *args: Any, **kwargs: Any) -> Any:
        """As in `Trainer`, with the averaged weights if there are any. Clips that fill up the last batch of several
        processes do not count (`Seq2SeqTrainer` would count them twice)."""
        self.gather_function = self.accelerator.gather_for_metrics
        self._evaluated: Any = dataloader.dataset
        average = self.average if self.is_in_train else None
        with nullcontext() if average is None else average.applied():
            return super().evaluation_loop(dataloader, *args, **kwargs)

    def _scores(self, evaluation: Any) -> dict[str, float]:
        evaluation.references = self.task.references(self._evaluated.rows)
        scores: dict[str, float] = self.task.scores(evaluation, self.processing_class)
        return scores

    # --- optimiser

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """As in `Trainer`, with the learning rate of each part, and Muon for matrices with `matrix_learning_rate`."""
        model = self.model if model is None else model
        args = self.args
        rates = {part: getattr(args, _RATES[part]) or args.learning_rate for part in PARTS}
        if self.optimizer is None and (len(set(rates.values())) > 1 or args.matrix_learning_rate is not None):
            decayed = self.get_decay_parameter_names(model)
            optimizer_class, options = self.get_optimizer_cls_and_kwargs(args, model)
            groups = parameter_groups(model, rates, args.weight_decay, decayed)
            if args.matrix_learning_rate is None:
                self.optimizer = optimizer_class(groups, **options)
            else:
                self.optimizer = MuonAdamW(model, groups, args.matrix_learning_rate, args.weight_decay, **options)
                if "muon" not in self.optimizer.optimizers:
                    raise ValueError(
                        "expected matrices to train with matrix_learning_rate, the model has none: leave it out"
                    )
        return super().create_optimizer(model)

    # --- log

    def _add_to_log(self, **values: torch.Tensor) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds clips and frames per step, the share of padding, the parts' learning rates, and skipped steps."""
        if "loss" in logs and self._num_summed:
            logs.update({name: round(float(total) / self._num_summed, 6) for name, total in self._sums.items()})
            self._sums, self._num_summed = {}, 0.0
            groups = getattr(self.optimizer, "param_groups", [])
            logs.update({f"learning_rate_{group['part']}": group["lr"] for group in groups if "part" in group})
            if self.guard.num_skipped:
                logs["num_skipped_steps"] = self.guard.num_skipped
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """transformers' estimate, 6 x parameters x tokens, with frames in place of tokens."""
        frames = {self.model.main_input_name: inputs["pose_attention_mask"]}
        return super().floating_point_ops(frames)

    # --- checkpoints

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Also saves the averaged weights into a checkpoint's folder."""
        super().save_model(output_dir, _internal_call)
        if self.average is not None and self.args.should_save and _internal_call:
            self.average.save(output_dir or self.args.output_dir)

    def _save_rng_state(self, output_dir: str) -> None:
        """Also saves where this process is in a stream of clips."""
        super()._save_rng_state(output_dir)
        if self._stream is not None:
            write_json(Path(output_dir) / _STREAM.format(self.args.process_index), self._stream.place)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError, SafetensorError) as error:
            if not self.args.should_save:
                raise
            folder = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
            raise saving_failed(folder, error) from error

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.average is not None:
            self.average.load(resume_from_checkpoint)

    # --- the Hub

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Finds out where the model will go, and whether the Hub knows who sends it. Nothing is created yet."""
        if self.is_world_process_zero():
            name = self.args.hub_model_id or Path(self.args.output_dir).absolute().name
            user = HubSender(HfApi(token=token or self.args.hub_token), name).user_name()
            self.hub_model_id = name if "/" in name else f"{user}/{name}"
            self.push_in_progress = None

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Publishes what the run ends with: the checked bundle of `sigma-slu publish`, in one commit, to a private
        repository. Its card is `README.md` of the output folder, or that of the repository, or else a draft.

        Args:
            commit_message (`str`, *optional*):
                The commit message.
            blocking (`bool`, *optional*):
                Not used: this always waits.
            token, revision, private (*optional*):
                As `hub_token`, `hub_revision` and `hub_private_repo` of the arguments, which are the defaults;
                `private=False` makes the repository public, for which the license must be stated.
            kwargs:
                `license` and `tags`.

        Returns:
            `huggingface_hub.CommitInfo`: the commit; None in processes other than the first.

        Raises:
            ValueError: for damaged weights, a wrong license, and if the Hub refuses or cannot be reached.
        """
        args = self.args
        if getattr(self, "hub_model_id", None) is None:
            self.init_hf_repo(token)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "bundle"
            model = save_trained(self, folder)
            if not self.is_world_process_zero():
                return None
            card = Path(args.output_dir) / CARD
            if is_plain_file(card):
                shutil.copyfile(card, folder / CARD)
            return push_folder(
                folder,
                self.hub_model_id,
                model,
                api=HfApi(token=token or args.hub_token),
                license=kwargs.get("license"),
                private=args.hub_private_repo if private is None else private,
                message=commit_message,
                revision=revision or args.hub_revision,
                tags=[kwargs["tags"]] if isinstance(kwargs.get("tags"), str) else kwargs.get("tags") or (),
            )

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Nothing: a run publishes once, at its end."""


class SigmaCTCTrainer(SigmaTrainer):
    """Trains [`SigmaForCTC`]; evaluation reads the best path of every clip."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.args.label_smoothing_factor:
            raise ValueError(
                f"expected label_smoothing_factor 0 for CTC, which has no label per frame to smooth, received "
                f"{self.args.label_smoothing_factor}"
            )

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> Any:
        """Loss, the best gloss or blank of every frame (-100 after the end of a clip), and the glosses."""
        mask = inputs["pose_attention_mask"]
        loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only)
        if logits is None:
            return loss, None, None
        return loss, logits.argmax(dim=-1).masked_fill(mask.to(logits.device) == 0, -100), labels


class SigmaSeq2SeqTrainer(SigmaTrainer, Seq2SeqTrainer):
    """Trains generative models; evaluation generates at most `generation_max_length` tokens."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        rows = getattr(self.train_dataset, "rows", None)
        self.generation_options = {} if rows is None else self.task.generation_options(self.processing_class, rows)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        return super().evaluate(*args, **self._with_options(kwargs))

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        return super().predict(*args, **self._with_options(kwargs))

    def prediction_step(self, *args: Any, **kwargs: Any) -> Any:
        result = super().prediction_step(*args, **kwargs)
        # transformers fills in its default of 20, and then warns of two lengths.
        self.model.generation_config.max_length = None
        return result

    def _with_options(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        length = self.args.generation_max_length
        limit = {} if length is None else {"max_new_tokens": length}
        return {**limit, **self.generation_options, **kwargs}

    def _pad_tensors_to_max_len(self, tensor: torch.Tensor, max_length: int) -> torch.Tensor:
        # The evaluation loop pads batches of different lengths itself, with -100.
        return tensor


class SigmaPreTrainer(SigmaTrainer):
    """Trains [`SigmaForPreTraining`]: logs every term, and evaluates retrieval too.

    The language-modelling term is the mean over the tokens of the whole step. The other terms compare the clips of one
    batch (of all processes), and are averaged over accumulated batches: accumulation does not enlarge their contrast.
    """

    TERMS = ("global_alignment_loss", "local_alignment_loss", "matching_loss", "lm_loss")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.counts_tokens = self.model_accepts_loss_kwargs = False
        self.add_callback(LogitScaleCallback())
        self._num_batches = 0

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[Any], Any]:
        batches, num_items = super().get_batch_samples(*args, **kwargs)
        self._num_batches, self._batch_number = len(batches), 0
        return batches, num_items

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Hard negatives depend on seed and step alone: the same on all processes, and after a resume."""
        if model.training:
            generator = torch.Generator(self.args.device)
            generator.manual_seed(self.args.seed * 1_000_003 + self.state.global_step * 1009 + self._batch_number)
            inputs = {**inputs, "negatives_generator": generator}
            self._batch_number += 1
        return super().compute_loss(model, inputs, *args, **kwargs)

    def scale_loss(self, loss: torch.Tensor, outputs: Any, num_clips: int) -> torch.Tensor:
        terms = {name: outputs[name] for name in self.TERMS if outputs.get(name) is not None}
        self._add_to_log(**{name: value / self._num_batches for name, value in terms.items()})
        labels = outputs.get("matching_labels")
        if labels is not None:
            is_right = (outputs["matching_logits"].argmax(dim=-1) == labels) & (labels != -100)
            accuracy = is_right.sum() / (labels != -100).sum().clamp(min=1)
            self._add_to_log(matching_accuracy=accuracy / self._num_batches)
        scaled = loss / self._num_batches
        if "lm_loss" in terms and self._num_batches > 1:
            config: Any = self.model.config
            share = self._batch_tokens / self._step_tokens
            scaled = scaled + config.beta * terms["lm_loss"] * (share - 1 / self._num_batches)
        return scaled

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        self._batch_tokens = self.accelerator.reduce((inputs["labels"] != -100).sum().float(), "sum")
        return super().training_step(model, inputs, num_items_in_batch)

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> Any:
        """Loss, and for the metrics: unit vectors of clips and texts, and the terms (repeated for every clip)."""
        inputs = self._prepare_inputs({name: value for name, value in inputs.items() if name != "sample_ids"})
        with torch.no_grad(), self.compute_loss_context_manager():
            outputs = model(**inputs, negatives_generator=torch.Generator(self.args.device).manual_seed(0))
        loss = outputs["loss"].detach()
        if prediction_loss_only:
            return loss, None, None
        terms = [
            outputs[name] if outputs.get(name) is not None else loss.new_tensor(float("nan")) for name in self.TERMS
        ]
        rows = torch.stack(terms).detach().float().expand(len(inputs["pose_values"]), -1)
        return loss, (outputs["pose_embeds"].float(), outputs["text_embeds"].float(), rows), inputs["labels"]


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return "can't allocate memory" in text or "out of memory" in text.lower()
