"""BatchNorm whose statistics count real frames only, of one process or of all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .distributed_gather_sigma import gather_with_gradients


class FrameBatchNorm(nn.BatchNorm1d):
    """BatchNorm over frames and joints. Padded frames are normalised along, and do not count.

    Attributes:
        is_synchronized (`bool`): Whether the frames of all processes count in training. Training then does not depend
            on how many processes share a batch. (torch's `SyncBatchNorm` knows no mask, and refuses to run on CPUs.)
    """

    is_synchronized = False

    def forward(self, values: torch.Tensor, is_real: torch.Tensor | None = None) -> torch.Tensor:
        """Normalises every channel.

        Args:
            values (`torch.Tensor` of shape `(N, V, C)` or `(N, C)`):
                Frames, joints, channels.
            is_real (`torch.BoolTensor` of shape `(N,)`, *optional*):
                Which frames count. All of them when left out.

        Returns:
            `torch.Tensor` of the shape and dtype of `values`.
        """
        if self.training and (is_real is not None or self.is_synchronized):
            return self._normalize_real(values, is_real)
        statistics = self.running_mean
        if self.training or statistics is None or self.weight.dtype == statistics.dtype:
            return super().forward(values.flatten(0, -2)).view_as(values)
        # FSDP computes with weights in bfloat16 and leaves statistics alone; torch takes no such mixture.
        weight, bias = self.weight.to(statistics.dtype), self.bias.to(statistics.dtype)
        flat = values.flatten(0, -2)
        normed = nn.functional.batch_norm(flat, statistics, self.running_var, weight, bias, eps=self.eps)
        return normed.view_as(values)

    def _normalize_real(self, values: torch.Tensor, is_real: torch.Tensor | None) -> torch.Tensor:
        wide = values.flatten(1, -2) if values.dim() > 2 else values[:, None]  # (N, V, C)
        wide = wide.float() if values.dtype in (torch.float16, torch.bfloat16) else wide
        weight = wide.new_ones(wide.shape[0]) if is_real is None else is_real.to(wide.dtype)
        weight = weight[:, None, None]
        count = self._sum(weight.sum()[None]) * wide.shape[1]
        mean = self._sum((wide * weight).sum(dim=(0, 1))[None]) / count
        centred = wide - mean
        variance = self._sum((centred.square() * weight).sum(dim=(0, 1))[None]) / count
        self._track(mean, variance * count / (count - 1).clamp(min=1))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale + self.bias).to(values.dtype).view_as(values)

    def _sum(self, row: torch.Tensor) -> torch.Tensor:
        """`(1, ...)` -> the sum over the processes, with gradients to all."""
        return (gather_with_gradients(row) if self.is_synchronized else row).sum(dim=0)

    @torch.no_grad()
    def _track(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        tracked: Any = self  # torch's annotations allow buffers to be None
        tracked.num_batches_tracked.add_(1)
        momentum = self.momentum if self.momentum is not None else 1 / tracked.num_batches_tracked
        tracked.running_mean.lerp_(mean.to(tracked.running_mean.dtype), momentum)
        tracked.running_var.lerp_(variance.to(tracked.running_var.dtype), momentum)


@contextmanager
def statistics_stay(module: nn.Module) -> Iterator[None]:
    """Inside it the BatchNorms of a module leave their running statistics alone: activation checkpointing computes a
    training step's forward pass twice, and its batch counts once."""
    norms: list[Any] = [norm for norm in module.modules() if isinstance(norm, FrameBatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked.clone() for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)
