"""A bundle in a fresh interpreter that does not have our package: `trust_remote_code=True` loads everything."""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from modeling_sigma import (
    SigmaFeatureExtractor,
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForPreTraining,
    SigmaForSequenceClassification,
    save_bundle,
)
from modeling_sigma.io import save_clip
from tests.factories import random_clip, random_clips, tiny_model, tiny_processor


# Runs isolated (`-I`), in the folder of the bundles, and writes what it found into results.json.
SCRIPT = """
import importlib.abc, json, os, sys, traceback

class NoPackage(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "modeling_sigma" or name.startswith("modeling_sigma."):
            raise ModuleNotFoundError(f"No module named {name!r} (blocked by the test)", name=name)

sys.meta_path.insert(0, NoPackage())

import numpy as np
import torch
from transformers import (
    AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForCTC, AutoModelForPreTraining, AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification, AutoProcessor, pipeline,
)

TRUST = {"trust_remote_code": True}
arrays = np.load("clips.npz")
clips = [arrays[name] for name in sorted(arrays.files)]
dicts = [{"keypoints": clip[..., :2], "scores": clip[..., 2]} for clip in clips]
results = {}

def check(function):
    try:
        results[function.__name__] = function()
    except Exception as error:
        results[function.__name__] = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}

@check
def package_is_blocked():
    try:
        import modeling_sigma
    except ModuleNotFoundError:
        return True
    return False

@check
def config():
    config = AutoConfig.from_pretrained("sigma-slu", **TRUST)
    return [type(config).__name__, config.max_frames, config.text_config.d_model, config.pose_config.parts]

@check
def feature_extractor():
    extractor = AutoFeatureExtractor.from_pretrained("sigma-slu", **TRUST)
    features = extractor(clips)
    return [type(extractor).__name__, extractor.scale_reference, features["pose_values"].double().sum().item()]

@check
def processor():
    processor = AutoProcessor.from_pretrained("sigma-slu", **TRUST)
    inputs = processor(poses=clips, text=["hello world"] * len(clips), language="Chinese")
    return [type(processor).__name__, sorted(inputs), inputs["prompt_input_ids"].tolist(), inputs["labels"].tolist()]

@check
def generation():
    model = AutoModelForSeq2SeqLM.from_pretrained("sigma-slu", **TRUST)
    inputs = AutoProcessor.from_pretrained("sigma-slu", **TRUST)(poses=clips)
    return [type(model).__name__, model.generate(**inputs, max_new_tokens=6).tolist()]

@check
def classification():
    model = AutoModelForSequenceClassification.from_pretrained("labels", **TRUST)
    inputs = AutoFeatureExtractor.from_pretrained("labels", **TRUST)(clips)
    with torch.no_grad():
        return [type(model).__name__, model(**inputs).logits.tolist()]

@check
def processor_without_a_tokenizer():
    processor = AutoProcessor.from_pretrained("labels", **TRUST)
    return [type(processor).__name__, processor(clips)["pose_values"].double().sum().item()]

@check
def pretraining():
    model = AutoModelForPreTraining.from_pretrained("pretraining", **TRUST)
    alone = AutoModel.from_pretrained("pretraining", **TRUST)
    inputs = AutoProcessor.from_pretrained("pretraining", **TRUST)(poses=clips, text=["hello", "rain", "snow"])
    with torch.no_grad():
        loss = model(**inputs, negatives_generator=torch.Generator().manual_seed(0)).loss.item()
        inputs.pop("labels")
        return [type(model).__name__, loss, type(alone).__name__, alone(**inputs).logits_per_pose.tolist()]

@check
def translation_pipeline():
    pipe = pipeline("sign-language-translation", model="sigma-slu", **TRUST)
    options = {"max_new_tokens": 24}
    modules = [type(part).__module__.split(".")[0] for part in (pipe, pipe.model, pipe.processor)]
    singles = [pipe(clip, **options) for clip in clips]
    return [modules, singles, pipe(clips, batch_size=2, **options), pipe(dicts, batch_size=3, **options),
            list(pipe((clip for clip in clips), **options))]

@check
def recognition_pipeline():
    pipe = pipeline("isolated-sign-recognition", model="labels", **TRUST)
    return [pipe(clips[0], top_k=2), pipe(clips, top_k=2, batch_size=3), pipe(dicts, top_k=2)]

@check
def continuous():
    model = AutoModelForCTC.from_pretrained("glosses", **TRUST)
    inputs = AutoFeatureExtractor.from_pretrained("glosses", **TRUST)(clips)
    pipe = pipeline("continuous-sign-recognition", model="glosses", **TRUST)
    with torch.no_grad():
        return [type(model).__name__, model(**inputs).logits.tolist(), pipe(clips), pipe(dicts, batch_size=3)]

@check
def constrained():
    pipe = pipeline("isolated-sign-recognition", model="sigma-slu", **TRUST)
    return [type(pipe.model).__name__, pipe(clips, labels=["hello", "rain", "snow"], top_k=2, batch_size=3)]

@check
def own_pose_clip():
    extractor = AutoFeatureExtractor.from_pretrained("sigma-slu", **TRUST)
    clip_class = sys.modules[type(extractor).__module__].PoseClip
    clip = clip_class(**dicts[0])
    return [type(clip).__module__.split(".")[0], extractor(clip)["pose_values"].double().sum().item()]

@check
def a_path():
    pipe = pipeline("sign-language-translation", model="sigma-slu", **TRUST)
    try:
        pipe(os.path.abspath("clip.npz"))
    except ValueError as error:
        return str(error)

@check
def without_trust():
    messages = []
    for auto in (AutoConfig, AutoProcessor, AutoModelForSeq2SeqLM):
        try:
            auto.from_pretrained("sigma-slu", trust_remote_code=False)
        except ValueError as error:
            messages.append(str(error))
    return messages

@check
def saved_again():
    model = AutoModelForSeq2SeqLM.from_pretrained("sigma-slu", **TRUST)
    model.save_pretrained("again")
    again = AutoModelForSeq2SeqLM.from_pretrained("again", **TRUST)
    return bool(torch.equal(model.lm_head.weight, again.lm_head.weight))

@check
def pipelines_of_what_was_saved_again():
    texts = {}
    for name, auto, task in (
        ("sigma-slu", AutoModelForSeq2SeqLM, "sign-language-translation"),
        ("pretraining", AutoModelForPreTraining, "sign-language-translation"),
        ("pretraining", AutoModelForPreTraining, "sign-text-retrieval"),
        ("glosses", AutoModelForCTC, "continuous-sign-recognition"),
    ):
        folder = f"again_{name}"
        if not os.path.exists(folder):
            auto.from_pretrained(name, **TRUST).save_pretrained(folder)
            kind = AutoFeatureExtractor if name == "glosses" else AutoProcessor
            kind.from_pretrained(name, **TRUST).save_pretrained(folder)
        options = {"texts": ["hello", "rain"]} if task == "sign-text-retrieval" else {}
        options = {"max_new_tokens": 6} if task == "sign-language-translation" else options
        pipes = [pipeline(task, model=where, **TRUST) for where in (name, folder)]
        texts[f"{task} {name}"] = [str(pipe(clips[0], **options)) for pipe in pipes]
    return texts

json.dump(results, open("results.json", "w"))
"""
LABELS = {0: "hello", 1: "rain", 2: "snow"}


