"""Whether saved weights are whole: the files can be read, the tensors are those of the configuration, and finite."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from modeling_sigma.io.json_text import parsed_json
from modeling_sigma.model.lone_parameters_sigma import RENAMED_PARAMETERS
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS
from modeling_sigma.registration import defined_class


_NUM_SHOWN = 3


def weight_problems(folder: Path, stem: str = "model") -> list[str]:
    """What is wrong with the files of weights in a folder, as far as their headers tell.

    Args:
        folder (`Path`):
            The folder of a model, or of an adapter.
        stem (`str`, *optional*, defaults to `"model"`):
            How the names of the files begin: `"adapter_model"` for an adapter.

    Returns:
        `list[str]`: one sentence per problem; empty if every file can be read.
    """
    try:
        names = weight_files(folder, stem)
    except ValueError as error:
        return [str(error)]
    problems = []
    for name in names:
        if not (folder / name).is_file():
            problems.append(f"{name} missing: these are the weights")
            continue
        try:
            with safe_open(folder / name, framework="pt") as file:
                file.keys()
        except (SafetensorError, OSError) as error:
            problems.append(f"{name} is damaged ({error})")
    return problems


def weight_files(folder: Path, stem: str = "model") -> list[str]:
    """The files that transformers loads weights from: the single file, else the shards that the index names.

    Raises:
        ValueError: for an index that is damaged, or names anything but safetensors files of its own folder.
    """
    single, index = f"{stem}.safetensors", f"{stem}.safetensors.index.json"
    if (folder / single).exists() or not (folder / index).is_file():
        return [single]
    try:
        names = sorted(set(parsed_json((folder / index).read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is damaged ({type(error).__name__}: {error})") from error
    foreign = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
    if foreign or not names:
        raise ValueError(f"{index}: expected the names of safetensors files of this folder, found {foreign or 'none'}")
    return names


def damaged_weights(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """What is wrong with the saved weights of a model, compared with its configuration: tensors that are missing, that
    nobody expects, or that have another shape, and values that are not finite.

    The weights are read once, one tensor at a time. Of quantised weights only the values are checked: their names and
    shapes depend on the library that packed them.

    Args:
        folder (`Path`):
            The folder of a model whose files can be read (see [`weight_problems`]).
        config (`Mapping`):
            The content of its `config.json`.

    Returns:
        `list[str]`: one sentence per problem; empty for whole weights.
    """
    shapes, broken = _read(folder, "model")
    problems = _not_finite_problems(broken)
    if config.get("quantization_config"):
        return problems
    try:
        expected = expected_shapes(config)
    except Exception as error:  # of the configuration's own checks and of torch: many kinds
        reason = " ".join(str(error).split())[:200]
        return [f"config.json describes no model ({type(error).__name__}: {reason})", *problems]
    return [*shape_problems({_renamed(key): shape for key, shape in shapes.items()}, expected), *problems]


def expected_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of each tensor that the class in a `config.json` saves. No memory is taken for the weights."""
    kind = MODEL_KINDS[config["architectures"][0]]
    cls = defined_class(kind)
    with torch.device("meta"):
        model = cls(cls.config_class.from_dict(dict(config)))
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def shape_problems(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What is wrong with the names and shapes of tensors, one sentence per kind of problem."""
    problems = []
    missing = sorted(set(expected) - set(found))
    if missing:
        problems.append(f"{_some(missing)}: expected these weights, found none")
    unexpected = sorted(set(found) - set(expected))
    if unexpected:
        problems.append(f"{_some(unexpected)}: no weights of the model in config.json")
    wrong = [name for name in sorted(found) if name in expected and found[name] != expected[name]]
    if wrong:
        first = f"expected {expected[wrong[0]]}, found {found[wrong[0]]}"
        problems.append(f"{_some(wrong)}: another shape than config.json says ({first})")
    return problems


def not_finite(tensors: Iterable[tuple[str, torch.Tensor]]) -> list[str]:
    """The names of tensors with a NaN or an infinity among their values; one pass without a copy.

    Args:
        tensors (`Iterable[tuple[str, torch.Tensor]]`):
            Names and tensors, such as `model.state_dict().items()`. Integers are always finite.
    """
    return [name for name, tensor in tensors if not _is_finite(tensor)]


def _is_finite(tensor: torch.Tensor) -> bool:
    if tensor.is_meta or not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    if tensor.element_size() == 1:  # 8-bit floats know no order
        tensor = tensor.float()
    # Both ends are NaN if any value is. Some 30 times as fast as isfinite().all().
    ends = torch.stack(torch.aminmax(tensor))
    return bool(torch.isfinite(ends).all())


def adapter_problems(folder: Path) -> list[str]:
    """What is wrong with the saved weights of an adapter: values that are not finite, halves of a low-rank pair that
    do not fit each other or stand alone. What it changes is in its base model, which need not be here.

    Args:
        folder (`Path`):
            The folder of an adapter whose files can be read.
    """
    shapes, broken = _read(folder, "adapter_model")
    problems = [] if shapes else ["adapter_model.safetensors is empty"]
    pairs = sorted(
        {name.replace(".lora_B.", ".lora_A.") for name in shapes if ".lora_A." in name or ".lora_B." in name}
    )
    for first in pairs:
        halves = shapes.get(first), shapes.get(first.replace(".lora_A.", ".lora_B."))
        if None in halves or halves[0][0] != halves[1][1]:  # type: ignore[index]
            problems.append(f"{first}: expected two halves of one rank, found {halves[0]} and {halves[1]}")
    return [*problems, *_not_finite_problems(broken)]


def _read(folder: Path, stem: str) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """The shape of each saved tensor, and the names of those that are not finite."""
    shapes: dict[str, tuple[int, ...]] = {}
    broken: list[str] = []
    for name in weight_files(folder, stem):
        with safe_open(folder / name, framework="pt") as file:
            shapes.update({key: tuple(file.get_slice(key).get_shape()) for key in file.keys()})
            broken += not_finite((key, file.get_tensor(key)) for key in file.keys())
    return shapes, broken


def _not_finite_problems(names: list[str]) -> list[str]:
    return [f"{_some(names)}: expected finite weights, found NaN or infinity"] if names else []


def _renamed(name: str) -> str:
    """Today's name of a weight that version 0.1.0 called otherwise."""
    for pattern, new in RENAMED_PARAMETERS.items():
        name = re.sub(pattern, new, name)
    return name


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NUM_SHOWN} more" if len(names) > _NUM_SHOWN else ""
    return ", ".join(names[:_NUM_SHOWN]) + more
