"""One conformance suite over all model classes, and what each head promises of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from modeling_sigma.model.graph_convolution_sigma import rectify_
from modeling_sigma.model.modeling_sigma import SigmaModel
from modeling_sigma.model.modeling_sigma_heads import (
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForSequenceClassification,
    SigmaForSignSegmentation,
)
from modeling_sigma.model.modeling_sigma_pretraining import SigmaForPreTraining
from modeling_sigma.model.pose_encoder_sigma import SigmaPoseEncoder
from modeling_sigma.model.skeleton_layouts import FLIP_PERMUTATION, PART_SLICES
from tests.factories import (
    LANGUAGES,
    MAX_NEW_TOKENS,
    random_clips,
    take_clip,
    tiny_config,
    tiny_inputs,
    tiny_model,
    tiny_processor,
    tiny_text_config,
)


MODEL_CLASSES = [
    SigmaForConditionalGeneration,
    SigmaForSequenceClassification,
    SigmaForCTC,
    SigmaForSignSegmentation,
    SigmaModel,
    SigmaForPreTraining,
]
HEADS = MODEL_CLASSES[:2]
TEXTS = ["hello world", "rain in the north", "snow"]
LENGTHS = (12, 7, 1)

each_model = pytest.mark.parametrize("cls", MODEL_CLASSES, ids=lambda cls: cls.__name__)
each_head = pytest.mark.parametrize("cls", HEADS, ids=lambda cls: cls.__name__)


def _targets(cls: type) -> dict[str, torch.Tensor]:
    """What each class reads beside a clip and its prompt."""
    texts = dict(tiny_processor()(text=TEXTS))
    if cls is SigmaForConditionalGeneration:
        return {"labels": texts["labels"]}
    if cls is SigmaForSequenceClassification:
        return {"labels": torch.tensor([0, 2, 1])}
    if cls is SigmaForCTC:
        return {"labels": torch.tensor([[1, 2, 2], [2, 1, -100], [1, -100, -100]])}
    if cls is SigmaForSignSegmentation:
        return {"labels": torch.arange(3 * max(LENGTHS)).reshape(3, -1) % 3}
    if cls is SigmaModel:
        texts.pop("labels")
    return texts


def _model(cls: type, **overrides: Any) -> Any:
    if cls in (SigmaForSequenceClassification, SigmaForCTC, SigmaForSignSegmentation):
        overrides.setdefault("num_labels", 3)
    return tiny_model(cls, **overrides)


def _run(model: nn.Module, inputs: dict[str, torch.Tensor]) -> Any:
    """A forward pass; the random choice of hard negatives is always the same."""
    if isinstance(model, SigmaForPreTraining):
        return model(**inputs, negatives_generator=torch.Generator().manual_seed(0))
    return model(**inputs)


def _tensors(out: Any) -> dict[str, torch.Tensor]:
    return {name: value for name, value in out.items() if isinstance(value, torch.Tensor)}


def _loss(out: Any) -> torch.Tensor:
    return out.loss if out.get("loss") is not None else out.logits_per_pose.square().sum()


def _inputs(cls: type) -> dict[str, torch.Tensor]:
    return {**tiny_inputs(LENGTHS), **_targets(cls)}


def _assert_close(first: Any, second: Any, tolerance: float = 1e-5) -> None:
    first, second = _tensors(first), _tensors(second)
    assert first.keys() == second.keys() and first
    for name, value in first.items():
        assert value.shape == second[name].shape, name
        assert torch.isfinite(value.float()).all(), name
        assert (value.float() - second[name].float()).abs().max() <= tolerance, name


# --- every class


@torch.no_grad()
@each_model
def test_saved_and_loaded_models_compute_the_same(cls: type, tmp_path: Path) -> None:
    model, inputs = _model(cls), _inputs(cls)
    model.save_pretrained(tmp_path)
    loaded, info = cls.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert not loaded.training
    _assert_close(_run(model, inputs), _run(loaded, inputs))
    stored = load_file(tmp_path / "model.safetensors")
    assert stored.keys() == model.state_dict().keys(), "every weight once, none shared"
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, stored[name]) and torch.equal(tensor, loaded.state_dict()[name]), name


@torch.no_grad()
@each_model
@pytest.mark.parametrize("model_type", ["mt5", "t5"])
def test_eager_and_sdpa_attention_agree(cls: type, model_type: str, tmp_path: Path) -> None:
    _model(cls, text_config=tiny_text_config(model_type)).save_pretrained(tmp_path)
    models = {name: cls.from_pretrained(tmp_path, attn_implementation=name) for name in ("eager", "sdpa")}
    for name, model in models.items():
        stacks = [module for module in model.modules() if type(module).__name__ in ("MT5Stack", "T5Stack")]
        assert stacks and all(stack.config._attn_implementation == name for stack in stacks)
    _assert_close(_run(models["eager"], _inputs(cls)), _run(models["sdpa"], _inputs(cls)))


@each_model
def test_activation_checkpointing_gives_the_same_gradients(cls: type) -> None:
    # In float64: with several threads the same sum in float32 has now and then another rounding.
    model, inputs = _model(cls).double().train(), _inputs(cls)
    calls = {"count": 0}
    model.encoder.block[0].layer[0].register_forward_hook(lambda *_: calls.update(count=calls["count"] + 1))
    start = {name: buffer.clone() for name, buffer in model.named_buffers()}
    gradients, counts, statistics = [], [], []
    for checkpointing in (False, True):
        model.load_state_dict(start, strict=False)
        if checkpointing:
            model.activation_checkpointing_enable()
            assert model.is_activation_checkpointing
        model.zero_grad()
        calls["count"] = 0
        torch.manual_seed(5)  # the same dropout
        _loss(_run(model, inputs)).backward()
        counts.append(calls["count"])
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        statistics.append({name: buffer.clone() for name, buffer in model.named_buffers()})
    assert all(torch.equal(statistics[0][name], value) for name, value in statistics[1].items()), "a batch counts once"
    assert any(not torch.equal(start[name], value) for name, value in statistics[1].items())
    assert counts[1] == 2 * counts[0], "layers run again in the backward pass"
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-4, atol=1e-6), name


@each_model
@pytest.mark.parametrize("training", [False, True])
def test_every_trainable_parameter_gets_a_gradient(cls: type, training: bool) -> None:
    model = _model(cls).train(training)
    _loss(_run(model, _inputs(cls))).backward()
    # BatchNorm subtracts the mean: in training a bias right in front of it changes nothing.
    idle = ("temporal_conv.bias", "residual_conv.bias") if training else ()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad, name
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.norm() > 0 or name.endswith(idle), name


@torch.no_grad()
@each_model
def test_bfloat16(cls: type) -> None:
    model, inputs = _model(cls), _inputs(cls)
    full = _tensors(_run(model, inputs))
    half = _tensors(_run(model.to(torch.bfloat16), inputs))  # pose_values stay float32: the model converts them
    for name, value in half.items():
        assert torch.isfinite(value.float()).all(), name
        if value.is_floating_point() and value.dim() > 0 and name != "matching_logits":
            assert (value.float() - full[name]).abs().max() <= 0.1 * full[name].abs().max() + 0.05, name


@each_model
def test_autocast_training_step(cls: type) -> None:
    model = _model(cls).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = _loss(_run(model, _inputs(cls)))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@each_model
def test_equal_seeds_give_equal_weights(cls: type) -> None:
    states = [_model(cls, seed=seed).state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert any(not torch.equal(tensor, states[2][name]) for name, tensor in states[0].items())


@each_model
def test_start_of_training(cls: type) -> None:
    torch.manual_seed(0)
    config = tiny_config(text_config=tiny_text_config(d_model=64, vocab_size=400), num_labels=3)
    model = cls(config)
    assert not model.pose_encoder.part_bias.any() and not model.pose_encoder.projection.bias.any()
    assert model.pose_encoder.projection.weight.std().item() == pytest.approx(0.02, rel=0.15)
    for block in model.pose_encoder.parts["hand"].spatial_chain.blocks:
        assert torch.equal(block.adjacency, torch.from_numpy(block.initial_adjacency))
    assert model.shared.weight.std().item() == pytest.approx(1.0, rel=0.05)
    assert 0 < model.pose_cls_token.weight.std() < 0.04
    if hasattr(model, "lm_head"):
        assert model.lm_head.weight.std().item() == pytest.approx(1 / 8, rel=0.05)
    query = model.encoder.block[0].layer[0].SelfAttention.q.weight
    assert query.std().item() == pytest.approx((64 * 8) ** -0.5, rel=0.1), "as T5 starts"


# --- a clip does not depend on its batch


@torch.no_grad()
@each_head
@pytest.mark.parametrize("use_cls_token", [True, False])
def test_batch_equals_singles(cls: type, use_cls_token: bool) -> None:
    model, inputs = _model(cls, use_cls_token=use_cls_token), tiny_inputs(LENGTHS)
    targets = _targets(cls)
    batch = model(**inputs, **targets)
    for row, length in enumerate(LENGTHS):
        alone = model(**take_clip(inputs, row), **{name: value[row : row + 1] for name, value in targets.items()})
        assert (alone.logits[0] - batch.logits[row]).abs().max() <= 1e-5
        assert (alone.pose_embeds[0] - batch.pose_embeds[row, :length]).abs().max() <= 1e-5
        assert not batch.pose_embeds[row, length:].any()


@torch.no_grad()
@each_head
def test_batch_equals_singles_with_prompts_of_different_lengths(cls: type) -> None:
    model, inputs, targets = _model(cls), tiny_inputs(LENGTHS, language=LANGUAGES), _targets(cls)
    batch = model(**inputs, **targets)
    for row in range(len(LENGTHS)):
        alone = model(**take_clip(inputs, row), **{name: value[row : row + 1] for name, value in targets.items()})
        assert (alone.logits[0] - batch.logits[row]).abs().max() <= 1e-5


@torch.no_grad()
def test_batch_equals_singles_of_features() -> None:
    model, inputs = _model(SigmaModel), tiny_inputs(LENGTHS)
    batch = model.get_pose_features(**inputs).pooler_output
    for row in range(len(LENGTHS)):
        assert (model.get_pose_features(**take_clip(inputs, row)).pooler_output[0] - batch[row]).abs().max() <= 1e-5


@each_head
def test_batch_equals_singles_with_gradients(cls: type) -> None:
    """With gradients the pose encoder packs the whole batch into one film."""
    model, inputs, targets = _model(cls), tiny_inputs(LENGTHS), _targets(cls)
    batch = model(**inputs, **targets)
    assert batch.loss.requires_grad
    for row in range(len(LENGTHS)):
        alone = model(**take_clip(inputs, row), **{name: value[row : row + 1] for name, value in targets.items()})
        assert (alone.logits[0] - batch.logits[row]).abs().max() <= 1e-5


@torch.no_grad()
@pytest.mark.parametrize("num_beams", [1, 4])
def test_batch_equals_singles_in_generation(num_beams: int) -> None:
    model, inputs = _model(SigmaForConditionalGeneration, seed=4), tiny_inputs(LENGTHS)
    options = {"num_beams": num_beams, "max_new_tokens": MAX_NEW_TOKENS}
    batch = model.generate(**inputs, **options)
    assert len({tuple(row) for row in batch.tolist()}) > 1, "the clips differ"
    for row in range(len(LENGTHS)):
        alone = model.generate(**take_clip(inputs, row), **options)[0].tolist()
        assert alone == batch[row, : len(alone)].tolist()
        assert not batch[row, len(alone) :].any(), "only padding follows"


@each_model
@pytest.mark.parametrize("gradients", [False, True])
def test_content_of_padding_changes_nothing(cls: type, gradients: bool) -> None:
    model, inputs = _model(cls), {**tiny_inputs(LENGTHS, language=LANGUAGES), **_targets(cls)}
    changed = dict(inputs)
    noise = torch.rand(inputs["pose_values"].shape, generator=torch.Generator().manual_seed(9)) * 2 - 1
    padded_frames = inputs["pose_attention_mask"] == 0
    changed["pose_values"] = torch.where(padded_frames[..., None, None], noise, inputs["pose_values"])
    changed["prompt_input_ids"] = torch.where(inputs["prompt_attention_mask"] == 0, 7, inputs["prompt_input_ids"])
    if "text_input_ids" in inputs:
        changed["text_input_ids"] = torch.where(inputs["text_attention_mask"] == 0, 7, inputs["text_input_ids"])
    with torch.set_grad_enabled(gradients):
        before, after = _run(model, inputs), _run(model, changed)
    for name in ("logits", "loss", "logits_per_pose", "pose_embeds", "lm_logits", "matching_loss"):
        if isinstance(before.get(name), torch.Tensor):
            assert (before[name] - after[name]).abs().max() <= 1e-6, name
    assert not torch.equal(inputs["pose_values"], changed["pose_values"])


@torch.no_grad()
@each_head
def test_more_padding_changes_nothing(cls: type) -> None:
    model, inputs, targets = _model(cls), tiny_inputs(LENGTHS), _targets(cls)
    longer = {
        **inputs,
        "pose_values": nn.functional.pad(inputs["pose_values"], (0, 0, 0, 0, 0, 20)),
        "pose_attention_mask": nn.functional.pad(inputs["pose_attention_mask"], (0, 20)),
    }
    before, after = model(**inputs, **targets), model(**longer, **targets)
    assert (before.loss - after.loss).abs() <= 1e-5
    assert (before.logits - after.logits).abs().max() <= 1e-5


@each_head
def test_padding_gets_no_gradient(cls: type) -> None:
    model, inputs = _model(cls), tiny_inputs(LENGTHS)
    pose_values = inputs.pop("pose_values").requires_grad_()
    model(pose_values=pose_values, **inputs, **_targets(cls)).loss.backward()
    real = inputs["pose_attention_mask"].bool()
    assert not pose_values.grad[~real].any()
    assert pose_values.grad[real].flatten(1).norm(dim=1).min() > 0


# --- pad_mode="repeat": how the reference was trained


@torch.no_grad()
@each_head
def test_repeat_mode_reads_the_last_frame_again(cls: type) -> None:
    masked, repeating = _model(cls), _model(cls, pad_mode="repeat")
    inputs = tiny_inputs(LENGTHS)
    repeated = inputs["pose_values"].clone()
    for row, length in enumerate(LENGTHS):
        repeated[row, length:] = repeated[row, length - 1]
    expected = masked.pose_encoder(repeated)
    garbled = inputs["pose_values"].masked_fill(inputs["pose_attention_mask"][..., None, None] == 0, 0.7)
    for pose_values in (inputs["pose_values"], repeated, garbled):
        _, mask, pose_embeds = repeating.embed_poses(pose_values, inputs["pose_attention_mask"])
        assert (pose_embeds - expected).abs().max() <= 1e-5
        assert mask[:, -12:].equal(inputs["pose_attention_mask"]), "the text encoder still ignores padding"


@torch.no_grad()
def test_repeat_mode_differs_in_the_last_frames_of_short_clips() -> None:
    masked, repeating = (_model(SigmaForConditionalGeneration, pad_mode=mode) for mode in ("mask", "repeat"))
    inputs = tiny_inputs((16, 12))
    frames, mask = inputs["pose_values"], inputs["pose_attention_mask"]
    one, other = (model.embed_poses(frames, mask)[2] for model in (masked, repeating))
    difference = (one - other).abs().amax(dim=-1)
    assert (difference[0] <= 1e-6).all(), "the longest clip has no padding"
    # Two temporal blocks of kernel 5 look 4 frames ahead.
    assert (difference[1, :8] <= 1e-6).all() and (difference[1, 8:12] > 1e-5).all()
    alone = repeating.embed_poses(frames[1:, :12], mask[1:, :12])[2]
    assert (alone - one[1:, :12]).abs().max() <= 1e-5, "alone, both modes agree"


# --- the pose encoder


def test_rectification_of_every_bfloat16() -> None:
    every = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int16).view(torch.bfloat16)
    for values in (every.clone(), every.view(256, 256).T.clone().T):  # in order, and as a permuted view
        expected = values.clone().relu_()
        with torch.no_grad():
            assert rectify_(values) is values
        assert torch.equal(values.isnan(), expected.isnan()) and values.isnan().sum() == 254
        assert torch.equal(values.nan_to_num(1.0), expected.nan_to_num(1.0))
    learning = torch.tensor([-1.0, 2.0], dtype=torch.bfloat16, requires_grad=True)
    rectify_(learning + 0).sum().backward()
    assert learning.grad is not None and learning.grad.tolist() == [0.0, 1.0]


@torch.no_grad()
@pytest.mark.parametrize(("clips_a_turn", "num_turns"), [(0, 4), (1, 4), (3, 2), (4, 1)])
def test_batches_in_turns_equal_singles(clips_a_turn: int, num_turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = _model(SigmaForConditionalGeneration).pose_encoder
    inputs = tiny_inputs((9, 12, 7, 12))
    values, mask = inputs["pose_values"], inputs["pose_attention_mask"]
    alone = [encoder(clip[None, :length])[0] for clip, length in zip(values, mask.sum(dim=1), strict=True)]
    clip_bytes = 12 * encoder.config.temporal_hidden_sizes[-1] * 4
    monkeypatch.setattr("modeling_sigma.model.pose_encoder_sigma.TURN_BYTES", clips_a_turn * clip_bytes)
    turns: list[int] = []
    encoder.projection.register_forward_hook(lambda *_: turns.append(1))
    for clip, expected in zip(encoder(values, mask), alone, strict=True):
        assert (clip[: len(expected)] - expected).abs().max() <= 1e-5
        assert not clip[len(expected) :].any()
    assert len(turns) == num_turns


@torch.no_grad()
def test_hands_share_their_weights() -> None:
    encoder = _model(SigmaForConditionalGeneration, pose_config={"parts": ["left_hand", "right_hand"]}).pose_encoder
    assert list(encoder.parts) == ["hand"]
    encoder.part_bias.zero_()  # the one thing that differs
    features: list[torch.Tensor] = []
    encoder.projection.register_forward_pre_hook(lambda _, arguments: features.append(arguments[0]))
    values = tiny_inputs((6,))["pose_values"]
    left, right = PART_SLICES["left_hand"], PART_SLICES["right_hand"]
    swapped = values.clone()
    swapped[:, :, left], swapped[:, :, right] = values[:, :, right], values[:, :, left]
    encoder(values)
    encoder(swapped)
    (left_feature, right_feature), (other_left, other_right) = (feature.chunk(2, dim=-1) for feature in features)
    assert (left_feature - other_right).abs().max() <= 1e-6 and (right_feature - other_left).abs().max() <= 1e-6
    assert (left_feature - right_feature).abs().max() > 1e-3
    assert sorted(_model(SigmaForConditionalGeneration).pose_encoder.parts) == ["body", "face", "hand"]


@torch.no_grad()
def test_mirrored_left_hand_equals_the_right_hand() -> None:
    config = tiny_config(pose_config={"parts": ["left_hand", "right_hand"], "mirror_left_hand": True}).pose_config
    torch.manual_seed(0)
    encoder = SigmaPoseEncoder(config, hidden_size=16).eval()
    encoder.projection.weight.copy_(encoder.projection.weight.roll(16, dims=1))  # both hands' places trade weights
    values = tiny_inputs((6,))["pose_values"]
    mirrored = values[:, :, list(FLIP_PERMUTATION)] * torch.tensor([-1.0, 1.0, 1.0])
    flipped_back = encoder(mirrored)
    encoder.projection.weight.copy_(encoder.projection.weight.roll(16, dims=1))
    assert (encoder(values) - flipped_back).abs().max() <= 1e-6


@torch.no_grad()
@pytest.mark.parametrize(
    "parts", [["body"], ["left_hand"], ["left_hand", "right_hand"], ["body", "right_hand"], ["right_hand", "face"]]
)
def test_some_parts_alone(parts: list[str]) -> None:
    model = _model(SigmaForSequenceClassification, pose_config={"parts": parts})
    inputs = tiny_inputs(LENGTHS)
    logits = model(**inputs).logits
    others = torch.ones(69, dtype=torch.bool)
    for part in parts:
        others[PART_SLICES[part]] = False
    changed = inputs["pose_values"].clone()
    changed[:, :, others] = 0.5
    assert torch.equal(model(**{**inputs, "pose_values": changed}).logits, logits), "other parts are not read"
    for row in range(3):
        assert (model(**take_clip(inputs, row)).logits[0] - logits[row]).abs().max() <= 1e-5


@torch.no_grad()
def test_parts_hang_on_the_body_without_gradient() -> None:
    model = _model(SigmaForConditionalGeneration)
    encoder, values = model.pose_encoder, tiny_inputs((6,))["pose_values"]
    width = 16
    features: list[torch.Tensor] = []
    encoder.projection.register_forward_pre_hook(lambda _, arguments: features.append(arguments[0]))
    encoder(values)
    moved = values.clone()
    moved[:, :, 7, 0] += 0.3  # the left wrist
    encoder(moved)
    changed = (features[0] - features[1]).abs().amax(dim=0).split(width)
    assert all(part.max() > 0 for part in changed[:2]), "body and left hand"
    # Graph convolutions of two blocks carry the wrist as far as the shoulder; the right wrist is farther away.
    assert changed[2].max() == 0 and changed[3].max() == 0

    with torch.enable_grad():
        features.clear()
        pose_values = values.clone().requires_grad_()
        encoder(pose_values)
        features[0][:, width : 2 * width].sum().backward()  # the left hand's feature
    assert pose_values.grad[:, :, PART_SLICES["left_hand"]].any()
    assert not pose_values.grad[:, :, PART_SLICES["body"]].any()


@torch.no_grad()
def test_padding_may_stand_in_front() -> None:
    encoder = _model(SigmaForConditionalGeneration).pose_encoder
    values = tiny_inputs((5,))["pose_values"]
    shifted, mask = torch.zeros(2, 8, 69, 3), torch.zeros(2, 8, dtype=torch.long)
    shifted[0, 3:], mask[0, 3:] = values[0], 1
    shifted[1, :5], mask[1, :5] = values[0], 1
    for out in (encoder(shifted, mask), encoder(shifted, mask.bool())):
        assert (out[0, 3:] - out[1, :5]).abs().max() <= 1e-6
        assert (out[1, :5] - encoder(values)[0]).abs().max() <= 1e-6


def test_batch_norm_counts_real_frames_only() -> None:
    encoder = SigmaPoseEncoder(tiny_config().pose_config, hidden_size=16)
    inputs = tiny_inputs((12, 7))
    padded = nn.functional.pad(inputs["pose_values"], (0, 0, 0, 0, 0, 30))
    mask = nn.functional.pad(inputs["pose_attention_mask"], (0, 30))
    statistics = []
    for values, real in ((inputs["pose_values"], inputs["pose_attention_mask"]), (padded, mask)):
        encoder.train()
        for module in encoder.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.reset_running_stats()
        encoder(values, real)
        statistics.append({name: buffer.clone() for name, buffer in encoder.named_buffers()})
    for name, buffer in statistics[0].items():
        assert torch.allclose(buffer, statistics[1][name], atol=1e-6), name


# --- loss


@torch.no_grad()
@each_head
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_label_smoothing_formula(cls: type, smoothing: float) -> None:
    model, inputs = _model(cls, label_smoothing=smoothing), _inputs(cls)
    inputs["labels"][0] = -100 if cls is SigmaForSequenceClassification else inputs["labels"][0]
    out = model(**inputs)
    labels, log_probabilities = inputs["labels"], out.logits.log_softmax(dim=-1)
    real = labels != -100
    right = log_probabilities.gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1)
    losses = -(1 - smoothing) * right - smoothing * log_probabilities.mean(dim=-1)
    assert out.loss.item() == pytest.approx(losses[real].mean().item(), rel=1e-5)
    assert not real.all()


@torch.no_grad()
def test_loss_over_accumulated_batches() -> None:
    model, inputs = _model(SigmaForConditionalGeneration), _inputs(SigmaForConditionalGeneration)
    num_tokens = int((inputs["labels"] != -100).sum())
    mean = model(**inputs).loss
    for given in (4 * num_tokens, torch.tensor(4 * num_tokens)):
        assert model(**inputs, num_items_in_batch=given).loss.item() == pytest.approx(mean.item() / 4, rel=1e-5)


@torch.no_grad()
def test_labels_are_shifted_into_decoder_inputs() -> None:
    model, inputs = _model(SigmaForConditionalGeneration), _inputs(SigmaForConditionalGeneration)
    labels = inputs.pop("labels")
    shifted = model.prepare_decoder_input_ids_from_labels(labels)
    assert shifted[:, 0].tolist() == [0, 0, 0] and (shifted >= 0).all()
    out = model(**inputs, decoder_input_ids=shifted)
    assert out.loss is None
    assert torch.equal(out.logits, model(**inputs, labels=labels).logits)


# --- writing text


@pytest.fixture(scope="module")
def writer() -> SigmaForConditionalGeneration:
    return _model(SigmaForConditionalGeneration, seed=2)


def test_generation_starts_as_the_paper_decodes(writer: SigmaForConditionalGeneration, tmp_path: Path) -> None:
    config = writer.generation_config
    assert (config.num_beams, config.max_new_tokens) == (4, 100)
    assert (config.pad_token_id, config.eos_token_id, config.decoder_start_token_id) == (0, 1, 0)
    writer.generation_config.length_penalty = 0.8
    writer.save_pretrained(tmp_path)
    writer.generation_config.length_penalty = 1.0
    loaded = SigmaForConditionalGeneration.from_pretrained(tmp_path)
    assert (loaded.generation_config.num_beams, loaded.generation_config.length_penalty) == (4, 0.8)


@pytest.mark.parametrize("options", [{"num_beams": 1}, {"num_beams": 4}, {"num_beams": 1, "do_sample": True}], ids=str)
def test_generation_with_and_without_cache(writer: SigmaForConditionalGeneration, options: dict[str, Any]) -> None:
    inputs = tiny_inputs(LENGTHS)
    written = []
    for use_cache in (True, False):
        torch.manual_seed(7)
        written.append(writer.generate(**inputs, **options, max_new_tokens=MAX_NEW_TOKENS, use_cache=use_cache))
    assert torch.equal(*written)
    assert written[0].shape[0] == 3 and written[0].shape[1] <= MAX_NEW_TOKENS + 1
    assert (written[0][:, 0] == 0).all()


@torch.no_grad()
def test_greedy_generation_follows_the_logits(writer: SigmaForConditionalGeneration) -> None:
    inputs = tiny_inputs((9,))
    ids = writer.generate(**inputs, num_beams=1, max_new_tokens=MAX_NEW_TOKENS)
    logits = writer(**inputs, decoder_input_ids=ids).logits
    assert ids[0, 1:].tolist() == logits.argmax(dim=-1)[0, :-1].tolist()


def test_sampling_and_several_sequences(writer: SigmaForConditionalGeneration) -> None:
    inputs = tiny_inputs(LENGTHS)
    options = {"do_sample": True, "num_beams": 1, "temperature": 2.0, "max_new_tokens": MAX_NEW_TOKENS}
    torch.manual_seed(0)
    one, other = (writer.generate(**inputs, **options) for _ in range(2))
    assert not torch.equal(one, other)
    several = writer.generate(**inputs, num_return_sequences=3, max_new_tokens=MAX_NEW_TOKENS)
    assert len(several) == 9 and len({tuple(row) for row in several[:3].tolist()}) == 3


@torch.no_grad()
def test_encoder_states_can_be_used_again(writer: SigmaForConditionalGeneration) -> None:
    inputs, labels = tiny_inputs(LENGTHS), _targets(SigmaForConditionalGeneration)["labels"]
    encoded = writer.get_encoder()(**inputs)
    assert encoded.last_hidden_state.shape[:2] == encoded.attention_mask.shape
    assert torch.equal(writer(encoder_outputs=encoded, labels=labels).logits, writer(**inputs, labels=labels).logits)
    assert not list(writer.get_encoder().parameters()), "a view without weights of its own"


@torch.no_grad()
def test_language_changes_what_is_written(writer: SigmaForConditionalGeneration) -> None:
    clip = random_clips((9,))
    english, chinese = (dict(tiny_processor()(clip, language=name)) for name in ("English", "Chinese"))
    ids = torch.tensor([[0, 5]])
    assert not torch.equal(
        writer(**english, decoder_input_ids=ids).logits, writer(**chinese, decoder_input_ids=ids).logits
    )


@torch.no_grad()
def test_a_missing_mask_means_all_real(writer: SigmaForConditionalGeneration) -> None:
    inputs, ids = tiny_inputs((9,)), torch.tensor([[0, 5]])
    bare = {name: inputs[name] for name in ("pose_values", "prompt_input_ids")}
    assert torch.equal(writer(**bare, decoder_input_ids=ids).logits, writer(**inputs, decoder_input_ids=ids).logits)


@torch.no_grad()
def test_hidden_states_and_attentions_are_returned(tmp_path: Path) -> None:
    model = _model(SigmaForConditionalGeneration)
    model.save_pretrained(tmp_path)
    model = SigmaForConditionalGeneration.from_pretrained(tmp_path, attn_implementation="eager")
    out = model(**_inputs(SigmaForConditionalGeneration), output_hidden_states=True, output_attentions=True)
    num_positions = out.encoder_last_hidden_state.shape[1]
    assert len(out.encoder_hidden_states) == len(out.decoder_hidden_states) == 3
    assert len(out.encoder_attentions) == len(out.decoder_attentions) == len(out.cross_attentions) == 2
    assert out.cross_attentions[0].shape[-1] == num_positions
    padded = ~model.encode_poses(**tiny_inputs(LENGTHS)).attention_mask.bool()
    assert out.cross_attentions[0].amax(dim=(1, 2))[padded].max() <= 1e-6, "the decoder never reads padding"


@each_head
def test_tuples_on_request(cls: type) -> None:
    model, inputs = _model(cls), _inputs(cls)
    out = model(**inputs, return_dict=False)
    assert isinstance(out, tuple) and torch.equal(out[0], model(**inputs).loss)


# --- [CLS] and prompt


@torch.no_grad()
def test_stream_is_cls_prompt_frames() -> None:
    inputs = tiny_inputs(LENGTHS)
    model = _model(SigmaForConditionalGeneration)
    stream, mask, pose_embeds = model.embed_poses(**inputs)
    prompt_length = inputs["prompt_input_ids"].shape[1]
    assert stream.shape == (3, 1 + prompt_length + 12, 32) and mask.shape == stream.shape[:2]
    assert torch.equal(stream[:, 0], model.pose_cls_token.weight.expand(3, -1))
    assert torch.equal(stream[:, 1 : 1 + prompt_length], model.shared(inputs["prompt_input_ids"]))
    assert torch.equal(stream[:, 1 + prompt_length :], pose_embeds)
    expected = [torch.ones(3, 1, dtype=torch.long), inputs["prompt_attention_mask"], inputs["pose_attention_mask"]]
    assert torch.equal(mask, torch.cat(expected, dim=1))


@torch.no_grad()
@each_head
def test_without_cls_token(cls: type, tmp_path: Path) -> None:
    model = _model(cls, use_cls_token=False)
    assert not hasattr(model, "pose_cls_token") and "pose_cls_token.weight" not in model.state_dict()
    inputs = tiny_inputs(LENGTHS)
    assert model.embed_poses(**inputs)[0].shape[1] == inputs["prompt_input_ids"].shape[1] + 12
    model.save_pretrained(tmp_path)
    _assert_close(model(**inputs, **_targets(cls)), cls.from_pretrained(tmp_path)(**inputs, **_targets(cls)))


@each_head
def test_without_prompt(cls: type) -> None:
    model = _model(cls, use_prompt=False)
    inputs = tiny_inputs(LENGTHS, prompt=False)
    assert torch.isfinite(model(**inputs, **_targets(cls)).loss)
    with pytest.raises(ValueError, match="received prompt_input_ids, but this model's configuration says use_prompt"):
        model(**tiny_inputs(LENGTHS), **_targets(cls))
    if cls is SigmaForConditionalGeneration:
        assert model.generate(**inputs, max_new_tokens=3).shape[0] == 3


def test_a_label_head_without_prompt_has_no_vocabulary(tmp_path: Path) -> None:
    model = _model(SigmaForSequenceClassification, use_prompt=False)
    assert not any(name.startswith("shared") for name in model.state_dict())
    with pytest.raises(NotImplementedError, match="this model has no vocabulary matrix"):
        model.get_input_embeddings()
    model.save_pretrained(tmp_path)
    assert SigmaForSequenceClassification.from_pretrained(tmp_path).num_labels == 3
    with_prompt = _model(SigmaForSequenceClassification)
    assert with_prompt.get_input_embeddings() is with_prompt.shared


@torch.no_grad()
def test_label_head_pools_real_frames_only() -> None:
    model, inputs = _model(SigmaForSequenceClassification), tiny_inputs(LENGTHS)
    states = model.encode_poses(**inputs).last_hidden_state[:, -12:]
    pooled = torch.stack([states[row, :length].mean(dim=0) for row, length in enumerate(LENGTHS)])
    assert (model(**inputs).logits - model.classifier(pooled)).abs().max() <= 1e-6


# --- one set of weights for all heads


def _transfer(source: Any, cls: type, folder: Path, **overrides: Any) -> tuple[Any, dict[str, Any]]:
    source.save_pretrained(folder)
    return cls.from_pretrained(folder, output_loading_info=True, **overrides)


def _assert_shared_weights_equal(source: Any, target: Any) -> set[str]:
    theirs, own = source.state_dict(), target.state_dict()
    for name in theirs.keys() & own.keys():
        assert torch.equal(theirs[name], own[name]), name
    assert all(torch.isfinite(tensor).all() for tensor in own.values())
    return set(own) - set(theirs)


@pytest.mark.parametrize("source_class", [SigmaForConditionalGeneration, SigmaModel, SigmaForPreTraining])
def test_label_head_from_other_checkpoints(source_class: type, tmp_path: Path) -> None:
    source = _model(source_class)
    model, info = _transfer(source, SigmaForSequenceClassification, tmp_path, num_labels=5)
    assert info["missing_keys"] == {"classifier.weight", "classifier.bias"} and not info["unexpected_keys"]
    assert _assert_shared_weights_equal(source, model) == info["missing_keys"]
    assert model.classifier.weight.shape == (5, 32) and 0 < model.classifier.weight.std() < 0.2
    assert not model.classifier.bias.any()


def test_writer_from_a_label_head(tmp_path: Path) -> None:
    source = _model(SigmaForSequenceClassification)
    model, info = _transfer(source, SigmaForConditionalGeneration, tmp_path)
    assert not info["unexpected_keys"]
    assert {name.split(".")[0] for name in info["missing_keys"]} == {"decoder", "lm_head"}
    assert _assert_shared_weights_equal(source, model) == info["missing_keys"]


@pytest.mark.parametrize("use_prompt", [True, False])
def test_vocabulary_matrices_that_a_checkpoint_lacks_start_at_their_scale(use_prompt: bool, tmp_path: Path) -> None:
    source = _model(SigmaForSequenceClassification, use_prompt=use_prompt)
    model, _ = _transfer(source, SigmaForConditionalGeneration, tmp_path)
    assert model.lm_head.weight.std().item() == pytest.approx(32**-0.5, rel=0.1)
    if not use_prompt:
        assert model.shared.weight.std().item() == pytest.approx(1.0, rel=0.1)


def test_writer_from_pretraining(tmp_path: Path) -> None:
    source = _model(SigmaForPreTraining)
    model, info = _transfer(source, SigmaForConditionalGeneration, tmp_path)
    assert not any(info.values())
    assert _assert_shared_weights_equal(source, model) == set()
    assert model.generate(**tiny_inputs(LENGTHS), max_new_tokens=3).shape[0] == 3


def _without(folder: Path, unwanted: Callable[[str], bool]) -> None:
    file = folder / "model.safetensors"
    save_file({name: t for name, t in load_file(file).items() if not unwanted(name)}, file, metadata={"format": "pt"})


@each_model
def test_what_a_checkpoint_lacks_starts_afresh(cls: type, tmp_path: Path) -> None:
    """No uninitialised memory: graphs, biases, [CLS] and BatchNorm of a partial checkpoint start as a new model's."""
    source = _model(cls)
    source.save_pretrained(tmp_path)
    taken = ("pose_encoder.", "pose_cls_token.")
    _without(tmp_path, lambda name: name.startswith(taken))
    model, info = cls.from_pretrained(tmp_path, output_loading_info=True)
    absent = {
        name for name in source.state_dict() if name.startswith("pose_encoder.") or name == "pose_cls_token.weight"
    }
    assert {name for name in absent if "num_batches" not in name} <= info["missing_keys"] <= absent
    for name, module in model.pose_encoder.named_modules():
        if hasattr(module, "initial_adjacency"):
            assert torch.equal(module.adjacency, torch.from_numpy(module.initial_adjacency)), name
        elif isinstance(module, nn.BatchNorm1d):
            assert not module.running_mean.any() and (module.running_var == 1).all() and (module.weight == 1).all()
        elif isinstance(module, nn.Linear | nn.Conv2d):
            assert not module.bias.any() and 0 < module.weight.std() < 1, name
    assert not model.pose_encoder.part_bias.any() and 0 < model.pose_cls_token.weight.abs().max() < 0.2
    assert torch.equal(model.encoder.block[0].layer[0].SelfAttention.q.weight,
                       source.encoder.block[0].layer[0].SelfAttention.q.weight)  # fmt: skip


