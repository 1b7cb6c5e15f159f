"""Sigma for its tasks: write text, choose a label for a clip, score glosses in every frame (CTC), or find signs."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig, GenerationMixin
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import can_return_tuple, logging

from .configuration_sigma import SigmaConfig
from .ctc_sigma import ctc_loss
from .modeling_sigma import LABEL_HEAD_KEYS, SigmaPreTrainedModel, without_text_arguments
from .objectives_sigma import label_smoothed_cross_entropy
from .outputs_sigma import (
    SigmaCTCOutput,
    SigmaEncoderOutput,
    SigmaSegmentationOutput,
    SigmaSeq2SeqLMOutput,
    SigmaSequenceClassifierOutput,
)
from .sign_boundaries_sigma import TAGS
from .streams_sigma import frames_of, mean_over_frames
from .text_backbone_sigma import build_stack, shift_right


logger = logging.get_logger(__name__)

# What the processor makes of a text besides `labels`: pre-training reads it.
TARGET_TEXT = ("text_input_ids", "text_attention_mask", "text_word_ids")


class SigmaForConditionalGeneration(SigmaPreTrainedModel, GenerationMixin):
    """Pose in, text out: isolated signs, glosses and sentences are all generated.

    Source: arXiv:2509.21223, fine-tuning.
    """

    decoder: Any
    lm_head: nn.Module
    _tied_weights_keys = {"lm_head.weight": "shared.weight"}  # if the configuration says tie_word_embeddings
    _keys_to_ignore_on_load_unexpected = [*SigmaPreTrainedModel._keys_to_ignore_on_load_unexpected, *LABEL_HEAD_KEYS]

    def __init__(self, config: SigmaConfig) -> None:
        super().__init__(config)
        text_config = config.text_config
        self.shared = nn.Embedding(text_config.vocab_size, config.hidden_size)
        self._build_pose_stream()
        self.decoder = build_stack(text_config, is_decoder=True)
        self.lm_head = nn.Linear(config.hidden_size, text_config.vocab_size, bias=False)
        self.generation_config = default_generation_config(config)
        self.post_init()

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        """The module that `generate` calls once: pose tensors and prompt in, states and their mask out."""
        return _PoseStreamEncoder(self)

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.lm_head = new_embeddings

    def prepare_decoder_input_ids_from_labels(self, labels: torch.Tensor) -> torch.Tensor:
        """Labels shifted to the right, as `transformers`' collators and label smoothers expect."""
        return shift_right(labels, self.config.text_config)

    def generate(
        self,
        inputs: torch.Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """As in transformers, for everything that the processor makes: the tokens of a target text are ignored, as
        `labels` are.

        A `max_length` that is given without `max_new_tokens` counts, although the model's own limit is in new tokens.
        As for any decoder it includes the token that starts the text.

        Raises:
            ValueError: without clips.
        """
        if inputs is None and kwargs.get("pose_values") is None and kwargs.get("encoder_outputs") is None:
            raise ValueError(
                f"expected pose_values to write text for, received {', '.join(kwargs) or 'nothing'}: pass what the "
                "processor makes of clips, generate(**processor(poses=clips))"
            )
        kwargs = {name: value for name, value in kwargs.items() if name not in TARGET_TEXT}
        start = kwargs.get("decoder_input_ids")
        start_length = 1 if start is None else start.shape[1]
        if kwargs.get("max_length") is not None and kwargs.get("max_new_tokens") is None:
            kwargs["max_new_tokens"] = kwargs.pop("max_length") - start_length
        elif generation_config is not None and generation_config.max_length is not None:
            generation_config = copy.deepcopy(generation_config)
            if generation_config.max_new_tokens is None and kwargs.get("max_new_tokens") is None:
                generation_config.max_new_tokens = generation_config.max_length - start_length
            generation_config.max_length = None
        return super().generate(inputs, generation_config, *args, **kwargs)

    @can_return_tuple
    def forward(
        self,
        pose_values: torch.Tensor | None = None,
        pose_attention_mask: torch.Tensor | None = None,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        decoder_input_ids: torch.Tensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        encoder_outputs: SigmaEncoderOutput | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs: Any,
    ) -> SigmaSeq2SeqLMOutput:
        r"""Scores the next token at every position of the decoder.

        Args:
            pose_values (`torch.FloatTensor` of shape `(batch_size, num_frames, 69, 3)`):
                Normalised x, y and score in [-1, 1] from [`SigmaFeatureExtractor`].
            pose_attention_mask (`torch.LongTensor` of shape `(batch_size, num_frames)`, *optional*):
                1 = real frame, 0 = padding.
            prompt_input_ids, prompt_attention_mask (`torch.LongTensor` of shape `(batch_size, prompt_length)`, *optional*):
                Tokens before the frames: "Translate sign language video to English: ".
            labels (`torch.LongTensor` of shape `(batch_size, target_length)`, *optional*):
                Target tokens; -100 is ignored. Decoder inputs are made from them when not given.
            decoder_input_ids, decoder_attention_mask (`torch.LongTensor` of shape `(batch_size, target_length)`, *optional*):
                What the decoder has written so far.
            encoder_outputs ([`SigmaEncoderOutput`], *optional*):
                States of an earlier run; `pose_values` is then not needed.
            past_key_values, use_cache (*optional*):
                The decoder's cache.
            num_items_in_batch (`torch.Tensor` or `int`, *optional*):
                Number of target tokens over all accumulated batches; the loss is then their sum divided by it.

        Raises:
            ValueError: without clip and encoder states, or without anything for the decoder to read.
        """  # noqa: E501
        kwargs = without_text_arguments(kwargs)
        kwargs.update(self.take_recording(kwargs))
        if encoder_outputs is None:
            if pose_values is None:
                raise ValueError("expected pose_values or encoder_outputs, received neither")
            encoder_outputs = self.encode_poses(
                pose_values, pose_attention_mask, prompt_input_ids, prompt_attention_mask, **kwargs
            )
        if decoder_input_ids is None:
            if labels is None:
                raise ValueError(
                    "expected labels or decoder_input_ids, received neither: use generate() to write text. A Trainer "
                    "with label_smoothing_factor takes the labels away: set label_smoothing in the configuration"
                )
            decoder_input_ids = shift_right(labels, self.config.text_config)
        decoded = self.decoder(
            inputs_embeds=self.shared(decoder_input_ids).to(encoder_outputs.last_hidden_state),
            attention_mask=decoder_attention_mask,
            encoder_hidden_states=encoder_outputs.last_hidden_state,
            encoder_attention_mask=encoder_outputs.attention_mask,
            past_key_values=past_key_values,
            use_cache=use_cache,
            **kwargs,
        )
        logits = self.score_tokens(decoded.last_hidden_state)
        loss = None
        if labels is not None:
            loss = label_smoothed_cross_entropy(
                logits, labels, self.config.label_smoothing, num_items_in_batch=num_items_in_batch
            )
        return SigmaSeq2SeqLMOutput(
            loss=loss,
            logits=logits,
            past_key_values=decoded.past_key_values,
            decoder_hidden_states=decoded.hidden_states,
            decoder_attentions=decoded.attentions,
            cross_attentions=decoded.cross_attentions,
            encoder_last_hidden_state=encoder_outputs.last_hidden_state,
            encoder_hidden_states=encoder_outputs.hidden_states,
            encoder_attentions=encoder_outputs.attentions,
            pose_embeds=encoder_outputs.pose_embeds,
        )


class _PoseStreamEncoder(nn.Module):
    """A view of a model's pose stream for `generate`. It owns no weights: the state dict stays flat."""

    main_input_name = "pose_values"
    model: Any

    def __init__(self, model: SigmaPreTrainedModel) -> None:
        super().__init__()
        self.__dict__["model"] = model  # not a submodule

    def forward(
        self,
        pose_values: torch.Tensor,
        pose_attention_mask: torch.Tensor | None = None,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutput:
        """See `SigmaPreTrainedModel.encode_poses`."""
        return self.model.encode_poses(
            pose_values,
            pose_attention_mask,
            prompt_input_ids,
            prompt_attention_mask,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )


def default_generation_config(config: SigmaConfig) -> GenerationConfig:
    """The paper's decoding: 4 beams, at most 100 new tokens.

    Source: arXiv:2509.21223, experiments.
    """
    text_config = config.text_config
    return GenerationConfig(
        num_beams=4,
        max_new_tokens=100,
        pad_token_id=text_config.pad_token_id,
        eos_token_id=text_config.eos_token_id,
        decoder_start_token_id=text_config.decoder_start_token_id,
    )


class _LabelHead(SigmaPreTrainedModel):
    """What the label heads share. With `use_prompt=False` they have no vocabulary matrix."""

    _keys_to_ignore_on_load_unexpected = [
        *SigmaPreTrainedModel._keys_to_ignore_on_load_unexpected,
        r"^decoder\.",
        r"^lm_head\.",
        r"^shared\.",
    ]
    # Labels are counted here: the Trainer must divide the loss by the number of accumulated batches, not by labels.
    accepts_loss_kwargs = False

    def _build_label_layer(self) -> nn.Linear:
        """Adds everything below the layer with one row per label, and returns that layer."""
        config = self.config
        self.num_labels = config.num_labels
        if config.use_prompt:
            self.shared = nn.Embedding(config.text_config.vocab_size, config.hidden_size)
        self._build_pose_stream()
        self.dropout = nn.Dropout(config.classifier_dropout)
        return nn.Linear(config.hidden_size, config.num_labels)

    def _check_class_weights(self) -> None:
        config = self.config
        if config.class_weights is not None and len(config.class_weights) != config.num_labels:
            raise ValueError(
                f"expected a class weight for each of the {config.num_labels} labels, received "
                f"{len(config.class_weights)}"
            )

    def _cross_entropy(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of `(*, num_labels)` logits, smoothed and weighted as the configuration says."""
        weights = self.config.class_weights
        return label_smoothed_cross_entropy(
            logits,
            labels,
            self.config.label_smoothing,
            class_weights=None if weights is None else torch.tensor(weights, device=logits.device),
        )

    def _encode_frames(
        self, pose_values: torch.Tensor, *context: torch.Tensor | None, **kwargs: Any
    ) -> tuple[SigmaEncoderOutput, torch.Tensor, torch.Tensor]:
        """The encoder's output, and of it the states `(B, T, D)` and mask `(B, T)` of the frames.

        `context` are the arguments of `embed_poses` after `pose_values`.
        """
        encoded = self.encode_poses(pose_values, *context, **without_text_arguments(kwargs))
        states: Any = encoded.last_hidden_state
        return encoded, *frames_of(states, encoded.attention_mask, pose_values.shape[1])


class SigmaForSequenceClassification(_LabelHead):
    """The plain head for isolated signs: pose encoder, text encoder, masked mean over the frames, one score per label.

    With `use_prompt=False` it has no vocabulary and needs no tokenizer.
    """

    _keys_to_ignore_on_load_unexpected = [
        *_LabelHead._keys_to_ignore_on_load_unexpected,
        r"^(ctc_head|boundary_head)\.",
    ]

    def __init__(self, config: SigmaConfig) -> None:
        super().__init__(config)
        self._check_class_weights()
        self.classifier = self._build_label_layer()
        self.post_init()

    def score_frames(self, states: torch.Tensor, is_real: torch.Tensor) -> torch.Tensor:
        """States `(B, T, D)` and mask `(B, T)` of the frames -> logits `(B, num_labels)`."""
        logits: torch.Tensor = self.classifier(self.dropout(mean_over_frames(states, is_real)))
        return logits

    @can_return_tuple
    def forward(
        self,
        pose_values: torch.Tensor,
        pose_attention_mask: torch.Tensor | None = None,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> SigmaSequenceClassifierOutput:
        r"""Scores every label for every clip.

        Args:
            pose_values (`torch.FloatTensor` of shape `(batch_size, num_frames, 69, 3)`):
                Normalised x, y and score in [-1, 1] from [`SigmaFeatureExtractor`].
            pose_attention_mask (`torch.LongTensor` of shape `(batch_size, num_frames)`, *optional*):
                1 = real frame, 0 = padding.
            prompt_input_ids, prompt_attention_mask (`torch.LongTensor` of shape `(batch_size, prompt_length)`, *optional*):
                Tokens before the frames.
            labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
                Label numbers in [0, num_labels); -100 is ignored.
        """  # noqa: E501
        encoded, states, is_real = self._encode_frames(
            pose_values, pose_attention_mask, prompt_input_ids, prompt_attention_mask, **kwargs
        )
        logits = self.score_frames(states, is_real)
        return SigmaSequenceClassifierOutput(
            loss=None if labels is None else self._cross_entropy(logits, labels),
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            pose_embeds=encoded.pose_embeds,
        )


class SigmaForCTC(_LabelHead):
    """Pose encoder and text encoder with a linear head on every frame, trained by CTC on gloss sequences.

    The gloss vocabulary is the configuration's `id2label` (see `build_gloss_labels`), of which `ctc_blank_id` is the
    blank. `decode_with_beams` turns logits into glosses with their times. With `use_prompt=False` the model has
    no vocabulary matrix and needs no tokenizer.
    """

    _keys_to_ignore_on_load_unexpected = [
        *_LabelHead._keys_to_ignore_on_load_unexpected,
        r"^(classifier|boundary_head)\.",
    ]

    def __init__(self, config: SigmaConfig) -> None:
        super().__init__(config)
        if config.ctc_blank_id >= config.num_labels:
            raise ValueError(
                f"expected ctc_blank_id below the {config.num_labels} labels, received {config.ctc_blank_id}"
            )
        self.ctc_head = self._build_label_layer()
        self.post_init()

    def score_frames(self, states: torch.Tensor, is_real: torch.Tensor) -> torch.Tensor:
        """States `(B, T, D)` and mask `(B, T)` of the frames -> logits `(B, T, num_labels)`."""
        logits: torch.Tensor = self.ctc_head(self.dropout(states))
        return logits

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
                1 = real frame, 0 = padding after the clip.
            prompt_input_ids, prompt_attention_mask (`torch.LongTensor` of shape `(batch_size, prompt_length)`, *optional*):
                Tokens before the frames.
            labels (`torch.LongTensor` of shape `(batch_size, num_glosses)`, *optional*):
                Gloss numbers in the order of signing, in [0, num_labels) without the blank; -100 is ignored.

        Raises:
            ValueError: for labels outside the vocabulary, and (unless `ctc_short_clips="skip"`) for clips that have
                fewer frames than their glosses need.
        """  # noqa: E501
        encoded, states, is_real = self._encode_frames(
            pose_values, pose_attention_mask, prompt_input_ids, prompt_attention_mask, **kwargs
        )
        logits = self.score_frames(states, is_real)
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


class SigmaForSignSegmentation(_LabelHead):
    """Pose encoder and text encoder with a linear head that tags every frame: outside of signs, the beginning of a
    sign, or inside one ([`TAGS`]).

    [`SignSegmentationPipeline`] turns the tags into signs with times, in recordings of any length. The tags are those
    of frames at the extractor's `frame_rate`, whatever the rate of a recording.
    """

    _keys_to_ignore_on_load_unexpected = [
        *_LabelHead._keys_to_ignore_on_load_unexpected,
        r"^(classifier|ctc_head)\.",
    ]

    def __init__(self, config: SigmaConfig) -> None:
        super().__init__(config)
        if config.num_labels != len(TAGS):
            raise ValueError(
                f"expected {len(TAGS)} labels ({', '.join(TAGS)}), received {config.num_labels}: set id2label"
            )
        self._check_class_weights()
        self.boundary_head = self._build_label_layer()
        self.post_init()

    def score_frames(self, states: torch.Tensor, is_real: torch.Tensor) -> torch.Tensor:
        """States `(B, T, D)` and mask `(B, T)` of the frames -> logits `(B, T, 3)`."""
        logits: torch.Tensor = self.boundary_head(self.dropout(states))
        return logits

    @can_return_tuple
    def forward(
        self,
        pose_values: torch.Tensor,
        pose_attention_mask: torch.Tensor | None = None,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> SigmaSegmentationOutput:
        r"""Scores the three tags in every frame.

        Args:
            pose_values (`torch.FloatTensor` of shape `(batch_size, num_frames, 69, 3)`):
                Normalised x, y and score in [-1, 1] from [`SigmaFeatureExtractor`].
            pose_attention_mask (`torch.LongTensor` of shape `(batch_size, num_frames)`, *optional*):
                1 = real frame, 0 = padding after the clip.
            prompt_input_ids, prompt_attention_mask (`torch.LongTensor` of shape `(batch_size, prompt_length)`, *optional*):
                Tokens before the frames.
            labels (`torch.LongTensor` of shape `(batch_size, num_frames)`, *optional*):
                The tag of each frame, in [0, 3); -100 is ignored. `class_weights` of the configuration weighs them.
        """  # noqa: E501
        encoded, states, is_real = self._encode_frames(
            pose_values, pose_attention_mask, prompt_input_ids, prompt_attention_mask, **kwargs
        )
        logits = self.score_frames(states, is_real)
        return SigmaSegmentationOutput(
            loss=None if labels is None else self._cross_entropy(logits, labels),
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            pose_embeds=encoded.pose_embeds,
        )