def _arrays() -> list[np.ndarray]:
    clips = random_clips((9, 5, 1))
    return [np.concatenate([clip.keypoints, clip.scores[..., None]], axis=-1) for clip in clips]


def _models() -> dict[str, Any]:
    return {
        "sigma-slu": tiny_model(SigmaForConditionalGeneration, seed=2),
        "labels": tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=3, id2label=LABELS),
        "pretraining": tiny_model(SigmaForPreTraining),
        "glosses": tiny_model(SigmaForCTC, use_prompt=False, id2label={0: "<blank>", 1: "RAIN", 2: "SNOW"}),
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("elsewhere")
    for name, model in _models().items():
        processor = SigmaFeatureExtractor() if name in ("labels", "glosses") else tiny_processor(max_frames=20)
        save_bundle(model, processor, folder / name)
    np.savez(folder / "clips.npz", **{f"clip{row}": array for row, array in enumerate(_arrays())})
    save_clip(folder / "clip.npz", random_clip(5))
    (folder / "script.py").write_text(SCRIPT)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    run = subprocess.run(
        [sys.executable, "-I", "script.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads((folder / "results.json").read_text())


@pytest.fixture
def found(results: dict[str, Any]) -> Any:
    def get(name: str) -> Any:
        value = results[name]
        assert not (isinstance(value, dict) and "error" in value), value["trace"]
        return value

    return get


def test_our_package_is_not_there(found: Any) -> None:
    assert found("package_is_blocked") is True


def test_configuration(found: Any) -> None:
    assert found("config") == ["SigmaConfig", 32, 32, ["body", "left_hand", "right_hand", "face"]]


def test_feature_extractor(found: Any) -> None:
    expected = SigmaFeatureExtractor(max_frames=20)(_arrays())["pose_values"].double().sum().item()
    assert found("feature_extractor") == ["SigmaFeatureExtractor", "body", pytest.approx(expected)]


def test_processor(found: Any) -> None:
    inputs = tiny_processor(max_frames=20)(poses=_arrays(), text=["hello world"] * 3, language="Chinese")
    expected = ["SigmaProcessor", sorted(inputs), inputs["prompt_input_ids"].tolist(), inputs["labels"].tolist()]
    assert found("processor") == expected


def test_translation_model(found: Any) -> None:
    ids = _models()["sigma-slu"].generate(**tiny_processor(max_frames=20)(poses=_arrays()), max_new_tokens=6)
    assert found("generation") == ["SigmaForConditionalGeneration", ids.tolist()]


@torch.no_grad()
def test_label_head(found: Any) -> None:
    name, logits = found("classification")
    expected = _models()["labels"](**SigmaFeatureExtractor()(_arrays())).logits
    assert name == "SigmaForSequenceClassification"
    assert (torch.tensor(logits) - expected).abs().max() <= 1e-5


def test_processor_of_a_model_without_a_tokenizer(found: Any) -> None:
    expected = SigmaFeatureExtractor()(_arrays())["pose_values"].double().sum().item()
    assert found("processor_without_a_tokenizer") == ["SigmaFeatureExtractor", pytest.approx(expected)]


@torch.no_grad()
def test_pretraining_model(found: Any) -> None:
    name, loss, other_name, logits = found("pretraining")
    assert (name, other_name) == ("SigmaForPreTraining", "SigmaModel")
    inputs = tiny_processor(max_frames=20)(poses=_arrays(), text=["hello", "rain", "snow"])
    out = _models()["pretraining"](**inputs, negatives_generator=torch.Generator().manual_seed(0))
    assert loss == pytest.approx(out.loss.item(), abs=1e-4)
    assert (torch.tensor(logits) - out.logits_per_pose).abs().max() <= 1e-4


def test_translation_pipeline(found: Any) -> None:
    modules, singles, batched, dicts, generated = found("translation_pipeline")
    assert modules == ["transformers_modules"] * 3
    assert len({result["text"] for result in singles}) > 1
    assert singles == batched == dicts == generated


def test_recognition_pipeline(found: Any) -> None:
    single, batched, dicts = found("recognition_pipeline")
    assert single == [{"label": entry["label"], "score": pytest.approx(entry["score"])} for entry in batched[0]]
    assert [[entry["label"] for entry in result] for result in dicts] == [
        [entry["label"] for entry in result] for result in batched
    ]
    assert len(batched) == 3 and all(len(result) == 2 and result[0]["label"] in LABELS.values() for result in batched)


@torch.no_grad()
def test_continuous_recognition(found: Any) -> None:
    name, logits, results, batched = found("continuous")
    expected = _models()["glosses"](**SigmaFeatureExtractor()(_arrays())).logits
    assert name == "SigmaForCTC"
    assert (torch.tensor(logits) - expected).abs().max() <= 1e-5
    assert [result["glosses"] for result in results] == [result["glosses"] for result in batched]
    assert any(result["spans"] for result in results)


def test_label_constrained_recognition(found: Any) -> None:
    name, results = found("constrained")
    assert name == "SigmaForConditionalGeneration"
    assert len(results) == 3
    for result in results:
        assert len(result) == 2 and {entry["label"] for entry in result} <= {"hello", "rain", "snow"}


def test_clips_of_the_remote_code(found: Any) -> None:
    expected = SigmaFeatureExtractor(max_frames=20)(_arrays()[0])["pose_values"].double().sum().item()
    assert found("own_pose_clip") == ["transformers_modules", pytest.approx(expected)]


def test_a_path_says_what_is_missing(found: Any) -> None:
    message = found("a_path")
    assert "clip.npz: reading files needs the readers of the sigma-slu package: install it (see its README)" in message
    assert "or pass arrays or PoseClips" in message


def test_nothing_runs_without_trust(found: Any) -> None:
    messages = found("without_trust")
    assert len(messages) == 3 and all("trust_remote_code" in message for message in messages)


def test_a_remote_model_can_be_saved_again(found: Any) -> None:
    assert found("saved_again") is True


def test_what_it_saves_has_its_pipelines(found: Any) -> None:
    texts = found("pipelines_of_what_was_saved_again")
    assert len(texts) == 4 and all(again == first for first, again in texts.values())
