"""The configuration of a saved Sigma model and its kind, or an error that says what is there instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modeling_sigma.conversion.export_bundle import is_bundle, read_bundle
from modeling_sigma.hub.shipped_files import model_folder
from modeling_sigma.io.reading_errors import one_line
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS, ModelKind


def load_model_config(name_or_path: str | Path) -> Any:
    """Reads the configuration of a folder or Hub name. No code from there is run.

    Raises:
        ValueError: if there is no model, if it is no Sigma model, if a newer version wrote it, or if the weights in a
            local folder are missing or damaged.
        OSError: if the configuration cannot be read.
    """
    from transformers import AutoConfig

    from modeling_sigma.hub.bundle_config import read_config
    from modeling_sigma.hub.weight_checks import weight_problems

    name_or_path = model_folder(str(name_or_path))
    path = Path(name_or_path)
    if (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        raise ValueError(
            f"{path}: expected a whole model, found an adapter: load it on its base model and merge them, "
            "model.merge_and_unload(), then save the result"
        )
    if path.is_file():
        raise ValueError(f"{path}: expected the folder of a model, found a file")
    if path.is_dir() and not (path / "config.json").is_file():
        raise ValueError(f"{path}: expected the folder of a model, found no config.json in it")
    if not path.exists() and not _can_be_a_hub_name(str(name_or_path)):
        raise ValueError(f"{name_or_path}: expected a model, found no such folder: check the path")
    try:
        with naming_model(name_or_path):
            if path.is_dir():
                read_config(path, "config.json")
            config = AutoConfig.from_pretrained(name_or_path, trust_remote_code=False)
    except OSError as error:
        if path.is_dir():
            raise
        raise ValueError(
            f"{name_or_path}: expected a model, found no such folder in {Path.cwd()}, and the Hub did not return it: "
            f"check the path, or give the full one ({error})"
        ) from error
    if config.model_type != "sigma":
        raise ValueError(
            f"{name_or_path}: expected a Sigma model, found one of type {config.model_type}: give the folder of a "
            "Sigma model; convert-checkpoint makes one from a released checkpoint"
        )
    problems = weight_problems(path) if path.is_dir() else []
    if problems:
        raise ValueError(f"{name_or_path} cannot be loaded: {'; '.join(problems)}")
    return config


@contextmanager
def naming_model(name_or_path: str | Path) -> Iterator[None]:
    """Says which model it was whose files hold something else than they should, wherever that shows.

    Raises:
        ValueError: in place of the errors that come of wrong types and values, missing fields and absurd nesting.
    """
    from huggingface_hub.errors import StrictDataclassError

    wrong_content = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError)
    try:
        yield
    except (StrictDataclassError, *wrong_content) as error:
        if isinstance(error, ValueError) and str(name_or_path) in str(error):
            raise
        raise ValueError(
            f"{name_or_path}: cannot be loaded ({type(error).__name__}: {one_line(error)[:200]}): one of its files "
            "holds something else than it should: save or download the model again"
        ) from error


def _can_be_a_hub_name(name: str) -> bool:
    """Whether the Hub is worth asking: `name` or `org/name`, unlike an absolute path, `./name` or a longer path."""
    return re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", name) is not None


def saved_kind(name_or_path: str | Path) -> ModelKind:
    """What kind of model a folder or Hub name holds; of an exported model, what it was.

    Raises:
        ValueError: as [`load_model_config`], or for a class that is not in `MODEL_KINDS`.
        OSError: if the configuration cannot be read.
    """
    if is_bundle(name_or_path):
        architecture = read_bundle(name_or_path).facts["architecture"]
    else:
        architecture = (load_model_config(name_or_path).architectures or ["none"])[0]
    if architecture not in MODEL_KINDS:
        raise ValueError(f"{name_or_path}: expected one of {', '.join(MODEL_KINDS)}, found {architecture}")
    return MODEL_KINDS[architecture]
