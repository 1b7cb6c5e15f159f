"""What of a model is exported: modules that take and return tensors alone, with examples of their inputs.

A label head is one graph, `model`. A generative model is two: `encoder`, which runs once per clip and prepares what
the decoder looks up in it, and `decoder`, which reads any number of tokens after those that it has read before. Every
graph that reads a clip also returns `pose_embeds`, the vector of `get_pose_features`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from modeling_sigma.model.model_kinds_sigma import ModelKind
from modeling_sigma.model.skeleton_layouts import NUM_JOINTS
from modeling_sigma.model.streams_sigma import frames_of, mean_over_frames


_CLIP = {0: "batch", 1: "frames"}
_PROMPT = {0: "batch", 1: "prompt_tokens"}
_ENCODED = {0: "batch", 1: "encoder_tokens"}
_LOOKED_UP = {1: "batch", 3: "encoder_tokens"}
_PAST = {1: "batch", 3: "past_tokens"}
_TOKENS = {0: "batch", 1: "tokens"}


@dataclass(frozen=True)
class Graph:
    """A graph to export.

    Args:
        name (`str`): What its file is called.
        module (`nn.Module`): Takes tensors by name and returns a dictionary of tensors.
        inputs (`dict[str, torch.Tensor]`): An example, no axis of which is 0 or 1 long.
        axes (`dict[str, dict[int, str]]`): Axes of each input that may have any length -> their names.
    """

    name: str
    module: nn.Module
    inputs: dict[str, torch.Tensor]
    axes: dict[str, dict[int, str]]


def graphs_of(model: Any, kind: ModelKind) -> list[Graph]:
    """The graphs of a model, in evaluation mode."""
    clips, axes = example_clips(model)
    if kind.has_labels:
        return [Graph("model", _LabelGraph(model), clips, axes)]
    if not kind.writes:
        return [Graph("model", _VectorGraph(model), clips, axes)]
    encoder, decoder = EncoderGraph(model).eval(), DecoderGraph(model).eval()
    with torch.no_grad():
        encoded = encoder(**clips)
        looked_up = {name: encoded[name] for name in ("encoder_attention_mask", "cross_keys", "cross_values")}
        tokens = torch.tensor([[0, 1, 2]] * len(encoded["pose_embeds"])) % model.config.text_config.vocab_size
        first = decoder(decoder_input_ids=tokens, **looked_up, **empty_past(looked_up["cross_keys"]))
    past = {"past_keys": first["keys"], "past_values": first["values"]}
    decoder_axes = {
        "decoder_input_ids": _TOKENS,
        "encoder_attention_mask": _ENCODED,
        "cross_keys": _LOOKED_UP,
        "cross_values": _LOOKED_UP,
        "past_keys": _PAST,
        "past_values": _PAST,
    }
    return [
        Graph("encoder", encoder, clips, axes),
        Graph("decoder", decoder, {"decoder_input_ids": tokens[:, :2], **looked_up, **past}, decoder_axes),
    ]


def example_clips(
    model: Any, lengths: tuple[int, ...] = (12, 7, 3), seed: int = 0
) -> tuple[dict[str, torch.Tensor], dict[str, dict[int, str]]]:
    """Random clips of these lengths, with prompts for a model that reads them, and the names of their axes."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(len(lengths), max(lengths), NUM_JOINTS, 3, generator=generator) * 2 - 1
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    inputs = {"pose_values": values * mask[:, :, None, None], "pose_attention_mask": mask}
    axes = {"pose_values": _CLIP, "pose_attention_mask": _CLIP}
    if model.config.use_prompt:
        size = min(9, model.config.text_config.vocab_size)
        tokens = torch.randint(0, size, (len(lengths), 5), generator=generator)
        is_prompt = (torch.arange(5) < torch.arange(5, 5 - len(lengths), -1).clamp(min=1)[:, None]).long()
        inputs.update(prompt_input_ids=tokens, prompt_attention_mask=is_prompt)
        axes.update(prompt_input_ids=_PROMPT, prompt_attention_mask=_PROMPT)
    return inputs, axes


