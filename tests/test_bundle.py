"""What `save_bundle` writes, and that `AutoX.from_pretrained` reads it with the package imported."""

import ast
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForCTC,
    AutoModelForPreTraining,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoProcessor,
    AutoTokenizer,
    pipeline,
)
from transformers.pipelines import PIPELINE_REGISTRY

import modeling_sigma
from modeling_sigma import (
    SigmaConfig,
    SigmaFeatureExtractor,
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForPreTraining,
    SigmaForSequenceClassification,
    SigmaModel,
    SigmaProcessor,
    load_pipeline,
    register_sigma,
    save_bundle,
)
from modeling_sigma.cli import main as cli
from modeling_sigma.hub.bundle import auto_map, custom_pipelines, remote_code, remote_code_files
from modeling_sigma.io import save_clip
from modeling_sigma.model.model_kinds_sigma import FEATURES, PIPELINE_KINDS, SEGMENTATION, TRANSCRIPTION
from tests.factories import random_clips, tiny_inputs, tiny_model, tiny_processor


MODELS = [
    (SigmaForConditionalGeneration, AutoModelForSeq2SeqLM),
    (SigmaForSequenceClassification, AutoModelForSequenceClassification),
    (SigmaForCTC, AutoModelForCTC),
    (SigmaForPreTraining, AutoModelForPreTraining),
    (SigmaModel, AutoModel),
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "sigma-slu"
    return save_bundle(tiny_model(), tiny_processor(scale_reference="hands", max_frames=20), folder)


# --- what a bundle holds


def test_a_bundle_holds_weights_processor_and_code(bundle: Path) -> None:
    names = {path.name for path in bundle.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors"} <= names
    assert {"preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json"} <= names
    assert {path.name for path in remote_code_files()} <= names
    assert not {"__init__.py", "registration_sigma.py"} & names
    assert not any(path.is_dir() for path in bundle.iterdir()), "remote code is flat"


def test_code_in_a_bundle_is_complete(bundle: Path) -> None:
    """Every sibling that a file imports came with it, and every class of the maps exists."""
    for path in bundle.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        siblings = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
        assert all((bundle / f"{name}.py").is_file() for name in siblings), path.name
    implementations = [tuple(str(name).split(".")) for name in auto_map().values()]
    implementations += [(kind.module, kind.class_name) for kind in PIPELINE_KINDS.values()]
    for module, name in implementations:
        tree = ast.parse((bundle / f"{module}.py").read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def test_configuration_names_the_code(bundle: Path) -> None:
    config = json.loads((bundle / "config.json").read_text())
    assert config["auto_map"] == auto_map()
    expected = [task for task in PIPELINE_KINDS if task not in ("sign-text-retrieval", TRANSCRIPTION, SEGMENTATION)]
    assert list(config["custom_pipelines"]) == expected, "a model that writes serves all but retrieval and times"
    assert all(task["pt"] == ["AutoModelForSeq2SeqLM"] for task in config["custom_pipelines"].values())
    for name in ("preprocessor_config.json", "processor_config.json"):
        found = json.loads((bundle / name).read_text())["auto_map"]
        assert found == {auto: auto_map()[auto] for auto in ("AutoFeatureExtractor", "AutoProcessor")}


@pytest.mark.parametrize(
    ("cls", "task", "auto"),
    [
        (SigmaForSequenceClassification, "isolated-sign-recognition", "AutoModelForSequenceClassification"),
        (SigmaForCTC, "continuous-sign-recognition", "AutoModelForCTC"),
    ],
)
def test_label_heads_have_their_own_task(cls: type, task: str, auto: str, tmp_path: Path) -> None:
    model = tiny_model(cls, use_prompt=False, num_labels=3)
    save_bundle(model, SigmaFeatureExtractor(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert list(config["custom_pipelines"]) == [task, TRANSCRIPTION, FEATURES]
    assert all(served["pt"] == [auto] for served in config["custom_pipelines"].values())
    assert not (tmp_path / "tokenizer.json").exists()
    extractor = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert extractor["processor_class"] == "SigmaFeatureExtractor"
    (implementation,) = {config["auto_map"]["AutoProcessor"], *extractor["auto_map"].values()}
    assert implementation == auto_map()["AutoFeatureExtractor"]
    assert type(AutoFeatureExtractor.from_pretrained(tmp_path)) is SigmaFeatureExtractor


def test_two_encoders_serve_retrieval() -> None:
    served = custom_pipelines("SigmaModel")
    assert list(served) == ["sign-text-retrieval", FEATURES]
    assert all(entry["pt"] == ["AutoModel"] for entry in served.values())
    assert set(custom_pipelines("SigmaForPreTraining")) == set(PIPELINE_KINDS) - {TRANSCRIPTION, SEGMENTATION}


def test_a_folder_without_code_loads_with_the_package(bundle: Path, tmp_path: Path) -> None:
    save_bundle(tiny_model(), tiny_processor(scale_reference="hands", max_frames=20), tmp_path, include_code=False)
    assert {path.name for path in tmp_path.iterdir()} == {
        path.name for path in bundle.iterdir() if path.suffix != ".py"
    }
    for path in tmp_path.glob("*.json"):
        assert not {"auto_map", "custom_pipelines"} & set(json.loads(path.read_text(encoding="utf-8"))), path.name
    _check_all(*_load_all(tmp_path))
    translate = pipeline("sign-language-translation", model=str(tmp_path))
    assert type(translate.model) is SigmaForConditionalGeneration
    added = remote_code(tmp_path)
    assert {path.name for path in bundle.glob("*.py")} < set(added)
    for name, content in added.items():
        before = (bundle / name).read_bytes()
        assert json.loads(content) == json.loads(before) if name.endswith(".json") else content == before, name


def test_a_model_with_code_is_saved_without_it(bundle: Path, tmp_path: Path) -> None:
    """Loaded from a bundle, model and processor remember its code; the new folder has none to name."""
    processor = AutoProcessor.from_pretrained(bundle)
    save_bundle(SigmaForConditionalGeneration.from_pretrained(bundle), processor, tmp_path, include_code=False)
    for path in tmp_path.glob("*.json"):
        assert "auto_map" not in path.read_text(encoding="utf-8"), path.name
        assert "custom_pipelines" not in path.read_text(encoding="utf-8"), path.name
    _check_all(*_load_all(tmp_path))


def test_saving_again_replaces(tmp_path: Path) -> None:
    for seed in (1, 2):
        assert save_bundle(tiny_model(seed=seed), tiny_processor(), str(tmp_path / "new")) == tmp_path / "new"
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "new")
    assert torch.equal(loaded.lm_head.weight, tiny_model(seed=2).lm_head.weight)


def test_a_loaded_bundle_can_be_saved_again(bundle: Path, tmp_path: Path) -> None:
    model, processor = AutoModelForSeq2SeqLM.from_pretrained(bundle), AutoProcessor.from_pretrained(bundle)
    save_bundle(model, processor, tmp_path)
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (bundle, tmp_path))
    for config in (before, after):  # transformers notes the dtype of a loaded model in more places
        for part in (config, config["text_config"], config["pose_config"]):
            part.pop("dtype", None)
    assert before == after
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in bundle.iterdir()}


def test_the_license_in_a_bundle_of_the_first_version_stays(bundle: Path, tmp_path: Path) -> None:
    config = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, "weights_licence": "cc-by-nc-4.0"}))
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert loaded.weights_license == "cc-by-nc-4.0"
    saved = loaded.to_dict()
    assert saved["weights_license"] == "cc-by-nc-4.0" and "weights_licence" not in saved


