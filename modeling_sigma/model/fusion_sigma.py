"""SignEF, sign-aware early fusion: poses and text read each other before each of the top encoder layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .configuration_sigma import SigmaConfig
from .text_backbone_sigma import EncoderPass, build_cross_attention, build_norm, clamp_half


class FusionLayer(nn.Module):
    """One attention map between two streams, read in both directions, with norms, masks and residuals.

    Both streams are normalised; S = (W_q P')(W_k T')^T per head. Poses receive `W_o softmax_over_text(S) W_v T'`, the
    text receives `W_o softmax_over_pose(S^T) W_v P'`.

    Source: arXiv:2509.21223, section on sign-aware early fusion. Departure: the reference replaces the states (no
    residual, norm or mask) and does not normalise the transposed map again.
    """

    def __init__(self, config: SigmaConfig) -> None:
        super().__init__()
        self.num_heads = config.text_config.num_heads
        self.pose_norm = build_norm(config.text_config)
        self.text_norm = build_norm(config.text_config)
        self.attention: Any = build_cross_attention(config.text_config)
        self.dropout = nn.Dropout(config.text_config.dropout_rate)

    def forward(
        self,
        pose_states: torch.Tensor,
        pose_mask: torch.Tensor,
        text_states: torch.Tensor,
        text_mask: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both streams, each having read the other.

        Args:
            pose_states (`torch.Tensor` of shape `(B, S, D)`): [CLS], prompt and frames.
            pose_mask (`torch.Tensor` of shape `(B, S)`): 1 = real position.
            text_states (`torch.Tensor` of shape `(B, L, D)`): [CLS] and tokens.
            text_mask (`torch.Tensor` of shape `(B, L)`): 1 = real position.
        """
        pose, text = self.pose_norm(pose_states), self.text_norm(text_states)
        queries, keys = self._heads(self.attention.q(pose)), self._heads(self.attention.k(text))
        scores = (queries @ keys.transpose(2, 3)).float()  # (B, H, S, L); no 1 / sqrt(d), as in T5
        to_pose = self._read(scores, text_mask, self.attention.v(text))
        to_text = self._read(scores.transpose(2, 3), pose_mask, self.attention.v(pose))
        return clamp_half(pose_states + to_pose), clamp_half(text_states + to_text)

    def _read(self, scores: torch.Tensor, mask: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        lowest = torch.finfo(scores.dtype).min
        weights = scores.masked_fill(~mask.bool()[:, None, None, :], lowest).softmax(dim=-1)
        read = weights.to(values.dtype) @ self._heads(values)  # (B, H, rows, d)
        return self.dropout(self.attention.o(read.transpose(1, 2).flatten(2)))

    def _heads(self, states: torch.Tensor) -> torch.Tensor:
        return states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, H, positions, d)


class SignAwareFusion(nn.Module):
    """The top k layers of both encoders, with a fusion before each.

    Args:
        config ([`SigmaConfig`]):
            `fusion_layers` is k; `share_fusion_weights` says whether all k fusions are one.
    """

    def __init__(self, config: SigmaConfig) -> None:
        super().__init__()
        self.num_fused = config.fusion_layers
        num_sets = min(1, config.fusion_layers) if config.share_fusion_weights else config.fusion_layers
        self.layers = nn.ModuleList(FusionLayer(config) for _ in range(num_sets))

    def forward(self, pose_pass: EncoderPass, text_pass: EncoderPass) -> tuple[torch.Tensor, torch.Tensor]:
        """Continues two passes that stopped k layers below the top: `(B, S, D)` and `(B, L, D)` final states."""
        pose_start = len(pose_pass.stack.block) - self.num_fused
        text_start = len(text_pass.stack.block) - self.num_fused
        for step in range(self.num_fused):
            fusion = self.layers[step % len(self.layers)]
            pose_pass.hidden_states, text_pass.hidden_states = fusion(
                pose_pass.hidden_states,
                pose_pass.attention_mask,
                text_pass.hidden_states,
                text_pass.attention_mask,
            )
            pose_pass.run(pose_start + step, pose_start + step + 1)
            text_pass.run(text_start + step, text_start + step + 1)
        return pose_pass.finish(), text_pass.finish()