def test_checkpoint_without_graphs_alone(tmp_path: Path) -> None:
    source = _model(SigmaForSequenceClassification)
    with torch.no_grad():
        for name, parameter in source.named_parameters():
            if name.endswith("adjacency"):
                parameter.add_(0.1)
    source.save_pretrained(tmp_path)
    _without(tmp_path, lambda name: name.endswith("adjacency"))
    model, info = SigmaForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert all(name.endswith("adjacency") for name in info["missing_keys"]) and len(info["missing_keys"]) == 12
    for name, tensor in model.state_dict().items():
        expected = source.state_dict()[name] - (0.1 if name.endswith("adjacency") else 0)
        assert torch.allclose(tensor, expected, atol=1e-6), name


def test_other_number_of_labels_starts_a_new_head(tmp_path: Path) -> None:
    source = _model(SigmaForSequenceClassification, num_labels=3)
    model, info = _transfer(
        source, SigmaForSequenceClassification, tmp_path, num_labels=7, ignore_mismatched_sizes=True
    )
    assert {entry[0] for entry in info["mismatched_keys"]} == {"classifier.weight", "classifier.bias"}
    assert model(**tiny_inputs(LENGTHS)).logits.shape == (3, 7)


def test_resized_vocabulary() -> None:
    model = _model(SigmaForConditionalGeneration)
    size = model.config.text_config.vocab_size
    model.resize_token_embeddings(size + 4, mean_resizing=False)
    assert model.shared.weight.shape == model.lm_head.weight.shape == (size + 4, 32)
    assert model(**_inputs(SigmaForConditionalGeneration)).logits.shape[-1] == size + 4
    assert model.config.text_config.vocab_size == size + 4


