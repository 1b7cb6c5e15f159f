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

    def get_config(self) -> SigmaConfig:
        is_writer = self.cls in (SigmaForConditionalGeneration, SigmaForPreTraining)
        return tiny_config(text_config=tiny_text_config(dropout_rate=0.0), num_labels=3, is_encoder_decoder=is_writer)

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
        if return_labels:
            inputs["labels"] = {
                SigmaForConditionalGeneration: torch.full((BATCH, TEXT), 4),
                SigmaForSequenceClassification: torch.tensor([0, 2]),
                SigmaForCTC: torch.tensor([[1, 2], [2, 1]]),
            }.get(model_class)
        return inputs

    def test_config(self) -> None:
        self.config_tester.run_common_tests()


NOT_APPLICABLE: dict[str, dict[str, str]] = {"every class": {}}


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
