"""`sigma-slu dictionary`: its actions on files, folders and corpora, and what it says when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modeling_sigma import PoseClip, SigmaForSequenceClassification, SignDictionary, save_bundle
from modeling_sigma.cli.main import main
from modeling_sigma.io import save_clip
from modeling_sigma.jobs.atomic_files import lone_writer
from tests.factories import random_clip, tiny_model, tiny_processor


WORDS = [f"word {number}" for number in range(12)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and a folder with a table of 24 clips: of 12 words, one in train and one in test."""
    folder = tmp_path_factory.mktemp("home")
    model = tiny_model(SigmaForSequenceClassification, use_prompt=False)
    save_bundle(model, tiny_processor().feature_extractor, folder / "model")
    (folder / "clips").mkdir()
    lines = ["path,label,split,signer"]
    for number, word in enumerate(WORDS):
        clip = random_clip(9, seed=number)
        moved = PoseClip(clip.keypoints + 1.0, clip.scores, fps=25.0)
        for split, saved in (("train", clip), ("test", moved)):
            save_clip(folder / "clips" / f"{number}_{split}.npz", saved)
            lines.append(f"{number}_{split}.npz,{word},{split},{'AB'[number % 2]}")
    (folder / "clips" / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def dictionary(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(home)
    path = str(tmp_path / "signs")
    assert main(["dictionary", "create", path, "--model", "model"]) == 0
    return path


def test_from_files(dictionary: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    files = ["clips/0_train.npz", "clips/1_train.npz"]
    command = ["dictionary", "add", dictionary, *files, "--label", "Haus", "--signer", "Ada"]
    assert main([*command, "--sign-language", "German Sign Language"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[:2] == ["Haus/1\tHaus", "Haus/2\tHaus"] and "1 labels, 2 clips" in out
    read = SignDictionary.from_pretrained(dictionary)
    assert [entry.facts for entry in read.entries] == [{"signer_id": "Ada"}] * 2
    assert {entry.sign_language for entry in read.entries} == {"German Sign Language"}
    assert main(["dictionary", "search", dictionary, files[0], "--json", "--top-k", "1"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["file"] == files[0] and result["signs"][0]["label"] == "Haus"
    assert main(["dictionary", "remove", dictionary, "--sample-id", "Haus/1"]) == 0
    assert "Removed 1 clips" in capsys.readouterr().out
    assert main(["dictionary", "remove", dictionary, "--label", "Haus"]) == 0
    assert "0 labels, 0 clips" in capsys.readouterr().out


def test_from_a_folder_with_a_table(dictionary: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dictionary", "add", dictionary, "--data", "clips"]) == 0
    assert "12 labels, 12 clips" in capsys.readouterr().out
    entries = SignDictionary.from_pretrained(dictionary).entries
    assert {entry.facts["signer_id"] for entry in entries} == {"A", "B"} and entries[0].sign_language is None
    assert main(["dictionary", "evaluate", dictionary, "--data", "clips", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["num_known"], scores["num_labels"]) == (12, 12)
    assert scores["r1"] == 100.0, "moving a clip changes nothing"
    assert main(["dictionary", "evaluate", dictionary, "clips/0_test.npz", "--label", "word 0"]) == 0
    assert "r1\t100.0" in capsys.readouterr().out
    assert main(["dictionary", "search", dictionary, "clips/3_test.npz", "clips/4_test.npz"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 10 and lines[0].startswith("clips/3_test.npz\t") and "word 3" in lines[0]
    assert main(["dictionary", "add", dictionary, "--data", "clips", "--split", "all"]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("received '") == 12, "those of train are in it already"
    assert "that no clip has yet" in captured.err and "12 labels," in captured.out


@pytest.mark.slow
@pytest.mark.data
def test_from_a_corpus(dictionary: str, shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", "fingerspelling", "--data-dir", str(shared_data / "fingerspelling")]
    assert main(["dictionary", "add", dictionary, *data, "--split", "all"]) == 0
    assert len(SignDictionary.from_pretrained(dictionary)) > 20


def test_clips_that_cannot_be_taught_are_left_out(
    dictionary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = np.ones((9, 133))
    scores[:, 91:] = 0
    save_clip(tmp_path / "handless.npz", PoseClip(random_clip(9).keypoints, scores))
    (tmp_path / "broken.npz").write_bytes(b"no")
    files = [str(tmp_path / "handless.npz"), str(tmp_path / "broken.npz"), "clips/0_train.npz"]
    assert main(["dictionary", "add", dictionary, *files, "--label", "Haus"]) == 1
    captured = capsys.readouterr()
    assert "1 labels, 1 clips" in captured.out
    assert "handless.npz: expected a clip with hands" in captured.err and "broken.npz" in captured.err
    assert main(["dictionary", "search", dictionary, *files[:2]]) == 1


def test_one_clip_of_two_signs_is_told(dictionary: str, capsys: pytest.CaptureFixture[str]) -> None:
    for label in ("Haus", "Heim"):
        assert main(["dictionary", "add", dictionary, "clips/0_train.npz", "--label", label]) == 0
    assert "warning: one clip stands for two signs: 'Haus' (Haus/1) and 'Heim'" in capsys.readouterr().err


def test_mistakes(dictionary: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip, other = "clips/0_train.npz", str(tmp_path / "other")
    model = tiny_model(SigmaForSequenceClassification, seed=3, use_prompt=False)
    save_bundle(model, tiny_processor().feature_extractor, other)
    cases: list[tuple[list[str], str]] = [
        (["create", dictionary, "--model", "model"], "expected a new folder, found a dictionary"),
        (["create", str(tmp_path / "new"), "--model", "nowhere"], "nowhere: expected a model"),
        (["add", dictionary, clip], "expected --label LABEL for the FILEs"),
        (["add", dictionary, "--label", "x"], "expected either FILEs with --label or --data"),
        (["add", dictionary, clip, "--label", "x", "--data", "clips"], "expected either FILEs with --label or --data"),
        (["add", dictionary, "--data", "clips", "--label", "x"], "expected labels and signers from --data"),
        (["add", dictionary, "--data", "clips", "--split", "dev"], "expected a split among"),
        (["add", str(tmp_path), clip, "--label", "x"], "expected a dictionary, found no dictionary.json"),
        (["add", dictionary, clip, "--label", "x", "--device", "gpuu"], "expected a device of this machine"),
        (["search", dictionary, clip], "expected a dictionary with signs, received an empty one"),
        (["evaluate", dictionary, clip, "--label", "x"], "expected a dictionary with signs, received an empty one"),
        (["remove", dictionary], "expected a label or a sample_id to remove, received none"),
        (["remove", dictionary, "--label", "x"], "expected a label of this dictionary, received 'x'"),
        (["add", dictionary, clip, "--label", "x", "--model", other], "received one with other weights"),
    ]
    for arguments, message in cases:
        assert main(["dictionary", *arguments]) == 1, arguments
        assert message in capsys.readouterr().err
    with lone_writer(Path(dictionary)):
        assert main(["dictionary", "add", dictionary, clip, "--label", "x"]) == 1
    assert "another process is writing here" in capsys.readouterr().err
    for arguments in ([], ["add"], ["search", dictionary], ["forget", dictionary]):
        with pytest.raises(SystemExit) as end:
            main(["dictionary", *arguments])
        assert end.value.code == 2


def test_help_of_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("create", "add", "remove", "search", "evaluate"):
        with pytest.raises(SystemExit) as end:
            main(["dictionary", action, "--help"])
        assert end.value.code == 0 and f"usage: sigma-slu dictionary {action}" in capsys.readouterr().out


def test_debug_shows_the_traceback(dictionary: str) -> None:
    def search(**_: Any) -> int:
        return main(["dictionary", "search", dictionary, "nowhere.npz", "--debug"])

    with pytest.raises((ValueError, OSError)):
        search()
