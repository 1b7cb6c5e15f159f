"""The five-tap convolution with fewer products: right numbers, right gradients, and only where it pays."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from modeling_sigma.model import fast_convolution_sigma, graph_convolution_sigma
from modeling_sigma.model.fast_convolution_sigma import MIN_CHANNELS, convolve_over_time, pays, transforms
from modeling_sigma.model.frame_layouts_sigma import PackedFrames
from modeling_sigma.model.graph_convolution_sigma import GraphConvolutionBlock, build_adjacency


def direct(film: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = F.conv2d(film.permute(0, 3, 1, 2), weight[..., None], bias, padding=(2, 0))
    return out.permute(0, 2, 3, 1)


def test_the_constants_multiply_polynomials() -> None:
    # Four outputs of (1, 10, 100, 1000, 10000) over the frames 1 .. 8: 54321 + 11111 k.
    combine, kernel, data = transforms(torch.float64)
    taps, frames = torch.tensor([1.0, 10, 100, 1000, 10000]).double(), torch.arange(1.0, 9.0).double()
    out = combine @ ((kernel @ taps) * (data @ frames))
    torch.testing.assert_close(out, torch.tensor([54321.0, 65432.0, 76543.0, 87654.0]).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (2, 4, 3, 2), (1, 5, 2, 3), (3, 13, 2, 2), (1, 70, 1, 2)])
def test_it_is_the_direct_convolution(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_convolution_sigma, "_TURN_SIZE", 200)  # several turns in a clip
    generator = torch.Generator().manual_seed(0)
    film = torch.randn(shape, generator=generator, dtype=torch.float64)
    weight = torch.randn(3, shape[-1], 5, generator=generator, dtype=torch.float64)
    bias = torch.randn(3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(convolve_over_time(film, weight, bias), direct(film, weight, bias), atol=1e-11, rtol=0)


def test_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_convolution_sigma, "_TURN_SIZE", 100)
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 9, 2, 2), (3, 2, 5), (3,))
    ]
    assert torch.autograd.gradcheck(convolve_over_time, inputs, atol=1e-8)


def test_the_error_in_float32_is_small() -> None:
    generator = torch.Generator().manual_seed(0)
    film, weight = torch.randn(1, 40, 3, 160, generator=generator), torch.randn(160, 160, 5, generator=generator) / 28
    exact = direct(film.double(), weight.double(), torch.zeros(160).double())
    error = (convolve_over_time(film, weight, torch.zeros(160)) - exact).abs().max()
    assert error < 3e-5, error  # of outputs of deviation 1


def test_where_it_pays() -> None:
    film, weight = torch.zeros(1, 8, 2, MIN_CHANNELS), torch.zeros(MIN_CHANNELS, MIN_CHANNELS, 5)
    assert pays(film, weight)
    assert not pays(film[..., :8], weight[:8, :8]) and not pays(film, weight[..., :3])
    assert not pays(film.bfloat16(), weight) and not pays(film.double(), weight.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert not pays(film, weight)


def test_blocks_take_it_for_wide_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    block = GraphConvolutionBlock(MIN_CHANNELS, MIN_CHANNELS, build_adjacency(2, [(0, 1)]), temporal_kernel_size=5)
    nn.init.normal_(block.temporal_conv.weight, std=0.03)  # type: ignore[union-attr]
    values, mask = torch.randn(3 * 7, 2, MIN_CHANNELS), torch.ones(3, 7)
    mask[1, 4:] = 0
    frames = PackedFrames(mask, margin=2)
    values = frames.pack(values.unflatten(0, (3, 7)))
    results = []
    for fast in (True, False):
        if not fast:
            monkeypatch.setattr(graph_convolution_sigma, "pays", lambda film, weight: False)
        block.zero_grad()
        out = block.train()(values, frames)
        out.square().sum().backward()
        results.append([out.detach(), *(parameter.grad.clone() for parameter in block.parameters())])
    for ours, theirs in zip(*results, strict=True):
        scale = theirs.abs().max().clamp(min=1.0)
        assert (ours - theirs).abs().max() <= 1e-4 * scale
    assert not torch.equal(results[0][0], results[1][0])  # two ways indeed
