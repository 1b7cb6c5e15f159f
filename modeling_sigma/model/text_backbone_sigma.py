"""The T5 / mT5 encoder and decoder stacks inside Sigma: the only file that names their classes."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import (
    MT5ForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedModel,
    T5ForConditionalGeneration,
)
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.mt5.modeling_mt5 import MT5Attention, MT5Block, MT5LayerNorm, MT5Stack
from transformers.models.t5.modeling_t5 import T5Attention, T5Block, T5LayerNorm, T5Stack


_BLOCKS = {"mt5": MT5Block, "t5": T5Block}
_STACKS = {"mt5": MT5Stack, "t5": T5Stack}
_ATTENTIONS = {"mt5": MT5Attention, "t5": T5Attention}
_NORMS = {"mt5": MT5LayerNorm, "t5": T5LayerNorm}
_TEXT_MODELS = {"mt5": MT5ForConditionalGeneration, "t5": T5ForConditionalGeneration}


def build_stack(text_config: PreTrainedConfig, *, is_decoder: bool, num_layers: int | None = None) -> PreTrainedModel:
    """An encoder or decoder stack that reads embeddings.

    The stack has no vocabulary matrix: a Sigma model owns a single one and embeds tokens itself.

    Args:
        text_config (`MT5Config` or `T5Config`):
            Configuration with the sizes of the stack.
        is_decoder (`bool`):
            Whether it is a decoder stack.
        num_layers (`int`, *optional*):
            Number of blocks, if not the configuration's.
    """
    config = copy.deepcopy(text_config)
    config.is_decoder = is_decoder
    config.use_cache = is_decoder
    if num_layers is not None:
        config.num_layers = num_layers
    elif is_decoder:
        config.num_layers = text_config.num_decoder_layers
    config.vocab_size = 1  # the stack's constructor insists on a matrix: let it be a small one
    stack = _STACKS[text_config.model_type](config)
    config.vocab_size = text_config.vocab_size
    stack.embed_tokens = None
    return stack


def build_cross_attention(text_config: PreTrainedConfig) -> nn.Module:
    """The projections q, k, v, o of one attention without position bias."""
    return _ATTENTIONS[text_config.model_type](text_config, has_relative_attention_bias=False, layer_idx=0)


def build_norm(text_config: PreTrainedConfig) -> nn.Module:
    """The backbone's RMS norm."""
    return _NORMS[text_config.model_type](text_config.d_model, eps=text_config.layer_norm_epsilon)


def clamp_half(states: torch.Tensor) -> torch.Tensor:
    """Float16 states kept from infinity, as the backbone's own blocks keep theirs; other dtypes as they are."""
    if states.dtype != torch.float16:
        return states
    limit = torch.finfo(torch.float16).max - 1000
    return states.clamp(-limit, limit)


def stack_dtype(stack: PreTrainedModel) -> torch.dtype:
    """The dtype that a stack computes in: that of a norm, which nothing quantises."""
    norm: Any = stack.final_layer_norm
    return norm.weight.dtype


def is_text_module(module: nn.Module) -> bool:
    """Whether this is a layer of the backbone's kind, whose weights start as the backbone's do."""
    return type(module).__module__ in (MT5Stack.__module__, T5Stack.__module__)


def shift_right(labels: torch.Tensor, text_config: PreTrainedConfig) -> torch.Tensor:
    """Decoder inputs for teacher forcing.

    Args:
        labels (`torch.LongTensor` of shape `(B, L)`):
            Targets; -100 is ignored by the loss and read as padding.
        text_config:
            Knows the start and the padding token.

    Returns:
        `torch.LongTensor` of shape `(B, L)`: start token, then the labels without the last.
    """
    shifted = labels.new_full(labels.shape, text_config.decoder_start_token_id)
    shifted[:, 1:] = labels[:, :-1]
    return shifted.masked_fill(shifted == -100, text_config.pad_token_id)


