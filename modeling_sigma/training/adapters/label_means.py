"""A label layer that starts as a classifier by nearest means: weight imprinting (Qi et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS


# The logit of a clip that lies exactly where its label's clips lie: sure enough to learn from, not yet certain.
_LOGIT = 10.0


@torch.no_grad()
def start_from_means(model: Any, batches: Iterable[dict[str, torch.Tensor]]) -> None:
    """Sets the weights of the label layer, so that a label's logit is the cosine, times ten, of a clip's state and the
    mean state of the label's clips, seen from the mean of all clips. Labels without clips get zeros.

    Args:
        model (`SigmaForSequenceClassification`):
            The model, whose label layer is changed in place.
        batches (`Iterable[dict]`):
            What the model reads of the clips, with `labels` `(B,)`; each clip once, not augmented.

    Raises:
        ValueError: for a model without one label per clip, and without clips.
    """
    kind = MODEL_KINDS.get(type(model).__name__)
    if kind is None or "islr" not in kind.tasks or kind.label_layer is None:
        raise ValueError(f"expected a model that scores labels for a clip, received a {type(model).__name__}")
    layer = getattr(model, kind.label_layer)
    states, labels = _states(model, layer, batches)
    mean = states.mean(dim=0)
    centred = states - mean
    directions = nn.functional.normalize(centred, dim=1)
    means = torch.zeros(layer.out_features, states.shape[1], device=states.device).index_add_(0, labels, directions)
    weight = nn.functional.normalize(means, dim=1) * _LOGIT / centred.norm(dim=1).mean().clamp_min(1e-6)
    layer.weight.copy_(weight)
    layer.bias.copy_(-weight @ mean)


def _states(model: Any, layer: nn.Linear, batches: Iterable[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the label layer reads of each clip `(N, D)`, and the clips' labels `(N,)`."""
    states: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0].float()))
    was_training = model.training
    model.eval()
    try:
        for batch in batches:
            read = {name: value.to(model.device) for name, value in batch.items() if torch.is_tensor(value)}
            labels.append(read.pop("labels"))
            model(**read)
    finally:
        hook.remove()
        model.train(was_training)
    if not labels:
        raise ValueError("expected clips to take the labels' means from, received none")
    return torch.cat(states), torch.cat(labels)
