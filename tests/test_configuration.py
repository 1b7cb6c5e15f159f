"""`SigmaConfig` and `SigmaPoseConfig`: sizes, checks, sub-configurations, saving."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, BertConfig, MT5Config, T5Config

from modeling_sigma.model.configuration_sigma import SigmaConfig, SigmaPoseConfig
from tests.factories import tiny_config, tiny_text_config


CONFIG_ERRORS = (ValueError, StrictDataclassError)


def test_the_papers_objectives_have_a_name(tmp_path: Path) -> None:
    config = SigmaConfig.from_paper(max_frames=64)
    assert (config.local_temperature, config.alignment_source, config.lm_source) == (None, "fused", "fused")
    assert config.max_frames == 64 and SigmaConfig.from_paper(lm_source="pose_only").lm_source == "pose_only"
    config.save_pretrained(tmp_path)
    assert SigmaConfig.from_pretrained(tmp_path).local_temperature is None


def test_defaults_are_the_papers_but_for_what_was_measured() -> None:
    config = SigmaConfig()
    assert (config.fusion_layers, config.sgt_layers, config.alpha, config.beta) == (3, 1, 0.5, 0.5)
    assert (config.pad_mode, config.alignment_source, config.lm_source) == ("mask", "unimodal", "pose_only")
    assert (config.label_smoothing, config.max_frames, config.use_cls_token) == (0.2, 256, True)
    assert config.local_temperature == 0.05 and config.local_score_temperature is None
    assert config.share_fusion_weights is True
    pose = config.pose_config
    assert pose.parts == ["body", "left_hand", "right_hand", "face"]
    assert (pose.joint_hidden_size, pose.spatial_hidden_sizes) == (64, [64, 128, 256])
    assert (pose.temporal_hidden_sizes, pose.temporal_kernel_size) == ([256, 256, 256], 5)
    assert isinstance(config.text_config, MT5Config) and config.hidden_size == config.text_config.d_model
    assert config.tie_word_embeddings is False and config.is_encoder_decoder is True


@pytest.mark.parametrize("model_type", ["mt5", "t5"])
def test_text_configuration_as_object_or_dict(model_type: str) -> None:
    text_config = tiny_text_config(model_type)
    for given in (text_config, text_config.to_dict()):
        config = SigmaConfig(text_config=given)
        assert type(config.text_config) is type(text_config)
        assert config.text_config.to_dict() == text_config.to_dict()
        assert config.hidden_size == 32


def test_dict_without_model_type_is_mt5() -> None:
    config = SigmaConfig(text_config={"d_model": 64, "num_layers": 3})
    assert type(config.text_config) is MT5Config
    assert (config.text_config.d_model, config.text_config.num_layers) == (64, 3)


def test_pose_configuration_as_object_or_dict() -> None:
    fields = {"parts": ["left_hand", "right_hand"], "joint_hidden_size": 8, "spatial_hidden_sizes": (8, 16)}
    for given in (fields, SigmaPoseConfig(**fields)):
        pose = SigmaConfig(pose_config=given).pose_config
        assert type(pose) is SigmaPoseConfig
        assert (pose.parts, pose.spatial_hidden_sizes) == (["left_hand", "right_hand"], [8, 16])


def test_instances_share_nothing() -> None:
    first, second = SigmaPoseConfig(), SigmaPoseConfig()
    first.parts.remove("face")
    first.spatial_hidden_sizes.append(512)
    assert second.parts[-1] == "face" and second.spatial_hidden_sizes == SigmaPoseConfig().spatial_hidden_sizes


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text_config": BertConfig()}, r"expected text_config to be one of \('mt5', 't5'\), received 'bert'"),
        ({"text_config": {"model_type": "bert"}}, "received 'bert'"),
        ({"max_frames": 0}, "expected max_frames >= 1, received 0"),
        ({"alpha": 1.5}, "expected alpha between 0 and 1, received 1.5"),
        ({"beta": -0.1}, "expected beta between 0 and 1, received -0.1"),
        ({"label_smoothing": 2}, "expected label_smoothing between 0 and 1, received 2"),
        ({"classifier_dropout": -1}, "expected classifier_dropout between 0 and 1"),
        ({"local_temperature": 0.0}, "expected local_temperature > 0 or None, received 0.0"),
        ({"local_score_temperature": -1.0}, "expected local_score_temperature > 0 or None, received -1.0"),
        ({"pose_config": {"parts": ["face", "body"]}}, "expected parts to be some of .*, in this order, received"),
        ({"pose_config": {"parts": ["body", "body"]}}, "expected parts to be some of"),
        ({"pose_config": {"parts": ["feet"]}}, "expected parts to be some of"),
        ({"pose_config": {"parts": []}}, "expected parts to be some of"),
        ({"pose_config": {"spatial_hidden_sizes": []}}, "expected at least one spatial and one temporal block"),
        ({"pose_config": {"temporal_hidden_sizes": []}}, "expected at least one spatial and one temporal block"),
        ({"pose_config": {"temporal_kernel_size": 4}}, "expected an odd temporal_kernel_size, received 4"),
        ({"pose_config": {"temporal_kernel_size": -1}}, "expected an odd temporal_kernel_size, received -1"),
    ],
)
def test_values_are_checked(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(CONFIG_ERRORS, match=message):
        SigmaConfig(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"pad_mode": "zeros"},
        {"alignment_source": "both"},
        {"lm_source": "text"},
        {"local_row_strategy": "maximum"},
        {"local_score_strategy": "median"},
        {"max_frames": 12.5},
        {"use_cls_token": "yes"},
        {"pose_config": {"joint_hidden_size": "64"}},
        {"pose_config": {"spatial_hidden_sizes": ["64"]}},
    ],
    ids=str,
)
def test_types_and_choices_are_checked(fields: dict[str, Any]) -> None:
    with pytest.raises(CONFIG_ERRORS):
        SigmaConfig(**fields)


def test_users_get_a_value_error() -> None:
    with pytest.raises(ValueError, match="^expected alpha between 0 and 1, received 1.5"):
        SigmaConfig(alpha=1.5)


def test_save_and_load(tmp_path: Path) -> None:
    config = tiny_config(
        text_config=tiny_text_config("t5", d_ff=40),
        pose_config={"parts": ["body", "face"], "mirror_left_hand": True},
        pad_mode="repeat",
        use_cls_token=False,
        alpha=0.25,
        local_temperature=0.1,
        num_labels=3,
        id2label={0: "hello", 1: "rain", 2: "snow"},
    )
    config.save_pretrained(tmp_path)
    loaded = SigmaConfig.from_pretrained(tmp_path)
    assert loaded.to_diff_dict() == config.to_diff_dict()
    assert type(loaded.text_config) is T5Config and loaded.text_config.d_ff == 40
    assert loaded.pose_config.parts == ["body", "face"] and loaded.pose_config.mirror_left_hand is True
    assert loaded.id2label == {0: "hello", 1: "rain", 2: "snow"}
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["model_type"] == "sigma"
    assert "vocab_size" not in saved and saved["text_config"]["vocab_size"] == config.text_config.vocab_size
    assert AutoConfig.from_pretrained(tmp_path).to_diff_dict() == config.to_diff_dict()
    assert SigmaConfig.from_pretrained(tmp_path, max_frames=7).max_frames == 7


def test_from_text_pretrained(tmp_path: Path) -> None:
    tiny_text_config("t5", d_ff=40).save_pretrained(tmp_path)
    config = SigmaConfig.from_text_pretrained(str(tmp_path), max_frames=64, pose_config={"joint_hidden_size": 8})
    assert type(config.text_config) is T5Config and config.text_config.d_ff == 40
    assert config.max_frames == 64 and config.pose_config.joint_hidden_size == 8


def test_from_text_pretrained_refuses_other_models(tmp_path: Path) -> None:
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(CONFIG_ERRORS, match="expected text_config to be one of .* received 'bert'"):
        SigmaConfig.from_text_pretrained(str(tmp_path))


def test_from_text_pretrained_needs_the_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        SigmaConfig.from_text_pretrained(str(tmp_path / "nothing"))
