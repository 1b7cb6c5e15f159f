"""The T5 / mT5 stacks inside Sigma: stepping through layers, and copying pretrained text models exactly."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    MT5ForConditionalGeneration,
    PreTrainedModel,
    T5EncoderModel,
    T5ForConditionalGeneration,
)

from modeling_sigma.model.fusion_sigma import FusionLayer
from modeling_sigma.model.modeling_sigma_heads import SigmaForConditionalGeneration, SigmaForSequenceClassification
from modeling_sigma.model.modeling_sigma_pretraining import SigmaForPreTraining
from modeling_sigma.model.outputs_sigma import SigmaEncoderOutput
from modeling_sigma.model.text_backbone_sigma import EncoderPass, build_stack, shift_right, text_backbone_state
from tests.factories import tiny_config, tiny_inputs, tiny_model, tiny_text_config


# T5 v1.0 shares its input and output matrix and scales the decoder's states; v1.1 and mT5 do neither.
TEXT_MODELS = {
    "t5-v1.0": (T5ForConditionalGeneration, "t5", {"feed_forward_proj": "relu", "tie_word_embeddings": True}),
    "t5-v1.1": (T5ForConditionalGeneration, "t5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "mt5": (MT5ForConditionalGeneration, "mt5", {}),
}


def _text_model(kind: str) -> PreTrainedModel:
    cls, model_type, fields = TEXT_MODELS[kind]
    torch.manual_seed(1)
    model = cls(tiny_text_config(model_type, num_decoder_layers=3, **fields)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("layer_norm.weight"):
                parameter.uniform_(0.5, 1.5)
    return model


def _states(num_rows: int = 2, length: int = 9, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.ones(num_rows, length, dtype=torch.long)
    mask[-1, length // 2 :] = 0
    return torch.randn(num_rows, length, 32, generator=torch.Generator().manual_seed(seed)), mask


@pytest.fixture(params=["mt5", "t5"])
def stack(request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(0)
    return build_stack(tiny_text_config(request.param, num_layers=4), is_decoder=False).eval()


# --- stepping through the encoder


@torch.no_grad()
def test_running_all_layers_by_hand_equals_the_stack_exactly(stack: PreTrainedModel) -> None:
    embeds, mask = _states()
    expected = stack(inputs_embeds=embeds, attention_mask=mask).last_hidden_state
    by_hand = EncoderPass(stack, embeds, mask).run(0, 4).finish()
    assert torch.equal(by_hand, expected)
    in_steps = EncoderPass(stack, embeds, mask).run(0, 1).run(1, 1).run(1, 3).run(3, 4).finish()
    assert torch.equal(in_steps, expected)


def test_dropout_falls_in_the_same_places(stack: PreTrainedModel) -> None:
    stack.train()
    embeds, mask = _states()
    torch.manual_seed(3)
    expected = stack(inputs_embeds=embeds, attention_mask=mask).last_hidden_state
    torch.manual_seed(3)
    assert torch.equal(EncoderPass(stack, embeds, mask).run(0, 4).finish(), expected)
    torch.manual_seed(4)
    assert not torch.equal(EncoderPass(stack, embeds, mask).run(0, 4).finish(), expected)


@torch.no_grad()
def test_a_pass_can_be_forked_and_resumed(stack: PreTrainedModel) -> None:
    embeds, mask = _states()
    expected = stack(inputs_embeds=embeds, attention_mask=mask).last_hidden_state
    lower = EncoderPass(stack, embeds, mask).run(0, 2)
    states = lower.hidden_states
    assert torch.equal(lower.fork().run(2, 4).finish(), expected)
    assert lower.hidden_states is states, "the fork left its origin alone"
    assert torch.equal(lower.run(2, 4).finish(), expected)
    # States of an earlier pass go on alone: here those of the second row.
    resumed = EncoderPass(stack, states[1:], mask[1:], is_input=False).run(2, 4).finish()
    assert (resumed - expected[1:]).abs().max() <= 1e-6


def test_gradients_equal_those_of_the_stack(stack: PreTrainedModel) -> None:
    embeds, mask = _states()
    gradients = []
    for run in (
        lambda: stack(inputs_embeds=embeds, attention_mask=mask).last_hidden_state,
        lambda: EncoderPass(stack, embeds, mask).run(0, 4).finish(),
    ):
        stack.zero_grad()
        (run() * mask[..., None]).square().sum().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in stack.named_parameters()})
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-5, atol=1e-6), name


# --- stacks


def test_stacks_have_no_vocabulary_and_leave_the_configuration_alone() -> None:
    text_config = tiny_text_config(num_decoder_layers=3)
    before = text_config.to_dict()
    encoder, decoder = (build_stack(text_config, is_decoder=flag) for flag in (False, True))
    assert text_config.to_dict() == before
    assert not any("embed_tokens" in name for name in (*encoder.state_dict(), *decoder.state_dict()))
    assert (len(encoder.block), len(decoder.block)) == (2, 3)
    assert len(build_stack(text_config, is_decoder=False, num_layers=1).block) == 1
    assert encoder.config.vocab_size == decoder.config.vocab_size == text_config.vocab_size


def test_shift_right() -> None:
    text_config = tiny_text_config(decoder_start_token_id=0, pad_token_id=0)
    labels = torch.tensor([[5, 6, 1, -100], [7, 1, -100, -100]])
    assert shift_right(labels, text_config).tolist() == [[0, 5, 6, 1], [0, 7, 1, 0]]
    other = tiny_text_config(decoder_start_token_id=9, pad_token_id=3)
    assert shift_right(labels, other).tolist() == [[9, 5, 6, 1], [9, 7, 1, 3]]
    assert labels[0, 3] == -100


# --- copying text models


def _text_logits(text_model: PreTrainedModel, states: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor) -> Any:
    return text_model(encoder_outputs=(states,), attention_mask=mask, decoder_input_ids=ids).logits


def _sigma_logits(model: SigmaForConditionalGeneration, states: Any, mask: torch.Tensor, ids: torch.Tensor) -> Any:
    encoded = SigmaEncoderOutput(last_hidden_state=states, attention_mask=mask)
    return model(encoder_outputs=encoded, decoder_input_ids=ids).logits


@torch.no_grad()
@pytest.mark.parametrize("kind", TEXT_MODELS)
def test_a_copied_text_model_computes_the_same(kind: str, tmp_path: Path) -> None:
    text_model = _text_model(kind)
    text_model.save_pretrained(tmp_path)
    pose_config = tiny_config().pose_config
    model = SigmaForConditionalGeneration.from_text_pretrained(str(tmp_path), pose_config=pose_config, max_frames=16)
    model.eval()
    assert model.config.max_frames == 16 and model.dtype == torch.float32

    ids = torch.randint(0, model.config.text_config.vocab_size, (2, 7), generator=torch.Generator().manual_seed(0))
    embeds, mask = _states()
    # Encoder: the same embeddings of tokens, the same states.
    assert torch.equal(model.shared(ids), text_model.get_input_embeddings()(ids))
    encoded = model.encoder(inputs_embeds=embeds, attention_mask=mask).last_hidden_state
    assert torch.equal(encoded, text_model.encoder(inputs_embeds=embeds, attention_mask=mask).last_hidden_state)
    # Decoder and output matrix: the same logits of the same states.
    logits, expected = _sigma_logits(model, encoded, mask, ids), _text_logits(text_model, encoded, mask, ids)
    assert (logits - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert expected.abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("kind", TEXT_MODELS)
def test_the_copy_survives_saving(kind: str, tmp_path: Path) -> None:
    text_model = _text_model(kind)
    model = SigmaForConditionalGeneration(tiny_config(text_config=text_model.config)).eval()
    model.load_text_backbone(text_model)
    model.save_pretrained(tmp_path)
    loaded = SigmaForConditionalGeneration.from_pretrained(tmp_path)
    embeds, mask = _states()
    ids = torch.tensor([[0, 5, 9], [0, 7, 2]])
    assert torch.equal(_sigma_logits(loaded, embeds, mask, ids), _sigma_logits(model, embeds, mask, ids))
    expected = _text_logits(text_model, embeds, mask, ids)
    assert (_sigma_logits(loaded, embeds, mask, ids) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_sigma_never_shares_input_and_output_matrix() -> None:
    text_model = _text_model("t5-v1.0")
    model = SigmaForConditionalGeneration(tiny_config(text_config=text_model.config))
    model.load_text_backbone(text_model)
    assert model.lm_head.weight.data_ptr() != model.shared.weight.data_ptr()
    assert torch.allclose(model.lm_head.weight, model.shared.weight * 32**-0.5)


def test_norms_of_the_fusion_start_from_the_backbones() -> None:
    # Norms far from 1, as trained ones are: 1 in their place would multiply the logits of attention by dozens.
    text_model = _text_model("mt5")
    generator = torch.Generator().manual_seed(0)
    for name, parameter in text_model.named_parameters():
        if name.endswith("layer_norm.weight"):
            parameter.data = 0.1 + 0.1 * torch.rand(parameter.shape, generator=generator)
    model = SigmaForPreTraining(tiny_config(text_config=text_model.config))
    model.load_text_backbone(text_model)
    reads, writes = text_model.decoder.block[0].layer[1], text_model.encoder.final_layer_norm
    for fusion in model.fusion.layers:
        assert torch.equal(fusion.pose_norm.weight, reads.layer_norm.weight)
        assert torch.equal(fusion.text_norm.weight, writes.weight)
    assert torch.equal(model.matching_encoder.final_layer_norm.weight, writes.weight)
    # The map is then the one that the backbone's own cross-attention computes of these states.
    poses, texts = torch.randn(1, 4, 32, generator=generator), torch.randn(1, 3, 32, generator=generator)
    fusion, attention = model.fusion.layers[0], reads.EncDecAttention
    own = fusion.attention.q(fusion.pose_norm(poses)) @ fusion.attention.k(fusion.text_norm(texts)).transpose(1, 2)
    expected = attention.q(reads.layer_norm(poses)) @ attention.k(writes(texts)).transpose(1, 2)
    assert torch.equal(own, expected) and expected.abs().max() > 1e-6


def test_the_fusion_stays_finite_in_half_precision() -> None:
    layer = FusionLayer(tiny_config()).half().eval()
    layer.attention.o.weight.data.fill_(100.0)
    states = torch.full((1, 2, 32), 60000.0, dtype=torch.float16)
    mask = torch.ones(1, 2)
    for read in layer(states, mask, states, mask):
        assert read.dtype == torch.float16 and torch.isfinite(read).all()


def test_a_label_head_copies_what_it_has(tmp_path: Path) -> None:
    text_model = _text_model("mt5")
    text_model.save_pretrained(tmp_path)
    pose_config = tiny_config().pose_config
    for use_prompt in (True, False):
        model = SigmaForSequenceClassification.from_text_pretrained(
            str(tmp_path), pose_config=pose_config, use_prompt=use_prompt, num_labels=3
        )
        expected = text_model.encoder.state_dict()
        copied = model.encoder.state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in copied.items())
        assert hasattr(model, "shared") == use_prompt
        inputs = tiny_inputs(prompt=use_prompt)
        assert model.eval()(**inputs).logits.shape == (3, 3)


def test_backbone_state_has_our_names() -> None:
    state = text_backbone_state(_text_model("mt5"))
    own = tiny_model(text_config=tiny_text_config(num_decoder_layers=3)).state_dict()
    text_names = {name for name in own if name.startswith(("encoder.", "decoder.", "shared.", "lm_head."))}
    assert set(state) == text_names
    assert all(state[name].shape == own[name].shape for name in state)


def test_other_text_models_are_refused() -> None:
    bert = BertModel(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8))
    for text_model, name in ((bert, "BertModel"), (T5EncoderModel(tiny_text_config("t5")), "T5EncoderModel")):
        with pytest.raises(
            ValueError, match=f"expected a T5 or mT5 model for conditional generation, received {name}"
        ):
            text_backbone_state(text_model)


def test_other_sizes_are_refused() -> None:
    text_model = _text_model("mt5")
    with pytest.raises(
        ValueError, match=r"expected shared.weight of shape \(60, 32\), .*SigmaConfig.from_text_pretrained"
    ):
        tiny_model(text_config=tiny_text_config(vocab_size=60)).load_text_backbone(text_model)
