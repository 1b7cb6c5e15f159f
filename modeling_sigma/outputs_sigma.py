"""What Sigma models return."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput, SequenceClassifierOutput


@dataclass
class SigmaEncoderOutput(BaseModelOutput):
    """States of the pose stream: [CLS] (if the configuration has one), prompt, frames.

    Args:
        last_hidden_state (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`):
            States after the encoder's last layer and norm.
        attention_mask (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
            1 = a real token or frame.
        pose_embeds (`torch.FloatTensor` of shape `(batch_size, num_frames, hidden_size)`):
            What the pose encoder made of each frame, before the text encoder read it.
    """

    attention_mask: torch.LongTensor | None = None
    pose_embeds: torch.FloatTensor | None = None


@dataclass
class SigmaSeq2SeqLMOutput(Seq2SeqLMOutput):
    """Output of [`SigmaForConditionalGeneration`]: that of any sequence-to-sequence model, and the pose embeddings.

    Args:
        pose_embeds (`torch.FloatTensor` of shape `(batch_size, num_frames, hidden_size)`, *optional*):
            What the pose encoder made of each frame.
    """

    pose_embeds: torch.FloatTensor | None = None


@dataclass
class SigmaSequenceClassifierOutput(SequenceClassifierOutput):
    """Output of [`SigmaForSequenceClassification`].

    Args:
        pose_embeds (`torch.FloatTensor` of shape `(batch_size, num_frames, hidden_size)`, *optional*):
            What the pose encoder made of each frame.
    """

    pose_embeds: torch.FloatTensor | None = None
