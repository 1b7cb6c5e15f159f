"""`sigma-slu predict`: text, labels or glosses for files, with the model that a folder holds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modeling_sigma import (
    SigmaFeatureExtractor,
    SigmaForCTC,
    SigmaForPreTraining,
    SigmaForSequenceClassification,
    SigmaModel,
    load_pipeline,
    save_bundle,
)
from modeling_sigma.cli import main as cli
from modeling_sigma.cli.predict import read_labels
from modeling_sigma.io import save_clip
from modeling_sigma.model.pose_clip import PoseClip
from tests.factories import random_clips, tiny_model, tiny_processor


LABELS = {0: "hello", 1: "rain", 2: "snow"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    writer = tiny_model(seed=2)
    writer.generation_config.max_new_tokens = 6
    save_bundle(writer, tiny_processor(), folder / "writer")
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, id2label=LABELS)
    save_bundle(head, SigmaFeatureExtractor(), folder / "head")
    glosses = tiny_model(SigmaForCTC, use_prompt=False, seed=1, id2label={0: "<blank>", 1: "RAIN", 2: "SNOW"})
    save_bundle(glosses, SigmaFeatureExtractor(), folder / "glosses")
    save_bundle(tiny_model(SigmaForPreTraining), tiny_processor(), folder / "pretraining")
    save_bundle(tiny_model(SigmaModel), tiny_processor(), folder / "retrieval")
    (folder / "labels.txt").write_text("hello\nrain\n\n snow \n")
    (folder / "two.txt").write_text("snow\nhello\n")
    (folder / "others.txt").write_text("hello\nfog\nstorm\n")
    for row, clip in enumerate(random_clips()):
        save_clip(folder / f"clip{row}.npz", clip)
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def run_json(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> list[dict[str, Any]]:
    assert cli.main(["predict", *argv, "--json"]) == code
    results: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return results


CLIPS = ("clip0.npz", "clip1.npz", "clip2.npz")


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    results = run_json(capsys, "--model", "writer", *CLIPS)
    expected = load_pipeline("writer", device="cpu")(list(CLIPS))
    assert [result["predictions"] for result in results] == [[output] for output in expected]
    assert cli.main(["predict", "--model", "writer", *CLIPS]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{file}\t{output['text']}" for file, output in zip(CLIPS, expected, strict=True)]


def test_labels_of_a_head(capsys: pytest.CaptureFixture[str]) -> None:
    [result] = run_json(capsys, "--model", "head", "--top-k", "2", "clip0.npz")
    assert len(result["predictions"]) == 2 and result["predictions"][0]["label"] in LABELS.values()


def test_some_labels_of_a_head(capsys: pytest.CaptureFixture[str]) -> None:
    [result] = run_json(capsys, "--model", "head", "--labels", "two.txt", "--top-k", "3", "clip0.npz")
    assert sorted(entry["label"] for entry in result["predictions"]) == ["hello", "snow"]


def test_labels_that_a_model_which_writes_may_choose(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_labels("labels.txt") == ["hello", "rain", "snow"]
    options = ("--model", "writer", "--labels", "labels.txt", "--top-k", "3")
    for result in run_json(capsys, *options, *CLIPS):
        assert sorted(entry["label"] for entry in result["predictions"]) == ["hello", "rain", "snow"]
        assert sum(entry["score"] for entry in result["predictions"]) == pytest.approx(1, abs=1e-5)


def test_labels_of_any_editor(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeffhello\u2028world\r\n\r\n rain \r\n".encode())
    assert read_labels(str(path)) == ["hello\u2028world", "rain"]


def test_glosses_with_their_times(capsys: pytest.CaptureFixture[str]) -> None:
    results = run_json(capsys, "--model", "glosses", *CLIPS)
    assert any(result["predictions"][0]["spans"] for result in results)
    assert cli.main(["predict", "--model", "glosses", "clip0.npz"]) == 0
    assert capsys.readouterr().out.strip() == results[0]["predictions"][0]["text"]


def test_a_pretraining_model_writes() -> None:
    assert load_pipeline("pretraining", device="cpu").task == "sign-language-translation"


def test_unreadable_files_do_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    results = run_json(capsys, "--model", "head", "clip0.npz", "nothing.npz", code=1)
    assert "predictions" in results[0] and "nothing.npz" in results[1]["error"]


def test_a_clip_without_anybody_is_an_error_of_that_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    empty = tmp_path / "empty.npz"
    save_clip(empty, PoseClip(np.zeros((4, 133, 2)), np.zeros((4, 133))))
    for model in ("head", "writer"):
        results = run_json(capsys, "--model", model, "clip0.npz", str(empty), code=1)
        assert "predictions" in results[0] and "predictions" not in results[1]
        assert results[1]["error"].startswith(f"{empty}: expected a clip in which somebody is seen")


def test_a_folder_of_clips(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for row, name in enumerate(("b.npz", "a.npz", "deep/c.npz")):
        shutil.copy(f"clip{row}.npz", tmp_path / name)
    (tmp_path / "notes.txt").write_text("no clip")
    results = run_json(capsys, "--model", "head", str(tmp_path), "clip0.npz")
    assert [result["file"] for result in results] == [
        *(str(tmp_path / name) for name in ("a.npz", "b.npz", "deep/c.npz")),
        "clip0.npz",
    ]
    assert results[1]["predictions"][0]["label"] == results[3]["predictions"][0]["label"]
    (tmp_path / "nothing").mkdir()
    assert cli.main(["predict", "--model", "head", str(tmp_path / "nothing")]) == 1
    assert "expected skeleton files or videos in the folder" in capsys.readouterr().err


def test_files_that_are_no_clips(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    np.savez(tmp_path / "foreign.npz", pixels=np.zeros(3))
    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "0.json").write_text("{}")
    assert cli.main(["predict", "--model", "head", str(tmp_path / "foreign.npz"), str(frames)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "foreign.npz: expected a dictionary with keypoints and scores, received one with 'pixels'" in lines[0]
    assert "0.json" in lines[1], "a folder of frames under other names than OpenPose's is for its reader"
    assert lines[2:] == ["sigma-slu predict: 2 of 2 files gave no prediction"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--model", "head", "--labels", "others.txt"], "expected some of the model's 3 labels, received 2 others"),
        (["--model", "glosses", "--labels", "labels.txt"], "for isolated-sign-recognition (SigmaForPreTraining, "),
        (["--model", "retrieval"], "expected a model that predicts (sign-language-translation, "),
        (["--model", "writer", "--labels", "clips.txt"], "clips.txt"),
        (["--model", "head", "--top-k", "0"], "--top-k and --batch-size of at least 1"),
        (
            ["--model", "head", "--labels", "no.txt"],
            "no.txt: expected a file of labels, one per line, found no such file",
        ),
        (
            ["--model", "head", "--labels", "head"],
            "head: expected a file of labels, one per line, received a folder: na",
        ),
        (
            ["--model", "head", "--labels", "clip0.npz"],
            "clip0.npz, line 1: expected labels, one per line as UTF-8 text, receiv",
        ),
        (["--model", "head", "--device", "gpuu"], "expected a device of this machine (cpu), received 'gpuu': use one"),
        (["--model", "head", "--device", "cuda"], "expected a device of this machine (cpu), received 'cuda' ("),
    ],
)
def test_errors_take_one_line(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert cli.main(["predict", *argv, "clip0.npz"]) == 1
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and not captured.out


def _drop(*names: str) -> Callable[[Path], None]:
    def drop(folder: Path) -> None:
        for name in names:
            (folder / name).unlink(missing_ok=True)

    return drop


def _cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "damaged: expected a model, found no such folder: check the path"),
        (_drop("config.json"), "damaged: expected the folder of a model, found no config.json in it"),
        (lambda f: (f / "config.json").write_text("{"), "damaged/config.json: expected JSON"),
        (
            lambda f: (f / "config.json").write_text('{"model_type": "bert"}'),
            "expected a Sigma model, found one of type 'bert': give the folder of a Sigma model; convert-checkpoint",
        ),
        (_drop("model.safetensors"), "damaged cannot be loaded: model.safetensors missing: these are the weights"),
        (_cut_weights, "damaged cannot be loaded: model.safetensors is damaged (Error while deserializing header"),
        (_drop("preprocessor_config.json", "processor_config.json"), "processor_config.json"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "index"])
def test_folders_that_are_no_bundle(
    command: str, damage: Callable[[Path], Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("head" if command == "predict" else "retrieval", tmp_path / "damaged")
    damage(tmp_path / "damaged")
    out = ["--out", str(tmp_path / "index")] if command == "index" else []
    assert cli.main([command, "--model", str(tmp_path / "damaged"), "clip0.npz", *out]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"sigma-slu {command}: error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "index").exists()