class EncoderPass:
    """One run through an encoder stack that can stop between layers.

    Running all layers equals calling the stack. Sign-aware early fusion stops before each of the top layers, and the
    lower layers' states are used for several continuations.

    Args:
        stack (`MT5Stack` or `T5Stack`):
            The encoder.
        hidden_states (`torch.Tensor` of shape `(B, S, D)`):
            Embeddings, or states that an earlier pass stopped with.
        attention_mask (`torch.Tensor` of shape `(B, S)`):
            1 = read, 0 = padding.
        is_input (`bool`, *optional*, defaults to `True`):
            Whether `hidden_states` are embeddings, which get the stack's dropout.
        output_hidden_states (`bool`, *optional*, defaults to `False`):
            Whether to keep the states between the layers, in `all_hidden_states`.
        output_attentions (`bool`, *optional*, defaults to `False`):
            Whether to keep the attention weights of each layer, in `attentions`. Eager attention alone computes them.
    """

    def __init__(
        self,
        stack: PreTrainedModel,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor,
        is_input: bool = True,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> None:
        self.stack = stack
        self.attention_mask = attention_mask
        self.hidden_states: torch.Tensor = stack.dropout(hidden_states) if is_input else hidden_states
        # Tuples, so that a fork goes on with its own. As in transformers, the last entry is the final state.
        self.all_hidden_states: tuple[Any, ...] | None = (self.hidden_states,) if output_hidden_states else None
        self.attentions: tuple[torch.Tensor, ...] | None = () if output_attentions else None
        self._full_mask = create_bidirectional_mask(
            config=stack.config, inputs_embeds=hidden_states, attention_mask=attention_mask
        )
        # Only the first layer owns the position bias; all layers share it.
        length = hidden_states.shape[1]
        attention = stack.block[0].layer[0].SelfAttention
        self._position_bias = attention.compute_bias(length, length, device=hidden_states.device)

    def run(self, start: int, stop: int) -> EncoderPass:
        """Runs the layers from `start` up to, not including, `stop`. Returns itself."""
        for layer in self.stack.block[start:stop]:
            with self._recorded_attention(layer):
                self.hidden_states = layer(self.hidden_states, self._full_mask, self._position_bias)[0]
            if self.all_hidden_states is not None:
                self.all_hidden_states += (self.hidden_states,)
        return self

    @contextlib.contextmanager
    def _recorded_attention(self, layer: Any) -> Iterator[None]:
        """Keeps the attention weights of a layer, which returns none: those of its self-attention."""
        if self.attentions is None:
            yield
            return

        def record(module: nn.Module, inputs: Any, outputs: tuple[Any, ...]) -> None:
            if outputs[-1] is not None:
                self.attentions = (*(self.attentions or ()), outputs[-1])

        hook = layer.layer[0].register_forward_hook(record)
        try:
            yield
        finally:
            hook.remove()

    def fork(self) -> EncoderPass:
        """A second pass that goes on from here, without computing anything again."""
        return copy.copy(self)

    def finish(self) -> torch.Tensor:
        """Final norm and dropout: `(B, S, D)`."""
        states: torch.Tensor = self.stack.dropout(self.stack.final_layer_norm(self.hidden_states))
        if self.all_hidden_states is not None:
            self.all_hidden_states = (*self.all_hidden_states[:-1], states)
        return states


class CrossAttendingEncoder(nn.Module):
    """Blocks of self-attention, cross-attention and feed-forward, without causal mask: one stream reads another.

    The streams come out of encoders, whose states hold their positions: there is no position bias here.

    Args:
        stack_config (`MT5Config` or `T5Config`):
            Configuration of an encoder stack of the same model. It is kept, so that the attention implementation
            follows the model's.
        num_layers (`int`):
            Number of blocks.
    """

    def __init__(self, stack_config: PreTrainedConfig, num_layers: int) -> None:
        super().__init__()
        config = copy.deepcopy(stack_config)
        config.is_decoder = True  # gives the blocks their cross-attention
        block_class = _BLOCKS[config.model_type]
        self.block = nn.ModuleList(
            block_class(config, has_relative_attention_bias=False, layer_idx=index) for index in range(num_layers)
        )
        block: Any
        for block in self.block:
            block.layer[0].SelfAttention.is_causal = False
            block.layer[0].SelfAttention.config = stack_config
            block.layer[1].EncDecAttention.config = stack_config
        self.config = stack_config
        self.final_layer_norm = build_norm(stack_config)
        self.dropout = nn.Dropout(stack_config.dropout_rate)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor,
        other_states: torch.Tensor,
        other_attention_mask: torch.Tensor,
    ) -> torch.Tensor:
        """`hidden_states` `(B, L, D)` and `other_states` `(B, S, D)` with their masks -> `(B, L, D)`."""
        mask = create_bidirectional_mask(
            config=self.config, inputs_embeds=hidden_states, attention_mask=attention_mask
        )
        cross_mask = create_bidirectional_mask(
            config=self.config,
            inputs_embeds=hidden_states,
            attention_mask=other_attention_mask,
            encoder_hidden_states=other_states,
        )
        for block in self.block:
            hidden_states = block(hidden_states, mask, None, other_states, cross_mask)[0]
        return self.dropout(self.final_layer_norm(hidden_states))


def text_backbone_state(text_model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The weights of a T5 / mT5 model under Sigma's names: `shared`, `encoder`, `decoder`, `lm_head`.

    T5 v1.0 shares one matrix between input and output and scales the decoder's states by d_model ** -0.5 before it.
    Sigma has two matrices and no such scale, so the scale goes into the copied output matrix.

    Raises:
        ValueError: if the model is neither T5 nor mT5 with a language-modelling head.
    """
    model: Any = text_model
    config = model.config
    if not isinstance(model, tuple(_TEXT_MODELS.values())):
        raise ValueError(
            f"expected a T5 or mT5 model for conditional generation, received {type(text_model).__name__}"
        )
    state_dict: dict[str, torch.Tensor] = text_model.state_dict()
    state = {name: tensor for name, tensor in state_dict.items() if not name.endswith("embed_tokens.weight")}
    if getattr(config, "scale_decoder_outputs", False):
        state["lm_head.weight"] = state["lm_head.weight"] * config.d_model**-0.5
    return state


def load_text_model(name_or_path: str, text_config: PreTrainedConfig, **kwargs: Any) -> PreTrainedModel:
    """The T5 / mT5 checkpoint `name_or_path` (Hub or folder) in float32."""
    return _TEXT_MODELS[text_config.model_type].from_pretrained(name_or_path, **kwargs)
