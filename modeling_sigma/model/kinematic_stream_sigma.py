"""The second stream of the pose encoder: what each frame shows in numbers, mixed over time by depthwise convolutions.

Not in the paper, and off by default: `SigmaPoseConfig(kinematic_hidden_size=192)` adds it.
"""

from __future__ import annotations

import torch
from torch import nn

from .configuration_sigma_pose import SigmaPoseConfig
from .frame_batch_norm_sigma import FrameBatchNorm
from .frame_layouts_sigma import DenseFrames
from .kinematic_features_sigma import kinematic_features, num_kinematic_features


class KinematicStream(nn.Module):
    """`pose_values` -> one vector of `kinematic_hidden_size` per frame. Padded frames take no part.

    Frames are laid out densely whatever the device: the stream is too narrow for padding to cost much.
    """

    def __init__(self, config: SigmaPoseConfig) -> None:
        super().__init__()
        self.parts = tuple(config.parts)
        width = config.kinematic_hidden_size
        self.enter = nn.Linear(num_kinematic_features(self.parts), width)
        self.enter_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            KinematicBlock(width, config.kinematic_kernel_size, config.kinematic_drop_path)
            for _ in range(config.kinematic_layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, pose_values: torch.Tensor, pose_attention_mask: torch.Tensor) -> torch.Tensor:
        """(B, T, 69, 3) and (B, T) -> (B, T, kinematic_hidden_size), zeros in padded frames."""
        frames = DenseFrames(pose_attention_mask)
        # In float32: bfloat16 has three digits, and a velocity is a difference of two places.
        values = pose_values.float() if pose_values.dtype in (torch.float16, torch.bfloat16) else pose_values
        features = kinematic_features(frames.blank(values), self.parts).flatten(0, 1)  # (B * T, F)
        values = self.enter_norm(self.enter(features.to(self.enter.weight.dtype)))
        for block in self.blocks:
            values = block(values, frames)
        return frames.to_film(self.norm(values))


class KinematicBlock(nn.Module):
    """Widen, mix over time channel by channel, narrow; around it a residual that training leaves out at random.

    Args:
        width (`int`): Number of channels C.
        kernel_size (`int`): Frames that the block sees; odd.
        drop_path (`float`): Probability that a clip skips the block in training.
    """

    def __init__(self, width: int, kernel_size: int, drop_path: float) -> None:
        super().__init__()
        self.widen = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(2 * width, 2 * width, kernel_size, padding=kernel_size // 2, groups=2 * width)
        self.depthwise_norm = FrameBatchNorm(2 * width)
        self.narrow = nn.Linear(2 * width, width)
        self.narrow_norm = FrameBatchNorm(width)
        self.drop_path = drop_path

    def forward(self, values: torch.Tensor, frames: DenseFrames) -> torch.Tensor:
        """(B * T, C) -> (B * T, C)."""
        wide = frames.to_film(nn.functional.silu(self.widen(values)))  # (B, T, 2 * C)
        mixed = self.depthwise(wide.transpose(1, 2)).transpose(1, 2).flatten(0, 1)
        mixed = nn.functional.silu(self.depthwise_norm(mixed, frames.is_real))
        change = self.narrow_norm(self.narrow(mixed), frames.is_real)
        if self.training and self.drop_path:
            batch_size, num_frames = frames.mask.shape
            keep = torch.rand(batch_size, 1, device=change.device) >= self.drop_path
            keep = keep.expand(batch_size, num_frames).reshape(-1, 1)
            change = change * keep.to(change.dtype) / (1 - self.drop_path)
        return values + change
