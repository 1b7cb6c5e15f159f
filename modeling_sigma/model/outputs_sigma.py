"""What Sigma models return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers.modeling_outputs import (
    BaseModelOutput,
    CausalLMOutput,
    ModelOutput,
    Seq2SeqLMOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)


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

    attention_mask: Any = None
    pose_embeds: torch.Tensor | None = None


@dataclass
class SigmaSeq2SeqLMOutput(Seq2SeqLMOutput):
    """Output of [`SigmaForConditionalGeneration`]: that of any sequence-to-sequence model, and the pose embeddings.

    Args:
        pose_embeds (`torch.FloatTensor` of shape `(batch_size, num_frames, hidden_size)`, *optional*):
            What the pose encoder made of each frame.
    """

    pose_embeds: torch.Tensor | None = None


@dataclass
class SigmaSequenceClassifierOutput(SequenceClassifierOutput):
    """Output of [`SigmaForSequenceClassification`].

    Args:
        pose_embeds (`torch.FloatTensor` of shape `(batch_size, num_frames, hidden_size)`, *optional*):
            What the pose encoder made of each frame.
    """

    pose_embeds: torch.Tensor | None = None


@dataclass
class SigmaCTCOutput(CausalLMOutput):
    """Output of [`SigmaForCTC`].

    Args:
        logits (`torch.FloatTensor` of shape `(batch_size, num_frames, num_labels)`):
            Scores of blank and glosses in every frame.
        pose_embeds (`torch.FloatTensor` of shape `(batch_size, num_frames, hidden_size)`, *optional*):
            What the pose encoder made of each frame.
        num_skipped_clips (`torch.LongTensor` of shape `()`, *optional*):
            Clips that the loss leaves out, because they are shorter than their glosses (`ctc_short_clips="skip"`).
    """

    pose_embeds: torch.Tensor | None = None
    num_skipped_clips: torch.Tensor | None = None


@dataclass
class SigmaSegmentationOutput(TokenClassifierOutput):
    """Output of [`SigmaForSignSegmentation`].

    Args:
        logits (`torch.FloatTensor` of shape `(batch_size, num_frames, 3)`):
            Scores of outside, begin and inside in every frame.
        pose_embeds (`torch.FloatTensor` of shape `(batch_size, num_frames, hidden_size)`, *optional*):
            What the pose encoder made of each frame.
    """

    pose_embeds: torch.Tensor | None = None


@dataclass
class SigmaOutput(ModelOutput):
    """Output of [`SigmaModel`].

    Args:
        logits_per_pose (`torch.FloatTensor` of shape `(num_clips, num_texts)`):
            Similarity of each clip with each sentence.
        logits_per_text (`torch.FloatTensor` of shape `(num_texts, num_clips)`):
            Similarity of each sentence with each clip; not the transpose where frames and words are compared.
        pose_embeds, text_embeds (`torch.FloatTensor` of shape `(batch_size, hidden_size)`):
            One unit vector per clip, and one per sentence.
        alignment (`torch.FloatTensor` of shape `(batch_size, num_words, num_frames)`, *optional*):
            Cosine of each word with each frame of its clip, 0 at padding.
        encoder_last_hidden_state (`torch.FloatTensor` of shape `(num_clips, sequence_length, hidden_size)`):
            States of [CLS], prompt and frames.
        encoder_hidden_states, text_encoder_hidden_states (`tuple[torch.FloatTensor]`, *optional*):
            States between the layers of the encoders of clips and of texts, with `output_hidden_states=True`.
        encoder_attentions, text_encoder_attentions (`tuple[torch.FloatTensor]`, *optional*):
            Attention weights of their layers, with `output_attentions=True` and eager attention.
    """

    logits_per_pose: torch.Tensor | None = None
    logits_per_text: torch.Tensor | None = None
    pose_embeds: torch.Tensor | None = None
    text_embeds: torch.Tensor | None = None
    alignment: torch.Tensor | None = None
    encoder_last_hidden_state: torch.Tensor | None = None
    encoder_hidden_states: tuple[torch.Tensor, ...] | None = None
    encoder_attentions: tuple[torch.Tensor, ...] | None = None
    text_encoder_hidden_states: tuple[torch.Tensor, ...] | None = None
    text_encoder_attentions: tuple[torch.Tensor, ...] | None = None


@dataclass
class SigmaForPreTrainingOutput(ModelOutput):
    """Output of [`SigmaForPreTraining`]. A term that the configuration switches off is None.

    Args:
        loss (`torch.FloatTensor` of shape `()`):
            (1 - alpha) global + alpha local + (1 - beta) matching + beta language modelling.
        global_alignment_loss, local_alignment_loss, matching_loss, lm_loss (`torch.FloatTensor` of shape `()`):
            The terms.
        logits_per_pose, logits_per_text (`torch.FloatTensor` of shape `(batch_size, batch_size)`):
            Scaled cosines of the [CLS] states (of all ranks).
        matching_logits (`torch.FloatTensor` of shape `(num_pairs, 2)`):
            For each pair: does not belong together, belongs together.
        matching_labels (`torch.LongTensor` of shape `(num_pairs,)`):
            1 for the true pairs, 0 for the hard negatives.
        lm_logits (`torch.FloatTensor` of shape `(batch_size, target_length, vocab_size)`):
            Scores of the next token.
        pose_embeds, text_embeds (`torch.FloatTensor` of shape `(batch_size, hidden_size)`):
            One unit vector per clip, and one per sentence.
        encoder_last_hidden_state (`torch.FloatTensor` of shape `(batch_size, sequence_length, hidden_size)`):
            States of the pose-only path.
        encoder_hidden_states, text_encoder_hidden_states (`tuple[torch.FloatTensor]`, *optional*):
            States between the layers of the encoders of clips and of texts, with `output_hidden_states=True`.
        encoder_attentions, text_encoder_attentions (`tuple[torch.FloatTensor]`, *optional*):
            Attention weights of their layers, with `output_attentions=True` and eager attention.
        decoder_hidden_states, decoder_attentions, cross_attentions (`tuple[torch.FloatTensor]`, *optional*):
            Likewise of the decoder.
    """

    loss: torch.Tensor | None = None
    global_alignment_loss: torch.Tensor | None = None
    local_alignment_loss: torch.Tensor | None = None
    matching_loss: torch.Tensor | None = None
    lm_loss: torch.Tensor | None = None
    logits_per_pose: torch.Tensor | None = None
    logits_per_text: torch.Tensor | None = None
    matching_logits: torch.Tensor | None = None
    matching_labels: torch.Tensor | None = None
    lm_logits: torch.Tensor | None = None
    pose_embeds: torch.Tensor | None = None
    text_embeds: torch.Tensor | None = None
    encoder_last_hidden_state: torch.Tensor | None = None
    encoder_hidden_states: tuple[torch.Tensor, ...] | None = None
    encoder_attentions: tuple[torch.Tensor, ...] | None = None
    text_encoder_hidden_states: tuple[torch.Tensor, ...] | None = None
    text_encoder_attentions: tuple[torch.Tensor, ...] | None = None
    decoder_hidden_states: tuple[torch.Tensor, ...] | None = None
    decoder_attentions: tuple[torch.Tensor, ...] | None = None
    cross_attentions: tuple[torch.Tensor, ...] | None = None
