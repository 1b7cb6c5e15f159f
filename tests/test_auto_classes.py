"""Auto classes and pipelines with the package imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
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
    pipeline,
)

import modeling_sigma
from modeling_sigma.hub.bundle import save_bundle
from modeling_sigma.model import modeling_sigma as modeling_sigma_module
from modeling_sigma.model.configuration_sigma import SigmaConfig, SigmaPoseConfig
from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
from modeling_sigma.model.modeling_sigma import SigmaModel
from modeling_sigma.model.modeling_sigma_heads import (
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForSequenceClassification,
)
from modeling_sigma.model.modeling_sigma_pretraining import SigmaForPreTraining
from modeling_sigma.model.pipeline_sigma import IsolatedSignRecognitionPipeline, SignLanguageTranslationPipeline
from modeling_sigma.model.processing_sigma import SigmaProcessor
from modeling_sigma.registration import register_sigma
from tests.factories import random_clip, random_clips, tiny_inputs, tiny_model, tiny_processor


LABELS = {0: "book", 1: "drink", 2: "computer", 3: "before"}
TASKS = {"labeller": "isolated-sign-recognition", "glosses": "continuous-sign-recognition"}
OPTIONS = {"num_beams": 1, "max_new_tokens": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of saved models: `sigma-slu` writes, `labeller` labels, `pretrained` aligns; and clips."""
    folder = tmp_path_factory.mktemp("saved")
    labels = {"id2label": LABELS, "label2id": {name: number for number, name in LABELS.items()}}
    labeller = tiny_model(SigmaForSequenceClassification, use_prompt=False, **labels)
    save_bundle(tiny_model(), tiny_processor(), folder / "sigma-slu")
    save_bundle(labeller, SigmaFeatureExtractor(max_frames=32), folder / "labeller")
    save_bundle(tiny_model(SigmaForPreTraining), tiny_processor(), folder / "pretrained")
    reader = tiny_model(SigmaForCTC, use_prompt=False, **labels)
    save_bundle(reader, SigmaFeatureExtractor(max_frames=32), folder / "glosses")
    for row, clip in enumerate(random_clips()):
        np.savez(folder / f"clip{row}.npz", keypoints=clip.keypoints, scores=clip.scores, fps=25.0)
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare folder names, as in the documentation."""
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("options", [{}, {"trust_remote_code": True}], ids=["package", "trusting"])
def test_auto_classes_load_our_classes(options: dict[str, bool]) -> None:
    config = AutoConfig.from_pretrained("sigma-slu", **options)
    assert type(config) is SigmaConfig and type(config.pose_config) is SigmaPoseConfig
    assert type(AutoProcessor.from_pretrained("sigma-slu", **options)) is SigmaProcessor
    assert type(AutoFeatureExtractor.from_pretrained("sigma-slu", **options)) is SigmaFeatureExtractor
    assert type(AutoFeatureExtractor.from_pretrained("labeller", **options)) is SigmaFeatureExtractor
    for auto, name, cls in (
        (AutoModel, "pretrained", SigmaModel),
        (AutoModelForPreTraining, "pretrained", SigmaForPreTraining),
        (AutoModelForSeq2SeqLM, "sigma-slu", SigmaForConditionalGeneration),
        (AutoModelForSequenceClassification, "labeller", SigmaForSequenceClassification),
        (AutoModelForCTC, "glosses", SigmaForCTC),
    ):
        model, info = auto.from_pretrained(name, output_loading_info=True, **options)
        assert type(model) is cls
        assert not info["missing_keys"] and not info["unexpected_keys"]


@pytest.mark.parametrize("options", [{}, {"trust_remote_code": True}], ids=["package", "trusting"])
@pytest.mark.parametrize("name", ["labeller", "glosses"])
def test_the_processor_of_a_model_without_a_tokenizer_is_its_extractor(name: str, options: dict[str, bool]) -> None:
    extractor = AutoProcessor.from_pretrained(name, **options)
    assert type(extractor) is SigmaFeatureExtractor and extractor.max_frames == 32
    assert extractor.to_dict() == AutoFeatureExtractor.from_pretrained(name).to_dict()
    assert pipeline(TASKS[name], model=name, trust_remote_code=True).feature_extractor.max_frames == 32
    auto = {"labeller": AutoModelForSequenceClassification, "glosses": AutoModelForCTC}[name]
    read = pipeline(TASKS[name], model=auto.from_pretrained(name), processor=extractor)
    assert read("clip0.npz") == pipeline(TASKS[name], model=read.model, feature_extractor=extractor)("clip0.npz")


def test_a_processor_without_a_tokenizer_says_what_to_load(folder: Path) -> None:
    with pytest.raises(ValueError, match="labeller: expected a tokenizer with .* load it with AutoFeatureExtractor"):
        SigmaProcessor.from_pretrained("labeller")
    with pytest.raises(OSError, match="nowhere"):
        SigmaProcessor.from_pretrained(folder / "nowhere")


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What loading a model says."""
    said: list[str] = []
    monkeypatch.setattr(modeling_sigma_module.logger, "warning", said.append)
    return said


