"""Clips mixed in pairs: what lies between two signs, whose label is a mixture too (mixup, arXiv:1710.09412)."""

from __future__ import annotations

import torch


def draw_mixture(num_clips: int, strength: float) -> tuple[torch.Tensor, torch.Tensor]:
    """How much of itself every clip keeps, `(num_clips,)` in [0.5, 1], and the clip that it is mixed with.

    Args:
        num_clips (`int`):
            Clips of the batch.
        strength (`float`):
            Both parameters of the Beta distribution that shares are drawn from, at least 0.05: with small ones hardly
            anything is mixed.
    """
    parameter = torch.tensor(strength, dtype=torch.float64)  # smaller shares than float32 knows are drawn, too
    shares = torch.distributions.Beta(parameter, parameter).sample((num_clips,)).float()
    return torch.maximum(shares, 1 - shares), torch.randperm(num_clips)


def mix_clips(pose_values: torch.Tensor, shares: torch.Tensor, partners: torch.Tensor) -> torch.Tensor:
    """Every clip's joints on their way to those of its partner, frame by frame.

    A joint that only one of the two shows stays where that one has it: half-way to a joint that was not seen is
    nowhere. So a one-handed sign may get the other hand of its partner.

    Args:
        pose_values (`torch.Tensor` of shape `(B, T, 69, 3)`):
            What `SigmaFeatureExtractor` makes; zeros where nothing was seen.
        shares (`torch.Tensor` of shape `(B,)`), partners (`torch.Tensor` of shape `(B,)`):
            See [`draw_mixture`].
    """
    others = pose_values[partners]
    is_seen, is_seen_there = pose_values[..., 2:] != 0, others[..., 2:] != 0
    shares = shares.to(pose_values)[:, None, None, None]
    weights = torch.where(is_seen & is_seen_there, shares, is_seen.to(pose_values))
    return pose_values * weights + others * (1 - weights)
