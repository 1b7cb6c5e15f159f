"""Muon and AdamW as one optimiser, which the Trainer can schedule, accelerate and save."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from modeling_sigma.training.optimization.matrix_optimizer import build_muon, is_map
from modeling_sigma.training.optimization.optimizer_groups import parameter_groups


class JoinedOptimizer(torch.optim.Optimizer):
    """Several optimisers of different parameters behind one: their groups are its groups.

    Args:
        optimizers (`Mapping[str, torch.optim.Optimizer]`):
            By name, in the order in which they step.
    """

    def __init__(self, optimizers: Mapping[str, torch.optim.Optimizer]) -> None:
        self.optimizers = dict(optimizers)
        # The same dicts: what a schedule does to a group's rate, its optimiser sees.
        super().__init__([group for one in self.optimizers.values() for group in one.param_groups], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of each."""
        if closure is not None:
            raise ValueError(
                "expected no closure: the losses of the optimisers would be computed at different weights"
            )
        for optimizer in self.optimizers.values():
            optimizer.step()
        return None

    def state_dict(self) -> dict[str, Any]:
        """The state of each, by name."""
        return {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state_dict[name])
        # Loading makes new groups.
        self.param_groups = [group for one in self.optimizers.values() for group in one.param_groups]


def muon_with_adamw(
    model: nn.Module,
    matrix_learning_rate: float,
    rates: Mapping[str, float],
    weight_decay: float,
    decayed: Iterable[str],
    adamw_options: Mapping[str, Any],
) -> JoinedOptimizer:
    """Muon for the maps between states of the text backbone and the heads, AdamW for everything else.

    Args:
        model (`nn.Module`):
            Its trainable parameters are optimised.
        matrix_learning_rate (`float`):
            Of Muon.
        rates, weight_decay, decayed:
            As for [`parameter_groups`], of AdamW's parameters.
        adamw_options (`Mapping[str, Any]`):
            Further arguments of AdamW.

    Raises:
        ValueError: if the model has no such matrix.
    """
    matrices = [p for name, p in model.named_parameters() if p.requires_grad and is_map(name, p)]
    if not matrices:
        raise ValueError("expected matrices to train with matrix_learning_rate, the model has none: leave it out")
    chosen = {id(parameter) for parameter in matrices}
    groups = parameter_groups(model, rates, weight_decay, decayed)
    for group in groups:
        group["params"] = [parameter for parameter in group["params"] if id(parameter) not in chosen]
    muon = build_muon([{"params": matrices, "part": "matrices"}], matrix_learning_rate, weight_decay)
    optimizers: dict[str, torch.optim.Optimizer] = {"muon": muon}
    others = [group for group in groups if group["params"]]
    if others:
        optimizers["adamw"] = torch.optim.AdamW(others, **adamw_options)
    return JoinedOptimizer(optimizers)
