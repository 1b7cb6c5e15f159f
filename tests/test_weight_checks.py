"""Weights that are damaged, incomplete or of another model are found before they are published."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling_sigma import save_bundle
from modeling_sigma.hub.bundle_checks import check_bundle
from modeling_sigma.hub.weight_checks import damaged_weights, not_finite, weight_problems
from modeling_sigma.model.lone_parameters_sigma import RENAMED_PARAMETERS
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS
from modeling_sigma.registration import defined_class
from tests.factories import tiny_model, tiny_processor


Tensors = dict[str, torch.Tensor]
LAYER = "encoder.block.0.layer.0.SelfAttention.q.weight"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bundle(tiny_model(), tiny_processor(), tmp_path_factory.mktemp("saved") / "sigma-slu")


@pytest.fixture
def bundle(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "sigma-slu"))


def _config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def _change(folder: Path, change: Callable[[Tensors], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("name", MODEL_KINDS)
def test_what_every_class_saves_is_whole(name: str, tmp_path: Path) -> None:
    kind = MODEL_KINDS[name]
    tiny_model(defined_class(kind), **({"num_labels": 3} if kind.has_labels else {})).save_pretrained(tmp_path)
    assert damaged_weights(tmp_path, _config(tmp_path)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[LAYER].fill_(float("nan")), f"{LAYER}: expected finite weights, found NaN or infinity"),
        (lambda t: t[LAYER][3, 5].fill_(float("inf")), f"{LAYER}: expected finite weights"),
        (lambda t: t[LAYER][0, 0].fill_(float("-inf")), f"{LAYER}: expected finite weights"),
        (lambda t: t.pop(LAYER), f"{LAYER}: expected these weights, found none"),
        (lambda t: t.update({"letter.weight": torch.ones(2)}), "letter.weight: no weights of the model"),
        (lambda t: t.update({LAYER: t[LAYER][:, :-1].contiguous()}), r"expected \(\d+, \d+\), found \(\d+, \d+\)"),
        (lambda t: t.clear(), r"expected these weights, found none"),
    ],
    ids=["nan", "infinite", "minus infinite", "missing", "unexpected", "another shape", "empty"],
)
def test_damaged_weights_are_refused(change: Callable[[Tensors], Any], message: str, bundle: Path) -> None:
    _change(bundle, change)
    with pytest.raises(ValueError, match=f"cannot be published: .*{message}"):
        check_bundle(bundle)


def test_a_configuration_of_another_size_is_refused(bundle: Path) -> None:
    config = _config(bundle)
    config["text_config"]["d_ff"] *= 2
    (bundle / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"and \d+ more: another shape than config.json says"):
        check_bundle(bundle)
    (bundle / "config.json").write_text(json.dumps({**config, "alpha": 7.0}))
    with pytest.raises(ValueError, match="config.json describes no model .*expected alpha between 0 and 1"):
        check_bundle(bundle)


def test_shards_are_checked_together(bundle: Path, tmp_path: Path) -> None:
    (bundle / "model.safetensors").unlink()
    tiny_model().save_pretrained(tmp_path / "sharded", max_shard_size="200kB")
    for path in (tmp_path / "sharded").glob("model*"):
        path.rename(bundle / path.name)
    assert damaged_weights(bundle, _config(bundle)) == []
    shard = sorted(bundle.glob("model-*.safetensors"))[-1]
    tensors = load_file(shard)
    first = sorted(tensors)[0]
    save_file({**tensors, first: torch.full_like(tensors[first], float("nan"))}, shard)
    assert damaged_weights(bundle, _config(bundle)) == [f"{first}: expected finite weights, found NaN or infinity"]


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": "../x.safetensors"}}']
)
def test_a_damaged_index_is_one_sentence(content: str, bundle: Path) -> None:
    (bundle / "model.safetensors").rename(bundle.parent / "x.safetensors")
    (bundle / "model.safetensors.index.json").write_text(content)
    (problem,) = weight_problems(bundle)
    assert problem.startswith("model.safetensors.index.json")


def test_names_of_the_first_version_are_known(bundle: Path) -> None:
    old = {new: pattern.strip("^$") for pattern, new in RENAMED_PARAMETERS.items()}
    _change(bundle, lambda t: [t.update({old[name]: t.pop(name)}) for name in list(t) if name in old])
    assert set(old.values()) & set(load_file(bundle / "model.safetensors"))
    assert damaged_weights(bundle, _config(bundle)) == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float64])
def test_every_kind_of_float_is_looked_at(dtype: torch.dtype) -> None:
    good, bad = torch.ones(9).to(dtype), torch.tensor([1.0, float("nan")]).to(dtype)
    tensors = {"good": good, "bad": bad, "whole": torch.ones(3, dtype=torch.int8), "none": torch.ones(0).to(dtype)}
    assert not_finite(tensors.items()) == ["bad"]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "is empty"),
        ({"q.lora_A.weight": np.zeros((4, 8), np.float32)}, "expected two halves of one rank"),
        (
            {"q.lora_A.weight": np.zeros((4, 8), np.float32), "q.lora_B.weight": np.zeros((8, 2), np.float32)},
            r"q.lora_A.weight: expected two halves of one rank, found \(4, 8\) and \(8, 2\)",
        ),
        (
            {"q.lora_A.weight": np.full((4, 8), np.nan, np.float32), "q.lora_B.weight": np.zeros((8, 4), np.float32)},
            "q.lora_A.weight: expected finite weights",
        ),
    ],
)
def test_adapters_are_checked(tensors: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    from safetensors.numpy import save_file as save_arrays

    save_arrays(tensors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "my-lab/sigma-slu"}))
    with pytest.raises(ValueError, match=message):
        check_bundle(tmp_path)
