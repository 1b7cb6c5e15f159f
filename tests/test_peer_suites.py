"""Transformers' own common tests on every Sigma class; what does not apply to a class says why."""

from __future__ import annotations

import unittest
from typing import Any

import pytest
import torch

from modeling_sigma.model.configuration_sigma import SigmaConfig
from modeling_sigma.model.modeling_sigma import SigmaModel
from modeling_sigma.model.modeling_sigma_heads import (
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForSequenceClassification,
)
from modeling_sigma.model.modeling_sigma_pretraining import SigmaForPreTraining
from tests.factories import tiny_config, tiny_text_config
from tests.peer_suites import peer_module


pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

modeling_common: Any = peer_module("transformers", "test_modeling_common")
configuration_common: Any = peer_module("transformers", "test_configuration_common")

BATCH, FRAMES, PROMPT, TEXT = 2, 7, 3, 5


class Sizes:
    """Sizes and inputs, as the suite asks for them."""

    def __init__(self, parent: unittest.TestCase, cls: type) -> None:
        self.parent, self.cls = parent, cls
        self.batch_size = BATCH
        self.seq_length = self.encoder_seq_length = self.key_length = 1 + PROMPT + FRAMES
        self.decoder_seq_length = self.decoder_key_length = TEXT
        self.hidden_size, self.num_hidden_layers, self.num_attention_heads = 32, 2, 4
        self.is_training = True
        # Encoder, text encoder and decoder, as far as a class returns their states.
        types = {SigmaModel: 2, SigmaForPreTraining: 3, SigmaForConditionalGeneration: 2}
        self.num_hidden_states_types = types.get(cls, 1)
        self.has_input_ids = False

    def get_config(self) -> SigmaConfig:
        return tiny_config(
            text_config=tiny_text_config(dropout_rate=0.0),
            num_labels=3,
            # What the suite calls the outputs: `encoder_attentions` of the first three, `attentions` of label heads.
            is_encoder_decoder=self.cls not in (SigmaForSequenceClassification, SigmaForCTC),
        )

    def prepare_config_and_inputs_for_common(self) -> tuple[SigmaConfig, dict[str, torch.Tensor]]:
        generator = torch.Generator().manual_seed(0)
        inputs: dict[str, torch.Tensor] = {
            "pose_values": torch.rand(BATCH, FRAMES, 69, 3, generator=generator) * 2 - 1,
            "pose_attention_mask": torch.ones(BATCH, FRAMES, dtype=torch.long),
            "prompt_input_ids": torch.randint(3, 20, (BATCH, PROMPT), generator=generator),
            "prompt_attention_mask": torch.ones(BATCH, PROMPT, dtype=torch.long),
        }
        if self.cls is SigmaForConditionalGeneration:
            inputs["decoder_input_ids"] = torch.randint(3, 20, (BATCH, TEXT), generator=generator)
        elif self.cls in (SigmaModel, SigmaForPreTraining):
            inputs["text_input_ids"] = torch.randint(3, 20, (BATCH, TEXT), generator=generator)
            inputs["text_attention_mask"] = torch.ones(BATCH, TEXT, dtype=torch.long)
        if self.has_input_ids:
            inputs["input_ids"] = inputs["prompt_input_ids"]
        return self.get_config(), inputs


class _Suite(modeling_common.ModelTesterMixin):
    """The mixin for one class."""

    model_class: type
    _is_composite = True

    def setUp(self) -> None:
        self.model_tester = Sizes(self, self.model_class)
        self.config_tester = configuration_common.ConfigTester(self, SigmaConfig, has_text_modality=False)

    def _prepare_for_class(self, inputs: Any, model_class: type, return_labels: bool = False) -> dict[str, Any]:
        inputs = super()._prepare_for_class(inputs, model_class)
        inputs.pop("input_ids", None)
        if return_labels:
            inputs["labels"] = {
                SigmaForConditionalGeneration: torch.full((BATCH, TEXT), 4),
                SigmaForSequenceClassification: torch.tensor([0, 2]),
                SigmaForCTC: torch.tensor([[1, 2], [2, 1]]),
            }.get(model_class)
        return inputs

    def _text_features_prepare_config_and_inputs(self) -> tuple[SigmaConfig, dict[str, torch.Tensor]]:
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        return config, {name: inputs[name] for name in ("text_input_ids", "text_attention_mask")}

    def test_resize_tokens_embeddings(self) -> None:
        self.model_tester.has_input_ids = True  # the suite shortens their vocabulary: the prompt's
        super().test_resize_tokens_embeddings()

    def test_resize_embeddings_untied(self) -> None:
        self.model_tester.has_input_ids = True
        super().test_resize_embeddings_untied()

    def test_config(self) -> None:
        self.config_tester.run_common_tests()


# Class -> test (or the beginning of the names of several) -> why it does not apply. What the suite itself skips, it
# explains itself.
NOT_APPLICABLE: dict[str, dict[str, str]] = {
    "every class": {
        "test_internal_model_config_and_subconfig_are_same": "encoder and decoder each have a copy of `text_config`, "
        "with `is_decoder` and `use_cache` of their own, as inside T5",
        "test_get_text_features_output": "looks for `input_ids`, which would be the decoder's prompt here: texts are "
        "`text_input_ids`, and a [CLS] opens their states",
    },
    "SigmaModel": {
        "test_eager_matches_sdpa_inference": "gives a clip and decoder tokens, and no text: `test_models` compares "
        "both kinds of attention",
        "test_hidden_states_output": "looks for a decoder: `test_weights` checks the states of both encoders",
        "test_retain_grad_hidden_states_attentions": "looks for a decoder",
        "test_training": "returns similarities and no loss: SigmaForPreTraining trains it",
    },
    "SigmaForPreTraining": {
        "test_eager_matches_sdpa_inference": "gives a clip and decoder tokens, and no text: `test_models` compares "
        "both kinds of attention",
    },
    "SigmaForConditionalGeneration": {
        "test_attention_outputs": "counts the outputs, and finds `pose_embeds` beside those of a text model",
        "test_model_base_model_prefix": "no base model under it: classes share parts under equal names, and load each "
        "other's checkpoints without a prefix",
        "test_generation_tester_mixin_inheritance": "the source distribution leaves the mixin of generation tests out",
    },
}


def _suite(cls: type) -> type:
    tests: dict[str, Any] = {"model_class": cls, "all_model_classes": (cls,)}
    tests["is_encoder_decoder"] = cls is SigmaForConditionalGeneration
    for name, reason in {**NOT_APPLICABLE["every class"], **NOT_APPLICABLE.get(cls.__name__, {})}.items():
        found = [test for test in dir(_Suite) if test == name or test.startswith(f"{name}_")]
        assert found, f"the suite has no {name}"
        tests.update(dict.fromkeys(found, unittest.skip(reason)(lambda self: None)))
    return type(f"{cls.__name__}Test", (_Suite, unittest.TestCase), tests)


SigmaModelTest = _suite(SigmaModel)
SigmaForPreTrainingTest = _suite(SigmaForPreTraining)
SigmaForConditionalGenerationTest = _suite(SigmaForConditionalGeneration)
SigmaForSequenceClassificationTest = _suite(SigmaForSequenceClassification)
SigmaForCTCTest = _suite(SigmaForCTC)
