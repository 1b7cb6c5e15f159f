"""Weights as people load them: in half precision, quantised, offloaded, tied, and under names of older versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling_sigma.model.lone_parameters_sigma import RENAMED_PARAMETERS
from modeling_sigma.model.modeling_sigma import SigmaModel
from modeling_sigma.model.modeling_sigma_heads import (
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForSequenceClassification,
)
from modeling_sigma.model.modeling_sigma_pretraining import SigmaForPreTraining
from tests.factories import tiny_inputs, tiny_model, tiny_processor


CLASSES = [
    SigmaModel,
    SigmaForPreTraining,
    SigmaForConditionalGeneration,
    SigmaForSequenceClassification,
    SigmaForCTC,
]
each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
HALVES = [torch.bfloat16, torch.float16]


def _model(cls: Any) -> Any:
    return tiny_model(cls, num_labels=3)


def _inputs(cls: Any) -> dict[str, torch.Tensor]:
    inputs = tiny_inputs()
    if cls is SigmaForConditionalGeneration:
        return {**inputs, "labels": torch.full((3, 2), 5)}
    if cls in (SigmaModel, SigmaForPreTraining):
        texts = dict(tiny_processor()(text=["hello world", "rain in the north", "snow"]))
        return {**inputs, **texts}
    return inputs


def _logits(out: Any) -> torch.Tensor:
    """The main scores of any class. Cosines, without the scale that reaches 100."""
    if "pose_embeds" in out and "text_embeds" in out:
        return out.pose_embeds.float() @ out.text_embeds.float().T
    return out.logits.float()


@torch.no_grad()
@each_class
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_half_precision(cls: Any, dtype: torch.dtype, tmp_path: Path) -> None:
    model = _model(cls)
    model.save_pretrained(tmp_path)
    expected, inputs = _logits(model(**_inputs(cls))), _inputs(cls)
    half = cls.from_pretrained(tmp_path, dtype=dtype)
    kept = ("pose_encoder.", "wo.weight") if dtype is torch.float16 else ()  # see `_keep_in_fp32_modules`
    for name, parameter in half.named_parameters():
        is_kept = any(part in name for part in kept)
        assert parameter.dtype is (torch.float32 if is_kept else dtype), name
    assert (_logits(half(**inputs)) - expected).abs().max() <= 0.1
    # What is saved in half precision comes back in it.
    model.to(dtype).save_pretrained(tmp_path)
    again = cls.from_pretrained(tmp_path, dtype="auto")
    assert again.dtype is dtype or dtype is torch.float16
    assert (_logits(again(**inputs)) - expected).abs().max() <= 0.1
    if cls is SigmaForConditionalGeneration:
        inputs.pop("labels")
        assert len(half.generate(**inputs, max_new_tokens=3)) == 3
    if cls is SigmaModel:
        clips = {name: value for name, value in inputs.items() if name.startswith(("pose_", "prompt_"))}
        assert half.get_pose_features(**clips).pooler_output.dtype is dtype
        assert half.get_text_features(inputs["text_input_ids"]).pooler_output.dtype is dtype


@pytest.mark.parametrize("how", ["pure", "loaded", "autocast"])
def test_pretraining_in_float16_is_finite(how: str, tmp_path: Path) -> None:
    model = _model(SigmaForPreTraining)
    if how == "loaded":
        model.save_pretrained(tmp_path)
        model = SigmaForPreTraining.from_pretrained(tmp_path, dtype=torch.float16)
    elif how == "pure":
        model = model.half()
    model.train()
    with torch.autocast("cpu", torch.float16, enabled=how == "autocast"):
        loss = model(**_inputs(SigmaForPreTraining)).loss
    loss.backward()
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


@torch.no_grad()
@each_class
def test_dynamic_quantisation(cls: Any) -> None:
    model, inputs = _model(cls), _inputs(cls)
    expected = _logits(model(**inputs))
    quantised = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    assert not isinstance(quantised.pose_encoder.projection, torch.nn.Linear)
    assert (_logits(quantised(**inputs)) - expected).abs().max() <= 0.15


class _IntegerLinear(torch.nn.Module):
    """A matrix stored as int8 with one scale per row, as 8-bit libraries keep it: its `weight` is no dtype to use."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.scale = linear.weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / 127
        self.weight = torch.nn.Parameter((linear.weight / self.scale).round().to(torch.int8), requires_grad=False)
        self.bias = linear.bias

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(states, self.weight.to(states.dtype) * self.scale, self.bias)


