"""Spatio-temporal graph convolution (ST-GCN) over the frames of clips; the graph is an argument.

How frames are laid out, so that padding changes no real frame, is in `frame_layouts_sigma`.

Source: arXiv:2509.21223, pose encoder (its reference lets padded frames change real ones).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from .fast_convolution_sigma import convolve_over_time, pays
from .frame_batch_norm_sigma import FrameBatchNorm, statistics_stay
from .frame_layouts_sigma import DenseFrames, PackedFrames


def build_adjacency(num_joints: int, edges: Sequence[tuple[int, int]]) -> np.ndarray:
    """The initial value of a block's two learned adjacency matrices.

    Args:
        num_joints (`int`):
            Number of joints V.
        edges (`Sequence[tuple[int, int]]`):
            Undirected bones.

    Returns:
        `np.ndarray` of shape `(2, V, V)`, float32: the adjacency with self-links, each column divided by its
        degree, split into [0] the joint itself and [1] its neighbours.

    Source: arXiv:2509.21223, pose encoder; distance partitioning of ST-GCN (arXiv:1801.07455).
    """
    links = np.eye(num_joints, dtype=np.float32)
    for a, b in edges:
        links[a, b] = links[b, a] = 1.0
    links /= links.sum(axis=0, keepdims=True)
    itself = np.diag(links.diagonal())
    return np.stack([itself, links - itself])


class GraphConvolutionBlock(nn.Module):
    """One ST-GCN block: mix joints along the learned graph, then frames, plus a residual.

    Args:
        in_channels, out_channels (`int`):
            Numbers of channels C and C'.
        adjacency (`np.ndarray` of shape `(2, V, V)`):
            Initial value of the learned graph.
        temporal_kernel_size (`int`):
            Frames that the block sees; 1 leaves the temporal convolution out.
        dropout (`float`):
            Dropout after the temporal convolution.

    Source: arXiv:2509.21223, pose encoder.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        adjacency: np.ndarray,
        temporal_kernel_size: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        # numpy, so that the numbers survive a construction on torch's meta device.
        self.initial_adjacency = adjacency
        # In the default dtype, like every other weight: `from_pretrained(dtype=...)` sets it.
        self.adjacency = nn.Parameter(torch.tensor(adjacency, dtype=torch.get_default_dtype()))
        self.spatial_conv = nn.Conv2d(in_channels, adjacency.shape[0] * out_channels, 1)
        self.spatial_norm = FrameBatchNorm(out_channels)
        self.temporal_conv: nn.Conv2d | None = None
        if temporal_kernel_size > 1:
            padding = (temporal_kernel_size // 2, 0)
            self.temporal_conv = nn.Conv2d(out_channels, out_channels, (temporal_kernel_size, 1), padding=padding)
            self.temporal_norm = FrameBatchNorm(out_channels)
            self.dropout = nn.Dropout(dropout)
        self.residual_conv: nn.Conv2d | None = None
        if in_channels != out_channels:
            self.residual_conv = nn.Conv2d(in_channels, out_channels, 1)
            self.residual_norm = FrameBatchNorm(out_channels)

    def forward(self, values: torch.Tensor, frames: PackedFrames | DenseFrames) -> torch.Tensor:
        """(N, V, C) -> (N, V, C')."""
        residual = values
        if self.residual_conv is not None:
            residual = _convolve(self.residual_conv, values.unsqueeze(0)).squeeze(0)
            residual = self.residual_norm(residual, frames.is_real)
        mixed = _convolve(self.spatial_conv, values.unsqueeze(0)).squeeze(0)  # (N, V, 2 * C')
        # In place where autograd does not need the input: these tensors are the encoder's memory and its traffic.
        mixed = rectify_(self.spatial_norm(self._mix_joints(mixed), frames.is_real))
        if self.temporal_conv is not None:
            film = _convolve_over_time(self.temporal_conv, frames.to_film(mixed))
            mixed = self.dropout(self.temporal_norm(frames.from_film(film), frames.is_real))
        return rectify_(mixed.add(residual))

    def _mix_joints(self, values: torch.Tensor) -> torch.Tensor:
        num_partitions, num_joints, _ = self.adjacency.shape
        by_partition = values.unflatten(-1, (num_partitions, self.out_channels)).flatten(1, 2)  # (N, V * 2, C')
        # Row w of the mixing matrix collects what joint w receives from every (joint, partition).
        mixing = self.adjacency.permute(2, 1, 0).reshape(num_joints, -1)  # (V, V * 2)
        # `.shape[0]`: `len` would write today's number of frames into an exported graph.
        return torch.bmm(mixing.expand(by_partition.shape[0], -1, -1), by_partition)  # (N, V, C')


def _convolve(conv: nn.Conv2d, film: torch.Tensor) -> torch.Tensor:
    """A convolution over (reels, frames, V, C).

    The permuted view is what torch calls channels_last: the convolution reads and writes it without a copy, and a 1x1
    convolution is a matrix product (on CPUs a faster one than `nn.Linear`).
    """
    return conv(film.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def _convolve_over_time(conv: nn.Conv2d, film: torch.Tensor) -> torch.Tensor:
    weight = conv.weight.squeeze(-1)
    if conv.bias is not None and pays(film, weight):
        return convolve_over_time(film, weight, conv.bias)
    return _convolve(conv, film)


def rectify_(values: torch.Tensor) -> torch.Tensor:
    """ReLU in place."""
    if values.dtype is torch.bfloat16 and values.device.type == "cpu" and not torch.is_grad_enabled():
        # The bits as integers, which is several times faster: what is below zero ends at -128, minus infinity; NaN and
        # what is above zero are greater.
        nn.functional.threshold(values.view(torch.int16), -128, 0, inplace=True)
        return values
    return values.relu_()


class GraphConvolutionChain(nn.Module):
    """Blocks one after the other on the same graph.

    Attributes:
        gradient_checkpointing (`bool`): What `activation_checkpointing_enable` of the model switches on.
    """

    gradient_checkpointing = False

    def __init__(
        self,
        in_channels: int,
        hidden_sizes: Sequence[int],
        adjacency: np.ndarray,
        temporal_kernel_size: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = [in_channels, *hidden_sizes]
        self.blocks = nn.ModuleList(
            GraphConvolutionBlock(before, after, adjacency, temporal_kernel_size, dropout)
            for before, after in zip(sizes[:-1], sizes[1:], strict=True)
        )

    def forward(self, values: torch.Tensor, frames: PackedFrames | DenseFrames) -> torch.Tensor:
        """(N, V, C) -> (N, V, hidden_sizes[-1])."""
        for block in self.blocks:
            if self.gradient_checkpointing and self.training:
                values = _checkpoint(block, values, frames)
            else:
                values = block(values, frames)
        return values


def _checkpoint(block: nn.Module, values: torch.Tensor, frames: PackedFrames | DenseFrames) -> torch.Tensor:
    """A block of which only the input is kept for the backward pass, which computes the rest again."""
    contexts = partial(_contexts, block)
    result: torch.Tensor = checkpoint(block, values, frames, use_reentrant=False, context_fn=contexts)
    return result


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """For the forward pass, and for its repetition."""
    return nullcontext(), statistics_stay(block)
