"""The record of a run, kept with its checkpoints: what was run, on which data and machine, and the results.

| file | content |
|---|---|
| `run.json` | command (without secrets and local paths), seed, versions, hardware, sizes, fingerprints of the data |
| `config.yaml` | every field that differs from its default: `finetune.py config.yaml` runs it again |
| `log.jsonl` | the log, line by line |
| `metrics.json` | scores of the splits |
| `curves.png` | loss, learning rate and scores over the steps |
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import math
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import torch
import yaml

from modeling_sigma.hub.private_facts import public_command, public_fields
from modeling_sigma.jobs.atomic_files import atomic_file, write_text


logger = logging.getLogger(__name__)

# Fields whose empty value means something: no augmentation, instead of the checkpoint's.
_MAY_BE_EMPTY = ("augmentation",)
_LIBRARIES = ("sigma-slu", "torch", "transformers", "accelerate", "datasets", "peft", "numpy")


class RunFolder:
    """Files of one run in its output folder.

    Args:
        path (`str` or `Path`):
            The output folder.
        is_writer (`bool`, *optional*, defaults to `True`):
            Whether this process writes; False if another one does.
    """

    def __init__(self, path: str | Path, is_writer: bool = True) -> None:
        self.path = Path(path)
        self.is_writer = is_writer

    def start(self, arguments: Sequence[Any], model: torch.nn.Module, data: Mapping[str, Any]) -> None:
        """Writes `run.json` and `config.yaml`.

        Args:
            arguments (`Sequence`):
                The dataclasses with the run's options.
            model (`nn.Module`):
                The model to be trained.
            data (`Mapping[str, Any]`):
                The fingerprint of each split.
        """
        if not self.is_writer:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        sizes = {"parameters": sum(parameter.numel() for parameter in model.parameters())}
        sizes["trainable"] = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        run = {
            "command": f"{Path(sys.executable).name} {public_command(sys.argv)}",
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "seed": next((entry.seed for entry in arguments if hasattr(entry, "seed")), None),
            "versions": versions(),
            "hardware": hardware(),
            "model": {"class": type(model).__name__, **sizes},
            "data": dict(data),
        }
        self.write("run.json", run)
        changed: dict[str, Any] = {}
        for entry in arguments:
            changed.update(changed_fields(entry))
        write_text(
            self.path / "config.yaml", yaml.safe_dump(public_fields(changed), sort_keys=False, allow_unicode=True)
        )

    def write(self, name: str, content: Any) -> None:
        """Writes a JSON file, which is complete or not there at all."""
        if self.is_writer:
            write_text(self.path / name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def append_log(self, line: Mapping[str, Any]) -> None:
        """Adds a line to `log.jsonl`. A full disk does not end the run."""
        if not self.is_writer:
            return
        with self._unless_full("log.jsonl"):
            self.path.mkdir(parents=True, exist_ok=True)
            with open(self.path / "log.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(dict(line)) + "\n")

    def draw_curves(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Draws `curves.png`, once a value has been logged twice. A full disk does not end the run."""
        from modeling_sigma.viz.training_curves import collect_curves, draw_training_curves

        curves = collect_curves(history)
        if self.is_writer and any(len(points) > 1 for points in curves.values()):
            picture = draw_training_curves(curves)
            with self._unless_full("curves.png"), atomic_file(self.path / "curves.png") as temporary:
                picture.save(temporary)

    @contextmanager
    def _unless_full(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            logger.warning("%s cannot be written (%s): the run goes on without it", self.path / name, error)


def changed_fields(entry: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults, as plain values."""
    changed = {}
    for field in fields(entry):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        value = getattr(entry, field.name)
        is_unset = default is None and value in ({}, []) and field.name not in _MAY_BE_EMPTY
        if field.init and value != default and not is_unset:
            plain = _plain(value)
            if plain is not None:
                changed[field.name] = plain
    return changed


def _plain(value: Any) -> Any:
    value = getattr(value, "value", value)  # enumerations of transformers
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None  # objects that transformers derives from other fields


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that the run uses."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """The hardware that the run computes on."""
    found: dict[str, Any] = {
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        found["gpus"] = [torch.cuda.get_device_name(number) for number in range(count)]
    found["processes"] = int(os.environ.get("WORLD_SIZE", "1"))
    return found