# --- messages


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"pose_values": torch.zeros(3, 12, 133, 3)},
            r"expected pose_values of shape \(batch_size, num_frames, 69, 3\)",
        ),
        ({"pose_values": torch.zeros(12, 69, 3)}, r"received \(12, 69, 3\): make them with SigmaFeatureExtractor"),
        ({"pose_values": torch.zeros(3, 12, 69, 2)}, r"received \(3, 12, 69, 2\)"),
        (
            {"pose_attention_mask": torch.ones(3, 11)},
            r"expected pose_attention_mask of shape \(3, 12\) like pose_values, received \(3, 11\)",
        ),
        (
            {"pose_attention_mask": torch.tensor([[1] * 12, [0] * 12, [1] * 12])},
            "expected at least one real frame per clip, received a row of zeros in pose_attention_mask",
        ),
        ({"prompt_input_ids": torch.ones(2, 5, dtype=torch.long)}, "expected 3 prompts, one per clip, received 2"),
    ],
)
@each_head
def test_wrong_inputs(cls: type, change: dict[str, torch.Tensor], message: str) -> None:
    inputs = {**_inputs(cls), **change}
    if "prompt_input_ids" in change:
        inputs.pop("prompt_attention_mask")
    with pytest.raises(ValueError, match=message):
        _model(cls)(**inputs)


