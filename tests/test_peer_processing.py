"""Transformers' own common tests on the processor and the feature extractor; what does not apply says why."""

from __future__ import annotations

import unittest
from typing import Any

import pytest

from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
from modeling_sigma.model.processing_sigma import SigmaProcessor
from tests.factories import tiny_processor
from tests.peer_suites import peer_module


pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

processing_common: Any = peer_module("transformers", "test_processing_common")
extraction_common: Any = peer_module("transformers", "test_feature_extraction_common")

# Test -> why it does not apply. The mixin for sequences pads (T, F); `test_feature_extraction.py` tests our `pad`.
NOT_APPLICABLE = {
    "test_model_input_names": "a text alone is a target: what a model reads is made of clips",
    "test_processor_with_multiple_inputs": "feeds sound to the feature extractor",
    "test_call_arguments_default_none": 'language="English" and training=False are promised by the public signature',
    "test_call_arguments_not_in_processor_kwargs": 'so is return_tensors="pt"',
}


class TestSigmaFeatureExtractor(extraction_common.FeatureExtractionSavingTestMixin, unittest.TestCase):
    feature_extraction_class = SigmaFeatureExtractor
    feat_extract_dict = {"max_frames": 64, "scale_reference": "hands", "learnt_aspect_ratio": 1.7}


class TestSigmaProcessor(processing_common.ProcessorTesterMixin, unittest.TestCase):
    processor_class = SigmaProcessor
    text_input_name = "text_input_ids"

    @classmethod
    def _setup_feature_extractor(cls) -> Any:
        return tiny_processor().feature_extractor

    @classmethod
    def _setup_tokenizer(cls) -> Any:
        return tiny_processor().tokenizer

    def setUp(self) -> None:
        name = self._testMethodName
        reason = "a feature extractor of joints reads no sound" if "_audio" in name else NOT_APPLICABLE.get(name)
        if reason is not None:
            self.skipTest(reason)