@torch.no_grad()
@each_class
def test_integer_matrices_everywhere(cls: Any) -> None:
    model, inputs = _model(cls), _inputs(cls)
    expected = _logits(model(**inputs))
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear:
                setattr(module, name, _IntegerLinear(child))
    assert model.pose_encoder.projection.weight.dtype is torch.int8
    assert (_logits(model(**inputs)) - expected).abs().max() <= 0.15


@torch.no_grad()
@each_class
def test_torchao_checkpoints_come_back(cls: Any, tmp_path: Path) -> None:
    quantization = pytest.importorskip("torchao.quantization")
    from transformers import TorchAoConfig

    model, inputs = _model(cls), _inputs(cls)
    model.save_pretrained(tmp_path / "full")
    expected = _logits(model(**inputs))
    config = TorchAoConfig(quantization.Int8WeightOnlyConfig())
    quantised = cls.from_pretrained(tmp_path / "full", quantization_config=config, dtype=torch.float32)
    kinds = {name: type(p.data).__name__ for name, p in quantised.named_parameters()}
    assert any(kind not in ("Tensor", "Parameter") for kind in kinds.values()), "something is quantised"
    assert all(kind in ("Tensor", "Parameter") for name, kind in kinds.items() if name.startswith("pose_encoder."))
    assert (_logits(quantised(**inputs)) - expected).abs().max() <= 0.1
    quantised.save_pretrained(tmp_path / "quantised")
    again = cls.from_pretrained(tmp_path / "quantised")
    assert torch.equal(_logits(again(**inputs)), _logits(quantised(**inputs)))


@torch.no_grad()
@each_class
@pytest.mark.parametrize(
    "place", ["disk", pytest.param("cpu", marks=pytest.mark.slow), pytest.param("auto", marks=pytest.mark.slow)]
)
def test_offloaded(cls: Any, place: str, tmp_path: Path) -> None:
    """Weights that live elsewhere between calls: `generate` and the features come around the model's own `forward`."""
    accelerate = pytest.importorskip("accelerate")
    model, inputs = _model(cls), _inputs(cls)
    expected = _logits(model(**inputs))
    model.save_pretrained(tmp_path / "model")
    if place == "disk":
        loaded = cls.from_pretrained(tmp_path / "model")
        loaded = accelerate.disk_offload(loaded, str(tmp_path / "disk"), execution_device=torch.device("cpu"))
    elif place == "cpu":
        loaded = accelerate.cpu_offload(cls.from_pretrained(tmp_path / "model"), execution_device=torch.device("cpu"))
    else:
        loaded = cls.from_pretrained(tmp_path / "model", device_map="auto")
    assert place == "auto" or all(parameter.is_meta for parameter in loaded.parameters())
    assert torch.allclose(_logits(loaded(**inputs)), expected, atol=1e-5)
    if cls is SigmaForConditionalGeneration:
        inputs.pop("labels")
        tokens = loaded.generate(**inputs, max_new_tokens=3)
        assert torch.equal(tokens, model.generate(**inputs, max_new_tokens=3))
    if cls is SigmaModel:
        clips = {name: value for name, value in inputs.items() if name.startswith(("pose_", "prompt_"))}
        features = [one.get_pose_features(**clips).pooler_output for one in (loaded, model)]
        assert torch.allclose(*features, atol=1e-6)
        features = [one.get_text_features(inputs["text_input_ids"]).pooler_output for one in (loaded, model)]
        assert torch.allclose(*features, atol=1e-6)


