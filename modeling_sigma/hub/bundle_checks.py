"""Checks of a folder before it is published: a complete bundle, not written by a newer version, without pickles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_sigma.hub.bundle_config import check_version, read_config
from modeling_sigma.hub.bundle_files import bundle_files, code_files, is_plain_file
from modeling_sigma.hub.weight_checks import adapter_problems, damaged_weights, weight_problems
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS, ModelKind


_LINK = "{} is a link or no plain file: put the file itself there, so that nothing from elsewhere is sent"
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy"})
# What trainers leave beside a model: never sent, and no reason to refuse the rest.
TRAINING_LEFTOVERS = frozenset({"training_args.bin", "optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt"})


@dataclass(frozen=True)
class CheckedBundle:
    """A folder that may be published.

    Args:
        folder (`Path`): The folder.
        config (`dict`): Its `config.json`, or for an adapter its `adapter_config.json`.
        files (`tuple[Path, ...]`): What is sent, relative to the folder, in order.
        left_out (`tuple[Path, ...]`): What stays in the folder.
    """

    folder: Path
    config: dict[str, Any]
    files: tuple[Path, ...]
    left_out: tuple[Path, ...]

    @property
    def is_adapter(self) -> bool:
        """Whether it is a PEFT adapter, which needs its base model."""
        return _is_adapter(self.folder)

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file that is sent."""
        return {path.as_posix(): (self.folder / path).stat().st_size for path in self.files}


def check_bundle(folder: str | Path) -> CheckedBundle:
    """Checks a folder and lists which of its files would be published.

    Raises:
        ValueError: if it is not a bundle, if it is incomplete or damaged, if a newer version of this package wrote it,
            or if it holds pickles or links. The message lists everything that is wrong.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: expected the folder of a model, found {'a file' if folder.exists() else 'nothing'}"
        )
    is_adapter = _is_adapter(folder)
    name = "adapter_config.json" if is_adapter else "config.json"
    if (folder / name).is_file() and not is_plain_file(folder / name):
        raise ValueError(f"{folder} cannot be published: {_LINK.format(name)}")
    config = read_config(folder, name)
    check_version(config, folder)
    if is_adapter and (folder / "config.json").is_file():  # the first configuration is PEFT's, which has no version
        check_version(read_config(folder, "config.json"), folder)
    problems = [*_pickles(folder), *(_adapter_problems(config) if is_adapter else _model_problems(folder, config))]
    unreadable = weight_problems(folder, "adapter_model" if is_adapter else "model")
    sent = [] if unreadable else bundle_files(folder, config, is_adapter)
    problems += [*unreadable, *_links(folder, sent)]
    if not problems:
        problems = adapter_problems(folder) if is_adapter else damaged_weights(folder, config)
    if problems:
        raise ValueError(f"{folder} cannot be published: " + "; ".join(problems))
    left_out = sorted(path.name for path in folder.iterdir() if path.name not in sent)
    return CheckedBundle(folder, config, tuple(map(Path, sent)), tuple(map(Path, left_out)))


def _is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file()


def _links(folder: Path, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if not is_plain_file(folder / name):
            yield _LINK.format(name)


def _pickles(folder: Path) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        if path.name in TRAINING_LEFTOVERS or path.name.startswith("rng_state"):
            continue
        if path.suffix.lower() in PICKLE_SUFFIXES:
            yield f"{path.name} may hold a pickle, which runs code when it is loaded: save weights as safetensors"


def _model_problems(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    architecture = (config.get("architectures") or ["none"])[0]
    kind = MODEL_KINDS.get(architecture)
    if kind is None:
        yield f"expected architectures in config.json among {', '.join(MODEL_KINDS)}, found {architecture}"
        return
    missing = [name for name in _required_files(kind) if not (folder / name).is_file()]
    if missing:
        yield f"{', '.join(missing)} missing: save model and processor with modeling_sigma.save_bundle"
    if has_code(config):
        yield from _code_problems(folder, config)


def has_code(config: Mapping[str, Any]) -> bool:
    """Whether a `config.json` names the modules that load it without this package."""
    return bool(config.get("auto_map"))


def _required_files(kind: ModelKind) -> Iterator[str]:
    """What this kind of model cannot be used without."""
    yield "preprocessor_config.json"
    if not kind.has_labels:
        yield from ("processor_config.json", "tokenizer_config.json", "tokenizer.json")
    if kind.writes:
        yield "generation_config.json"


def _code_problems(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """Every class that the maps name, and every module that those files import, is in the folder."""
    for name in sorted(code_files(folder, config)):
        if not (folder / name).is_file():
            yield f"{name} missing: its code would not load elsewhere"
            continue
        try:
            ast.parse((folder / name).read_text(encoding="utf-8"))
        except (SyntaxError, ValueError) as error:
            yield f"{name} is not a Python file ({error})"


def is_hub_name(base: str | None) -> bool:
    """Whether others find a model under this name: `ORG/NAME`, and no folder of this machine."""
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", str(base)) is not None and not Path(str(base)).exists()


def _adapter_problems(config: Mapping[str, Any]) -> Iterator[str]:
    base = config.get("base_model_name_or_path")
    if not is_hub_name(base):
        yield (
            f"the adapter's base model is {base!r}, which nobody else can find: publish the base model first, and set "
            "base_model_name_or_path in adapter_config.json to its name on the Hub"
        )
