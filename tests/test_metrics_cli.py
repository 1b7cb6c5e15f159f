"""`sigma-slu evaluate`."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from modeling_sigma.cli import evaluate
from modeling_sigma.jobs import progress
from modeling_sigma.metrics import ROUGE_VARIANTS, recognition_scores, translation_scores, word_error_rates
from modeling_sigma.metrics.edit_distance import COSTS
from modeling_sigma.metrics.text_normalization import PRESETS


def parse(*argv: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    return parser.parse_args([str(argument) for argument in argv])


@pytest.fixture
def files(tmp_path: Path) -> Any:
    def write(**contents: object) -> list[object]:
        argv: list[object] = []
        for name, content in contents.items():
            path = tmp_path / f"{name}{'.txt' if isinstance(content, str) else '.json'}"
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
            argv += [f"--{name}", path]
        return argv

    return write


def run_json(capsys: pytest.CaptureFixture[str], *argv: object) -> dict[str, Any]:
    assert evaluate.run(parse(*argv, "--json")) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_translation_from_text(files: Any, capsys: pytest.CaptureFixture[str]) -> None:
    argv = files(predictions="今天五\n你好\n", references="今天几\n你好吗\n")
    result = run_json(capsys, *argv, "--task", "slt", "--preset", "csl_daily", "--rouge-variant", "coco")
    assert result == translation_scores(["今天五", "你好"], ["今天几", "你好吗"], "csl_daily", "coco")


def test_continuous_recognition_from_json(files: Any, capsys: pytest.CaptureFixture[str]) -> None:
    argv = files(
        predictions={"b": "C", "a": ["loc-A", "B"]},
        references=[{"sample_id": "a", "gloss": "A", "text": "Ah."}, {"sample_id": "b", "gloss": "C D", "text": "C?"}],
    )
    options = ["--task", "cslr", "--preset", "phoenix2014t", "--costs", "levenshtein", "--bootstrap", 20, "--seed", 3]
    expected = word_error_rates(
        ["loc-A B", "C"], ["A", "C D"], "levenshtein", "phoenix2014t", num_bootstrap=20, seed=3
    )
    assert run_json(capsys, *argv, *options) == json.loads(json.dumps(expected))
    by_character = run_json(capsys, *argv, "--task", "cslr", "--unit", "character")
    assert by_character["num_reference_words"] == 3


def test_isolated_recognition_with_candidates(files: Any, capsys: pytest.CaptureFixture[str]) -> None:
    candidates = [["book", "drink"], ["drink", "book"]]
    argv = files(predictions=candidates, references="book\nbook\n")
    assert run_json(capsys, *argv, "--task", "islr") == recognition_scores(candidates, ["book", "book"])


def test_table(files: Any, capsys: pytest.CaptureFixture[str]) -> None:
    argv = files(predictions="book\n\ndrink\n", references="book\ncat\ncat\n")
    assert evaluate.run(parse(*argv, "--task", "islr", "--bootstrap", 20)) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split() == ["score", "value", "95", "%", "interval"]
    assert lines[1].split()[:2] == ["top1_per_instance", "33.33"]
    assert len({line.index(".") for line in lines[1:3]}) == 1  # aligned
    assert "    1  cat        drink" in lines and "    1  cat        (empty)" in lines
    assert lines[-1].startswith("signature  task:islr|")
    assert captured.err == (
        "sigma-slu evaluate: warning: 1 of 3 predictions are empty: they are kept and score zero\n"
    )


@pytest.mark.parametrize("task", evaluate.TASKS)
def test_comparison(files: Any, capsys: pytest.CaptureFixture[str], task: str) -> None:
    argv = files(predictions="a\nb\nc\nd\n", compare="a\nb\nx\ny\n", references="a\nb\nc\ne\n")
    result = run_json(capsys, *argv, "--task", task)
    comparison = result["comparison"]
    assert (comparison["num_resamples"], comparison["seed"]) == (evaluate.DEFAULT_NUM_RESAMPLES, 12345)
    name, sign = {"slt": ("bleu1", -1), "cslr": ("wer", 1), "islr": ("top1_per_instance", -1)}[task]
    row = comparison["scores"][name]
    assert row["score"] == pytest.approx(result[name])
    assert row["difference"] == pytest.approx(25 * sign)
    assert row["interval"][0] <= row["difference"] <= row["interval"][1]
    assert evaluate.run(parse(*argv, "--task", task, "--bootstrap", 10)) == 0
    table = capsys.readouterr().out
    assert "10 resamples" in table and f"{25 * sign:+.2f}" in table


@pytest.mark.parametrize("is_terminal", [False, True])
def test_resampling_shows_its_progress_on_a_terminal(
    files: Any, is_terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = files(predictions="one\ntwo\n", references="one\nthree\n")
    monkeypatch.setattr(progress, "_DELAY", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal, raising=False)
    assert evaluate.run(parse(*argv, "--task", "slt", "--bootstrap", 20)) == 0
    assert ("/20" in capsys.readouterr().err) is is_terminal


def test_undefined_rates_are_null_in_json() -> None:
    assert evaluate._without_nan({"a": [float("nan"), 1.0], "b": "nan"}) == {"a": [None, 1.0], "b": "nan"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "slt", "--preset", "phoenix2014"], "belongs to the task cslr"),
        (["--task", "islr", "--preset", "csl_daily"], "expected a preset"),
        (["--task", "slt", "--rouge-variant", "rouge2"], "ROUGE-L variant"),
        (["--task", "cslr", "--costs", "1/1/1"], "expected costs"),
        (["--task", "slt", "--bootstrap", "-1"], "--bootstrap of at least 0"),
        (
            ["--task", "slt", "--compare", "absent.txt"],
            "absent.txt: expected a file of texts .*, found no such file: c",
        ),
        (["--task", "slt", "--compare", "."], "expected a file of texts .*, received a folder: name a file in it"),
    ],
)
def test_errors(files: Any, options: list[str], message: str) -> None:
    argv = files(predictions="a\n", references="a\n")
    with pytest.raises((ValueError, OSError), match=message):
        evaluate.run(parse(*argv, *options))


def test_unequal_files(files: Any) -> None:
    with pytest.raises(
        ValueError, match="as many samples in .*predictions.txt as in .*references.txt, received 1 and 2"
    ):
        evaluate.run(parse(*files(predictions="a\n", references="a\nb\n"), "--task", "slt"))


def test_help_names_every_choice(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    for name in {*ROUGE_VARIANTS, *COSTS, *(name for presets in PRESETS.values() for name in presets)}:
        assert name in text
    with pytest.raises(SystemExit, match="2"):
        parse("--task", "translate")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "options", "score", "expected"),
    [
        ("csl_daily.dev", ["--task", "slt", "--preset", "csl_daily"], "bleu4", 25.2676),
        ("how2sign.test", ["--task", "slt", "--preset", "how2sign"], "bleu4", 14.4988),
        ("how2sign.test", ["--task", "cslr"], "wer", 85.2275),
    ],
)
def test_dumps(
    shared_data: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    options: list[str],
    score: str,
    expected: float,
) -> None:
    dumps = shared_data / "eval_dumps"
    argv = ["--predictions", dumps / f"{name}.predictions.txt", "--references", dumps / f"{name}.references.txt"]
    assert run_json(capsys, *argv, *options)[score] == pytest.approx(expected, abs=5e-5)
