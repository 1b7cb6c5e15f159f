"""Training on a stream of batches, one per step, for the demo, the quick start and small experiments.

The trainer is the same as for every other run, but writes no folder and no checkpoints, and does not evaluate.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from transformers import PrinterCallback, TrainerCallback

from modeling_sigma.jobs.torch_devices import fast_precision
from modeling_sigma.training.data.clip_dataset import BatchStream
from modeling_sigma.training.task import Task
from modeling_sigma.training.training_arguments import SigmaTrainingArguments


def train_on_stream(
    task: Task,
    model: Any,
    processor: Any,
    batches: Iterable[Any],
    optimizers: tuple[torch.optim.Optimizer, Any],
    num_steps: int,
    precision: Literal["bf16", "fp32"] | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Trains `model` in place on a CPU and returns the loss of every step.

    Only the model, and the code that makes the batches, draw random numbers.

    Args:
        task ([`Task`]), model, processor:
            What is learnt, the model, and its processor.
        batches (`Iterable[Sequence[ClipSample]]`):
            At least `num_steps` batches.
        optimizers (`tuple`):
            The optimiser, which clips gradients itself, and the schedule; see [`one_cycle_muon`].
        num_steps (`int`):
            The number of steps.
        precision (`"bf16"` or `"fp32"`, *optional*):
            bfloat16 by autocast, or float32; by default the one in which this machine's CPU is faster.
        on_step (`Callable`, *optional*):
            Called after every step with the number of steps done and the loss.
    """
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        args = SigmaTrainingArguments(
            output_dir=folder, max_steps=num_steps, bf16=(precision or fast_precision()) == "bf16", use_cpu=True,
            logging_steps=1, max_grad_norm=0.0, eval_strategy="no", save_strategy="no", load_best_model_at_end=False,
            disable_tqdm=True, report_to="none",
        )  # fmt: skip
        trainer = task.trainer_class(
            task=task, model=model, args=args, processing_class=processor, train_dataset=BatchStream(batches),
            optimizers=optimizers, callbacks=[_OnStep(on_step)] if on_step else None,
        )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # what follows is not under autocast
    model.eval()
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]


class _OnStep(TrainerCallback):
    def __init__(self, on_step: Callable[[int, float], None]) -> None:
        self.on_step = on_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" in logs:
            self.on_step(state.global_step, logs["loss"])
