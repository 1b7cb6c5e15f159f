"""Small things to test with: configurations, a tokenizer, processors, models and clips. Nothing is downloaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from transformers import MT5Config, PreTrainedConfig, T5Config, T5Tokenizer

from modeling_sigma.model.configuration_sigma import SigmaConfig
from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
from modeling_sigma.model.modeling_sigma_heads import SigmaForConditionalGeneration
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.processing_sigma import SigmaProcessor
from modeling_sigma.model.skeleton_layouts import LAYOUTS


TEXTS = (
    "the weather is nice today",
    "hello world",
    "rain in the north and snow in the south",
    "tomorrow it will be unbelievable",
    "understanding people who sign",
    "Translate sign language video to English: ",
    "Translate sign language video to Chinese: ",
    "今天天气很好",
)

# Decoders of this size, with random weights, never end a text: keep generation short.
MAX_NEW_TOKENS = 8


@lru_cache(maxsize=1)
def _trained_tokenizer() -> T5Tokenizer:
    trained = T5Tokenizer(extra_ids=0).train_new_from_iterator(TEXTS, vocab_size=96)
    vocabulary = json.loads(trained.backend_tokenizer.to_str())["model"]["vocab"]
    # The trainer leaves open the last digits of scores, and the order of tokens with equal ones. Not so here, or
    # models would read other ids, and write other texts, in every process.
    tokens = [(token, round(score, 3)) for token, score in vocabulary]
    tokens[3:] = sorted(tokens[3:], key=lambda token: (-token[1], token[0]))
    return T5Tokenizer(vocab=tokens, extra_ids=0)


def tiny_tokenizer() -> T5Tokenizer:
    """A sentencepiece-like tokenizer trained on `TEXTS`: some 50 tokens, pad 0, end 1, unknown 2. Do not change it."""
    return _trained_tokenizer()


def tiny_text_config(model_type: str = "mt5", **overrides: Any) -> PreTrainedConfig:
    """A T5 (`"t5"`) or mT5 (`"mt5"`) of hidden size 32 with 2 + 2 layers and the tokenizer's vocabulary."""
    sizes = {
        "vocab_size": len(tiny_tokenizer()),
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 48,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "num_heads": 4,
        "relative_attention_num_buckets": 8,
        "decoder_start_token_id": 0,
    }
    return {"mt5": MT5Config, "t5": T5Config}[model_type](**{**sizes, **overrides})


def tiny_config(**overrides: Any) -> SigmaConfig:
    """A Sigma of hidden size 32. `overrides` are fields of `SigmaConfig`; a dict of `pose_config` fields is merged."""
    pose_sizes = {"joint_hidden_size": 8, "spatial_hidden_sizes": [8, 16], "temporal_hidden_sizes": [16, 16]}
    overrides = dict(overrides)
    pose_config = {**pose_sizes, **overrides.pop("pose_config", {})}
    fields = {"text_config": tiny_text_config(), "fusion_layers": 1, "max_frames": 32}
    return SigmaConfig(**{**fields, **overrides}, pose_config=pose_config)


def tiny_processor(max_frames: int = 32, max_text_length: int = 50, **extractor_fields: Any) -> SigmaProcessor:
    """A processor around `tiny_tokenizer`; `extractor_fields` go to the feature extractor."""
    extractor = SigmaFeatureExtractor(max_frames=max_frames, **extractor_fields)
    return SigmaProcessor(extractor, tiny_tokenizer(), max_text_length=max_text_length)


def tiny_model(cls: type = SigmaForConditionalGeneration, seed: int = 0, **config_overrides: Any) -> Any:
    """A model of `cls` in eval mode; equal seeds give equal weights. BatchNorm has seen data, and no bias is zero."""
    torch.manual_seed(seed)
    model = cls(tiny_config(**config_overrides))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            noise = torch.rand(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.copy_(0.5 + noise)
            elif name.endswith(("running_mean", "part_bias", "norm.bias", "joint_projection.bias")):
                tensor.copy_(noise - 0.5)
    return model.eval()


def random_clip(
    num_frames: int = 12, layout: str = "coco_wholebody_133", seed: int = 0, fps: float | None = 25.0
) -> PoseClip:
    """A clip of smoothly moving points on a 640 x 480 image; about one keypoint in ten is not seen."""
    rng = np.random.default_rng(seed)
    num_keypoints = LAYOUTS[layout].num_keypoints
    start = rng.uniform((180, 80), (460, 400), (1, num_keypoints, 2))
    path = rng.normal(0, 6, (num_frames, num_keypoints, 2)).cumsum(axis=0)
    scores = rng.uniform(0.35, 1.0, (num_frames, num_keypoints))
    scores[rng.random(scores.shape) < 0.1] = 0.1
    return PoseClip((start + path).astype(np.float64), scores, layout=layout, fps=fps, width=640, height=480)


def random_clips(lengths: tuple[int, ...] = (12, 7, 1), seed: int = 0) -> list[PoseClip]:
    """A ragged batch of clips."""
    return [random_clip(length, seed=seed + row) for row, length in enumerate(lengths)]


# Prompts of different lengths: as many as `tiny_inputs` has clips by default.
LANGUAGES = ("English", "Swiss French", "Chinese")


def tiny_inputs(
    lengths: tuple[int, ...] = (12, 7, 1),
    prompt: bool = True,
    seed: int = 0,
    language: str | Sequence[str] = "English",
) -> dict[str, torch.Tensor]:
    """What a model reads of `random_clips(lengths)`, with a prompt in `language` (for all clips, or for each)."""
    inputs = dict(tiny_processor()(poses=random_clips(lengths, seed), language=language))
    return {name: value for name, value in inputs.items() if prompt or not name.startswith("prompt_")}


def take_clip(inputs: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    """One clip of a batch of `tiny_inputs` alone: no padding is left."""
    alone = {name: value[row : row + 1] for name, value in inputs.items()}
    for values, mask in (("pose_values", "pose_attention_mask"), ("prompt_input_ids", "prompt_attention_mask")):
        if mask in alone:
            length = int(alone[mask].sum())
            alone[values], alone[mask] = alone[values][:, :length], alone[mask][:, :length]
    return alone
