"""The pose encoder's BatchNorm in training: over all processes, or with statistics that stay as they are."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from modeling_sigma.model.distributed_gather_sigma import gather_with_gradients
from modeling_sigma.training.optimization.optimizer_groups import keep_in_eval_mode


class GatheredBatchNorm1d(nn.BatchNorm1d):
    """Statistics over the rows of all processes, for processors: there torch's `SyncBatchNorm` refuses to run."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(N, C) -> (N, C); N may differ between processes."""
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return super().forward(values)
        wide = values.float()
        count = gather_with_gradients(wide.new_tensor([float(len(wide))])).sum()
        mean = gather_with_gradients(wide.sum(dim=0)[None]).sum(dim=0) / count
        centred = wide - mean
        variance = gather_with_gradients(centred.square().sum(dim=0)[None]).sum(dim=0) / count
        with torch.no_grad():
            momentum = self.momentum or 0.0
            unbiased = variance * count / (count - 1).clamp(min=1)
            tracked: Any = self  # torch's annotations allow buffers to be None
            tracked.num_batches_tracked.add_(1)
            tracked.running_mean.lerp_(mean.to(tracked.running_mean.dtype), momentum)
            tracked.running_var.lerp_(unbiased.to(tracked.running_var.dtype), momentum)
        normalized = centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias
        return normalized.to(values.dtype)


def synchronize_batch_norm(model: nn.Module, device_type: str) -> nn.Module:
    """Lets all BatchNorms of a model count the rows of all processes: training then does not depend on how many
    processes share a batch. Names in the state dict do not change.

    Args:
        model (`nn.Module`):
            Changed in place where it is on a processor.
        device_type (`str`):
            `"cpu"`, or where torch's own synchronised BatchNorm runs.
    """
    if device_type != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():
        if type(module) is nn.BatchNorm1d:
            module.__class__ = GatheredBatchNorm1d
    return model


def freeze_batch_norm(model: nn.Module) -> None:
    """Normalise with the running statistics in training too, and leave them as they are.

    Few clips of few signers have other statistics than the many that the encoder has seen, and noisy ones.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            keep_in_eval_mode(module)
