"""What goes wrong in a stranger's first hour, and what the commands then say."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import factories
import pytest
from test_training_processes import _command, _config, _environment

from modeling_sigma.cli.main import main
from modeling_sigma.hub.shipped_files import recipe_files
from modeling_sigma.io import save_clip


MODEL = "sigma-wlasl-hands"


@pytest.fixture(autouse=True)
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder `clips` with a table, to work in."""
    monkeypatch.chdir(tmp_path)
    Path("clips").mkdir()
    with open("clips/metadata.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "signer"])
        for number in range(4):
            save_clip(f"clips/{number}.npz", factories.random_clip(6, seed=number))
            table.writerow([f"{number}.npz", "ab"[number % 2], "XY"[number // 2]])
    Path("README.md").write_text("# Mine\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("build-dataset folder --out built", "your clips and their table (metadata.csv: path; label, text or gloss"),
        ("build-dataset folder --data-dir nowhere --out built", "nowhere: no such folder: check the path"),
        ("build-dataset clips --out built", "received the folder 'clips': clips of your own are the corpus folder"),
        ("extract-poses nowhere.mp4", "nowhere.mp4: no such file or folder: give a video"),
        ("adapt --model sigma-wlasl-hands --data nowhere --out adapted", "nowhere: no such folder, and no corpus has"),
        ("adapt --model ./nowhere --data clips --out adapted", "./nowhere: expected a model, found no such folder"),
        (f"predict --model {MODEL} README.md", "this seems to be text or labels: name the clips"),
        (f"predict --model {MODEL} --language German clips/0.npz", "received 'German': this model"),
        (f"transcribe --model {MODEL} --language German clips/0.npz", "received 'German': this model"),
        ("finetune --corpus synthetic", "expected something to train, or a trained model to score, received neither"),
        ("pretrain --corpus synthetic", "expected something to train, or a trained model to score, received neither"),
        ("finetune --corpus_options 3", "expected corpus_options as names and values, for example '{a: 1, b: 2}'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_says_what_to_do(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 1
    (first, *more) = capsys.readouterr().err.strip().splitlines()
    assert message in first and len(more) <= 1  # `predict` counts the files
    assert not Path("adapted").exists()


@pytest.mark.parametrize("command", ["pretrain", "finetune"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected a CONFIG.yaml, --recipe NAME or --field value, received none of them"),
        (["--recipe", "syntetic"], "received 'syntetic': did you mean synthetic?"),
        (["--recipe"], "received '': `--recipe list` shows them"),
        (["mine.yaml", "--recipe", "synthetic"], "expected one CONFIG.yaml or one --recipe, received two"),
    ],
)
def test_a_run_without_a_purpose(
    command: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, *words])
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_recipes_are_listed_and_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["finetune", "--recipe", "list"])
    lines = capsys.readouterr().out.splitlines()
    assert stop.value.code == 0 and len(lines) == len(recipe_files("finetune")) > 10
    assert all(len(line.split(maxsplit=1)) == 2 for line in lines), "each says what it is"
    assert main(["finetune", "--recipe", "wlasl_hands_300", "--data_dir", "nowhere"]) == 1
    assert "nowhere: no such folder: get WLASL-hands from https://" in capsys.readouterr().err


def test_a_picture_makes_its_folder() -> None:
    assert main(["view", "clips/0.npz", "--out", "some/where/clip.png"]) == 0
    assert Path("some/where/clip.png").stat().st_size > 0


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.slow
def test_ctrl_c_saves_the_step_and_says_how_to_go_on(tmp_path: Path) -> None:
    config = _config(tmp_path, tmp_path / "cache", steps=40)
    command = _command("finetune", config, "--output_dir", str(tmp_path / "r"))
    process = subprocess.Popen(
        command, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    log = tmp_path / "r" / "log.jsonl"
    while process.poll() is None and (not log.exists() or len(log.read_text().splitlines()) < 3):
        pass
    process.send_signal(signal.SIGINT)
    lines = process.communicate(timeout=120)[1].strip().splitlines()
    assert process.returncode == 128 + signal.SIGINT
    assert "stopping after this step; Ctrl-C again stops at once" in lines
    assert "asked to stop (Ctrl-C) after step" in lines[-1] and "go on with: " in lines[-1]
    assert "Traceback" not in "".join(lines)


def test_ctrl_c_elsewhere_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("modeling_sigma.cli.inspect.run", interrupt)
    assert main(["inspect", "clips/0.npz"]) == 130
    assert capsys.readouterr().err == "sigma-slu inspect: stopped by Ctrl-C\n"
    assert sys.exc_info() == (None, None, None)
