"""A moving average of the weights (EMA), with which a run evaluates and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import TrainerCallback


FILE_NAME = "ema.safetensors"


def _warmed_up(decay: float) -> Callable[..., None]:
    """After n steps the average keeps at most (1 + n) / (10 + n), as in TensorFlow's moving averages."""

    def update(averaged: Any, current: Any, num_averaged: Any) -> None:
        count = float(num_averaged)
        get_ema_multi_avg_fn(min(decay, (1 + count) / (10 + count)))(averaged, current, num_averaged)

    return update


class WeightAverage:
    """The exponential moving average of a model's weights and buffers, by `torch.optim.swa_utils`.

    Args:
        model (`nn.Module`):
            The model that is trained.
        decay (`float`):
            The share of the average that each step keeps; less in the first steps, so that the random weights of the
            beginning are soon forgotten.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.model = model
        # Buffers too: weights and running statistics belong together.
        self.averaged = AveragedModel(model, multi_avg_fn=_warmed_up(decay), use_buffers=True)

    def update(self) -> None:
        """Adds the current weights to the average; to be called after every optimiser step."""
        self.averaged.update_parameters(self.model)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within this context the model has the averaged weights."""
        own = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        self.apply()
        try:
            yield
        finally:
            self._copy(own)

    def apply(self) -> None:
        """Gives the model the averaged weights for good."""
        self._copy(self.averaged.module.state_dict())

    def save(self, folder: str | Path) -> None:
        """Writes the average into a checkpoint's folder."""
        tensors = {name: tensor.detach().clone().contiguous() for name, tensor in self.averaged.state_dict().items()}
        save_file(tensors, Path(folder) / FILE_NAME)

    def load(self, folder: str | Path) -> None:
        """Reads the average of a checkpoint.

        Raises:
            ValueError: if the checkpoint has none.
        """
        path = Path(folder) / FILE_NAME
        if not path.is_file():
            raise ValueError(f"expected {path}: the checkpoint was written without ema_decay: continue without it")
        self.averaged.load_state_dict(load_file(path))

    @torch.no_grad()
    def _copy(self, state: dict[str, Any]) -> None:
        for name, tensor in self.model.state_dict().items():
            tensor.copy_(state[name])


class WeightAverageCallback(TrainerCallback):
    """Updates the average after every step, and ends the run with it: that of the best checkpoint, or the last one."""

    def __init__(self, average: WeightAverage) -> None:
        self.average = average

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.average.update()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if args.load_best_model_at_end and state.best_model_checkpoint is not None:
            self.average.load(state.best_model_checkpoint)
        self.average.apply()
