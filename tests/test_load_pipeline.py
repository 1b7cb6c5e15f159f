"""`load_pipeline`: every kind of model from a folder, and a new kind from one entry and one class."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.utils import logging

import modeling_sigma.model
from modeling_sigma import (
    SigmaConfig,
    SigmaFeatureExtractor,
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForPreTraining,
    SigmaForSequenceClassification,
    SigmaModel,
    load_pipeline,
    register_sigma,
    save_bundle,
)
from modeling_sigma.cli.main import main
from modeling_sigma.io import save_clip
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS, ModelKind
from modeling_sigma.registration import defined_class
from tests.factories import random_clip, tiny_config, tiny_model, tiny_processor


LABELS = {0: "hello", 1: "rain", 2: "snow"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for cls in (SigmaForConditionalGeneration, SigmaForPreTraining, SigmaModel):
        save_bundle(tiny_model(cls), tiny_processor(), folder / cls.__name__)
    for cls in (SigmaForSequenceClassification, SigmaForCTC):
        model = tiny_model(cls, use_prompt=False, id2label=LABELS)
        save_bundle(model, SigmaFeatureExtractor(), folder / cls.__name__)
    return folder


@pytest.mark.parametrize(
    ("cls", "task", "loaded"),
    [
        (SigmaForConditionalGeneration, "sign-language-translation", SigmaForConditionalGeneration),
        (SigmaForPreTraining, "sign-language-translation", SigmaForConditionalGeneration),
        (SigmaModel, "sign-text-retrieval", SigmaModel),
        (SigmaForSequenceClassification, "isolated-sign-recognition", SigmaForSequenceClassification),
        (SigmaForCTC, "continuous-sign-recognition", SigmaForCTC),
    ],
)
def test_the_task_is_what_the_model_is_for(cls: type, task: str, loaded: type, folder: Path) -> None:
    pipe = load_pipeline(folder / cls.__name__)
    assert (pipe.task, type(pipe.model)) == (task, loaded)


def test_another_task_device_and_precision(folder: Path) -> None:
    pipe = load_pipeline(
        str(folder / "SigmaForPreTraining"), "sign-text-retrieval", torch.device("cpu"), torch.bfloat16
    )
    assert (type(pipe.model), pipe.model.dtype, pipe.device.type) == (SigmaModel, torch.bfloat16, "cpu")
    assert pipe(random_clip(), texts=["hello", "rain"], top_k=1)[0]["text"] in ("hello", "rain")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "SigmaForCTC",
            {"task": "sign-language-translation"},
            r"model for sign-language-translation \(SigmaForPre",
        ),
        ("SigmaModel", {"task": "translation"}, "expected a task among sign-language-translation, .*'translation'"),
        ("SigmaModel", {"device": "gpuu"}, "expected a device of this machine .*received 'gpuu'"),
        ("nowhere", {}, "nowhere: expected a model, found no such folder"),
    ],
)
def test_what_cannot_answer_is_refused_in_one_line(
    name: str, options: dict[str, Any], message: str, folder: Path
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load_pipeline(folder / name, **options)
    assert "\n" not in str(caught.value)


def test_each_kind_has_an_auto_class_of_its_own() -> None:
    """transformers registers one class for each: the last kind would also load the checkpoints of the first."""
    auto_classes = [kind.auto_class for kind in MODEL_KINDS.values()]
    assert len(set(auto_classes)) == len(auto_classes)


def test_a_path_is_not_looked_for_on_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(name: str, **options: Any) -> Any:
        asked.append(name)
        raise OSError("no connection")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", ask)
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "nowhere", "./nowhere", "runs/wlasl/nowhere"):
        with pytest.raises(ValueError, match="nowhere: expected a model, found no such folder: check the path$"):
            load_pipeline(path)
    assert asked == []
    with pytest.raises(ValueError) as caught:
        load_pipeline("checkpoints/nowhere")
    assert asked == ["checkpoints/nowhere"]
    assert f"no such folder in {tmp_path}, and the Hub did not return it: check the path" in str(caught.value)


def test_a_class_that_nobody_knows(folder: Path, tmp_path: Path) -> None:
    save_bundle(tiny_model(), tiny_processor(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["SigmaForCooking"]}))
    with pytest.raises(ValueError, match="expected one of SigmaModel, .* found SigmaForCooking"):
        load_pipeline(tmp_path)


def test_the_user_s_logging_is_left_alone(folder: Path) -> None:
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_pipeline(folder / "SigmaForCTC")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


# --- a new kind of model

TOY = '''"""A head of somebody's own: the longer a clip, the later its label in the alphabet."""

import torch
from transformers.modeling_outputs import SequenceClassifierOutput

