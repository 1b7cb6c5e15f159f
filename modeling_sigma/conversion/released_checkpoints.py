"""Converts the released checkpoints of Uni-Sign and of the Sigma reference to our names.

Facts about their files: arrays are named as in the tables below; the left hand shares the right hand's modules; the
vocabulary matrix occurs up to five times. Files are read without unpickling anything but tensors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import PreTrainedConfig, PreTrainedModel

from modeling_sigma.model.configuration_sigma import SigmaConfig
from modeling_sigma.model.modeling_sigma_heads import SigmaForConditionalGeneration


# (pattern of a foreign name, our name). The first match counts.
_POSE_NAMES = [
    (r"part_para", "pose_encoder.part_bias"),
    (r"pose_proj\.(weight|bias)", r"pose_encoder.projection.\1"),
    (r"proj_linear\.(\w+)\.(weight|bias)", r"pose_encoder.parts.\1.joint_projection.\2"),
    (r"gcn_modules\.(\w+)\.layer(\d)_0\.(.+)", r"pose_encoder.parts.\1.spatial_chain.blocks.\2.\3"),
    (r"fusion_gcn_modules\.(\w+)\.layer0_(\d)\.(.+)", r"pose_encoder.parts.\1.temporal_chain.blocks.\2.\3"),
]
_BLOCK_NAMES = {
    ".gcn.A": ".adjacency",
    ".gcn.conv.": ".spatial_conv.",
    ".gcn.bn.": ".spatial_norm.",
    ".tcn.0.": ".temporal_conv.",
    ".tcn.1.": ".temporal_norm.",
    ".residual.0.": ".residual_conv.",
    ".residual.1.": ".residual_norm.",
    ".parts.right.": ".parts.hand.",
    ".parts.face_all.": ".parts.face.",
}
_UNI_SIGN_NAMES = [
    *_POSE_NAMES,
    (r"mt5_model\.shared\.weight", "shared.weight"),
    (r"mt5_model\.lm_head\.weight", "lm_head.weight"),
    (r"mt5_model\.((?:encoder|decoder)\.(?!embed_tokens).+)", r"\1"),
]
_SIGMA_NAMES = [
    *_POSE_NAMES,
    (r"hcl\.early_fusion_encoder\.vis_encrd\.embed_tokens\.weight", "shared.weight"),
    (r"hcl\.early_fusion_encoder\.vis_encrd\.(.+)", r"encoder.\1"),
    (r"hcl\.early_fusion_encoder\.txt_encrd\.(?!embed_tokens)(.+)", r"text_encoder.\1"),
    (r"hcl\.early_fusion_encoder\.x_cross_attn\.cross_att\.(.+)", r"fusion.layers.0.attention.\1"),
    (r"hcl\.early_fusion_encoder\.vis_cls_token", "pose_cls_token.weight"),
    (r"hcl\.early_fusion_encoder\.txt_cls_token", "text_cls_token.weight"),
    (r"hcl\.logit_scale", "logit_scale.weight"),
    (r"stm\.stm_head\.(weight|bias)", r"matching_head.\1"),
    (r"stm\.sgt_encoder\.block\.(\d+)\.layer\.0\.(.+)", r"matching_encoder.block.\1.layer.0.\2"),
    (r"stm\.sgt_encoder\.block\.(\d+)\.layer\.1\.(.+)", r"matching_encoder.block.\1.layer.2.\2"),
    (r"stm\.sgt_encoder\.cross_attns\.(\d+)\.(.+)", r"matching_encoder.block.\1.layer.1.\2"),
    (r"sgt_dec\.(?!embed_tokens)(.+)", r"decoder.\1"),
    (r"sgt_dec_lm_head\.weight", "lm_head.weight"),
]


@dataclass
class ConversionReport:
    """What became of every array of a foreign checkpoint.

    Args:
        used (`dict[str, str]`): Foreign name -> our name.
        tied (`list[str]`): Foreign names of arrays whose numbers equal those of one that was used.
        left_over (`list[str]`): Foreign names without a place in our model, or of duplicates that differ.
        missing (`list[str]`): Our names that the checkpoint does not have; these weights start from scratch.
    """

    used: dict[str, str] = field(default_factory=dict)
    tied: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"{len(self.used)} arrays used, {len(self.tied)} tied to one of them, {len(self.left_over)} left over, "
            f"{len(self.missing)} missing"
        ]
        lines += [f"  left over: {name}" for name in self.left_over]
        lines += [f"  missing:   {name}" for name in self.missing]
        return "\n".join(lines)


def convert_uni_sign(
    state_dict: Mapping[str, torch.Tensor], text_config: PreTrainedConfig | dict[str, Any], **config_overrides: Any
) -> SigmaForConditionalGeneration:
    """Converts a Uni-Sign checkpoint (pose-only stages 1 to 3) into a translation model that is ready to use.

    Its weights were trained with the last frame repeated after the end of a clip and without a [CLS] token, so
    `pad_mode` is `"repeat"` and `use_cls_token` is `False` unless overridden. The released weights carry CC-BY-NC-4.0.

    Args:
        state_dict (`Mapping[str, torch.Tensor]`):
            The arrays by name, from [`load_foreign_checkpoint`].
        text_config (`MT5Config` or `dict`):
            The configuration of the text backbone that it was trained with (mT5-base).
        config_overrides:
            Fields of [`SigmaConfig`] to override.

    Returns:
        [`SigmaForConditionalGeneration`] in eval mode; its `conversion_report` is a [`ConversionReport`].

    Raises:
        ValueError: if this is no such checkpoint, or its sizes do not fit `text_config`.
    """
    config = SigmaConfig(text_config=text_config, **{"pad_mode": "repeat", "use_cls_token": False, **config_overrides})
    return _convert(state_dict, _UNI_SIGN_NAMES, SigmaForConditionalGeneration(config), "a Uni-Sign checkpoint")


def convert_sigma_pretraining(
    state_dict: Mapping[str, torch.Tensor], text_config: PreTrainedConfig | dict[str, Any], **config_overrides: Any
) -> PreTrainedModel:
    """Converts a pre-training checkpoint of the Sigma reference into a pre-training model that is ready to use.

    Its five vocabulary matrices become one (that of the pose encoder, which reads the prompt). Any of the other four
    that differ are reported as left over.

    Args:
        state_dict, text_config, config_overrides:
            The arrays, the text configuration and the overrides, as in [`convert_uni_sign`].

    Returns:
        [`SigmaForPreTraining`] in eval mode; its `conversion_report` is a [`ConversionReport`].

    Raises:
        ValueError: if this is no such checkpoint, or its sizes do not fit `text_config`.
    """
    from modeling_sigma.model.modeling_sigma_pretraining import SigmaForPreTraining

    config = SigmaConfig(text_config=text_config, **{"pad_mode": "repeat", **config_overrides})
    return _convert(state_dict, _SIGMA_NAMES, SigmaForPreTraining(config), "a Sigma pre-training checkpoint")


def _convert(state_dict: Mapping[str, torch.Tensor], names: list[tuple[str, str]], model: Any, expected: str) -> Any:
    report = ConversionReport()
    own = model.state_dict()
    converted: dict[str, torch.Tensor] = {}
    for foreign, tensor in state_dict.items():
        name = _our_name(foreign, names)
        if name is None or name not in own:
            continue
        if _shape(tensor) != _shape(own[name]):
            raise ValueError(
                f"{foreign} has shape {tuple(tensor.shape)}, but {name} needs {tuple(own[name].shape)}: does the text "
                "configuration belong to this checkpoint?"
            )
        converted[name] = tensor.detach().reshape(own[name].shape).to(own[name].dtype)
        report.used[foreign] = name
    if not any(name.startswith("pose_encoder.") for name in converted):
        raise ValueError(f"expected {expected}, received names such as {sorted(state_dict)[:3]}")
    for foreign, tensor in state_dict.items():
        if foreign not in report.used:
            twin = _twin(foreign, tensor, state_dict, report.used)
            (report.tied if twin else report.left_over).append(foreign)
    report.missing = sorted(set(own) - set(converted))
    model.load_state_dict(converted, strict=False)
    model.conversion_report = report
    return model.eval()


def _shape(tensor: torch.Tensor) -> list[int]:
    """The shape without axes of size one: a [CLS] token is (1, 1, D) there and (D,) here."""
    return [size for size in tensor.shape if size != 1]


def _our_name(foreign: str, names: list[tuple[str, str]]) -> str | None:
    for pattern, replacement in names:
        match = re.fullmatch(pattern, foreign)
        if match:
            name = match.expand(replacement)
            for theirs, ours in _BLOCK_NAMES.items():
                name = name.replace(theirs, ours) if name.startswith("pose_encoder.") else name
            return name
    return None


def _twin(
    foreign: str, tensor: torch.Tensor, state_dict: Mapping[str, torch.Tensor], used: Mapping[str, str]
) -> str | None:
    """The array in use that `foreign` duplicates: the other hand's, another stack's, or another vocabulary matrix."""
    candidates = [foreign.replace(".left.", ".right.")]
    candidates += [foreign.replace("hcl.txt_encoder.", "hcl.early_fusion_encoder.txt_encrd.")]
    if foreign.endswith("embed_tokens.weight"):
        candidates += [name for name, ours in used.items() if ours == "shared.weight"]
    for name in candidates:
        if name != foreign and name in used and torch.equal(state_dict[name], tensor):
            return name
    return None


def load_foreign_checkpoint(path: str | Path) -> dict[str, torch.Tensor]:
    """Loads the arrays of a `.safetensors`, `.pth`, `.pt` or `.bin` file; nothing else in it is unpickled.

    Raises:
        ValueError: if the file is damaged, holds anything but tensors, or holds no arrays.
        FileNotFoundError: if there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint file")
    try:
        content: Any = load_file(path) if path.suffix == ".safetensors" else _load_tensors_only(path)
    except Exception as error:  # torch and safetensors raise many kinds for a damaged file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: expected a file of tensors; it was not loaded ({reason:.160})") from error
    for key in ("model", "state_dict", "module"):
        if isinstance(content.get(key), Mapping):
            content = content[key]
    arrays = {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if not arrays:
        raise ValueError(f"{path}: expected a state dict, received keys {sorted(map(str, content))[:5]}")
    return arrays


def _load_tensors_only(path: Path) -> dict[str, Any]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, Mapping):
        raise ValueError(f"the file holds a {type(content).__name__}, not a state dict")
    return dict(content)
