"""PEFT's own common tests: LoRA on the heads that adapters are trained for."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from modeling_sigma.model.modeling_sigma_heads import SigmaForConditionalGeneration, SigmaForSequenceClassification
from tests.factories import tiny_inputs, tiny_model
from tests.peer_suites import peer_module


pytestmark = pytest.mark.slow

if importlib.util.find_spec("diffusers") is None:
    # The suite names one class of it, for models that Sigma has nothing to do with.
    sys.modules["diffusers"] = ModuleType("diffusers")
    sys.modules["diffusers"].StableDiffusionPipeline = type("StableDiffusionPipeline", (), {})  # type: ignore[attr-defined]
common: Any = peer_module("peft", "testing_common")
peft: Any = pytest.importorskip("peft")

HEADS = {SigmaForConditionalGeneration: "SEQ_2_SEQ_LM", SigmaForSequenceClassification: "SEQ_CLS"}

BOTH = [
    "_test_model_attr",
    "_test_adapter_name",
    "_test_load_model_low_cpu_mem_usage",
    "_test_save_pretrained",
    "_test_save_pretrained_selected_adapters",
    "_test_save_pretrained_adapter_name_substring",
    "_test_from_pretrained_config_construction",
    "_test_load_multiple_adapters",
    "_test_merge_layers_fp16",
    "_test_merge_layers_nan",
    "_test_merge_layers",
    "_test_merge_layers_multi",
    "_test_merge_layers_is_idempotent",
    "_test_safe_merge",
    "_test_training",
    "_test_inference_safetensors",
    "_test_peft_model_device_map",
    "_test_delete_adapter",
    "_test_delete_inactive_adapter",
    "_test_delete_unknown_adapter_raises",
    "_test_unload_adapter",
    "_test_adding_multiple_adapters_with_bias_raises",
    "_test_get_base_model_state_dict",
]
# Of the model that writes alone.
WRITING = {
    "_test_generate": "a label head writes nothing",
    "_test_disable_adapter": "calls `generate`, which PEFT's wrapper has and a label head has not",
    "_test_training_gradient_checkpointing": "expects gradients in adapters alone: PEFT trains the label layer, too",
    "_test_training_layer_indexing": "expects gradients in adapters alone",
    "_test_weighted_combination_of_adapters": "PEFT combines no adapters that come with a trained label layer",
}
# What does not apply, and why.
NOT_APPLICABLE = {
    "_test_mixed_adapter_batches": "repeats `input_ids`: clips are `pose_values`",
    "_test_generate_with_mixed_adapter_batches_and_beam_search": "repeats `input_ids`",
    "_test_generate_half_prec": "calls `generate` with `input_ids` of its own",
    "_test_generate_pos_args": "calls `generate` with `input_ids` by position",
    "_test_prepare_for_training": "embeds `input_ids`",
    "_test_passing_input_embeds_works": "passes `inputs_embeds`",
    "_test_training_prompt_learning_tasks": "prompt learning puts virtual tokens before `input_ids`",
    "_test_add_adapter_no_autocast_adapter_dtype": "is about PEFT's own casts, not about models",
    "_test_lora_conversion": "is about other adapters than LoRA",
    "_test_weighted_combination_of_adapters_lora": "a step of `_test_weighted_combination_of_adapters`",
    "_test_weighted_combination_of_adapters_ia3": "a step of it for another adapter",
}


def test_every_common_test_is_run_or_explained() -> None:
    known = {name for name in dir(common.PeftCommonTester) if name.startswith("_test_")}
    assert known == {*BOTH, *WRITING, *NOT_APPLICABLE}


class _Suite(common.PeftCommonTester):
    def __init__(self, cls: Any) -> None:
        self.transformers_class = cls

    def prepare_inputs_for_testing(self) -> dict[str, torch.Tensor]:
        inputs = tiny_inputs((8, 8, 8))
        if self.transformers_class is SigmaForConditionalGeneration:
            return {**inputs, "decoder_input_ids": torch.full((3, 2), 5)}
        return inputs


@pytest.mark.parametrize("cls", HEADS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("test", [*BOTH, *WRITING])
def test_common(test: str, cls: Any, tmp_path: Path) -> None:
    if test in WRITING and cls is not SigmaForConditionalGeneration:
        pytest.skip(WRITING[test])
    tiny_model(cls).save_pretrained(tmp_path)
    # Adapters that change something from the start, because the suite asks whether they do; and little, because it
    # allows merged weights 1e-6.
    options = {"task_type": HEADS[cls], "target_modules": ["q", "v"], "init_lora_weights": False, "lora_alpha": 1}
    getattr(_Suite(cls), test)(str(tmp_path), peft.LoraConfig, options)
