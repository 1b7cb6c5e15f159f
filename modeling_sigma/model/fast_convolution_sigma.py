"""The five-tap convolution over time with 8 products for 4 frames in place of 20 (Cook-Toom, also known as Winograd).

Four outputs of a convolution are the values of a product of polynomials. Such a product is known from its values at 8
points; there each costs one multiplication, and all the rest is sums with constants. F(4, 5) with the points 0, 1, -1,
2, -2, 1/2, -1/2 and infinity has an error of about 1e-5 in float32, ten times that of the direct convolution.

Frames go through in turns that stay in the cache: whole batches at once lose half of the gain.

Source: A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, arXiv:1509.09308.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


TAPS, OUTPUTS = 5, 4
_WINDOW = OUTPUTS + TAPS - 1
_POINTS = [Fraction(number) for number in ("0", "1", "-1", "2", "-2", "1/2", "-1/2")]  # and infinity

# Below so many channels the sums cost more than the products that they save. As fast as torch's own convolution times
# (8 clips of 128 frames and 21 joints, one core, forward / with backward): 0.8 / 0.8 at 96 channels, 1.0 / 1.1 at 128,
# 1.1 / 1.3 at 160, 1.2 / 1.5 at 192, 1.4 / 1.8 at 256.
MIN_CHANNELS = 160
# Numbers of one transformed turn: about 4 MB.
_TURN_SIZE = 2**20


def transforms(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """The constants: outputs = `combine` @ ((`kernel` @ taps) * (`data` @ frames)).

    Returns:
        `tuple`: `combine` `(4, 8)`, `kernel` `(8, 5)` and `data` `(8, 8)`.
    """

    def powers(columns: int) -> Tensor:
        finite = [[float(point**exponent) for exponent in range(columns)] for point in _POINTS]
        return torch.tensor([*finite, [0.0] * (columns - 1) + [1.0]], dtype=torch.float64)

    combine, kernel, data = powers(OUTPUTS).T, powers(TAPS), torch.linalg.inv(powers(_WINDOW)).T
    return combine.to(dtype), kernel.to(dtype), data.to(dtype)


def pays(film: Tensor, weight: Tensor) -> bool:
    """Whether [`convolve_over_time`] is the faster way for this film and these taps: wide, float32, on a CPU."""
    return (
        film.device.type == "cpu"
        and film.dtype is torch.float32
        and weight.dtype is torch.float32
        and weight.shape[2] == TAPS
        and min(weight.shape[:2]) >= MIN_CHANNELS
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and type(weight) in (Tensor, torch.nn.Parameter)  # quantised and sharded weights have kernels of their own
    )


class _ConvolutionOverTime(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, film: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(film, weight)
        return _convolve(film, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        film, weight = ctx.saved_tensors
        grad_film = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_film = _convolve(grad, weight.flip(-1).transpose(0, 1), None)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(film, grad)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum(dim=(0, 1, 2))
        return grad_film, grad_weight, grad_bias


convolve_over_time: Callable[[Tensor, Tensor, Tensor], Tensor] = _ConvolutionOverTime.apply
"""Convolution over time, with zeros before the first and after the last frame.

Args:
    film (`torch.Tensor` of shape `(reels, frames, V, C)`): frames of V joints.
    weight (`torch.Tensor` of shape `(C', C, 5)`): the taps.
    bias (`torch.Tensor` of shape `(C',)`): added to every output.

Returns:
    `torch.Tensor` of shape `(reels, frames, V, C')`.
"""


def _convolve(film: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    combine, kernel, data = transforms(film.dtype)
    kernels = torch.einsum("ir,ocr->ico", kernel, weight).contiguous()  # (8, C, C')
    out = film.new_empty(*film.shape[:3], weight.shape[0])
    for reel, frames in zip(out, film, strict=True):
        for start, stop, tiles in _turns(frames, weight.shape[0]):
            windows = _windows(frames, start, tiles)  # (8, tiles, V, C)
            values = (data @ windows.flatten(1)).view(_WINDOW, -1, frames.shape[-1])
            products = torch.bmm(values, kernels)  # (8, tiles * V, C')
            outputs = (combine @ products.flatten(1)).view(OUTPUTS, tiles, frames.shape[1], -1)
            outputs = outputs.transpose(0, 1).flatten(0, 1)[: stop - start]
            if bias is None:
                reel[start:stop] = outputs
            else:
                torch.add(outputs, bias, out=reel[start:stop])
    return out


def _weight_gradient(film: Tensor, grad: Tensor) -> Tensor:
    combine, kernel, data = transforms(film.dtype)
    total = film.new_zeros(_WINDOW, film.shape[-1], grad.shape[-1])
    for frames, grads in zip(film, grad, strict=True):
        for start, stop, tiles in _turns(frames, grad.shape[-1]):
            values = (data @ _windows(frames, start, tiles).flatten(1)).view(_WINDOW, -1, frames.shape[-1])
            outputs = F.pad(grads[start:stop], (0, 0, 0, 0, 0, tiles * OUTPUTS - (stop - start)))
            outputs = outputs.unflatten(0, (tiles, OUTPUTS)).transpose(0, 1)  # (4, tiles, V, C')
            products = (combine.T @ outputs.reshape(OUTPUTS, -1)).view(_WINDOW, -1, grad.shape[-1])
            total.baddbmm_(values.transpose(1, 2), products)
    return torch.einsum("ir,ico->ocr", kernel, total)


def _turns(frames: Tensor, channels_out: int) -> Iterator[tuple[int, int, int]]:
    """(first frame, frame after the last, number of tiles) of pieces that fit the cache."""
    width = _WINDOW * frames.shape[1] * max(frames.shape[2], channels_out)
    turn = OUTPUTS * max(1, _TURN_SIZE // width)
    for start in range(0, len(frames), turn):
        stop = min(start + turn, len(frames))
        yield start, stop, -(-(stop - start) // OUTPUTS)


def _windows(frames: Tensor, start: int, tiles: int) -> Tensor:
    """The 8 frames that each tile of 4 outputs sees, `(8, tiles, V, C)`; zeros outside of the clip."""
    half = TAPS // 2
    first, after = start - half, start + tiles * OUTPUTS + half
    piece = frames[max(first, 0) : after]
    piece = F.pad(piece, (0, 0, 0, 0, max(-first, 0), max(after - len(frames), 0)))
    blocks = piece.unflatten(0, (tiles + 1, OUTPUTS)).transpose(0, 1)  # (4, tiles + 1, V, C)
    return torch.cat([blocks[:, :-1], blocks[:, 1:]])
