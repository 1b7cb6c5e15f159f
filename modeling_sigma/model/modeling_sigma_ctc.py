"""`SigmaForCTC`: continuous recognition, a score of blank and every gloss in every frame."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.utils import can_return_tuple, logging

from .configuration_sigma import SigmaConfig
from .ctc_objective_sigma import ctc_loss
from .modeling_sigma import SigmaPreTrainedModel, frames_of, without_text_arguments
from .outputs_sigma import SigmaCTCOutput


logger = logging.get_logger(__name__)


class SigmaForCTC(SigmaPreTrainedModel):
    """Pose encoder and text encoder with a linear head on every frame, trained by CTC on gloss sequences.

    The gloss vocabulary is the configuration's `id2label` (see `gloss_vocabulary_sigma`), of which `ctc_blank_id` is
    the blank. `ctc_decoding_sigma` turns logits into glosses with their times. With `use_prompt=False` the model has
    no vocabulary matrix and needs no tokenizer.
    """

    _keys_to_ignore_on_load_unexpected = [
        *SigmaPreTrainedModel._keys_to_ignore_on_load_unexpected,
        r"^decoder\.",
        r"^lm_head\.",
        r"^shared\.",
        r"^classifier\.",
    ]
    # The Trainer is to divide the loss by the number of accumulated batches.
    accepts_loss_kwargs = False

    def __init__(self, config: SigmaConfig) -> None:
        super().__init__(config)
        if config.ctc_blank_id >= config.num_labels:
            raise ValueError(
                f"expected ctc_blank_id below the {config.num_labels} labels, received {config.ctc_blank_id}"
            )
        self.num_labels = config.num_labels
        if config.use_prompt:
            self.shared = nn.Embedding(config.text_config.vocab_size, config.hidden_size)
        self._build_pose_stream()
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.ctc_head = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pose_values: torch.Tensor,
        pose_attention_mask: torch.Tensor | None = None,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> SigmaCTCOutput:
        r"""Scores blank and glosses in every frame.

        Args:
            pose_values (`torch.FloatTensor` of shape `(batch_size, num_frames, 69, 3)`):
                Normalised x, y and score in [-1, 1] from [`SigmaFeatureExtractor`].
            pose_attention_mask (`torch.LongTensor` of shape `(batch_size, num_frames)`, *optional*):
                1 = real frame, 0 = padding behind the clip.
            prompt_input_ids, prompt_attention_mask (`torch.LongTensor` of shape `(batch_size, prompt_length)`, *optional*):
                Tokens in front of the frames.
            labels (`torch.LongTensor` of shape `(batch_size, num_glosses)`, *optional*):
                Gloss numbers in the order of signing, in [0, num_labels) without the blank; -100 is ignored.

        Raises:
            ValueError: for labels outside the vocabulary, and (unless `ctc_short_clips="skip"`) for clips that have
                fewer frames than their glosses need.
        """  # noqa: E501
        kwargs = without_text_arguments(kwargs)
        encoded = self.encode_poses(
            pose_values, pose_attention_mask, prompt_input_ids, prompt_attention_mask, **kwargs
        )
        encoded_states: Any = encoded.last_hidden_state
        states, is_real = frames_of(encoded_states, encoded.attention_mask, pose_values.shape[1])
        logits = self.ctc_head(self.dropout(states))
        loss = num_skipped = None
        if labels is not None:
            config = self.config
            loss, num_skipped = ctc_loss(
                logits,
                is_real.sum(dim=1),
                labels,
                config.ctc_blank_id,
                config.ctc_loss_reduction,
                config.ctc_zero_infinity,
                config.ctc_short_clips,
            )
            if config.ctc_short_clips == "skip" and num_skipped:
                logger.warning_once(
                    f"{int(num_skipped)} of {len(labels)} clips have fewer frames than their glosses need and are "
                    "left out of the loss; later ones are counted in the output alone (num_skipped_clips)"
                )
        return SigmaCTCOutput(
            loss=loss,
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            pose_embeds=encoded.pose_embeds,
            num_skipped_clips=num_skipped,
        )