@pytest.mark.parametrize(
    "mask", [torch.ones(3, 11, dtype=torch.long), torch.tensor([[1] * 12, [0] * 12, [1] * 12])], ids=["shape", "zeros"]
)
def test_wrong_masks_in_repeat_mode(mask: torch.Tensor) -> None:
    model = _model(SigmaForSequenceClassification, pad_mode="repeat")
    with pytest.raises(ValueError, match="pose_attention_mask"):
        model(**{**tiny_inputs(LENGTHS, prompt=False), "pose_attention_mask": mask})


def test_nothing_to_read_or_write(writer: SigmaForConditionalGeneration) -> None:
    with pytest.raises(ValueError, match="expected pose_values or encoder_outputs, received neither"):
        writer(labels=torch.tensor([[1]]))
    with pytest.raises(ValueError, match=r"expected labels or decoder_input_ids, received neither: use generate\(\)"):
        writer(**tiny_inputs(LENGTHS))


@torch.no_grad()
@pytest.mark.parametrize(
    ("cls", "task"),
    [(SigmaForConditionalGeneration, "SEQ_2_SEQ_LM"), (SigmaForSequenceClassification, "SEQ_CLS")],
)
def test_adapters_call_the_model_as_a_text_model(cls: type, task: str) -> None:
    """PEFT passes `attention_mask=None` and the like by name; an attention mask that holds something is a mistake."""
    peft = pytest.importorskip("peft")
    model = tiny_model(cls)
    inputs = tiny_inputs()
    if task == "SEQ_2_SEQ_LM":
        inputs["decoder_input_ids"] = torch.zeros(3, 1, dtype=torch.long)
    expected = model(**inputs).logits
    lora = peft.LoraConfig(task_type=task, r=2, target_modules=r"encoder\..*\.(q|v)")
    adapted = peft.get_peft_model(model, lora).eval()
    assert torch.allclose(adapted(**inputs).logits, expected, atol=1e-5), "a new adapter changes nothing"
    with pytest.raises(ValueError, match="expected pose_values and prompt_input_ids, received attention_mask"):
        model(**inputs, attention_mask=torch.ones(3, 4))
