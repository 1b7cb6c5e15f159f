"""Exported models answer as in torch: every head, with ONNX Runtime, and where torch is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modeling_sigma import (
    SigmaFeatureExtractor,
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForSequenceClassification,
    SigmaForSignSegmentation,
    SigmaModel,
    SigmaProcessor,
    load_corpus,
    load_pipeline,
    save_bundle,
)
from modeling_sigma.cli.main import main
from modeling_sigma.conversion.export import export_onnx
from modeling_sigma.inference.calibration import score_clips
from modeling_sigma.inference.onnx_model import check_golden
from modeling_sigma.io import save_clip
from modeling_sigma.model.calibration_sigma import Calibration
from tests.factories import random_clip, random_clips, tiny_model, tiny_processor, tiny_text_config


ROOT = Path(__file__).resolve().parents[1]
LABELS = {0: "hello", 1: "rain", 2: "snow"}
CLIPS = random_clips((12, 7, 1, 40), seed=3)


def _folders(tmp_path: Path, cls: type, processor: Any, **config: Any) -> tuple[Path, Path]:
    """A tiny model, saved and exported."""
    model = tiny_model(cls, **config).eval()
    saved = save_bundle(model, processor, tmp_path / "torch", include_code=False)
    return saved, export_onnx(model, processor, tmp_path / "onnx", int8=True, float16=True)


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("classification")
    # Small even for a tiny one: tracing takes most of the time of these tests.
    config = {
        "use_prompt": False,
        "id2label": LABELS,
        "text_config": tiny_text_config(num_layers=1),
        "pose_config": {
            "parts": ["left_hand", "right_hand"],
            "spatial_hidden_sizes": [8],
            "temporal_hidden_sizes": [16],
        },
    }
    return _folders(folder, SigmaForSequenceClassification, SigmaFeatureExtractor(max_frames=16), **config)


def _assert_alike(found: Any, expected: Any, tolerance: float = 1e-4) -> None:
    """Equal, numbers up to the tolerance."""
    if isinstance(expected, torch.Tensor):
        expected = expected.numpy()
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        found, expected = list(found.values()), list(expected.values())
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            _assert_alike(one, other, tolerance)
    elif isinstance(expected, str):
        assert found == expected
    else:
        np.testing.assert_allclose(found, expected, atol=tolerance)


@pytest.mark.parametrize(
    "options",
    [{}, {"top_k": 1}, {"labels": ["snow", "hello"]}, {"max_frames": 5}, {"top_k": 2, "batch_size": 3}],
    ids=str,
)
def test_a_label_head_answers_as_in_torch(options: dict[str, Any], heads: tuple[Path, Path]) -> None:
    expected, found = load_pipeline(heads[0], device="cpu"), load_pipeline(heads[1])
    assert found.task == expected.task == "isolated-sign-recognition"
    _assert_alike(found(CLIPS, **options), expected(CLIPS, **options))
    _assert_alike(found(CLIPS[0], **options), expected(CLIPS[0], **options))
    _assert_alike(list(found(iter(CLIPS), **options)), expected(CLIPS, **options))
    assert found([]) == []


def test_a_calibrated_head_answers_as_in_torch(heads: tuple[Path, Path]) -> None:
    expected, found = load_pipeline(heads[0], device="cpu"), load_pipeline(heads[1])
    with pytest.raises(ValueError, match="expected a calibrated model"):
        found(CLIPS, prediction_set=0.9)
    moves = score_clips(expected, iter(CLIPS)).movements
    calibration = Calibration(
        temperature=2.0, known_threshold=-100.0, movement_threshold=float(np.median(moves)), false_alarm_rate=0.05,
        set_coverages=[0.9], set_thresholds=[0.2], fitted_on="signs", num_clips=30,
    )  # fmt: skip
    for predictor in (expected, found):
        predictor.model.config.calibration = calibration.as_dict()
    for options in ({}, {"labels": ["snow", "hello"]}, {"prediction_set": 0.9, "batch_size": 2}):
        answers = found(CLIPS, **options)
        _assert_alike(answers, expected(CLIPS, **options))
        assert {one[0]["unknown"] for one in answers} == {True, False}
    with pytest.raises(ValueError, match="expected a prediction_set of 0.9, received 0.8"):
        found(CLIPS, prediction_set=0.8)
    with pytest.raises(ValueError, match="expected labels or prediction_set"):
        found(CLIPS, prediction_set=0.9, labels=["snow", "hello"])


def test_vectors_and_smaller_weights(heads: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    task = "sign-feature-extraction"
    expected = load_pipeline(heads[0], task, device="cpu")(CLIPS)
    _assert_alike(load_pipeline(heads[1], task)(CLIPS, batch_size=4), expected)
    rough = load_pipeline(heads[1] / "model_int8.onnx", task)(CLIPS)
    assert 1e-4 < max(float(np.abs(one - other.numpy()).max()) for one, other in zip(rough, expected)) < 0.1
    np.testing.assert_array_equal(rough, load_pipeline(heads[1], task, dtype="int8")(CLIPS))
    half = load_pipeline(heads[1] / "model_float16.onnx", task)(CLIPS)
    assert max(float(np.abs(one - other.numpy()).max()) for one, other in zip(half, expected)) < 2e-3
    assert check_golden(heads[1])["logits"] < 1e-4 and check_golden(heads[1], "int8")["pose_embeds"] < 0.1
    assert main(["export", "--check", str(heads[1]), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["precisions"]
    sizes = [report[name]["megabytes"] for name in ("int8", "float16", "float32")]
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_bundle_holds_no_trace_of_the_machine(heads: tuple[Path, Path]) -> None:
    for path in heads[1].iterdir():
        content = path.read_bytes()
        assert str(ROOT).encode() not in content and b"site-packages" not in content, path.name
    graphs = json.loads((heads[1] / "onnx_bundle.json").read_text())["graphs"]
    assert graphs["model"]["inputs"]["pose_values"] == ["batch", "frames", 69, 3]
    assert graphs["model"]["outputs"]["logits"] == ["batch", 3]


def test_what_an_exported_model_refuses(heads: tuple[Path, Path]) -> None:
    found = load_pipeline(heads[1])
    blank = random_clip()
    blank.scores[:] = 0
    with pytest.raises(ValueError, match="expected a clip in which somebody is seen"):
        found([CLIPS[0], blank], batch_size=2)
    assert len(found(blank, allow_unseen=True)) == 3
    for options, error, message in (
        ({"top_k": 0}, ValueError, "expected top_k >= 1"),
        ({"labels": ["sun"]}, ValueError, "expected some of the model's 3 labels, received 1 others, first 'sun'"),
        ({"num_beams": 2}, ValueError, "expected no num_beams"),
        ({"batch_size": 0}, ValueError, "expected batch_size >= 1"),
        ({"colour": 1}, TypeError, "colour"),
    ):
        with pytest.raises(error, match=message):
            found(CLIPS[0], **options)
    with pytest.raises(ValueError, match="expected a task among isolated-sign-recognition, sign-feature-extraction"):
        load_pipeline(heads[1], "sign-language-translation")
    with pytest.raises(ValueError, match=r"expected a device that this ONNX Runtime has \(cpu\), received 'mps'"):
        load_pipeline(heads[1], device="mps")


def test_commands_take_exported_models(
    heads: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_clip(tmp_path / "clip.npz", CLIPS[0])
    answers = []
    for model in (heads[0], heads[1], heads[1] / "model.onnx"):
        assert main(["predict", str(tmp_path / "clip.npz"), "--model", str(model), "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    _assert_alike(answers[1:], [answers[0]] * 2)
    assert main(["export", str(heads[1]), "--out", str(tmp_path / "again")]) == 1
    assert "expected a trained model, found an exported one" in capsys.readouterr().err


def test_it_answers_where_torch_is_not_installed(heads: tuple[Path, Path]) -> None:
    program = """
        import importlib.metadata, importlib.util, json, sys

        class NoTorch:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "torch":
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        sys.meta_path.insert(0, NoTorch())
        found, version = importlib.util.find_spec, importlib.metadata.version
        importlib.util.find_spec = lambda name, *rest: None if name == "torch" else found(name, *rest)

        def version_of_others(name):
            if name == "torch":
                raise importlib.metadata.PackageNotFoundError(name)
            return version(name)

        importlib.metadata.version = version_of_others
        import numpy as np
        from modeling_sigma import PoseClip, load_pipeline

        points = np.load(sys.argv[2])
        clip = PoseClip(points["keypoints"], points["scores"], fps=25)
        print(json.dumps(load_pipeline(sys.argv[1])(clip)))
        assert "torch" not in sys.modules
    """
    clip = CLIPS[0]
    path = heads[1].parent / "points.npz"
    np.savez(path, keypoints=clip.keypoints, scores=clip.scores)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", textwrap.dedent(program), str(heads[1]), str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _assert_alike(json.loads(done.stdout.splitlines()[-1]), load_pipeline(heads[0], device="cpu")(clip))


# --- other heads: an export of each takes its time


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cls", "config"),
    [
        (SigmaForSequenceClassification, {}),
        (SigmaForSequenceClassification, {"use_prompt": False, "pad_mode": "repeat"}),
        (SigmaForCTC, {}),
        (SigmaForCTC, {"use_prompt": False, "use_cls_token": False}),
        (SigmaForSignSegmentation, {"use_prompt": False}),
        (SigmaModel, {}),
    ],
    ids=str,
)
def test_other_heads_answer_as_in_torch(cls: type, config: dict[str, Any], tmp_path: Path) -> None:
    processor = SigmaFeatureExtractor() if config.get("use_prompt") is False else tiny_processor()
    labels = {} if cls is SigmaModel else {"id2label": LABELS}
    saved, exported = _folders(tmp_path, cls, processor, **labels, **config)
    task = load_pipeline(exported).task
    expected, found = load_pipeline(saved, task, device="cpu"), load_pipeline(exported, task)
    options = [{}] if isinstance(processor, SigmaFeatureExtractor) else [{}, {"language": "German"}]
    options += [{"num_beams": 1}] if cls is SigmaForCTC else []
    for one in options:
        _assert_alike(found(CLIPS, batch_size=3, **one), expected(CLIPS, batch_size=3, **one))


@pytest.mark.slow
def test_a_generative_model_writes_as_in_torch(tmp_path: Path) -> None:
    saved, exported = _folders(tmp_path, SigmaForConditionalGeneration, tiny_processor())
    expected, found = load_pipeline(saved, device="cpu"), load_pipeline(exported)
    for options in (
        {"num_beams": 1},
        {},
        {"num_beams": 4, "num_return_sequences": 2, "language": "German"},
        {"num_beams": 1, "window_seconds": 0.5},
    ):
        assert found(CLIPS, batch_size=2, **options) == expected(CLIPS, **options)
    for options in ({"do_sample": True}, {"num_beams": 2, "num_return_sequences": 3}):
        with pytest.raises(ValueError, match="expected"):
            found(CLIPS[0], **options)
    names = ["isolated-sign-recognition", "continuous-sign-recognition", "sign-feature-extraction"]
    for task, options in zip(names, ({"labels": ["hello", "rain", "a sign"]}, {"num_beams": 2}, {})):
        _assert_alike(
            load_pipeline(exported, task)(CLIPS[:2], **options),
            load_pipeline(saved, task, device="cpu")(CLIPS[:2], **options),
        )
    assert check_golden(exported)["tokens"] == 0
    assert isinstance(load_pipeline(exported).processor, SigmaProcessor)


@pytest.mark.slow
@pytest.mark.data
def test_int8_keeps_the_first_answers_of_the_shipped_checkpoint(tmp_path: Path) -> None:
    data = ROOT.parent / "shared" / "data" / "wlasl_hands"
    if not data.is_dir():
        pytest.skip("no ../shared/data")
    from datasets_scripts.schema import decode_clip

    assert (
        main(["export", str(ROOT / "checkpoints" / "sigma-wlasl-hands"), "--int8", "--out", str(tmp_path / "o")]) == 0
    )
    rows = load_corpus("wlasl_hands", "wlasl2000", split="test", data_dir=str(data))
    clips = [decode_clip(row) for row in rows]
    answers = {}
    for precision in ("float32", "int8"):
        found = load_pipeline(tmp_path / "o", dtype=precision)(clips, batch_size=64, top_k=1, allow_unseen=True)
        answers[precision] = [answer[0]["label"] for answer in found]
    same = np.mean([one == other for one, other in zip(*answers.values())])
    right = {name: np.mean([one == row for one, row in zip(found, rows["text"])]) for name, found in answers.items()}
    assert same >= 0.98 and abs(right["int8"] - right["float32"]) < 0.01
