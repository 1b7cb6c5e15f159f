"""`SigmaPreTrainedModel`: the pose stream that all models share. `SigmaModel`: clips and sentences in one space."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import can_return_tuple, logging

from .configuration_sigma import SigmaConfig
from .graph_convolution_sigma import GraphConvolutionBlock
from .local_alignment_sigma import local_similarity, word_frame_cosines
from .lone_parameters_sigma import RENAMED_PARAMETERS, LearnedToken, LogitScale
from .model_kinds_sigma import MODEL_KINDS
from .objectives_sigma import global_alignment_logits
from .outputs_sigma import SigmaEncoderOutput, SigmaOutput
from .pose_encoder_sigma import SigmaPoseEncoder, check_pose_inputs
from .publishing_sigma import CheckedPush
from .streams_sigma import cls_of, frames_of, mean_over_frames, pooled_output, repeat_last_frame
from .text_backbone_sigma import (
    EncoderPass,
    build_stack,
    is_text_module,
    load_text_model,
    stack_dtype,
    text_backbone_state,
)
from .word_pooling_sigma import pool_words


logger = logging.get_logger(__name__)

SIMILARITIES = ("global", "local", "combined")

# Parts of pre-training that no head needs.
PRETRAINING_ONLY_KEYS = [
    r"^text_encoder\.",
    r"^text_cls_token\.",
    r"^fusion\.",
    r"^matching_encoder\.",
    r"^matching_head\.",
    r"^logit_scale\.",
]
# Output layers of the label heads, which no other model needs.
LABEL_HEAD_KEYS = [rf"^{kind.label_layer}\." for kind in MODEL_KINDS.values() if kind.has_labels]


class SigmaPreTrainedModel(CheckedPush, PreTrainedModel):
    """Weights, initialisation and the pose stream that all Sigma models share."""

    config: SigmaConfig
    # Modules that subclasses own, each a part of the same flat state dict.
    shared: nn.Module
    pose_encoder: SigmaPoseEncoder
    encoder: Any
    lm_head: nn.Module
    pose_cls_token: LearnedToken
    config_class = SigmaConfig
    # No class is another one with something on top: they share some parts, each under the same name in all of them.
    base_model_prefix = ""
    main_input_name = "pose_values"
    supports_gradient_checkpointing = True
    _no_split_modules = ["MT5Block", "T5Block", "GraphConvolutionBlock"]
    _supports_sdpa = True
    _supports_flex_attn = True
    # Float32 in a float16 model, and left out by whatever quantises: running variances, and learned graphs whose
    # entries are small, are a few megabytes on which everything else rests.
    _keep_in_fp32_modules = ["pose_encoder"]
    # transformers reads checkpoints saved by any Sigma class; a head leaves the pre-training parts aside.
    _keys_to_ignore_on_load_unexpected = PRETRAINING_ONLY_KEYS
    # What the checkpoint lacked: names and sums of the random weights in its place.
    _random_sums: dict[str, float] | None = None

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """As in transformers; a warning names the right Auto class where another class saved a part of the weights.

        Pre-training exists to be loaded into heads: of new heads on it nothing is said.
        """
        is_info_wanted = kwargs.pop("output_loading_info", False)
        kwargs["key_mapping"] = {**RENAMED_PARAMETERS, **(kwargs.get("key_mapping") or {})}
        model, info = super().from_pretrained(pretrained_model_name_or_path, *args, output_loading_info=True, **kwargs)
        # transformers would save under the names that it found: from here on they are today's.
        conversions = getattr(model, "_weight_conversions", None) or []
        model._weight_conversions = [
            entry for entry in conversions if not RENAMED_PARAMETERS.keys() & set(entry.source_patterns)
        ]
        saved, missing = saved_by_another(model.config, cls.__name__), sorted(info["missing_keys"])
        state = model.state_dict()
        model._random_sums = {name: _sum(state[name]) for name in missing if name in state}
        if missing and saved is not None and not MODEL_KINDS[saved].serves_as:
            logger.warning(
                f"{pretrained_model_name_or_path} was saved by {saved}: {len(missing)} weights of {cls.__name__} "
                f"({missing[0]}, ...) start at random. {MODEL_KINDS[saved].auto_class} loads it as it was trained."
            )
        return (model, info) if is_info_wanted else model

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """As in transformers; a model that came with its code takes all of it along.

        transformers copies what the model's own class imports, but `config.json` names other heads and pipelines too.
        """
        super().save_pretrained(save_directory, **kwargs)
        if self._auto_class is not None:  # loaded with trust_remote_code
            for source in Path(self.name_or_path).glob("*.py"):
                if not (Path(save_directory) / source.name).exists():
                    shutil.copyfile(source, Path(save_directory) / source.name)

    @property
    def untrained_weights(self) -> list[str]:
        """Weights that the checkpoint lacked and that are still random: pipelines refuse to answer with them."""
        if not self._random_sums:
            return []
        state = self.state_dict()
        is_same = [name in state and _sum(state[name]) == value for name, value in self._random_sums.items()]
        return list(self._random_sums) if all(is_same) else []

    def _build_pose_stream(self) -> None:
        """Adds the pose encoder, the text encoder that reads it, and the [CLS]. Subclasses add the word embeddings."""
        config = self.config
        self.pose_encoder = SigmaPoseEncoder(config.pose_config, config.hidden_size)
        self.encoder = build_stack(config.text_config, is_decoder=False)
        self.encoder.main_input_name = self.main_input_name  # `generate` asks the encoder what the model reads
        if config.use_cls_token:
            self.pose_cls_token = LearnedToken(config.hidden_size)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        pose_std = self.config.pose_config.initializer_range
        if isinstance(module, SigmaPoseEncoder):
            init.zeros_(module.part_bias)
            for child in module.modules():
                if isinstance(child, nn.Linear):
                    init.trunc_normal_(child.weight, std=pose_std)
                    init.zeros_(child.bias)
        elif isinstance(module, GraphConvolutionBlock):
            init.copy_(module.adjacency, torch.from_numpy(module.initial_adjacency))
        elif isinstance(module, (nn.Conv1d, nn.Conv2d)):
            # torch's own start (He, for the ReLU that follows): the paper sets linear maps only.
            init.kaiming_uniform_(module.weight, a=5**0.5)
            init.zeros_(module.bias)
        elif isinstance(module, LearnedToken):
            init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, LogitScale):
            init.constant_(module.weight, self.config.logit_scale_init)
        elif module is getattr(self, "shared", None):
            # As in T5: the encoder's first norm brings the embeddings to unit scale.
            init.normal_(module.weight, std=1.0)
        elif module is getattr(self, "lm_head", None):
            # Departure from T5 v1.1 in transformers (std 1): logits of unit scale let a model learn from scratch.
            init.normal_(module.weight, std=self.config.hidden_size**-0.5)
        elif is_text_module(module):
            self.encoder._init_weights(module)  # fusion and matching start as the backbone's own layers would
        else:
            super()._init_weights(module)

    @classmethod
    def from_text_pretrained(cls, name_or_path: str, text_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """A new Sigma around a pretrained T5 or mT5; its pose encoder starts from scratch.

        Encoder, decoder, embeddings and output matrix are copied, as far as this class has them.

        Args:
            name_or_path (`str`):
                A name on the Hub, such as `"google/mt5-base"`, or a local folder.
            text_kwargs (`dict`, *optional*):
                Passed to `from_pretrained` of the text model.
            kwargs:
                Fields of [`SigmaConfig`].
        """
        model = cls(cls.config_class.from_text_pretrained(name_or_path, **kwargs))
        text_model = load_text_model(name_or_path, model.config.text_config, **(text_kwargs or {}))
        model.load_text_backbone(text_model)
        return model

    @torch.no_grad()
    def load_text_backbone(self, text_model: PreTrainedModel) -> None:
        """Copies encoder, decoder, embeddings and output matrix of a T5 / mT5 model, as far as this model has them.

        Raises:
            ValueError: if the sizes differ.
        """
        own = self.state_dict()
        if self.config.tie_word_embeddings:
            own.pop("lm_head.weight", None)  # it is `shared`
        for name, tensor in text_backbone_state(text_model).items():
            if name not in own:
                continue
            if own[name].shape != tensor.shape:
                raise ValueError(
                    f"expected {name} of shape {tuple(own[name].shape)}, received {tuple(tensor.shape)}: build the "
                    "configuration with SigmaConfig.from_text_pretrained"
                )
            own[name].copy_(tensor)

    def get_input_embeddings(self) -> nn.Module:
        """The vocabulary matrix.

        Raises:
            NotImplementedError: for a label head without a prompt, which has none.
        """
        if not hasattr(self, "shared"):
            raise NotImplementedError("this model has no vocabulary matrix: its configuration says use_prompt=False")
        return self.shared

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.shared = value

    def embed_poses(
        self,
        pose_values: torch.Tensor,
        pose_attention_mask: torch.Tensor | None = None,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The pose stream that goes into the text encoder.

        Args:
            pose_values (`torch.Tensor` of shape `(batch_size, num_frames, 69, 3)`):
                Normalised joints.
            pose_attention_mask (`torch.Tensor` of shape `(batch_size, num_frames)`, *optional*):
                1 = real frame.
            prompt_input_ids, prompt_attention_mask (`torch.Tensor` of shape `(batch_size, length)`, *optional*):
                The prompt and its padding mask.

        Returns:
            `tuple`: stream `(batch_size, sequence_length, hidden_size)` of the prompt's padding, [CLS], prompt and
            frames; its mask `(batch_size, sequence_length)`; the pose embeddings `(batch_size, num_frames,
            hidden_size)`.

        Raises:
            ValueError: when shapes disagree or a prompt comes to a model that reads none.
        """
        if pose_attention_mask is None:
            pose_attention_mask = torch.ones(pose_values.shape[:2], dtype=torch.long, device=pose_values.device)
        if self.config.pad_mode == "repeat":
            check_pose_inputs(pose_values, pose_attention_mask)
            pose_embeds = self.pose_encoder(repeat_last_frame(pose_values, pose_attention_mask))
        else:
            pose_embeds = self.pose_encoder(pose_values, pose_attention_mask)
        if stack_dtype(self.encoder) in (torch.float16, torch.bfloat16):
            pose_embeds = pose_embeds.to(stack_dtype(self.encoder))  # the pose encoder may be float32
        batch_size = pose_embeds.shape[0]
        # A device map may put parts on devices of their own: everything follows the frames.
        pieces, masks = [pose_embeds], [pose_attention_mask.long().to(pose_embeds.device)]
        if prompt_input_ids is not None:
            if not self.config.use_prompt:
                raise ValueError("received prompt_input_ids, but this model's configuration says use_prompt=False")
            if prompt_input_ids.shape[0] != batch_size:
                raise ValueError(f"expected {batch_size} prompts, one per clip, received {prompt_input_ids.shape[0]}")
            if prompt_attention_mask is None:
                prompt_attention_mask = torch.ones_like(prompt_input_ids)
            pieces.insert(0, self.shared(prompt_input_ids).to(pose_embeds))
            masks.insert(0, prompt_attention_mask.long().to(pose_embeds.device))
        if self.config.use_cls_token:
            pieces.insert(0, self.pose_cls_token(pose_embeds))
            masks.insert(0, masks[0].new_ones(batch_size, 1))
        stream, mask = torch.cat(pieces, dim=1), torch.cat(masks, dim=1)
        if prompt_input_ids is not None:
            # Padding of short prompts goes to the very front: attention counts distances, and none may change.
            front = mask.shape[1] - pose_embeds.shape[1]
            order = mask[:, :front].sort(dim=1, stable=True).indices  # (B, front)
            mask = torch.cat([mask[:, :front].gather(1, order), mask[:, front:]], dim=1)
            order = order[:, :, None].expand(-1, -1, stream.shape[2])
            stream = torch.cat([stream[:, :front].gather(1, order), stream[:, front:]], dim=1)
        return stream, mask, pose_embeds

    def encode_poses(
        self,
        pose_values: torch.Tensor,
        pose_attention_mask: torch.Tensor | None = None,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> SigmaEncoderOutput:
        """Runs the pose stream through the text encoder; no text is read. For the arguments see `embed_poses`."""
        stream, mask, pose_embeds = self.embed_poses(
            pose_values, pose_attention_mask, prompt_input_ids, prompt_attention_mask
        )
        recording = self.take_recording(kwargs)
        states = self.encoder(inputs_embeds=stream, attention_mask=mask, **recording, **given(kwargs))
        return SigmaEncoderOutput(
            last_hidden_state=states.last_hidden_state,
            hidden_states=states.hidden_states,
            attentions=states.attentions,
            attention_mask=mask,
            pose_embeds=pose_embeds,
        )

    @can_return_tuple
    def get_pose_features(
        self,
        pose_values: torch.Tensor,
        pose_attention_mask: torch.Tensor | None = None,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Clips as vectors, whatever the head: alike clips have alike vectors. For the arguments see `embed_poses`.

        Returns:
            `BaseModelOutputWithPooling`: `pooler_output` `(batch_size, hidden_size)` holds one unit vector per clip,
            the mean of the encoder's states over the real frames. [`SigmaModel`], which learnt to compare clips with
            sentences by it, takes the [CLS] instead.
        """
        encoded = self.encode_poses(
            pose_values, pose_attention_mask, prompt_input_ids, prompt_attention_mask, **kwargs
        )
        states: Any = encoded.last_hidden_state
        frames = frames_of(states, encoded.attention_mask, pose_values.shape[1])
        return BaseModelOutputWithPooling(
            last_hidden_state=states,
            pooler_output=nn.functional.normalize(mean_over_frames(*frames), dim=-1),
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )

    def score_tokens(self, states: torch.Tensor) -> torch.Tensor:
        """Decoder states -> logits of the next token."""
        if self.config.tie_word_embeddings:
            # As in T5 v1.0: the entries of the vocabulary matrix, which is then the output matrix, have unit scale.
            states = states * self.config.hidden_size**-0.5
        logits: torch.Tensor = self.lm_head(states)
        return logits

    def take_recording(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """`output_hidden_states` and `output_attentions` from `kwargs`, or from the configuration."""
        names = ("output_hidden_states", "output_attentions")
        asked = {name: kwargs.pop(name, None) for name in names}
        return {name: getattr(self.config, name) if value is None else value for name, value in asked.items()}


class SigmaModel(SigmaPreTrainedModel):
    """Two encoders, one for clips and one for sentences, aligned on pairs: retrieval and word-frame alignment.

    Source: arXiv:2509.21223, section on hierarchical alignment learning.
    """

    text_encoder: Any
    text_cls_token: LearnedToken
    logit_scale: LogitScale
    _keys_to_ignore_on_load_unexpected = [
        r"^decoder\.",
        r"^lm_head\.",
        *LABEL_HEAD_KEYS,
        r"^fusion\.",
        r"^matching_encoder\.",
        r"^matching_head\.",
    ]

    def __init__(self, config: SigmaConfig) -> None:
        super().__init__(config)
        if not config.use_cls_token:
            saved = saved_by_another(config, type(self).__name__)
            advice = "" if saved is None else f". {saved} saved it: load it with {MODEL_KINDS[saved].auto_class}"
            raise ValueError(
                f"expected use_cls_token=True for {type(self).__name__}: its [CLS] stands for the clip{advice}"
            )
        self.shared = nn.Embedding(config.text_config.vocab_size, config.hidden_size)
        self._build_pose_stream()
        self.text_encoder = build_stack(config.text_config, is_decoder=False)
        self.text_cls_token = LearnedToken(config.hidden_size)
        self.logit_scale = LogitScale(config.logit_scale_init)
        self._build_objectives()
        self.post_init()

    def _build_objectives(self) -> None:
        """Modules of subclasses that must exist before the weights start."""

    @torch.no_grad()
    def load_text_backbone(self, text_model: PreTrainedModel) -> None:
        """As in the base class; the text encoder starts as a copy of the same encoder."""
        super().load_text_backbone(text_model)
        self.text_encoder.load_state_dict(self.encoder.state_dict())

    def start_pose_pass(
        self,
        pose_values: torch.Tensor,
        pose_attention_mask: torch.Tensor | None,
        prompt_input_ids: torch.Tensor | None,
        prompt_attention_mask: torch.Tensor | None,
        **recording: bool,
    ) -> EncoderPass:
        """The pose stream at the bottom of encoder A; `recording` as in [`EncoderPass`]."""
        stream, mask, _ = self.embed_poses(pose_values, pose_attention_mask, prompt_input_ids, prompt_attention_mask)
        return EncoderPass(self.encoder, stream, mask, **recording)

    def start_text_pass(
        self, text_input_ids: torch.Tensor, text_attention_mask: torch.Tensor | None = None, **recording: bool
    ) -> EncoderPass:
        """[CLS] and the tokens at the bottom of encoder B; `recording` as in [`EncoderPass`]."""
        if text_attention_mask is None:
            text_attention_mask = torch.ones_like(text_input_ids)
        tokens = self.shared(text_input_ids)
        text_cls_mask = text_attention_mask.new_ones(tokens.shape[0], 1)
        mask = torch.cat([text_cls_mask, text_attention_mask], dim=1).to(tokens.device)
        stream = torch.cat([self.text_cls_token(tokens), tokens], dim=1)
        return EncoderPass(self.text_encoder, stream, mask, **recording)

    @can_return_tuple
    def get_pose_features(
        self,
        pose_values: torch.Tensor,
        pose_attention_mask: torch.Tensor | None = None,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Embeds clips; no text is read. For the arguments see `forward`.

        Returns:
            `BaseModelOutputWithPooling`: `pooler_output` `(batch_size, hidden_size)` holds one unit vector per clip.
        """
        start = self.start_pose_pass(
            pose_values, pose_attention_mask, prompt_input_ids, prompt_attention_mask, **self.take_known(kwargs)
        )
        return pooled_output(start.run(0, len(self.encoder.block)))

    @can_return_tuple
    def get_text_features(
        self, text_input_ids: torch.Tensor, text_attention_mask: torch.Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """Embeds sentences; no clip is read.

        Returns:
            `BaseModelOutputWithPooling`: `pooler_output` `(batch_size, hidden_size)` holds one unit vector per
            sentence.
        """
        start = self.start_text_pass(text_input_ids, text_attention_mask, **self.take_known(kwargs))
        return pooled_output(start.run(0, len(self.text_encoder.block)))

    def take_known(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """`output_hidden_states` and `output_attentions`, by argument or configuration.

        Raises:
            TypeError: when anything else is given.
        """
        recording = self.take_recording(kwargs)
        unknown = given(kwargs)
        if unknown:
            raise TypeError(f"{type(self).__name__} received arguments that it does not know: {', '.join(unknown)}")
        return recording

    @can_return_tuple
    def forward(
        self,
        pose_values: torch.Tensor,
        pose_attention_mask: torch.Tensor | None = None,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
        text_input_ids: torch.Tensor | None = None,
        text_attention_mask: torch.Tensor | None = None,
        text_word_ids: torch.Tensor | None = None,
        similarity: str = "global",
        output_alignment: bool = False,
        **kwargs: Any,
    ) -> SigmaOutput:
        r"""Similarity of every clip with every sentence.

        Args:
            pose_values (`torch.FloatTensor` of shape `(num_clips, num_frames, 69, 3)`):
                Normalised x, y and score in [-1, 1] from [`SigmaFeatureExtractor`].
            pose_attention_mask (`torch.LongTensor` of shape `(num_clips, num_frames)`, *optional*):
                1 = real frame, 0 = padding.
            prompt_input_ids, prompt_attention_mask (`torch.LongTensor` of shape `(num_clips, prompt_length)`, *optional*):
                Tokens before the frames.
            text_input_ids, text_attention_mask (`torch.LongTensor` of shape `(num_texts, text_length)`):
                Sentences; `num_texts` may differ from `num_clips`.
            text_word_ids (`torch.LongTensor` of shape `(num_texts, text_length)`, *optional*):
                Word that each token belongs to, -1 = none. Every token but the closing one is a word when left out.
            similarity (`"global"`, `"local"` or `"combined"`, *optional*, defaults to `"global"`):
                Scaled cosine of the [CLS] states; frame-word similarity; or (1 - alpha) cosine + alpha frame-word
                similarity.
            output_alignment (`bool`, *optional*, defaults to `False`):
                Also return the cosine of each word with each frame of its own clip (as many clips as texts).
            labels (*optional*):
                What a processor returns with the tokens of a text; not read.
            output_hidden_states, output_attentions (`bool`, *optional*):
                Also return the states between the layers, or the attention weights, of both encoders.

        Raises:
            TypeError: for any other argument.
            ValueError: without text, for an unknown `similarity`, or for an alignment of unpaired inputs.
        """  # noqa: E501
        if similarity not in SIMILARITIES:
            raise ValueError(f"expected similarity to be one of {SIMILARITIES}, received {similarity!r}")
        text_input_ids = required_text(text_input_ids)
        kwargs.pop("labels", None)
        recording = self.take_known(kwargs)
        poses = self.start_pose_pass(
            pose_values, pose_attention_mask, prompt_input_ids, prompt_attention_mask, **recording
        )
        texts = self.start_text_pass(text_input_ids, text_attention_mask, **recording)
        pose_states = poses.run(0, len(self.encoder.block)).finish()
        text_states = texts.run(0, len(self.text_encoder.block)).finish().to(pose_states.device)
        frames, frame_mask = frames_of(pose_states, poses.attention_mask, pose_values.shape[1])
        words, word_mask = pool_words(text_states[:, 1:], self._word_ids(text_input_ids, texts, text_word_ids))

        pose_cls, text_cls = cls_of(pose_states, poses.attention_mask), cls_of(text_states, texts.attention_mask)
        cosines = global_alignment_logits(pose_cls, text_cls, 0.0)
        if similarity == "global":
            logits_per_pose = global_alignment_logits(pose_cls, text_cls, self.logit_scale())
            logits_per_text = logits_per_pose.T
        else:
            local = self._local_similarity(frames, frame_mask, words, word_mask)
            share = 1.0 if similarity == "local" else self.config.alpha
            logits_per_pose = (1 - share) * cosines + share * local[0]
            logits_per_text = (1 - share) * cosines.T + share * local[1]
        return SigmaOutput(
            logits_per_pose=logits_per_pose,
            logits_per_text=logits_per_text,
            pose_embeds=nn.functional.normalize(pose_cls, dim=-1),
            text_embeds=nn.functional.normalize(text_cls, dim=-1),
            alignment=word_frame_cosines(frames, frame_mask, words, word_mask) if output_alignment else None,
            encoder_last_hidden_state=pose_states,
            encoder_hidden_states=poses.all_hidden_states,
            encoder_attentions=poses.attentions,
            text_encoder_hidden_states=texts.all_hidden_states,
            text_encoder_attentions=texts.attentions,
        )

    def _local_similarity(
        self, frames: torch.Tensor, frame_mask: torch.Tensor, words: torch.Tensor, word_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        config = self.config
        strategies = (config.local_row_strategy, config.local_score_strategy, config.local_score_temperature)
        return local_similarity(frames, frame_mask, words, word_mask, *strategies)

    def _word_ids(
        self, text_input_ids: torch.Tensor, texts: EncoderPass, text_word_ids: torch.Tensor | None
    ) -> torch.Tensor:
        if text_word_ids is not None:
            return text_word_ids.to(texts.hidden_states.device)
        content = texts.attention_mask[:, 1:].bool() & (text_input_ids != self.config.text_config.eos_token_id)
        return torch.where(content, content.long().cumsum(dim=1) - 1, -1)


def _sum(weights: torch.Tensor) -> float:
    """Equals nothing, itself included, where the weights have no values yet."""
    return math.nan if weights.is_meta else float(weights.detach().double().sum())


def saved_by_another(config: SigmaConfig, name: str) -> str | None:
    """The class that saved a configuration; None if it is the one called `name`, unknown, or the configuration new."""
    saved = (config.architectures or [name])[0]
    return saved if saved != name and saved in MODEL_KINDS else None


def given(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments that are not None; the others keep the defaults of the function called."""
    return {name: value for name, value in kwargs.items() if value is not None}


def without_text_arguments(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments for the encoder. PEFT hands on by name what text models read: `attention_mask=None` and the like.

    Raises:
        ValueError: when one of them holds something.
    """
    foreign = ("input_ids", "attention_mask", "inputs_embeds", "decoder_inputs_embeds")
    received = [name for name in foreign if kwargs.get(name) is not None]
    if received:
        raise ValueError(f"expected pose_values and prompt_input_ids, received {', '.join(received)}")
    return {name: value for name, value in given(kwargs).items() if name not in foreign}


def required_text(text_input_ids: torch.Tensor | None) -> torch.Tensor:
    """The sentences of a model that requires them.

    Raises:
        ValueError: without any, or for another shape than `(batch_size, text_length)`.
    """
    if text_input_ids is None:
        raise ValueError("expected text_input_ids: alignment and matching need one sentence per clip")
    if text_input_ids.dim() != 2 or text_input_ids.shape[1] == 0:
        raise ValueError(
            f"expected text_input_ids of shape (batch_size, text_length >= 1), received {tuple(text_input_ids.shape)}"
        )
    return text_input_ids
