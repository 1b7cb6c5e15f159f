"""The decoder on a tree of tokens: what paths share is computed once, and kept while something follows it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


class DecoderTree:
    """A decoder stack that reads a tree of tokens depth first, many nodes of one depth at a time.

    Every path is decoded exactly as if it stood alone. Keys and values of the levels above the one that was read last
    are kept: a node costs one token, however long its path is.

    Args:
        stack (`MT5Stack` or `T5Stack`):
            The decoder, in evaluation mode.
        encoder_states (`torch.Tensor` of shape `(S, D)`):
            What the tokens attend to: the states of one clip, without padding.
        max_depth (`int`):
            Number of tokens on the longest path, the start token included.
    """

    def __init__(self, stack: Any, encoder_states: Tensor, max_depth: int) -> None:
        self.stack, self.dtype = stack, encoder_states.dtype
        self._levels: list[list[tuple[Tensor, Tensor]]] = []  # depth, layer: keys and values (N, heads, width)
        attention = stack.block[0].layer[0].SelfAttention
        bias = attention.compute_bias(max_depth, 1, device=encoder_states.device)
        self._bias = bias.to(encoder_states.dtype)[..., 0]  # (1, heads, max_depth), by the distance to what is seen
        self._clip = []  # layer -> keys and values of the clip, (1, heads, S, width)
        for block in stack.block:
            cross = block.layer[1].EncDecAttention
            keys, values = (_heads(linear(encoder_states), cross) for linear in (cross.k, cross.v))
            self._clip.append((keys.transpose(0, 1)[None], values.transpose(0, 1)[None]))

    def read(self, embeddings: Tensor, rows: Tensor) -> Tensor:
        """Reads nodes of one depth. Deeper levels are forgotten.

        Args:
            embeddings (`torch.Tensor` of shape `(N, D)`):
                Embeddings of the nodes' tokens.
            rows (`torch.LongTensor` of shape `(depth, N)`):
                The path of each node: its place among the nodes that were read last at each depth above.

        Returns:
            `torch.Tensor` of shape `(N, D)`: the states after the final norm.
        """
        depth = len(rows)
        bias = self._bias[:, :, None, : depth + 1].flip(-1)  # (1, heads, 1, depth + 1): the own token comes last
        states, level = embeddings, []
        for number, block in enumerate(self.stack.block):
            own, cross = block.layer[0].SelfAttention, block.layer[1].EncDecAttention
            normed = block.layer[0].layer_norm(states)
            query, key, value = (_heads(linear(normed), own) for linear in (own.q, own.k, own.v))
            above = [self._levels[place][number] for place in range(depth)]
            keys = torch.stack([*(kept[0][row] for kept, row in zip(above, rows)), key], dim=2)
            values = torch.stack([*(kept[1][row] for kept, row in zip(above, rows)), value], dim=2)
            # One query per node, which sees its own path: (N, heads, 1, width).
            seen = scaled_dot_product_attention(query[:, :, None], keys, values, attn_mask=bias, scale=1.0)
            states = _bounded(states + own.o(seen.flatten(1)))
            level.append((key, value))
            # All nodes see the same clip: they are queries of one sequence, (1, heads, N, width).
            query = _heads(cross.q(block.layer[1].layer_norm(states)), cross).transpose(0, 1)[None]
            seen = scaled_dot_product_attention(query, *self._clip[number], scale=1.0)
            states = _bounded(states + cross.o(seen[0].transpose(0, 1).flatten(1)))
            states = _bounded(block.layer[-1](states))
        self._levels[depth:] = [level]
        normed_states: Tensor = self.stack.final_layer_norm(states)
        return normed_states


def _heads(states: Tensor, attention: Any) -> Tensor:
    """`(N, heads * width)` -> `(N, heads, width)`."""
    return states.view(len(states), -1, attention.key_value_proj_dim)


def _bounded(states: Tensor) -> Tensor:
    """As the backbone's own layers do: float16 overflows in some checkpoints."""
    if states.dtype != torch.float16:
        return states
    limit = torch.finfo(states.dtype).max
    return states.clamp(-limit, limit)