from .modeling_sigma_heads import SigmaForSequenceClassification


class SigmaForToys(SigmaForSequenceClassification):
    def forward(self, pose_values, pose_attention_mask=None, **kwargs):
        distance = pose_values.shape[1] // 10 - torch.arange(self.config.num_labels)
        return SequenceClassifierOutput(logits=-distance.abs()[None].float())
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One file with a class, and one entry of the table; and what both are made of is gone afterwards."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "modeling_toy_sigma.py").write_text(TOY)
    monkeypatch.setattr(modeling_sigma.model, "__path__", [*modeling_sigma.model.__path__, str(tmp_path / "code")])
    kind = ModelKind(
        "SigmaForToys",
        "modeling_toy_sigma",
        "AutoModelForTokenClassification",
        ("isolated-sign-recognition",),
        label_layer="classifier",
    )
    monkeypatch.setitem(MODEL_KINDS, kind.class_name, kind)
    register_sigma()
    yield defined_class(kind)
    del transformers.AutoModelForTokenClassification._model_mapping._extra_content[SigmaConfig]
    sys.modules.pop("modeling_sigma.model.modeling_toy_sigma")


def test_a_new_kind_is_one_entry_and_one_class(toy: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = toy(tiny_config(use_prompt=False, id2label=LABELS)).eval()
    folder = save_bundle(model, SigmaFeatureExtractor(), tmp_path / "toys")
    config = json.loads((folder / "config.json").read_text())
    assert config["auto_map"]["AutoModelForTokenClassification"] == "modeling_toy_sigma.SigmaForToys"
    assert config["custom_pipelines"]["isolated-sign-recognition"]["pt"] == ["AutoModelForTokenClassification"]
    assert (folder / "modeling_toy_sigma.py").read_text() == TOY
    recognize = load_pipeline(folder)
    assert type(recognize.model) is toy
    assert [recognize(random_clip(length))[0]["label"] for length in (5, 15, 25)] == ["hello", "rain", "snow"]
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# Toys\n")
    assert main(["publish", str(folder), "lab/toys", "--dry-run", "--json"]) == 0
    assert "modeling_toy_sigma.py" in json.loads(capsys.readouterr().out)["files"]
    save_clip(tmp_path / "clip.npz", random_clip(15))
    assert main(["predict", "--model", str(folder), str(tmp_path / "clip.npz")]) == 0
    assert capsys.readouterr().out.split("\t")[0] == "rain"


# --- damaged weights


def _damage(folder: Path, kind: str, name: str) -> None:
    weights = load_file(folder / "model.safetensors")
    if kind in ("nan", "infinite"):
        weights[name].view(-1)[-1] = float("nan") if kind == "nan" else float("inf")
    elif kind == "missing":
        del weights[name]
    elif kind == "unexpected":
        weights["another.weight"] = torch.zeros(3)
    else:
        weights[name] = weights[name][:1].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("cls", [SigmaForConditionalGeneration, SigmaForCTC, SigmaModel])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", r"expected finite weights, found NaN or infinity in 1 of them \({name}, ...\): the file is damaged"),
        ("infinite", r"expected finite weights, found NaN or infinity in 1 of them \({name}, ...\)"),
        ("missing", r"cannot be loaded: {name}: expected these weights, found none"),
        ("unexpected", r"cannot be loaded: another.weight: no weights of the model in config.json"),
        ("shape", r"cannot be loaded: {name}: another shape than config.json says"),
    ],
)
def test_damaged_weights_are_refused(
    cls: type, kind: str, message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "model"
    shutil.copytree(folder / cls.__name__, damaged)
    name = "pose_encoder.part_bias" if kind == "shape" else "encoder.block.0.layer.0.SelfAttention.k.weight"
    _damage(damaged, kind, name)
    with pytest.raises(ValueError, match=message.format(name=name)):
        load_pipeline(damaged)
    save_clip(tmp_path / "clip.npz", random_clip(5))
    assert main(["predict", str(tmp_path / "clip.npz"), "--model", str(damaged)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and re.search(message.format(name=name), err)


@pytest.mark.parametrize("cls", [SigmaForSequenceClassification, SigmaForCTC])
def test_scores_that_are_no_numbers_are_no_answer(cls: type, folder: Path) -> None:
    """Finite weights, but so large that their products are not."""
    pipe = load_pipeline(folder / cls.__name__)
    with torch.no_grad():
        pipe.model.get_parameter("ctc_head.weight" if cls is SigmaForCTC else "classifier.weight").fill_(3e38)
    with pytest.raises(ValueError, match="expected numbers, .* computed NaN or infinity: its weights are damaged"):
        pipe(random_clip())
