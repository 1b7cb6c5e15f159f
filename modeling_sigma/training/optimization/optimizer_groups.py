"""The parts of a model, which can have their own learning rates or be frozen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn


# First match wins. `embeddings` belong to the text backbone, unless they are frozen by themselves.
PARTS = ("pose_encoder", "embeddings", "text_backbone", "heads")
_PATTERNS = {
    "pose_encoder": re.compile(r"^pose_encoder\."),
    "embeddings": re.compile(r"^(shared|lm_head)\."),
    "text_backbone": re.compile(r"^(encoder|decoder|text_encoder)\."),
}
_ADAPTER_PREFIX = re.compile(r"^base_model\.model\.")


def part_of(parameter_name: str) -> str:
    """The part that a parameter belongs to: one of [`PARTS`]. Names of PEFT models are understood."""
    name = _ADAPTER_PREFIX.sub("", parameter_name)
    return next((part for part, pattern in _PATTERNS.items() if pattern.match(name)), "heads")


def parameter_groups(
    model: nn.Module, rates: Mapping[str, float], weight_decay: float, decayed: Iterable[str]
) -> list[dict[str, Any]]:
    """The trainable parameters, grouped by part and by whether they decay.

    Args:
        model (`nn.Module`):
            A Sigma model, or a PEFT model around one.
        rates (`Mapping[str, float]`):
            The learning rate of each part.
        weight_decay (`float`):
            The weight decay of the parameters named in `decayed`; that of the others is 0.
        decayed (`Iterable[str]`):
            The names of parameters, as from `Trainer.get_decay_parameter_names`.
    """
    names = set(decayed)
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((part_of(name), name in names), []).append(parameter)
    return [
        {
            "params": groups[part, decays],
            "lr": rates[part],
            "weight_decay": weight_decay if decays else 0.0,
            "part": part,
        }
        for part in PARTS
        for decays in (True, False)
        if (part, decays) in groups
    ]


def freeze_parts(model: nn.Module, parts: Iterable[str]) -> None:
    """Freezes parts of a model, or of the model that a PEFT model adapts: weights and running statistics stay as they
    are, and dropout is off.

    Raises:
        ValueError: for an unknown part, or if nothing is left to train.
    """
    parts = list(parts)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ValueError(f"expected parts to freeze among {', '.join(PARTS)}, received {unknown[0]!r}")
    frozen = {*parts, "embeddings"} if "text_backbone" in parts else set(parts)
    for name, parameter in model.named_parameters():
        if part_of(name) in frozen:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"expected something to train, {', '.join(parts)} are frozen and nothing else is left")
    # The child of a PEFT model is the whole model, and none of its parts.
    base: Any = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
    for name, module in base.named_children():
        if part_of(f"{name}.weight") in frozen:
            keep_in_eval_mode(module)


def keep_in_eval_mode(module: nn.Module) -> None:
    """Makes a module compute in evaluation mode, whatever mode the model is in."""
    module.register_forward_pre_hook(lambda module, _: _set_eval(module))


def _set_eval(module: nn.Module) -> None:
    module.eval()
