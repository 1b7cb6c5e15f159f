"""transformers' training arguments with the paper's defaults, and what clips need on top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import Seq2SeqTrainingArguments
from transformers.trainer_utils import HubStrategy
from transformers.utils import logging

from modeling_sigma.hub.private_facts import is_secret
from modeling_sigma.jobs.torch_devices import fast_precision
from modeling_sigma.training.arguments import ClipTrainingFields, described


logger = logging.get_logger(__name__)


@dataclass
class SigmaTrainingArguments(ClipTrainingFields, Seq2SeqTrainingArguments):
    """`Seq2SeqTrainingArguments` with the paper's defaults, and [`ClipTrainingFields`].

    Source of the defaults: arXiv:2509.21223, experiments (AdamW with eps 1e-9 and weight decay 1e-4, learning rate
    1e-4, cosine schedule, 10 epochs, batch 16, clipping at 1).
    """

    _argument_group_name = "training"

    # The paper's defaults, and ours where a mistake would go unnoticed.
    learning_rate: float = described("peak learning rate", 1e-4)
    adam_epsilon: float = described("epsilon of AdamW", 1e-9)
    weight_decay: float = described("weight decay of AdamW", 1e-4)
    lr_scheduler_type: str = described("learning rate schedule", "cosine")
    num_train_epochs: float = described("passes over the clips", 10.0)
    per_device_train_batch_size: int = described("largest number of clips in a device's batch", 16)
    per_device_eval_batch_size: int = described("clips in a device's batch in evaluation", 16)
    eval_strategy: str = described("when to evaluate: no, steps or epoch", "epoch")
    save_strategy: str = described("when to save: no, steps, epoch or best", "epoch")
    save_total_limit: int | None = described("checkpoints that are kept, the best among them", 2)
    load_best_model_at_end: bool = described("end with the checkpoint that is best on validation", True)
    logging_steps: float = described("optimiser steps between two lines of the log", 10)
    logging_nan_inf_filter: bool = described("hide non-finite losses from the log", False)
    predict_with_generate: bool = described("let generative models write in evaluation", True)
    remove_unused_columns: bool = described("leave it off: the collator needs all columns", False)

    # Checkpoints hold pickles, and what lies beside them is nobody else's: a run publishes once, what it ends with.
    hub_strategy: str = described("when to publish with push_to_hub: at the end, nothing else", "end")

    def __post_init__(self) -> None:
        self.logging_steps = float(self.logging_steps)
        for name in ("pose_learning_rate", "text_learning_rate", "head_learning_rate", "matrix_learning_rate"):
            rate = getattr(self, name)
            if rate is not None and rate <= 0:
                raise ValueError(f"expected {name} > 0, received {rate}: use --freeze to keep a part as it is")
        if self.frames_per_batch is not None and self.frames_per_batch < 1:
            raise ValueError(f"expected frames_per_batch of at least 1, received {self.frames_per_batch}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"expected ema_decay between 0 and 1, received {self.ema_decay}")
        if self.mixup and not self.mixup >= 0.05:  # smaller ones underflow, and nothing would be mixed evenly
            raise ValueError(f"expected mixup 0, or at least 0.05, received {self.mixup}")
        if not 0 < self.teacher_weight <= 1:
            raise ValueError(f"expected teacher_weight above 0 and at most 1, received {self.teacher_weight}")
        if self.resume and self.overwrite:
            raise ValueError("expected resume or overwrite, received both")
        strategy = HubStrategy(self.hub_strategy)
        if strategy is not HubStrategy.END:
            raise ValueError(
                f"expected hub_strategy end, received {strategy.value}: checkpoints hold pickles (optimizer, random "
                "states, arguments) and are not published; the run publishes its best model when it is done"
            )
        # transformers accepts bfloat16 on a CPU only if the CPU is asked for.
        if not torch.accelerator.is_available():
            self.use_cpu = True
        super().__post_init__()
        if self.bf16 and self.device.type == "cpu" and fast_precision() != "bf16":
            logger.warning_once(
                "bf16 on a CPU without bfloat16 instructions takes several times as long as float32: --bf16 false is "
                "faster here"
            )

    @property
    def softens_labels(self) -> bool:
        """Whether a clip's target in training is more than its label."""
        return bool(self.mixup or self.teachers)

    def __getstate__(self) -> dict[str, Any]:
        """Without the token: transformers pickles the arguments beside every checkpoint."""
        return {name: value for name, value in self.__dict__.items() if not is_secret(name)}