def empty_past(cross_keys: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the decoder has read before its first token."""
    nothing = cross_keys[:, :, :, :0]
    return {"past_keys": nothing, "past_values": nothing}


class _VectorGraph(nn.Module):
    """`pose_embeds` `(B, D)` of clips."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, **clips: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"pose_embeds": self.model.get_pose_features(**clips).pooler_output}


class _LabelGraph(nn.Module):
    """`logits` of a label head, `(B, num_labels)` or `(B, T, num_labels)`, and `pose_embeds` `(B, D)`."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, **clips: torch.Tensor) -> dict[str, torch.Tensor]:
        frames = _frames(self.model.encode_poses(**clips), clips)
        return {"logits": self.model.score_frames(*frames), "pose_embeds": _vectors(*frames)}


def _frames(encoded: Any, clips: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return frames_of(encoded.last_hidden_state, encoded.attention_mask, clips["pose_values"].shape[1])


def _vectors(states: torch.Tensor, is_real: torch.Tensor) -> torch.Tensor:
    """As `get_pose_features`, of states that are there already: tracing the encoder twice takes its time."""
    return nn.functional.normalize(mean_over_frames(states, is_real), dim=-1)


class EncoderGraph(nn.Module):
    """Clips through the encoder of a generative model, and its states as every layer of the decoder looks them up.

    Returns `cross_keys` and `cross_values` `(layers, B, heads, S, head_size)`, `encoder_attention_mask` `(B, S)` and
    `pose_embeds` `(B, D)`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, **clips: torch.Tensor) -> dict[str, torch.Tensor]:
        encoded = self.model.encode_poses(**clips)
        states = encoded.last_hidden_state
        attentions = [block.layer[1].EncDecAttention for block in self.model.decoder.block]
        return {
            "cross_keys": torch.stack([_by_head(one.k(states), one) for one in attentions]),
            "cross_values": torch.stack([_by_head(one.v(states), one) for one in attentions]),
            "encoder_attention_mask": encoded.attention_mask,
            "pose_embeds": _vectors(*_frames(encoded, clips)),
        }


def _by_head(states: torch.Tensor, attention: Any) -> torch.Tensor:
    """(B, S, heads * head_size) -> (B, heads, S, head_size)."""
    return states.unflatten(-1, (attention.n_heads, attention.key_value_proj_dim)).transpose(1, 2)


class DecoderGraph(nn.Module):
    """Reads `decoder_input_ids` `(B, L)` after the P tokens that are in `past_keys` and `past_values`
    `(layers, B, heads, P, head_size)`; P may be 0.

    Returns `logits` `(B, L, vocabulary)` of the token after each, and `keys` and `values` of all P + L tokens.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        decoder_input_ids: torch.Tensor,
        encoder_attention_mask: torch.Tensor,
        cross_keys: torch.Tensor,
        cross_values: torch.Tensor,
        past_keys: torch.Tensor,
        past_values: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        model = self.model
        past, looked_up = DynamicCache(), DynamicCache()
        for layer in range(len(model.decoder.block)):
            past.update(past_keys[layer], past_values[layer], layer)
            looked_up.update(cross_keys[layer], cross_values[layer], layer)
        cache = EncoderDecoderCache(past, looked_up)
        cache.is_updated = dict.fromkeys(range(len(model.decoder.block)), True)
        # The states themselves are not read again, their shape is.
        shape = (cross_keys.shape[1], cross_keys.shape[3], model.config.hidden_size)
        decoded = model.decoder(
            inputs_embeds=model.shared(decoder_input_ids),
            encoder_hidden_states=cross_keys.new_zeros(shape),
            encoder_attention_mask=encoder_attention_mask,
            past_key_values=cache,
            use_cache=True,
        )
        layers = cache.self_attention_cache.layers
        return {
            "logits": model.score_tokens(decoded.last_hidden_state),
            "keys": torch.stack([layer.keys for layer in layers]),
            "values": torch.stack([layer.values for layer in layers]),
        }