@torch.no_grad()
def test_checkpoints_of_the_first_version_load_and_are_saved_under_todays_names(tmp_path: Path) -> None:
    model, inputs = _model(SigmaForPreTraining), _inputs(SigmaForPreTraining)
    model.save_pretrained(tmp_path / "old")
    file = tmp_path / "old" / "model.safetensors"
    old_names = {new: old.strip("^$") for old, new in RENAMED_PARAMETERS.items()}
    state = {old_names.get(name, name): tensor for name, tensor in load_file(file).items()}
    assert set(old_names.values()) <= state.keys()
    save_file(state, file, metadata={"format": "pt"})
    for cls in (SigmaForPreTraining, SigmaModel):
        loaded, info = cls.from_pretrained(tmp_path / "old", output_loading_info=True)
        assert not any(info.values()), info
        assert torch.equal(loaded.logit_scale.weight, model.logit_scale.weight)
    _, info = SigmaForConditionalGeneration.from_pretrained(tmp_path / "old", output_loading_info=True)
    assert not any(info.values()), info
    loaded = SigmaForPreTraining.from_pretrained(tmp_path / "old")
    assert torch.equal(loaded(**inputs).lm_logits, model(**inputs).lm_logits)
    loaded.save_pretrained(tmp_path / "new")
    assert load_file(tmp_path / "new" / "model.safetensors").keys() == model.state_dict().keys()


@pytest.mark.parametrize("cls", [SigmaForConditionalGeneration, SigmaForPreTraining])
def test_tied_word_embeddings(cls: Any, tmp_path: Path) -> None:
    model, inputs = tiny_model(cls, tie_word_embeddings=True), _inputs(cls)
    assert model.lm_head.weight is model.shared.weight
    logits = model(**inputs).get("logits") if cls is SigmaForConditionalGeneration else model(**inputs).lm_logits
    assert 0.2 < logits.std() < 3, "of unit scale, as with a matrix of its own"
    model.save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    loaded, info = cls.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()) and loaded.lm_head.weight is loaded.shared.weight
    assert torch.equal(loaded.shared.weight, model.shared.weight)


@torch.no_grad()
def test_states_and_attentions_of_both_encoders() -> None:
    inputs = _inputs(SigmaForPreTraining)
    for cls in (SigmaModel, SigmaForPreTraining):
        model = _model(cls)
        plain = model(**inputs)
        assert "encoder_hidden_states" not in plain and "encoder_attentions" not in plain
        model.set_attn_implementation("eager")
        out = model(**inputs, output_hidden_states=True, output_attentions=True)
        length = out.encoder_last_hidden_state.shape[1]
        assert [tuple(states.shape) for states in out.encoder_hidden_states] == [(3, length, 32)] * 3
        assert torch.equal(out.encoder_hidden_states[-1], out.encoder_last_hidden_state)
        assert [tuple(weights.shape) for weights in out.encoder_attentions] == [(3, 4, length, length)] * 2
        for weights in (*out.encoder_attentions, *out.text_encoder_attentions):
            assert torch.allclose(weights.sum(dim=-1), torch.ones(weights.shape[:-1]), atol=1e-5)
        tokens = inputs["text_input_ids"].shape[1]
        assert [states.shape[1] for states in out.text_encoder_hidden_states] == [tokens + 1] * 3
        by_stack = model.encode_poses(
            **{name: value for name, value in inputs.items() if name.startswith(("pose_", "prompt_"))},
            output_hidden_states=True,
            output_attentions=True,
        )
        for name in ("hidden_states", "attentions"):
            for own, expected in zip(out[f"encoder_{name}"], by_stack[name], strict=True):
                assert torch.allclose(own, expected, atol=1e-5)
        model.config.output_hidden_states = True
        assert len(model(**inputs).encoder_hidden_states) == 3, "by configuration"
        with pytest.raises(TypeError, match=f"{cls.__name__} received arguments that it does not know: colour, size"):
            model(**inputs, colour="red", size=3, nothing=None)
    assert len(out.decoder_hidden_states) == 3 and len(out.cross_attentions) == len(out.decoder_attentions) == 2
