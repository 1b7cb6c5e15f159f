"""Adapters (PEFT): a new sign language or signer for a trained model, in a file of a few per cent of its size."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from torch import nn

import modeling_sigma
from modeling_sigma.hub.adapter_card import build_adapter_card
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS
from modeling_sigma.registration import defined_class
from modeling_sigma.training.adapters.labels import keep_labels, read_model_config
from modeling_sigma.training.arguments import AdapterArguments


PoseMode = Literal["full", "frozen", "lora"]
POSE_MODES = ("full", "frozen", "lora")

# Regular expressions, since PEFT looks for plain names anywhere: "q" would hit the fusion too.
_TEXT_TARGETS = (
    r"(encoder|decoder)\.block\.\d+\.layer\.\d+\."
    r"(SelfAttention|EncDecAttention|DenseReluDense)\.(q|k|v|o|wi|wi_0|wi_1|wo)"
)
_POSE_TARGETS = r"pose_encoder\.(projection|parts\..*\.(joint_projection|spatial_conv|temporal_conv|residual_conv))"
_POSE_NORMS = ("spatial_norm", "temporal_norm", "residual_norm")


def lora_config(
    model: nn.Module,
    rank: int = 8,
    alpha: float | None = None,
    dropout: float = 0.0,
    pose_encoder: PoseMode = "lora",
    modules_to_save: Sequence[str] = (),
) -> Any:
    """LoRA for a Sigma model: low-rank changes of the text backbone, and a choice for the pose encoder.

    Args:
        model (`nn.Module`):
            The model to adapt. A head that chooses labels or glosses trains in full: its classes are new.
        rank (`int`, *optional*, defaults to 8):
            The rank of the changes.
        alpha (`float`, *optional*):
            The changes are scaled by alpha / rank; twice the rank by default.
        dropout (`float`, *optional*, defaults to 0.0):
            The dropout before the changes.
        pose_encoder (`"full"`, `"frozen"` or `"lora"`, *optional*, defaults to `"lora"`):
            Whether the pose encoder trains in full, keeps its weights and running statistics, or gets low-rank changes
            while its norms train in full.
        modules_to_save (`Sequence[str]`, *optional*):
            Further modules that train in full, such as `"lm_head"`.

    Returns:
        `peft.LoraConfig`

    Raises:
        ValueError: for an unknown choice or a rank below 1.
        ImportError: without PEFT.
    """
    peft = import_peft()
    if pose_encoder not in POSE_MODES:
        raise ValueError(f"expected pose_encoder among {', '.join(POSE_MODES)}, received {pose_encoder!r}")
    if rank < 1:
        raise ValueError(f"expected a rank of at least 1, received {rank}")
    kind = MODEL_KINDS.get(type(model).__name__)
    saved = [*([kind.label_layer] if kind is not None and kind.label_layer else []), *modules_to_save]
    targets = _TEXT_TARGETS
    if pose_encoder == "full":
        saved.append("pose_encoder")
    elif pose_encoder == "lora":
        saved += _POSE_NORMS
        targets = f"({_TEXT_TARGETS}|{_POSE_TARGETS})"
    return peft.LoraConfig(
        task_type=None if kind is None else kind.adapter_task,
        r=rank,
        lora_alpha=2 * rank if alpha is None else alpha,
        lora_dropout=dropout,
        target_modules=targets,
        modules_to_save=saved or None,
    )


def add_adapter(model: Any, arguments: AdapterArguments) -> Any:
    """Adds a new adapter to a model. Only the adapter trains."""
    config = lora_config(
        model,
        arguments.lora_rank,
        arguments.lora_alpha,
        arguments.lora_dropout,
        arguments.pose_encoder,
        arguments.modules_to_save,
    )
    return import_peft().get_peft_model(model, config)


def save_adapter(
    model: Any,
    processor: Any,
    directory: str | Path,
    base: str,
    sign_languages: Sequence[str] = (),
    spoken_languages: Sequence[str] = (),
) -> Path:
    """Saves the active adapter alone, with its configuration and processor, and a card to complete.

    Args:
        model (`peft.PeftModel`):
            The adapted model.
        processor:
            Its processor or feature extractor.
        directory (`str` or `Path`):
            The folder, which is made if it does not exist; files of the same names are overwritten.
        base (`str`):
            The model that was adapted: a folder, or a name on the Hub.
        sign_languages, spoken_languages (`Sequence[str]`, *optional*):
            English names of the languages, for the card.

    Raises:
        ValueError: unless one adapter is active.
    """
    directory = Path(directory)
    active = model.active_adapters
    if len(active) != 1:
        raise ValueError(f"expected one active adapter to save, received {len(active)}: choose it with set_adapter")
    (name,) = active
    model.peft_config[name].base_model_name_or_path = base
    model.save_pretrained(directory, selected_adapters=[name])
    if name != "default":  # PEFT makes a folder of any other name, where nobody would look for it
        for path in (directory / name).iterdir():
            path.replace(directory / path.name)
        (directory / name).rmdir()
    architecture = type(model.get_base_model()).__name__
    config = copy.deepcopy(model.get_base_model().config)
    config.architectures = [architecture]
    config.sigma_slu_version = modeling_sigma.__version__
    config.save_pretrained(directory)
    processor.save_pretrained(directory)
    labels = list(config.id2label.values()) if MODEL_KINDS[architecture].has_labels else []
    card = build_adapter_card(base, architecture, labels, config.weights_license, sign_languages, spoken_languages)
    card.save(directory / "README.md")  # in place of PEFT's, which is a form to fill in
    return directory


def load_adapted(directory: str | Path, base: str | None = None, is_trainable: bool = False) -> Any:
    """Loads the adapted model from a folder that [`save_adapter`] wrote, even if its labels differ from the base's.

    `merge_and_unload()` turns it into a plain Sigma model; `load_adapter(other, name)` and `set_adapter(name)` keep
    several languages on one base, each with its own labels (`model.config.id2label` is the active adapter's).

    PEFT's own `AutoPeftModel...` and `PeftModel.from_pretrained` do not know about labels: they load adapters with the
    labels of the base, fail if the number of labels differs, and otherwise keep the names of the base's labels.

    Args:
        directory (`str` or `Path`):
            The folder of the adapter.
        base (`str`, *optional*):
            The folder or Hub name of the base, if it has moved.
        is_trainable (`bool`, *optional*, defaults to `False`):
            Whether to train the adapter further.

    Returns:
        `peft.PeftModel`

    Raises:
        ValueError: for a folder that [`save_adapter`] did not write, or a newer version of it.
        ImportError: without PEFT.
    """
    peft = import_peft()
    config = read_model_config(directory)
    architecture = (config.architectures or [""])[0]
    kind = MODEL_KINDS.get(architecture)
    if kind is None:
        raise ValueError(f"{directory}: expected the adapter of a Sigma model, found {architecture or 'no model'}")
    base = base or peft.PeftConfig.from_pretrained(str(directory)).base_model_name_or_path
    model = defined_class(kind).from_pretrained(base, config=config, ignore_mismatched_sizes=True)
    return keep_labels(peft.PeftModel.from_pretrained(model, str(directory), is_trainable=is_trainable))


def import_peft() -> Any:
    """Imports PEFT.

    Raises:
        ImportError: if it is not installed; the message names the extra.
    """
    try:
        import peft
    except ImportError as error:
        raise ImportError('adapters need PEFT: pip install -e ".[peft]" in the folder of sigma-slu') from error
    return peft
