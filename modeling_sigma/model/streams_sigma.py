"""Reading streams: which positions are [CLS] and frames, and what goes on at the end of a clip."""

from __future__ import annotations

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from .text_backbone_sigma import EncoderPass


def frames_of(states: torch.Tensor, mask: torch.Tensor, num_frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """States and mask of the frames, which close the pose stream: [CLS] and prompt are not among them."""
    return states[:, -num_frames:], mask[:, -num_frames:].to(states.device)


def repeat_last_frame(pose_values: torch.Tensor, pose_attention_mask: torch.Tensor) -> torch.Tensor:
    """Fills the padding after each clip with its last real frame (`pad_mode="repeat"`)."""
    lengths = pose_attention_mask.long().sum(dim=1, keepdim=True)  # (B, 1)
    frame = torch.arange(pose_values.shape[1], device=pose_values.device).expand(lengths.shape[0], -1)
    frame = torch.minimum(frame, (lengths - 1).clamp(min=0))  # (B, T)
    return pose_values.gather(1, frame[:, :, None, None].expand_as(pose_values))


def cls_of(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The [CLS], first of the real positions of each stream: `(B, S, D)` and `(B, S)` -> `(B, D)`."""
    first = mask.long().argmax(dim=1)[:, None, None].to(states.device)
    return states.gather(1, first.expand(-1, 1, states.shape[2])).squeeze(1)


def pooled_output(run: EncoderPass) -> BaseModelOutputWithPooling:
    """The states of a pass through all layers, and the [CLS] as a unit vector."""
    states = run.finish()
    return BaseModelOutputWithPooling(
        last_hidden_state=states,
        pooler_output=nn.functional.normalize(cls_of(states, run.attention_mask), dim=-1),
        hidden_states=run.all_hidden_states,
        attentions=run.attentions,
    )
