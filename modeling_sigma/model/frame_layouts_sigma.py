"""Two ways of laying out the frames of a padded batch of clips, with the same numbers: packed and dense.

*Packed*: the real frames of all clips in one row, `(N, V, C)` with N frames, V joints, C channels. Padding costs
nothing, but N depends on the mask's values. The way of CPUs.

*Dense*: all frames, padding included, `(B * T, V, C)`. Padding is computed along, is zero for each convolution over
time, and does not count in BatchNorm's statistics. No shape depends on values and nothing is read back to the host:
the way of accelerators, of `torch.compile` and of exports.
"""

from __future__ import annotations

from typing import Literal

import torch


FrameLayout = Literal["auto", "packed", "dense"]
FRAME_LAYOUTS: tuple[FrameLayout, ...] = ("auto", "packed", "dense")


class PackedFrames:
    """The real frames alone, and how to lay them out for convolutions over time.

    For these the clips become one *film* with blank frames between them, wide enough that no clip sees its neighbour:
    what a clip sees at its ends is zeros, exactly as if it were alone.

    Args:
        mask (`torch.Tensor` of shape `(B, T)`):
            1 or True = real frame. The real frames of a clip follow each other in time; padding usually follows them.
        margin (`int`):
            Frames that a convolution sees to each side.
    """

    is_real: torch.Tensor | None = None  # all rows are

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
        """(N, ...) -> (reels, frames, ...): one reel per clip, or a single one with blank frames between the clips."""
        if self.is_full:
            return rows.unflatten(0, (self.batch_size, self.num_frames))
        film = rows.new_zeros(self.film_length, *rows.shape[1:])
        return film.index_copy(0, self.film_position, rows).unsqueeze(0)

    def from_film(self, film: torch.Tensor) -> torch.Tensor:
        """The inverse of `to_film`."""
        rows = film.flatten(0, 1)
        return rows if self.is_full else rows.index_select(0, self.film_position)


class DenseFrames:
    """All frames, and which of them are real.

    Args:
        mask (`torch.Tensor` of shape `(B, T)`):
            1 or True = real frame.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self.mask = mask.bool()
        self.is_real = self.mask.flatten()  # (B * T,)

    def pack(self, values: torch.Tensor) -> torch.Tensor:
        """(B, T, ...) -> (B * T, ...), zeros in padded frames, whatever was there."""
        return self.blank(values).flatten(0, 1)

    def unpack(self, rows: torch.Tensor) -> torch.Tensor:
        """(B * T, ...) -> (B, T, ...), zeros in padded frames."""
        return self.to_film(rows)

    def to_film(self, rows: torch.Tensor) -> torch.Tensor:
        """(B * T, ...) -> (B, T, ...), zeros in padded frames."""
        return self.blank(rows.unflatten(0, self.mask.shape))

    def from_film(self, film: torch.Tensor) -> torch.Tensor:
        """(B, T, ...) -> (B * T, ...)."""
        return film.flatten(0, 1)

    def blank(self, film: torch.Tensor) -> torch.Tensor:
        """(B, T, ...) with zeros in padded frames, whatever was there."""
        return film.masked_fill(~self.mask.reshape(*self.mask.shape, *(1,) * (film.dim() - 2)), 0.0)
