"""Trained models that a new one learns from: their mean answer to the clips that it reads (arXiv:1503.02531)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from modeling_sigma.hub.shipped_files import model_folder
from modeling_sigma.inference.model_config import saved_kind
from modeling_sigma.registration import defined_class


class Teachers:
    """Models with a label head, frozen.

    Args:
        folders (`Sequence[str]`):
            The models: folders, names on the Hub, or shipped checkpoints. They read the clips of the model that
            learns, so their feature extractors should agree with its own.
        config ([`SigmaConfig`]):
            The model that learns.
        device (`torch.device`):
            Where it learns.

    Raises:
        ValueError: for a teacher whose labels are others, or stand in another order.
    """

    def __init__(self, folders: Sequence[str], config: Any, device: torch.device) -> None:
        self.models = []
        for folder in map(model_folder, folders):
            model: Any = defined_class(saved_kind(folder)).from_pretrained(folder, trust_remote_code=False)
            if model.config.id2label != config.id2label:
                raise ValueError(
                    f"expected a teacher with the {config.num_labels} labels of the model that learns, in the same "
                    f"order, received {folder} with {model.config.num_labels}, first "
                    f"{next(iter(model.config.id2label.values()), None)!r}: train both on the same corpus"
                )
            self.models.append(model.to(device).eval().requires_grad_(False))

    def answer(self, clips: Mapping[str, Any]) -> torch.Tensor:
        """Logits `(B, num_labels)`, whose softmax is the normalised geometric mean of the teachers' probabilities."""
        with torch.no_grad():
            return torch.stack([model(**clips).logits.float() for model in self.models]).mean(dim=0)

    def cross_entropy(self, logits: torch.Tensor, clips: Mapping[str, Any]) -> torch.Tensor:
        """Cross-entropy of `logits` `(B, num_labels)` against the teachers' mean answer to `clips`."""
        return functional.cross_entropy(logits, self.answer(clips).softmax(dim=-1))