@pytest.mark.parametrize(
    ("name", "auto", "right"),
    [
        ("labeller", AutoModel, "AutoModelForSequenceClassification"),
        ("labeller", AutoModelForPreTraining, "AutoModelForSequenceClassification"),
        ("labeller", AutoModelForSeq2SeqLM, "AutoModelForSequenceClassification"),
        ("labeller", AutoModelForCTC, "AutoModelForSequenceClassification"),
        ("sigma-slu", AutoModel, "AutoModelForSeq2SeqLM"),
        ("sigma-slu", AutoModelForPreTraining, "AutoModelForSeq2SeqLM"),
        ("sigma-slu", AutoModelForSequenceClassification, "AutoModelForSeq2SeqLM"),
        ("glosses", AutoModelForSequenceClassification, "AutoModelForCTC"),
    ],
)
def test_the_wrong_auto_class_names_the_right_one(name: str, auto: Any, right: str, warnings: list[str]) -> None:
    model, info = auto.from_pretrained(name, output_loading_info=True)
    (said,) = warnings
    saved, missing = model.config.architectures[0], len(info["missing_keys"])
    assert said.startswith(f"{name} was saved by {saved}: {missing} weights of {type(model).__name__}")
    assert said.endswith(f"start at random. {right} loads it as it was trained.")


def test_weights_that_fit_load_without_a_word(warnings: list[str]) -> None:
    for auto, name in (
        (AutoModelForSequenceClassification, "labeller"),
        (AutoModelForCTC, "glosses"),
        (AutoModelForSeq2SeqLM, "sigma-slu"),
        *((auto, "pretrained") for auto in (AutoModelForPreTraining, AutoModel, AutoModelForSeq2SeqLM)),
        # A new head on pre-trained weights is what pre-training is for.
        *((auto, "pretrained") for auto in (AutoModelForSequenceClassification, AutoModelForCTC)),
    ):
        auto.from_pretrained(name)
    assert warnings == []


def test_a_model_that_cannot_be_of_another_class_names_the_right_one(tmp_path: Path) -> None:
    tiny_model(SigmaForSequenceClassification, use_cls_token=False).save_pretrained(tmp_path)
    for auto in (AutoModel, AutoModelForPreTraining):
        with pytest.raises(ValueError, match=r"SigmaForSequenceClassification .*AutoModelForSequenceClassification$"):
            auto.from_pretrained(tmp_path)


def test_auto_models_from_a_configuration() -> None:
    config = AutoConfig.from_pretrained("sigma-slu")
    assert type(AutoModelForSeq2SeqLM.from_config(config)) is SigmaForConditionalGeneration
    assert type(AutoModel.from_config(config)) is SigmaModel


def test_saved_model_computes_the_same() -> None:
    inputs, labels = tiny_inputs(), torch.tensor([[5, 6, 1]] * 3)
    with torch.no_grad():
        expected = tiny_model()(**inputs, labels=labels)
        found = AutoModelForSeq2SeqLM.from_pretrained("sigma-slu")(**inputs, labels=labels)
    assert found.loss == expected.loss and found.logits.equal(expected.logits)
    assert AutoConfig.from_pretrained("labeller").id2label == LABELS


def test_processor_comes_back(folder: Path) -> None:
    processor = AutoProcessor.from_pretrained("sigma-slu")
    found, expected = (
        processor(random_clips(), ["hello world"] * 3),
        tiny_processor()(random_clips(), ["hello world"] * 3),
    )
    assert found.keys() == expected.keys()
    assert all(found[name].equal(value) for name, value in expected.items())


def test_registering_again_changes_nothing() -> None:
    register_sigma()
    assert type(AutoConfig.from_pretrained("sigma-slu")) is SigmaConfig
    assert modeling_sigma.SigmaConfig is SigmaConfig


# --- pipelines


@pytest.fixture(scope="module")
def translate(folder: Path) -> Any:
    return pipeline("sign-language-translation", model=str(folder / "sigma-slu"), trust_remote_code=True)


@pytest.fixture(scope="module")
def expected(translate: Any) -> list[dict[str, str]]:
    """What the model writes for the three clips."""
    ids = tiny_model().generate(**tiny_inputs(), **OPTIONS)
    return [{"text": text.strip()} for text in tiny_processor().batch_decode(ids, skip_special_tokens=True)]


def test_translation_pipeline_by_bare_name_trusting_the_folder(expected: list[dict[str, str]]) -> None:
    translate = pipeline("sign-language-translation", model="sigma-slu", trust_remote_code=True)
    assert isinstance(translate.processor, SigmaProcessor)
    assert translate("clip0.npz", **OPTIONS) == expected[0]
    assert translate(["clip0.npz", Path("clip1.npz")], **OPTIONS) == expected[:2]


