"""The pose encoder's BatchNorm in training: over all processes, or with statistics that stay as they are."""

from __future__ import annotations

from torch import nn

from modeling_sigma.model.frame_batch_norm_sigma import FrameBatchNorm
from modeling_sigma.training.optimization.optimizer_groups import keep_in_eval_mode


def synchronize_batch_norm(model: nn.Module) -> None:
    """Lets all BatchNorms of a model count the frames of all processes: training then does not depend on how many
    processes share a batch. Names in the state dict do not change."""
    for module in model.modules():
        if isinstance(module, FrameBatchNorm):
            module.is_synchronized = True


def freeze_batch_norm(model: nn.Module) -> None:
    """Makes BatchNorms use their running statistics in training too, and leaves these unchanged.

    The statistics of few clips of few signers are noisy, and unlike those of the many clips seen in pre-training.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            keep_in_eval_mode(module)
