"""`sigma-slu evaluate` straight from a model and a data set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from datasets_scripts.schema import encode_sample, features
from modeling_sigma import (
    SigmaFeatureExtractor,
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForSequenceClassification,
    SigmaModel,
    load_pipeline,
    save_bundle,
)
from modeling_sigma.cli import main as cli
from modeling_sigma.hub.card_facts import read_measurements
from modeling_sigma.metrics import recognition_scores, translation_scores, word_error_rates
from modeling_sigma.model.pose_clip import PoseClip
from tests.factories import random_clips, tiny_model, tiny_processor


LABELS = {0: "hello", 1: "rain", 2: "snow", 3: "world", 4: "north", 5: "south"}
GLOSSES = {0: "<blank>", 1: "NORTH", 2: "RAIN", 3: "SNOW"}
TEXTS = ["rain in the north", "hello world", "snow", "hello"]
LENGTHS = (12, 7, 9, 20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, and two corpora as Parquet: sentences with glosses, and single signs."""
    folder = tmp_path_factory.mktemp("evaluate")
    writer = tiny_model(SigmaForConditionalGeneration, seed=2)
    writer.generation_config.max_new_tokens, writer.generation_config.num_beams = 6, 2
    save_bundle(writer, tiny_processor(), folder / "writer")
    save_bundle(
        tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=6, id2label=LABELS),
        SigmaFeatureExtractor(),
        folder / "head",
    )
    save_bundle(
        tiny_model(SigmaForCTC, use_prompt=False, seed=1, id2label=GLOSSES),
        SigmaFeatureExtractor(),
        folder / "glosses",
    )
    save_bundle(tiny_model(SigmaModel), tiny_processor(), folder / "retrieval")
    (folder / "labels.txt").write_text("\n".join([*LABELS.values(), "the weather"]) + "\n")
    clips = random_clips(LENGTHS)
    for name, texts, glosses in (
        ("sentences", TEXTS, [["RAIN", "NORTH"], ["SNOW"], [], ["NORTH"]]),
        ("signs", ["rain", "hello", "snow", "fog"], [[]] * 4),
    ):
        rows = [
            encode_sample(
                clip,
                sample_id=f"{name}-{row}",
                text=texts[row],
                gloss=glosses[row],
                split="test",
                sign_language="Synthetic",
                spoken_language="Chinese" if row == 2 else "English",
                keep_layout=True,
            )
            for row, clip in enumerate(clips)
        ]
        (folder / name).mkdir()
        datasets.Dataset.from_list(rows, features=features()).to_parquet(folder / name / "test-00000.parquet")
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def evaluate(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert cli.main(["evaluate", *argv, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def decoded(name: str) -> list[Any]:
    """The clips as the corpora store them."""
    from datasets_scripts.corpora import load_corpus
    from datasets_scripts.schema import decode_clip

    return [decode_clip(row) for row in load_corpus(name, split="test")]


def without_data(report: dict[str, Any]) -> dict[str, Any]:
    assert set(report["data"]) == {"model", "dataset", "config", "split"}
    return {name: value for name, value in report.items() if name != "data"}


@pytest.mark.filterwarnings("ignore:.*are empty")
@pytest.mark.parametrize("batch_size", ["1", "3"])
def test_translation_in_the_language_of_each_clip(capsys: pytest.CaptureFixture[str], batch_size: str) -> None:
    report = evaluate(
        capsys, "--task", "slt", "--model", "writer", "--dataset", "sentences", "--batch-size", batch_size
    )
    translate = load_pipeline("writer")
    languages = ["English", "English", "Chinese", "English"]
    expected = [
        translate(clip, language=language)["text"]
        for clip, language in zip(decoded("sentences"), languages, strict=True)
    ]
    confidence = report.pop("confidence")
    assert confidence["num_samples"] == 4 and -100 <= confidence["chrf_rank_correlation"] <= 100
    assert without_data(report) == translation_scores(expected, TEXTS)
    assert report["data"] == {"model": "writer", "dataset": "sentences", "config": None, "split": "test"}
    english = evaluate(
        capsys, "--task", "slt", "--model", "writer", "--dataset", "sentences", "--language", "English",
        "--save-predictions", "english.txt", "--num-beams", "1",
    )  # fmt: skip
    expected = [translate(clip, num_beams=1)["text"] for clip in decoded("sentences")]
    del english["confidence"]
    assert without_data(english) == translation_scores(expected, TEXTS)
    dumped = Path("english.txt").read_text(encoding="utf-8").splitlines()
    assert dumped == [f"sample: sentences-{row}, prediction: {text}" for row, text in enumerate(expected)]


@pytest.mark.filterwarnings("ignore:.*are empty")
@pytest.mark.parametrize("model", ["writer", "glosses"])
def test_continuous_recognition(capsys: pytest.CaptureFixture[str], model: str) -> None:
    argv = ("--task", "cslr", "--model", model, "--dataset", "sentences")
    report = evaluate(capsys, *argv, "--language", "English", "--save-predictions", "cslr.json")
    recognize = load_pipeline(model)
    expected = [" ".join(recognize(clip)["text"].split()) for clip in decoded("sentences")]
    references = ["RAIN NORTH", "SNOW", "", "NORTH"]
    assert without_data(report) == word_error_rates(expected, references)
    saved = json.loads(Path("cslr.json").read_text(encoding="utf-8"))
    assert [(entry["prediction"], entry["reference"]) for entry in saved] == list(zip(expected, references))
    assert ("spans" in saved[0]) == (model == "glosses")
    again = evaluate(capsys, "--task", "cslr", "--predictions", "cslr.json", "--references", "cslr.json")
    assert again == without_data(report)


def test_isolated_recognition_with_a_label_head(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("--task", "islr", "--model", "head", "--dataset", "signs")
    report = evaluate(capsys, *argv, "--save-predictions", "islr.jsonl")
    recognize = load_pipeline("head")
    expected = [[entry["label"] for entry in recognize(clip)] for clip in decoded("signs")]
    scores = recognition_scores(
        expected, ["rain", "hello", "snow", "fog"], vocabulary=LABELS.values(), is_constrained=True
    )
    confidence = report.pop("confidence")
    assert without_data(report) == scores and "top5_per_instance" in report
    assert confidence["accuracy"] == pytest.approx(scores["top1_per_instance"]) and confidence["num_samples"] == 4
    assert "called_unknown" not in confidence  # the model is not calibrated
    assert report["num_outside_vocabulary"] == 0
    again = evaluate(capsys, "--task", "islr", "--predictions", "islr.jsonl", "--references", "islr.jsonl")
    assert again["top5_per_class"] == report["top5_per_class"]


def test_a_model_that_writes_is_compared_as_strings_or_held_to_labels(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("--task", "islr", "--model", "writer", "--dataset", "signs")
    free = evaluate(capsys, *argv)
    assert "top5_per_instance" not in free and "decoding:free" in free["signature"]
    assert free["top1_per_instance"] == 0, "an untrained model babbles"
    argv = (*argv, "--labels", "labels.txt", "--language", "English")
    held = evaluate(capsys, *argv, "--save-predictions", "held.json")
    assert "top5_per_instance" in held and "decoding:constrained" in held["signature"]
    assert held["num_outside_vocabulary"] == 0
    recognize = load_pipeline("writer", task="isolated-sign-recognition")
    labels = Path("labels.txt").read_text().split("\n")[:-1]
    expected = [[entry["label"] for entry in recognize(clip, labels=labels)] for clip in decoded("signs")]
    assert [entry["candidates"] for entry in json.loads(Path("held.json").read_text())] == expected
    searched = evaluate(capsys, *argv, "--num-beams", "7")
    assert searched["top1_per_instance"] == held["top1_per_instance"]


def test_labels_that_no_model_knows_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "--task", "islr", "--model", "head", "--dataset", "signs"]) == 0
    captured = capsys.readouterr()
    assert "warning: 1 of the data set's labels, such as 'fog', are not among the model's 6" in captured.err
    lines = captured.out.splitlines()
    assert "model      head" in lines and "dataset    signs" in lines and "split      test" in lines


def test_clips_without_anybody_are_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    clips = [*random_clips((12, 7)), PoseClip(np.zeros((4, 133, 2)), np.zeros((4, 133)))]
    rows = [
        encode_sample(
            clip, sample_id=str(row), text="rain", split="test", sign_language="S", spoken_language="English"
        )
        for row, clip in enumerate(clips)
    ]
    (tmp_path / "corpus").mkdir()
    datasets.Dataset.from_list(rows, features=features()).to_parquet(tmp_path / "corpus" / "test-00000.parquet")
    argv = ["evaluate", "--task", "islr", "--model", "head", "--dataset", str(tmp_path / "corpus"), "--json"]
    assert cli.main(argv) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["num_samples"] == 3
    assert "warning: nobody is seen in 1 of 3 clips: the model's predictions for them are guesses" in captured.err


def test_comparison_with_an_older_system(capsys: pytest.CaptureFixture[str]) -> None:
    Path("old.json").write_text(json.dumps({f"signs-{row}": "rain" for row in reversed(range(4))}))
    argv = ("--task", "islr", "--model", "head", "--dataset", "signs", "--compare", "old.json", "--bootstrap", "20")
    comparison = evaluate(capsys, *argv)["comparison"]["scores"]["top1_per_instance"]
    assert comparison["other_score"] == 25


@pytest.mark.slow  # the whole corpus is made first
def test_scores_go_to_the_card(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The second run of the same test replaces the first; another test stands beside it."""
    model = shutil.copytree("head", tmp_path / "head")
    test = ["--model", str(model), "--dataset", "signs", "--task", "islr", "--add-to-card"]
    for _ in range(2):
        report = evaluate(capsys, *test, "--bootstrap", "20")
    evaluate(capsys, *test, "--split", "test[:2]")
    whole, part = read_measurements(model / "results.json")
    assert (whole.split, whole.num_samples, part.split, part.num_samples) == ("test", 4, "test[:2]", 2)
    assert whole.scores["top1_per_instance"] == report["top1_per_instance"]
    assert whole.intervals["top5_per_class"] == report["intervals"]["top5_per_class"]
    assert whole.signature == report["signature"] and "--dataset signs" in whole.command


def test_translations_go_to_the_card(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = shutil.copytree("writer", tmp_path / "writer")
    test = ["--model", str(model), "--dataset", "signs", "--task", "slt", "--split", "test[:2]", "--add-to-card"]
    report = evaluate(capsys, *test)
    [measurement] = read_measurements(model / "results.json")
    assert (measurement.task, measurement.num_samples) == ("slt", 2)
    assert measurement.scores["bleu4"] == report["bleu4"]


def test_a_corpus_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    argv = (
        "--task",
        "islr",
        "--model",
        "head",
        "--dataset",
        "synthetic",
        "--config",
        "isolated",
        "--split",
        "test[:3]",
    )
    report = evaluate(capsys, *argv, "--batch-size", "3")
    assert report["num_samples"] == 3


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--task", "cslr", "--model", "writer", "--dataset", "signs"], "column 'gloss' is empty in this split"),
        (["--task", "cslr", "--model", "head", "--dataset", "sentences"], "expected a model for continuous-sign-rec"),
        (["--task", "slt", "--model", "glosses", "--dataset", "sentences"], "expected a model for sign-language-tran"),
        (
            ["--task", "slt", "--model", "retrieval", "--dataset", "sentences"],
            "expected a model for sign-language-translation (Sigma",
        ),
        (["--task", "islr", "--model", "head", "--dataset", "signs", "--labels", "labels.txt"], "first 'the weather'"),
        (["--task", "slt", "--model", "writer", "--dataset", "nowhere"], "nowhere: no such folder, and no corpus"),
        (
            ["--task", "slt", "--model", "writer", "--dataset", "nowhere", "--device", "gpuu"],
            "received 'gpuu': use one",
        ),
        (
            ["--task", "slt", "--predictions", "no.txt", "--references", "labels.txt"],
            "no.txt: expected a file of texts",
        ),
        (
            ["--task", "slt", "--predictions", "labels.txt", "--references", "head"],
            "head: expected a file of texts (pl",
        ),
    ],
)
def test_errors_take_one_line(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", *argv]) == 1
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and not captured.out


@pytest.mark.parametrize(
    "argv",
    [
        ["--task", "slt"],
        ["--task", "slt", "--model", "writer"],
        ["--task", "slt", "--predictions", "a", "--references", "b", "--model", "writer", "--dataset", "sentences"],
        ["--task", "slt", "--predictions", "a", "--references", "b", "--save-predictions", "c"],
        ["--task", "slt", "--model", "writer", "--dataset", "sentences", "--batch-size", "0"],
        ["--task", "slt", "--model", "writer", "--dataset", "sentences", "--labels", "labels.txt"],
    ],
)
def test_wrong_usage_exits_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        cli.main(["evaluate", *argv])
    assert exit_info.value.code == 2
    assert "usage: sigma-slu evaluate" in capsys.readouterr().err
