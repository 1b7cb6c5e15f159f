"""Packed and dense frames: the same numbers in evaluation and in training, compiled and exported."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from modeling_sigma.model.frame_batch_norm_sigma import FrameBatchNorm
from modeling_sigma.model.modeling_sigma import SigmaModel
from modeling_sigma.model.modeling_sigma_heads import (
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForSequenceClassification,
)
from modeling_sigma.model.modeling_sigma_pretraining import SigmaForPreTraining
from modeling_sigma.model.pose_encoder_sigma import SigmaPoseEncoder
from tests.factories import TEXTS, random_clips, tiny_config, tiny_inputs, tiny_model, tiny_processor, tiny_text_config


HEADS = (
    SigmaForSequenceClassification,
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaModel,
    SigmaForPreTraining,
)
Batch = dict[str, Any]


def encoder_in(layout: str, encoder: nn.Module) -> Any:
    encoder = copy.deepcopy(encoder)
    encoder.frame_layout = layout  # type: ignore[assignment]
    return encoder


def step(encoder: Any, inputs: Batch) -> dict[str, torch.Tensor]:
    """Outputs, gradients and buffers of one training step."""
    out = encoder(inputs["pose_values"], inputs["pose_attention_mask"])
    (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
    gradients = {f"grad {name}": parameter.grad for name, parameter in encoder.named_parameters()}
    return {"out": out.detach(), **gradients, **dict(encoder.named_buffers())}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("lengths", [(12, 7, 9), (5, 5), (1, 16)])
@pytest.mark.parametrize("kinematic", [0, 12])
def test_dense_equals_packed(kinematic: int, lengths: tuple[int, ...], training: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    pose_config = {"kinematic_hidden_size": kinematic, "kinematic_drop_path": 0.0}
    encoder = SigmaPoseEncoder(tiny_config(pose_config=pose_config).pose_config, hidden_size=16)
    encoder = encoder.to(dtype).train(training)
    inputs = tiny_inputs(lengths)
    inputs["pose_values"] = inputs["pose_values"].to(dtype)
    packed, dense = (step(encoder_in(layout, encoder), inputs) for layout in ("packed", "dense"))
    tolerance = 1e-5 if dtype is torch.float32 else 1e-12
    largest = max(value.abs().max().item() for name, value in packed.items() if name.startswith("grad"))
    for name, value in packed.items():
        scale = largest if name.startswith("grad") else max(1.0, value.abs().max().item())
        assert (dense[name] - value).abs().max() <= tolerance * scale, name
    moved = [name for name in packed if "running" in name and not torch.equal(packed[name], encoder.get_buffer(name))]
    assert bool(moved) == training


def test_what_lies_in_padding_does_not_matter() -> None:
    encoder = encoder_in("dense", SigmaPoseEncoder(tiny_config().pose_config, hidden_size=16))
    inputs = tiny_inputs((12, 7))
    clean = step(copy.deepcopy(encoder), inputs)
    inputs["pose_values"] = inputs["pose_values"].clone()
    inputs["pose_values"][1, 7:] = torch.nan
    dirty = step(encoder, inputs)
    for name, value in clean.items():
        assert torch.equal(dirty[name], value), name


@torch.no_grad()
def test_masked_batch_norm_by_hand() -> None:
    # Real values 1, 2, 6 (joints 2, frames 0 and 2 of three): mean 3, variance (4 + 1 + 9 + 0) / 4.
    norm = FrameBatchNorm(1, eps=0.0)
    values = torch.tensor([[[1.0], [2.0]], [[100.0], [-7.0]], [[6.0], [3.0]]])
    out = norm(values, torch.tensor([True, False, True]))
    expected = (values - 3.0) / 3.5**0.5
    torch.testing.assert_close(out, expected)
    assert norm.running_mean is not None and norm.running_var is not None
    torch.testing.assert_close(norm.running_mean, torch.tensor([0.1 * 3.0]))
    torch.testing.assert_close(norm.running_var, torch.tensor([0.9 + 0.1 * 3.5 * 4 / 3]))


def test_an_unknown_layout_is_refused() -> None:
    encoder = encoder_in("sparse", SigmaPoseEncoder(tiny_config().pose_config, hidden_size=16))
    with pytest.raises(ValueError, match="expected frame_layout to be one of"):
        encoder(tiny_inputs((3,))["pose_values"])


# --- compiled


def inputs_of(cls: Any, lengths: tuple[int, ...]) -> Batch:
    """What a training step of a head reads."""
    texts = list(TEXTS[: len(lengths)])
    batch = dict(tiny_processor()(random_clips(lengths), texts))
    if cls in (SigmaForSequenceClassification, SigmaForCTC):
        batch = {name: value for name, value in batch.items() if not name.startswith("text_")}
        batch["labels"] = torch.tensor([0, 2, 1, 1])[: len(lengths)]
        if cls is SigmaForCTC:
            batch.pop("labels")  # torch's CTC loss has shapes that depend on values
    if cls is SigmaModel:
        batch.pop("labels")
    return batch


# Slow, and to be run in a process of its own: exports before it in the same one cost another recompilation.
@pytest.mark.slow
@pytest.mark.parametrize("kinematic", [0, 12])
@pytest.mark.parametrize("cls", HEADS)
def test_every_head_is_one_graph_for_all_lengths(cls: Any, kinematic: int) -> None:
    torch._dynamo.reset()
    model = tiny_model(cls, num_labels=3, pose_config={"kinematic_hidden_size": kinematic})
    counter = CompileCounter()
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    for lengths in ((12, 7, 9), (5, 8, 6), (16, 3), (11, 4, 2, 9), (9, 9)):
        batch = inputs_of(cls, lengths)
        expected, out = model(**batch), compiled(**batch)
        random = {"loss", "matching_loss", "matching_logits", "matching_labels"} if cls is SigmaForPreTraining else {}
        for name, value in expected.items():
            if isinstance(value, torch.Tensor) and name not in random:
                torch.testing.assert_close(out[name], value, atol=1e-5, rtol=1e-4, msg=name)
    assert counter.frame_count <= 3, f"compiled {counter.frame_count} times"


@pytest.mark.slow
def test_a_compiled_training_step_is_an_eager_one() -> None:
    torch._dynamo.reset()
    text_config = tiny_text_config(dropout_rate=0.0)
    model = tiny_model(SigmaForSequenceClassification, num_labels=3, text_config=text_config).train()
    eager, traced = copy.deepcopy(model), copy.deepcopy(model)
    compiled = torch.compile(traced, fullgraph=True, backend="aot_eager")
    for lengths in ((12, 7, 9), (16, 3)):
        batch = inputs_of(SigmaForSequenceClassification, lengths)
        for one in (eager, compiled):
            one(**batch).loss.backward()
    for (name, parameter), other in zip(eager.named_parameters(), traced.parameters(), strict=True):
        if parameter.grad is not None:
            torch.testing.assert_close(other.grad, parameter.grad, atol=1e-5, rtol=1e-3, msg=name)
    for (name, buffer), other in zip(eager.named_buffers(), traced.buffers(), strict=True):
        torch.testing.assert_close(other, buffer, atol=1e-6, rtol=1e-5, msg=name)


# --- exported


class _Logits(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pose_values: torch.Tensor, pose_attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(pose_values, pose_attention_mask).logits


@torch.no_grad()
@pytest.mark.parametrize("kinematic", [0, 12])
@pytest.mark.parametrize("cls", [SigmaForSequenceClassification, SigmaForCTC])
def test_an_exported_head_takes_any_batch_and_length(cls: Any, kinematic: int) -> None:
    pose_config = {"kinematic_hidden_size": kinematic}
    model = tiny_model(cls, num_labels=3, use_prompt=False, use_cls_token=False, pose_config=pose_config).eval()
    example = tiny_inputs((12, 7, 9), prompt=False)
    names = ("pose_values", "pose_attention_mask")
    batch, frames = torch.export.Dim("batch", max=64), torch.export.Dim("frames", max=256)
    shapes = {name: {0: batch, 1: frames} for name in names}
    program = torch.export.export(
        _Logits(model), args=(), kwargs={name: example[name] for name in names}, dynamic_shapes=shapes
    )
    for lengths in ((5,), (20, 3, 11, 8), (1, 1), (64, 2)):
        inputs = {name: tiny_inputs(lengths, prompt=False)[name] for name in names}
        out = program.module()(**inputs)
        torch.testing.assert_close(out, model(**inputs).logits, atol=1e-5, rtol=1e-4)


def test_norms_take_weights_in_bfloat16_beside_statistics_in_float32() -> None:
    """As FSDP casts them: weights are cast, statistics are not, and what comes from a layer before is in bfloat16."""
    norm = FrameBatchNorm(3)
    norm.running_mean, norm.running_var = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1.0, 4.0, 0.25])
    norm.eval()
    values = torch.linspace(-2, 2, 24).view(4, 2, 3)
    expected = norm(values)
    norm.weight, norm.bias = (nn.Parameter(each.detach().bfloat16()) for each in (norm.weight, norm.bias))
    found = norm(values.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.04, rtol=0)