# --- a bundle of a newer version


@pytest.fixture(scope="module")
def newer(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(bundle, tmp_path_factory.mktemp("newer") / "sigma-slu"))
    config = json.loads((folder / "config.json").read_text())
    # With a field that this version does not know: the advice comes before any riddle.
    config.update(sigma_slu_version="99.0", pad_mode="a newer mode")
    (folder / "config.json").write_text(json.dumps(config))
    save_clip(folder / "clip.npz", random_clips()[0])
    return folder


@pytest.mark.parametrize(
    "load",
    [
        AutoConfig.from_pretrained,
        AutoModel.from_pretrained,
        AutoModelForSeq2SeqLM.from_pretrained,
        SigmaForConditionalGeneration.from_pretrained,
        lambda folder: pipeline("sign-language-translation", model=str(folder), trust_remote_code=True),
        load_pipeline,
    ],
)
def test_a_newer_bundle_says_what_to_do(load: Callable[[Path], Any], newer: Path) -> None:
    expected = (
        f"written by sigma-slu 99.0, and this is {modeling_sigma.__version__}: install a newer one (see its README)"
    )
    with pytest.raises(ValueError, match=re.escape(expected)):
        load(newer)


@pytest.mark.parametrize(
    "argv",
    [
        ["predict", "--model", "sigma-slu", "sigma-slu/clip.npz"],
        ["view", "sigma-slu/clip.npz", "--model", "sigma-slu", "--out", "looks.png"],
        ["index", "sigma-slu/clip.npz", "--model", "sigma-slu", "--out", "index"],
        ["evaluate", "--model", "sigma-slu", "--dataset", "synthetic", "--config", "isolated", "--task", "islr"],
    ],
    ids=lambda argv: argv[0],
)
def test_commands_refuse_a_newer_bundle_in_one_line(
    argv: list[str], newer: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(newer.parent)
    before = sorted(newer.parent.rglob("*"))
    assert cli.main(argv) == 1
    assert capsys.readouterr().err == (
        f"sigma-slu {argv[0]}: error: sigma-slu was written by sigma-slu 99.0, and this is "
        f"{modeling_sigma.__version__}: install a newer one (see its README)\n"
    )
    assert sorted(newer.parent.rglob("*")) == before


def test_code_of_a_bundle_reads_its_own_version() -> None:
    own = type("SigmaConfig", (SigmaConfig,), {"__module__": "transformers_modules.sigma-slu.configuration_sigma"})
    assert own.from_dict({"sigma_slu_version": "99.0"}).sigma_slu_version == "99.0"


# --- Auto classes


def _load_all(name: Any) -> tuple[Any, ...]:
    autos = (AutoConfig, AutoProcessor, AutoFeatureExtractor, AutoModelForSeq2SeqLM, AutoTokenizer)
    return tuple(auto.from_pretrained(name) for auto in autos)


def _check_all(config: Any, processor: Any, extractor: Any, model: Any, tokenizer: Any) -> None:
    assert type(config) is SigmaConfig and type(processor) is SigmaProcessor
    assert type(extractor) is type(processor.feature_extractor) is SigmaFeatureExtractor
    assert type(model) is SigmaForConditionalGeneration
    assert (extractor.scale_reference, extractor.max_frames) == ("hands", 20)
    assert processor.feature_extractor.to_dict() == extractor.to_dict()
    assert tokenizer("hello world")["input_ids"] == processor.tokenizer("hello world")["input_ids"]
    inputs = processor(poses=random_clips())
    written, expected = (model.generate(**inputs, max_new_tokens=4) for model in (model, tiny_model()))
    assert torch.equal(written, expected)


def test_auto_classes_load_a_folder(bundle: Path) -> None:
    _check_all(*_load_all(bundle))


def test_auto_classes_load_a_bare_name(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bundle.parent)
    _check_all(*_load_all("sigma-slu"))


@pytest.mark.parametrize(("cls", "auto"), MODELS, ids=lambda value: value.__name__)
def test_auto_classes_load_each_model(cls: type, auto: Any, tmp_path: Path) -> None:
    model = tiny_model(cls)
    model.save_pretrained(tmp_path)  # without code, too
    loaded = auto.from_pretrained(tmp_path)
    assert type(loaded) is cls
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name


def test_auto_classes_build_from_a_configuration() -> None:
    config = tiny_model().config
    for cls, auto in MODELS:
        assert type(auto.from_config(config)) is cls
    assert type(AutoConfig.for_model("sigma", max_frames=7)) is SigmaConfig


def test_a_bundle_serves_other_tasks(bundle: Path) -> None:
    labels = AutoModelForSequenceClassification.from_pretrained(bundle, num_labels=4)
    assert type(labels) is SigmaForSequenceClassification
    assert labels(**tiny_inputs()).logits.shape == (3, 4)


def test_registering_again_changes_nothing() -> None:
    register_sigma()
    register_sigma()
    assert set(PIPELINE_KINDS) <= set(PIPELINE_REGISTRY.get_supported_tasks())
    assert type(AutoConfig.for_model("sigma")) is SigmaConfig


# --- the package


def test_public_names() -> None:
    for name in modeling_sigma.__all__:
        assert getattr(modeling_sigma, name) is not None
    assert set(modeling_sigma.__all__) <= set(dir(modeling_sigma))
    with pytest.raises(AttributeError, match="module 'modeling_sigma' has no attribute 'SigmaForCooking'"):
        modeling_sigma.SigmaForCooking  # noqa: B018
