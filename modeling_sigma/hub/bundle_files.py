"""Which files of a folder a bundle consists of. Everything else stays at home, whatever it is called."""

from __future__ import annotations

import ast
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modeling_sigma.hub.bundle import remote_code_files
from modeling_sigma.hub.card_facts import FACTS_FILE, RESULTS_FILE, read_facts, read_measurements
from modeling_sigma.hub.weight_checks import weight_files


CARD = "README.md"
PROCESSOR_FILES = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "chat_template.jinja",
)
_MODEL_FILES = ("config.json", "generation_config.json")
_ADAPTER_FILES = ("adapter_config.json", "config.json")
_LICENSE_FILES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "NOTICE")
# What the card was made from: sent where it is what its name says.
_CARD_SOURCES = {FACTS_FILE: read_facts, RESULTS_FILE: read_measurements}


def bundle_files(folder: Path, config: Mapping[str, Any], is_adapter: bool) -> list[str]:
    """The names of the files in a folder that are sent, in order: configuration, weights, processor, code, card.

    Args:
        folder (`Path`):
            The folder of a model or an adapter.
        config (`Mapping`):
            The content of its `config.json`, or of `adapter_config.json`.
        is_adapter (`bool`):
            Whether it is an adapter: it has no code.

    Raises:
        ValueError: for an index of shards that is damaged.
    """
    stem = "adapter_model" if is_adapter else "model"
    weights = weight_files(folder, stem)
    names = [
        *(_ADAPTER_FILES if is_adapter else _MODEL_FILES),
        *weights,
        *([] if weights == [f"{stem}.safetensors"] else [f"{stem}.safetensors.index.json"]),
        *PROCESSOR_FILES,
        *([] if is_adapter else sorted(code_files(folder, config))),
        CARD,
        *_pictures(folder / CARD),
        *_LICENSE_FILES,
        *(name for name in _CARD_SOURCES if _is_card_source(folder / name)),
    ]
    return [name for name in names if os.path.lexists(folder / name)]


def code_files(folder: Path, config: Mapping[str, Any]) -> set[str]:
    """The modules that the maps of a `config.json` name, and all that these import from the folder, there or not.

    Empty for a configuration without maps: [`remote_code`] then writes what is sent.
    """
    if not config.get("auto_map"):
        return set()
    pipelines = config.get("custom_pipelines") or {}
    named = [*config["auto_map"].values(), *(task.get("impl", "") for task in pipelines.values())]
    waiting = {str(name).split("--")[-1].split(".")[0] for name in named}
    seen: set[str] = set()
    while waiting - seen:
        module = min(waiting - seen)
        seen.add(module)
        waiting |= set(_siblings(folder / f"{module}.py"))
    found = {f"{module}.py" for module in seen if module.isidentifier()}
    return found | {path.name for path in remote_code_files() if (folder / path.name).exists()}


def _siblings(path: Path) -> Iterator[str]:
    """The modules of its own folder that a file imports; none if it is not a Python file."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8")) if is_plain_file(path) else ast.Module([], [])
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            yield from [node.module] if node.module else [alias.name for alias in node.names]


def _pictures(card: Path) -> Iterator[str]:
    """The pictures beside a card that it shows."""
    text = card.read_text(encoding="utf-8", errors="replace") if is_plain_file(card) else ""
    shown = re.findall(r"!\[[^\]]*\]\(([^)\s/\\]+\.png)\)", text)
    yield from (name for name in dict.fromkeys(shown) if not name.startswith("."))


def _is_card_source(path: Path) -> bool:
    if not is_plain_file(path):
        return os.path.lexists(path)  # named as a link where there is one
    try:
        _CARD_SOURCES[path.name](path)
    except (ValueError, TypeError, OSError, AttributeError):
        return False
    return True


def is_plain_file(path: Path) -> bool:
    """Whether a path is a file of its own folder: no link, whatever it points at, no pipe and no device."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def file_stamps(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name -> what tells whether a file of a folder was changed or replaced: its number on the disk, size and time."""
    states = {path.name: os.lstat(path) for path in folder.iterdir()} if folder.is_dir() else {}
    return {name: (state.st_ino, state.st_size, state.st_mtime_ns) for name, state in states.items()}
