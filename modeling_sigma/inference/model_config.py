"""The configuration of a saved Sigma model and its kind, or an error that says what is there instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS, ModelKind


def load_model_config(name_or_path: str | Path) -> Any:
    """Reads the configuration of a folder or Hub name. No code from there is run.

    Raises:
        ValueError: if there is no model, if it is no Sigma model, if a newer version wrote it, or if the weights in a
            local folder are missing or damaged.
        OSError: if the configuration cannot be read.
    """
    from transformers import AutoConfig

    from modeling_sigma.hub.bundle_checks import weight_problems

    path = Path(name_or_path)
    if path.is_file():
        raise ValueError(f"{path}: expected the folder of a model, found a file")
    if path.is_dir() and not (path / "config.json").is_file():
        raise ValueError(f"{path}: expected the folder of a model, found no config.json in it")
    try:
        config = AutoConfig.from_pretrained(name_or_path, trust_remote_code=False)
    except OSError as error:
        if path.is_dir():
            raise
        raise ValueError(
            f"{name_or_path}: expected a model, found no such folder, and it could not be loaded from the Hub: {error}"
        ) from error
    if config.model_type != "sigma":
        raise ValueError(f"{name_or_path}: expected a Sigma model, found one of type {config.model_type}")
    problems = list(weight_problems(path)) if path.is_dir() else []
    if problems:
        raise ValueError(f"{name_or_path} cannot be loaded: {'; '.join(problems)}")
    return config


def saved_kind(name_or_path: str | Path) -> ModelKind:
    """What kind of model a folder or Hub name holds.

    Raises:
        ValueError: as [`load_model_config`], or for a class that is not in `MODEL_KINDS`.
        OSError: if the configuration cannot be read.
    """
    architecture = (load_model_config(name_or_path).architectures or ["none"])[0]
    if architecture not in MODEL_KINDS:
        raise ValueError(f"{name_or_path}: expected one of {', '.join(MODEL_KINDS)}, found {architecture}")
    return MODEL_KINDS[architecture]
