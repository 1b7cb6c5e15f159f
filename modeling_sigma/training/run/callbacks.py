"""Callbacks that watch a run: for losses that are not numbers, the sampler's epoch, and the record of the run."""

from __future__ import annotations

import logging
from typing import Any

import torch
from transformers import TrainerCallback

from modeling_sigma.training.data.frame_budget import FrameBudgetSampler
from modeling_sigma.training.run.run_folder import RunFolder


logger = logging.getLogger(__name__)


class EpochCallback(TrainerCallback):
    """Tells the sampler its epoch, even if a resumed run begins in the middle of one."""

    def __init__(self) -> None:
        self.sampler: FrameBudgetSampler | None = None

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.sampler is not None:
            self.sampler.set_epoch(int(state.epoch or 0))


class LogitScaleCallback(TrainerCallback):
    """Brings the scale of the global alignment back to its limit after each step, as CLIP's training does."""

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        model.logit_scale.clamp_()


class NonFiniteGuard(TrainerCallback):
    """Stops at a loss or gradient that is not finite, or leaves such steps out and counts them.

    Args:
        model (`nn.Module`):
            The model that trains.
        skip (`bool`):
            Whether to leave such steps out instead of stopping. All processes decide together.
        check_gradients (`bool`):
            Whether to check gradients; False if a gradient scaler already does (fp16).
    """

    def __init__(self, model: torch.nn.Module, skip: bool, check_gradients: bool) -> None:
        self.model = model
        self.skip = skip
        self.check_gradients = check_gradients
        self.num_skipped = 0
        self.sample_ids: list[str] = []  # of the current step
        self._is_finite = True
        self._buffers: dict[str, torch.Tensor] = {}

    def finite_poses(self, poses: torch.Tensor, sample_ids: list[str], step: int) -> torch.Tensor:
        """To be called with the clips of every batch, before the model sees them: running statistics would keep what
        is not a number for good.

        Args:
            poses (`torch.Tensor` of shape `(batch_size, num_frames, num_joints, 3)`):
                The clips.
            sample_ids (`list[str]`), step (`int`):
                Their ids, and the number of steps done.

        Returns:
            `torch.Tensor`: the clips. Where steps are skipped, what is not finite counts as not seen, and the step is
            left out (with fp16, whose scaler decides, it is not).

        Raises:
            ValueError: for values that are not finite, naming the clips, unless such steps are skipped.
        """
        is_finite = torch.isfinite(poses)
        if is_finite.all():
            return poses
        names = [name for name, fine in zip(sample_ids, is_finite.flatten(1).all(dim=1).tolist()) if not fine]
        if not self.skip:
            raise ValueError(
                f"the batch of step {step + 1} has values that are not finite, and nothing has been learnt from it; "
                f"clips with such values: {', '.join(names)}. Mend these clips, look at what changes them on their "
                "way to the model, or leave such steps out with --on_non_finite skip"
            )
        self._is_finite = False
        return torch.where(is_finite.all(dim=-1, keepdim=True), poses, 0.0)

    def watch_loss(self, loss: torch.Tensor, sample_ids: list[str], step: int) -> None:
        """Checks the loss of a batch; to be called for every batch.

        Raises:
            ValueError: for a loss that is not finite, naming the batch, unless such steps are skipped.
        """
        self.sample_ids += sample_ids
        if torch.isfinite(loss):
            return
        if not self.skip:
            raise ValueError(
                f"the loss of step {step + 1} is {loss.item()}; its batch: {', '.join(sample_ids)}. Look at these "
                "clips, lower the learning rate, or leave such steps out with --on_non_finite skip"
            )
        self._is_finite = False

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.sample_ids, self._is_finite = [], True
        if self.skip:  # running statistics change in the forward pass already
            self._buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not self.check_gradients:
            return
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        norm: Any = torch.nn.utils.get_total_norm(gradients)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # FSDP shards it
        if not self.skip:
            if not torch.isfinite(norm):
                raise ValueError(
                    f"the gradient of step {state.global_step + 1} is not finite although the loss is; its clips: "
                    f"{', '.join(self.sample_ids)}. Lower the learning rate, or use --on_non_finite skip"
                )
            return
        is_finite = torch.isfinite(norm) & self._is_finite
        if args.world_size > 1:
            votes = is_finite.to(torch.int32)
            torch.distributed.all_reduce(votes, op=torch.distributed.ReduceOp.MIN)
            is_finite = votes.bool()
        if not is_finite:
            self._leave_out(state.global_step + 1)

    def _leave_out(self, step: int) -> None:
        self.num_skipped += 1
        logger.warning(
            "step %d is left out, its loss or gradient is not finite (%d so far); its clips: %s",
            step,
            self.num_skipped,
            ", ".join(self.sample_ids),
        )
        for parameter in self.model.parameters():
            parameter.grad = None  # the optimiser passes over parameters without a gradient
        buffers = dict(self.model.named_buffers())
        for name, value in self._buffers.items():
            buffers[name].copy_(value)


class RunRecorder(TrainerCallback):
    """Keeps the record of a run up to date: the log line by line, and the curves at every evaluation."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and state.log_history:
            self.folder.append_log(state.log_history[-1])

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.folder.draw_curves(state.log_history)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.folder.draw_curves(state.log_history)
