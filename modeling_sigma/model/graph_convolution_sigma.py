"""Spatio-temporal graph convolution (ST-GCN) over packed frames; the graph is an argument.

A batch of clips of different lengths is kept *packed*: the real frames of all clips in one row, `(N, V, C)` with
N frames, V joints, C channels. Padding then costs nothing, and BatchNorm's statistics count real frames only. For the
convolution over time the clips are laid out as one *film* with blank frames between them, wide enough that no clip
sees its neighbour: what a clip sees at its ends is zeros, exactly as if it were alone.

Source: arXiv:2509.21223, pose encoder (its reference lets padded frames change real ones).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn


class FramePacking:
    """Which frames of a padded batch are real, and how to lay them out for convolutions over time.

    Args:
        mask (`torch.Tensor` of shape `(B, T)`):
            1 or True = real frame. The real frames of a clip follow each other in time; padding is usually behind.
        margin (`int`):
            Frames that a convolution sees to each side.
    """

    def __init__(self, mask: torch.Tensor, margin: int) -> None:
        self.batch_size, self.num_frames = mask.shape
        keep = mask.reshape(-1).bool()
        self.is_full = bool(keep.all())
        if self.is_full:
            return
        self.real = keep.nonzero().squeeze(1)  # (N,), positions in (B * T)
        clip_of_frame = self.real // self.num_frames
        self.film_position = torch.arange(len(self.real), device=mask.device) + margin * clip_of_frame
        self.film_length = len(self.real) + margin * (self.batch_size - 1)

    def pack(self, values: torch.Tensor) -> torch.Tensor:
        """(B, T, ...) -> (N, ...), real frames only."""
        rows = values.flatten(0, 1)
        return rows if self.is_full else rows.index_select(0, self.real)

    def unpack(self, rows: torch.Tensor) -> torch.Tensor:
        """(N, ...) -> (B, T, ...), zeros in padded frames."""
        if not self.is_full:
            padded = rows.new_zeros(self.batch_size * self.num_frames, *rows.shape[1:])
            rows = padded.index_copy(0, self.real, rows)
        return rows.unflatten(0, (self.batch_size, self.num_frames))

    def to_film(self, rows: torch.Tensor) -> torch.Tensor:
        """(N, ...) -> (reels, frames, ...): a reel a clip, or one reel with blank frames between the clips."""
        if self.is_full:
            return rows.unflatten(0, (self.batch_size, self.num_frames))
        film = rows.new_zeros(self.film_length, *rows.shape[1:])
        return film.index_copy(0, self.film_position, rows).unsqueeze(0)

    def from_film(self, film: torch.Tensor) -> torch.Tensor:
        """The inverse of `to_film`."""
        rows = film.flatten(0, 1)
        return rows if self.is_full else rows.index_select(0, self.film_position)


class PaddedFrames:
    """Stands in for [`FramePacking`] where shapes may not depend on values: exported and compiled evaluation.

    Padded frames are computed along and set to zero before each convolution over time, so real frames come out as they
    do packed. In evaluation only: in training BatchNorm's statistics would count the padded frames.

    Args:
        mask (`torch.Tensor` of shape `(B, T)`):
            1 or True = real frame.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self.mask = mask.bool()

    def pack(self, values: torch.Tensor) -> torch.Tensor:
        """(B, T, ...) -> (B * T, ...)."""
        return values.flatten(0, 1)

    def unpack(self, rows: torch.Tensor) -> torch.Tensor:
        """(B * T, ...) -> (B, T, ...), zeros in padded frames."""
        return self.to_film(rows)

    def to_film(self, rows: torch.Tensor) -> torch.Tensor:
        """(B * T, ...) -> (B, T, ...), zeros in padded frames."""
        film = rows.unflatten(0, self.mask.shape)
        return film.masked_fill(~self.mask.reshape(*self.mask.shape, *(1,) * (film.dim() - 2)), 0.0)

    def from_film(self, film: torch.Tensor) -> torch.Tensor:
        """(B, T, ...) -> (B * T, ...)."""
        return film.flatten(0, 1)


