"""A folder that `from_pretrained` loads anywhere: weights, configuration, processor and the code that reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

import modeling_sigma
import modeling_sigma.model
from modeling_sigma.hub.bundle_config import read_config
from modeling_sigma.io.json_text import read_json
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS, PIPELINE_KINDS, served_pipelines


_EXTRACTOR_FILE, _PROCESSOR_FILE = "preprocessor_config.json", "processor_config.json"


# The file without which nobody takes a folder for a model, and older weights that must not stay beside new ones.
KEY_FILE = "config.json"
WEIGHT_FILES = ("model*.safetensors", "model*.safetensors.index.json", "pytorch_model*.bin*")


def save_bundle(
    model: PreTrainedModel,
    processor: Any,
    directory: str | Path,
    include_code: bool = True,
    max_shard_size: int | str = "50GB",
) -> Path:
    """Saves everything that inference needs into one folder.

    Args:
        model ([`SigmaPreTrainedModel`]):
            Any Sigma model.
        processor ([`SigmaProcessor`] or [`SigmaFeatureExtractor`]):
            The processor, or for a label head without a prompt the feature extractor.
        directory (`str` or `Path`):
            Created if it does not exist; files of the same names are overwritten.
        include_code (`bool`, *optional*, defaults to `True`):
            Whether the folder also holds the modules that `trust_remote_code=True` runs where this package is not
            installed. Without them it loads with this package only, and [`publish`] adds them to what it sends.
        max_shard_size (`int` or `str`, *optional*, defaults to `"50GB"`):
            The largest file of weights, in bytes or as `"5GB"`.

    Returns:
        `Path`: the folder.
    """
    directory = Path(directory)
    model.save_pretrained(directory, max_shard_size=max_shard_size)
    processor.save_pretrained(directory)
    feature_extractor = getattr(processor, "feature_extractor", processor)
    if feature_extractor is processor:  # no tokenizer: AutoProcessor gives the extractor, as for audio
        _update_json(directory / _EXTRACTOR_FILE, processor_class=type(processor).__name__)
    else:
        feature_extractor.save_pretrained(directory)
    if include_code:
        for name, content in remote_code(directory).items():
            (directory / name).write_bytes(content)
    else:
        _update_json(directory / "config.json", sigma_slu_version=modeling_sigma.__version__)
        for name in ("config.json", _EXTRACTOR_FILE, _PROCESSOR_FILE):
            if (directory / name).is_file():
                _forget_code(directory / name)
    return directory


def remote_code(folder: str | Path) -> dict[str, bytes]:
    """What makes a saved model load without this package: its modules, and the JSON files that name their classes.

    Args:
        folder (`str` or `Path`):
            A folder with `config.json`; nothing in it changes.

    Returns:
        `dict[str, bytes]`: file name -> content.
    """
    folder = Path(folder)
    config = read_config(folder, "config.json")
    classes = auto_map(has_tokenizer=(folder / _PROCESSOR_FILE).is_file())
    config["auto_map"] = classes
    config["custom_pipelines"] = custom_pipelines(config["architectures"][0])
    config["sigma_slu_version"] = modeling_sigma.__version__
    files = {path.name: path.read_bytes() for path in remote_code_files()}
    files["config.json"] = _json_bytes(config)
    processor_classes = {auto: classes[auto] for auto in ("AutoFeatureExtractor", "AutoProcessor")}
    for name in (_EXTRACTOR_FILE, _PROCESSOR_FILE):
        if (folder / name).is_file():
            content = read_json(folder / name, "the configuration of an extractor or processor", dict)
            content["auto_map"] = processor_classes
            if "feature_extractor" in content:  # what AutoFeatureExtractor reads where both files are there
                content["feature_extractor"]["auto_map"] = processor_classes
            files[name] = _json_bytes(content)
    return files


def remote_code_files() -> list[Path]:
    """The flat modules that travel with a checkpoint."""
    folders = [Path(folder) for folder in modeling_sigma.model.__path__]
    return sorted(path for folder in folders for path in folder.glob("*.py") if path.name != "__init__.py")


def auto_map(has_tokenizer: bool = True) -> dict[str, str]:
    """Auto class -> the class that it loads from a bundle, as `config.json` lists them."""
    extractor = "feature_extraction_sigma.SigmaFeatureExtractor"
    return {
        "AutoConfig": "configuration_sigma.SigmaConfig",
        "AutoFeatureExtractor": extractor,
        "AutoProcessor": "processing_sigma.SigmaProcessor" if has_tokenizer else extractor,
        **{kind.auto_class: f"{kind.module}.{kind.class_name}" for kind in MODEL_KINDS.values()},
    }


def custom_pipelines(architecture: str) -> dict[str, dict[str, Any]]:
    """The pipelines that a model of this class serves, as `config.json` lists them."""
    return {
        task: {
            "impl": f"{PIPELINE_KINDS[task].module}.{PIPELINE_KINDS[task].class_name}",
            "pt": [auto_class],
            "type": "multimodal",
        }
        for task, auto_class in served_pipelines(MODEL_KINDS[architecture]).items()
    }


def _forget_code(path: Path) -> None:
    """Removes what names classes in files: a model that was loaded from a bundle with code remembers it."""
    content = read_json(path, "a configuration", dict, is_finite=False)
    for fields in (content, content.get("feature_extractor")):
        for name in ("auto_map", "custom_pipelines"):
            if isinstance(fields, dict):
                fields.pop(name, None)
    path.write_bytes(_json_bytes(content))


def _update_json(path: Path, **fields: Any) -> None:
    path.write_bytes(_json_bytes({**read_json(path, "a configuration", dict, is_finite=False), **fields}))


def _json_bytes(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
