"""Parameters that no layer owns, each in a small module of its own: the [CLS] tokens and the scale of the logits.

Offloading moves the weights of a module when the module is called, and loaders of quantised checkpoints expect every
weight to belong to a module: a parameter at the root of a model has neither.
"""

from __future__ import annotations

import torch
from torch import nn

from .objectives_sigma import MAX_LOG_SCALE


# Names in checkpoints of version 0.1.0, as a `key_mapping` of `from_pretrained`.
RENAMED_PARAMETERS = {
    r"^pose_cls_token$": "pose_cls_token.weight",
    r"^text_cls_token$": "text_cls_token.weight",
    r"^logit_scale$": "logit_scale.weight",
}


class LearnedToken(nn.Module):
    """A learned vector that opens a stream: [CLS].

    Args:
        hidden_size (`int`):
            Width of the vector.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """`states` `(B, S, D)` -> the token of each stream, `(B, 1, D)`, on their device and in their dtype."""
        return self.weight.to(states).expand(states.shape[0], 1, -1)


class LogitScale(nn.Module):
    """The learned natural logarithm of the scale of cosines.

    Args:
        initial (`float`):
            Initial value of the logarithm.
    """

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(float(initial)))

    def forward(self) -> torch.Tensor:
        """The logarithm, a tensor of shape `()`."""
        return self.weight

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring the scale back to at most 100, after a step of the optimiser. [`SigmaPreTrainer`] does so."""
        self.weight.clamp_(max=MAX_LOG_SCALE)