def test_pipeline_of_loaded_parts(expected: list[dict[str, str]]) -> None:
    model, processor = AutoModelForSeq2SeqLM.from_pretrained("sigma-slu"), AutoProcessor.from_pretrained("sigma-slu")
    translate = SignLanguageTranslationPipeline(model=model, processor=processor)
    assert translate(random_clips(), **OPTIONS) == expected


@pytest.mark.parametrize("batch_size", [1, 2])
def test_translation_of_all_kinds_of_input(translate: Any, expected: list[dict[str, str]], batch_size: int) -> None:
    clips = random_clips()
    arrays = [np.concatenate([clip.keypoints, clip.scores[..., None]], axis=-1) for clip in clips]
    dicts = [{"keypoints": clip.keypoints, "scores": clip.scores} for clip in clips]
    paths = [f"clip{row}.npz" for row in range(3)]
    for inputs in (clips, arrays, dicts, paths, [clips[0], arrays[1], paths[2]]):
        assert translate(inputs, batch_size=batch_size, **OPTIONS) == expected
    assert list(translate((clip for clip in clips), batch_size=batch_size, **OPTIONS)) == expected


def test_translation_of_one_clip(translate: Any, expected: list[dict[str, str]]) -> None:
    clip = random_clips()[0]
    array = np.concatenate([clip.keypoints, clip.scores[..., None]], axis=-1)
    for one in (clip, array, {"keypoints": clip.keypoints, "scores": clip.scores}, "clip0.npz", Path("clip0.npz")):
        assert translate(one, **OPTIONS) == expected[0]
    assert translate([clip], **OPTIONS) == expected[:1]


def test_options_of_the_translation_pipeline(translate: Any) -> None:
    clip = random_clip(20)
    several = translate(clip, num_beams=3, num_return_sequences=3, max_new_tokens=4)
    assert len(several) == 3 and all(set(one) == {"text"} for one in several)
    inputs = tiny_processor()([clip], language="Chinese", max_frames=5)
    assert inputs["pose_values"].shape[1] == 5
    text = tiny_processor().batch_decode(tiny_model().generate(**inputs, **OPTIONS), skip_special_tokens=True)[0]
    assert translate(clip, language="Chinese", max_frames=5, **OPTIONS) == {"text": text.strip()}


def test_recognition_pipeline() -> None:
    recognise = pipeline("isolated-sign-recognition", model="labeller", trust_remote_code=True)
    assert type(recognise).__name__ == "IsolatedSignRecognitionPipeline"
    assert recognise.feature_extractor.max_frames == 32
    clips = random_clips()
    one = recognise(clips[0])
    assert sorted(pair["label"] for pair in one) == sorted(LABELS.values())  # 4 labels, although top_k is 5
    assert sum(pair["score"] for pair in one) == pytest.approx(1.0)
    assert [pair["score"] for pair in one] == sorted((pair["score"] for pair in one), reverse=True)
    model = AutoModelForSequenceClassification.from_pretrained("labeller")
    for batch_size in (1, 3):
        for row, best in enumerate(recognise([*clips[:2], "clip2.npz"], top_k=1, batch_size=batch_size)):
            with torch.no_grad():
                chances = model(**SigmaFeatureExtractor()(clips[row])).logits.softmax(dim=-1)[0]
            label = LABELS[int(chances.argmax())]
            assert best == [{"label": label, "score": pytest.approx(float(chances.max()), abs=1e-5)}]


def test_a_folder_with_pipelines_must_be_trusted() -> None:
    """transformers asks for trust wherever `custom_pipelines` is in a configuration, package or not."""
    task = "isolated-sign-recognition"
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        pipeline(task, model="labeller")
    model, extractor = (
        AutoModelForSequenceClassification.from_pretrained("labeller"),
        AutoFeatureExtractor.from_pretrained("labeller"),
    )
    for recognise in (
        pipeline(task, model="labeller", pipeline_class=IsolatedSignRecognitionPipeline),
        pipeline(task, model=model, feature_extractor=extractor),
    ):
        assert type(recognise) is IsolatedSignRecognitionPipeline
    trusting = pipeline(task, model="labeller", trust_remote_code=True)
    assert type(trusting).__module__.startswith("transformers_modules.")
    assert type(trusting.model) is SigmaForSequenceClassification


def test_wrong_options_and_inputs(translate: Any) -> None:
    recognise = pipeline("isolated-sign-recognition", model="labeller", trust_remote_code=True)
    with pytest.raises(ValueError, match="top_k as an integer >= 1, received 0"):
        recognise(random_clip(), top_k=0)
    with pytest.raises(ValueError, match="add a frame axis"):
        translate(np.zeros((133, 3)), **OPTIONS)
    with pytest.raises(FileNotFoundError):
        translate("nowhere.npz", **OPTIONS)