def build_adjacency(num_joints: int, edges: Sequence[tuple[int, int]]) -> np.ndarray:
    """The start value of a block's two learned adjacency matrices.

    Args:
        num_joints (`int`):
            V.
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
            C and C'.
        adjacency (`np.ndarray` of shape `(2, V, V)`):
            Start value of the learned graph.
        temporal_kernel_size (`int`):
            Frames that the block sees; 1 leaves the temporal convolution out.
        dropout (`float`):
            Behind the temporal convolution.

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
        self.spatial_norm = nn.BatchNorm1d(out_channels)
        self.temporal_conv: nn.Conv2d | None = None
        if temporal_kernel_size > 1:
            padding = (temporal_kernel_size // 2, 0)
            self.temporal_conv = nn.Conv2d(out_channels, out_channels, (temporal_kernel_size, 1), padding=padding)
            self.temporal_norm = nn.BatchNorm1d(out_channels)
            self.dropout = nn.Dropout(dropout)
        self.residual_conv: nn.Conv2d | None = None
        if in_channels != out_channels:
            self.residual_conv = nn.Conv2d(in_channels, out_channels, 1)
            self.residual_norm = nn.BatchNorm1d(out_channels)

    def forward(self, values: torch.Tensor, packing: FramePacking | PaddedFrames) -> torch.Tensor:
        """(N, V, C) -> (N, V, C')."""
        residual = values
        if self.residual_conv is not None:
            residual = _normalize(self.residual_norm, _convolve(self.residual_conv, values.unsqueeze(0)).squeeze(0))
        mixed = _convolve(self.spatial_conv, values.unsqueeze(0)).squeeze(0)  # (N, V, 2 * C')
        # In place where autograd does not need the input: these tensors are the encoder's memory and its traffic.
        mixed = rectify_(_normalize(self.spatial_norm, self._mix_joints(mixed)))
        if self.temporal_conv is not None:
            film = _convolve(self.temporal_conv, packing.to_film(mixed))
            mixed = self.dropout(_normalize(self.temporal_norm, packing.from_film(film)))
        return rectify_(mixed.add(residual))

    def _mix_joints(self, values: torch.Tensor) -> torch.Tensor:
        num_partitions, num_joints, _ = self.adjacency.shape
        by_partition = values.unflatten(-1, (num_partitions, self.out_channels)).flatten(1, 2)  # (N, V * 2, C')
        # Row w of the mixing matrix collects what joint w receives from every (joint, partition).
        mixing = self.adjacency.permute(2, 1, 0).reshape(num_joints, -1)  # (V, V * 2)
        return torch.bmm(mixing.expand(by_partition.shape[0], -1, -1), by_partition)  # (N, V, C')


def _convolve(conv: nn.Conv2d, film: torch.Tensor) -> torch.Tensor:
    """A convolution over (reels, frames, V, C).

    The permuted view is what torch calls channels_last: the convolution reads and writes it without a copy, and a 1x1
    convolution is a matrix product (on CPUs a faster one than `nn.Linear`).
    """
    return conv(film.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def _normalize(norm: nn.Module, values: torch.Tensor) -> torch.Tensor:
    """BatchNorm of packed values (N, V, C) over frames and joints; a plain module, so that it can be synchronised."""
    return norm(values.flatten(0, 1)).view_as(values)


def rectify_(values: torch.Tensor) -> torch.Tensor:
    """ReLU in place."""
    if values.dtype is torch.bfloat16 and values.device.type == "cpu" and not torch.is_grad_enabled():
        # The bits as integers, which is several times faster: what is below zero ends at -128, minus infinity; NaN and
        # what is above zero are greater.
        nn.functional.threshold(values.view(torch.int16), -128, 0, inplace=True)
        return values
    return values.relu_()


class GraphConvolutionChain(nn.Module):
    """Blocks one after the other on the same graph."""

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

    def forward(self, values: torch.Tensor, packing: FramePacking | PaddedFrames) -> torch.Tensor:
        """(N, V, C) -> (N, V, hidden_sizes[-1])."""
        for block in self.blocks:
            values = block(values, packing)
        return values
