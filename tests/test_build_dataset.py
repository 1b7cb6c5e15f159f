"""`build-dataset`: what it writes opens with `datasets` alone, nothing is lost, and no kill changes a byte."""

import errno
import gzip
import importlib.util
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
import yaml
from archive_corpus import Archive
from datasets.distributed import split_dataset_by_node
from PIL import Image

from datasets_scripts.building import build, shard_writer
from datasets_scripts.building.build import REPORT, build_dataset, push_dataset
from datasets_scripts.building.length_histogram import draw_length_histogram
from datasets_scripts.corpora import load_corpus
from datasets_scripts.schema import DECODING_RECIPE, decode_clip, features
from modeling_sigma.cli import main as cli
from modeling_sigma.io import load_clip, save_clip
from modeling_sigma.jobs.atomic_files import lone_writer
from modeling_sigma.jobs.worker_processes import WorkerDeath
from modeling_sigma.model.pose_clip import PoseClip


ROOT = Path(__file__).resolve().parents[1]
SIZES = {"num_train": 11, "num_validation": 2, "num_test": 3}


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Path:
    """Forty clips: two are missing, four are damaged; signer `b` is in both splits."""
    monkeypatch.setattr(build, "CORPORA", {"archive": Archive})
    monkeypatch.setattr(shard_writer, "CORPORA", {"archive": Archive})
    folder = tmp_path / "archive"
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = [f"train_{'ab'[n % 2]}_{('hello', 'world')[n % 3 == 0]}_{n}" for n in range(30)]
    names += [f"test_{'bc'[n % 2]}_hello_{n}" for n in range(10)]
    (folder / "labels.txt").write_text("\n".join(names))
    for number, name in enumerate(names):
        clip = PoseClip(
            rng.uniform(0, 99, (5 + number, 133, 2)), np.ones((5 + number, 133)), fps=25, width=99, height=99
        )
        save_clip(folder / f"{name}.npz", clip)
    for name in (names[3], names[20], names[21], names[33]):
        (folder / f"{name}.npz").write_bytes((folder / f"{name}.npz").read_bytes()[:100])
    for name in (names[8], names[39]):
        (folder / f"{name}.npz").unlink()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "synthetic"
    build_dataset("synthetic", folder, config_name="sentences", clips_per_shard=3, **SIZES)
    return folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> datasets.DatasetDict:
    """The same clips through the builder's own cache."""
    return load_corpus("synthetic", "sentences", cache_dir=tmp_path_factory.mktemp("cache"), **SIZES)


# --- what is written


def test_datasets_opens_it_with_all_rows_and_the_features(built, rows, tmp_path):
    loaded = datasets.load_dataset(str(built), cache_dir=str(tmp_path))
    assert loaded["train"].features == features()
    assert {split: list(part) for split, part in loaded.items()} == {split: list(part) for split, part in rows.items()}
    assert datasets.get_dataset_config_names(str(built)) == ["sentences"]
    assert list(load_corpus(built, split="test", cache_dir=str(tmp_path))) == list(rows["test"])
    assert sorted(path.name for path in (built / "data").iterdir()) == [
        "test-00000-of-00001.parquet",
        *(f"train-{number:05d}-of-00004.parquet" for number in range(4)),
        "validation-00000-of-00001.parquet",
    ]


def test_streaming_gives_the_same_rows(built, rows):
    stream = datasets.load_dataset(str(built), split="train", streaming=True)
    assert stream.num_shards == 4
    assert list(stream) == list(rows["train"])


@pytest.mark.parametrize(("world_size", "num_workers"), [(1, 2), (2, 0), (2, 2), (3, 0), (4, 2), (7, 0)])
def test_ranks_and_workers_lose_and_repeat_nothing(built, rows, world_size, num_workers):
    seen = []
    for rank in range(world_size):
        stream = datasets.load_dataset(str(built), split="train", streaming=True).select_columns("sample_id")
        part = split_dataset_by_node(stream, rank, world_size)
        loader = torch.utils.data.DataLoader(part, batch_size=None, num_workers=num_workers)
        seen += [row["sample_id"] for row in loader]
    assert sorted(seen) == sorted(rows["train"]["sample_id"])


def unpadded(text):
    """Tables without the spaces that align their columns."""
    return re.sub(r" +\|", " |", text)


def test_the_card_tells_what_is_in_it_and_how_to_read_it(built):
    text = (built / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---")[1])
    assert header["configs"][0]["config_name"] == "sentences" and header["license"] == "other"
    assert [files["split"] for files in header["configs"][0]["data_files"]] == ["train", "validation", "test"]
    assert header["language"] == ["en"] and "sign-language" in header["tags"]
    assert DECODING_RECIPE in text and "| train | 11 |" in unpadded(text) and "coco_wholebody_133" in text
    assert "No known signer is in two splits." in text and "![Lengths of the clips](lengths.png)" in text
    # The recipe in the card is code that gives the clip.
    code = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    namespace: dict = {}
    exec(next(block for block in code if "def decode" in block), namespace)
    row = datasets.load_dataset(str(built), split="test", streaming=True).take(1)
    row = next(iter(row))
    keypoints, scores = namespace["decode"](row)
    clip = decode_clip(row)
    np.testing.assert_allclose(keypoints, clip.keypoints, atol=1e-3)
    np.testing.assert_allclose(scores, clip.scores, atol=1e-6)
    with Image.open(built / "lengths.png") as picture:
        assert picture.format == "PNG" and picture.size == (720, 470)
        assert len(picture.convert("RGB").getcolors(100_000)) > 3


def test_the_estimator_of_a_clip_comes_back(tmp_path):
    """From a clip of `extract-poses`, through a table, into Parquet, and to whoever loads it."""
    clips = tmp_path / "clips"
    clips.mkdir()
    rng = np.random.default_rng(0)
    for name, maker in (("a", "mediapipe-holistic (mediapipe 1.2.3)"), ("b", None)):
        points = rng.uniform(0, 99, (6, 133, 2))
        save_clip(
            clips / f"{name}.npz", PoseClip(points, np.ones((6, 133)), fps=25, width=99, height=99, estimator=maker)
        )
    (clips / "metadata.csv").write_text("path,label,signer\na.npz,house,Ada\nb.npz,rain,Ada\n")
    options = {"sign_language": "Test Sign Language", "spoken_language": "English"}
    build_dataset("folder", tmp_path / "data", clips, **options)
    parts = load_corpus(tmp_path / "data", cache_dir=str(tmp_path / "cache")).values()
    found = {row["text"]: decode_clip(row).estimator for part in parts for row in part}
    assert found == {"house": "mediapipe-holistic (mediapipe 1.2.3)", "rain": None}


def test_pictures_for_those_who_look_at_the_rows(tmp_path):
    """First column, a PNG of a few kilobytes; who reads clips need not decode it."""
    sizes = {"num_train": 2, "num_validation": 0, "num_test": 1}
    build_dataset("synthetic", tmp_path / "data", config_name="sentences", pictures=True, **sizes)
    cache = str(tmp_path / "cache")
    rows = datasets.load_dataset(str(tmp_path / "data"), split="train", cache_dir=cache)
    assert list(rows.features)[0] == "picture" and isinstance(rows.features["picture"], datasets.Image)
    picture = rows[0]["picture"]
    assert picture.height == 80 and picture.width > 160 and len(picture.convert("RGB").getcolors()) > 3
    for streaming in (False, True):
        corpus = load_corpus(tmp_path / "data", split="train", streaming=streaming, cache_dir=cache)
        row = next(iter(corpus))
        assert row["picture"]["bytes"].startswith(b"\x89PNG") and len(row["picture"]["bytes"]) < 8000
        assert len(decode_clip(row)) == row["num_frames"]


def test_a_histogram_has_a_bar_for_every_length():
    narrow = draw_length_histogram({"train": {"10": 5}, "test": {}})
    wide = draw_length_histogram({"train": {"10": 5, "200": 5}, "test": {}})
    assert narrow != wide == draw_length_histogram({"train": {"200": 5, "10": 5}, "test": {}})
    assert draw_length_histogram({}).startswith(b"\x89PNG")


# --- what is left out


def test_damaged_and_missing_clips_are_named_and_the_rest_is_there(archive, tmp_path):
    out = tmp_path / "out"
    report = build_dataset("archive", out, archive, clips_per_shard=7)
    assert [(problem["split"], problem["sample_id"]) for problem in report["set_aside"]] == [
        ("train", "train_b_world_3"),
        ("train", "train_a_hello_20"),
        ("train", "train_b_world_21"),
        ("test", "test_c_hello_3"),
    ]
    assert all("cannot be read as a .npz clip" in problem["reason"] for problem in report["set_aside"])
    assert [problem["sample_id"] for problem in report["missing"]] == ["train_a_hello_8", "test_c_hello_9"]
    assert report == json.loads((out / REPORT).read_text(encoding="utf-8"))
    assert str(tmp_path) not in (out / REPORT).read_text() + (out / "README.md").read_text(), "it can be published"
    train, test = report["splits"]["train"], report["splits"]["test"]
    assert (train["num_clips"], train["num_missing"], train["num_set_aside"]) == (26, 1, 3)
    assert (test["num_clips"], test["num_missing"], test["num_set_aside"]) == (8, 1, 1)
    assert (train["num_signers"], train["num_texts"], train["num_glosses"]) == (2, 2, 2)
    assert report["signer_overlap"] == {"train and test": ["b"]}
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    names = set((archive / "labels.txt").read_text().split())
    left_out = {problem["sample_id"] for problem in report["set_aside"] + report["missing"]}
    assert set(loaded["train"]["sample_id"]) | set(loaded["test"]["sample_id"]) == names - left_out
    assert sum(shard["num_rows"] for shard in report["shards"]) == 34
    card = (out / "README.md").read_text()
    assert "**Signers in two splits** (train and test: 1)" in card and "| train | 1 | 3 |" in unpadded(card)
    assert "| train | 26 of 31 |" in unpadded(card) and "Nobody may pass it on" in card and "@misc{archive}" in card


def test_a_file_in_which_every_clip_is_damaged_is_left_out(archive, tmp_path):
    for name in ("train_a_hello_20", "train_b_world_21", "train_a_hello_22"):
        (archive / f"{name}.npz").write_bytes(b"")
    report = build_dataset("archive", tmp_path / "out", archive, clips_per_shard=1)
    assert len(report["shards"]) == sum(split["num_clips"] for split in report["splits"].values()) == 33
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert len(loaded["train"]) == 25
    assert build_dataset("archive", tmp_path / "out", archive, clips_per_shard=1) == report


def test_splits_that_cannot_be_read_and_strictness(archive, tmp_path):
    with pytest.raises(FileNotFoundError, match="train: 1 of 30 pose files not found: train_a_hello_8"):
        build_dataset("archive", tmp_path / "strict", archive, on_problem="raise")
    names = (archive / "labels.txt").read_text().split()
    names = [name for name in names if name not in ("train_a_hello_8", "test_c_hello_9")]
    (archive / "labels.txt").write_text("\n".join(names))
    message = "Archive of tests, train, train_b_world_3: train_b_world_3.npz: cannot be read"
    with pytest.raises(ValueError, match=message):
        build_dataset("archive", tmp_path / "strict", archive, on_problem="raise", clips_per_shard=40)
    for path in archive.glob("test_*.npz"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="Archive of tests, test: none of the 9 clips can be read, the first: test_b"):
        build_dataset("archive", tmp_path / "out", archive)
    for path in archive.glob("test_*.npz"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="9 of 9 pose files not found"):
        build_dataset("archive", tmp_path / "out", archive)


def failing(clips, error, times):
    """Reading one of these clips fails a number of times each."""
    left = dict.fromkeys(clips, times)

    def read(path, *args, **kwargs):
        name = Path(path).stem
        if left.get(name):
            left[name] -= 1
            raise error
        return load_clip(path, *args, **kwargs)

    return read


PASSING = [OSError(errno.EIO, "Input/output error"), OSError(errno.ETIMEDOUT, "timed out"), MemoryError()]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_a_fault_that_passes_costs_nothing(error, archive, tmp_path, monkeypatch):
    expected = build_dataset("archive", tmp_path / "undisturbed", archive, clips_per_shard=7)
    monkeypatch.setattr("archive_corpus.load_clip", failing(["train_b_hello_1", "test_b_hello_2"], error, 2))
    assert build_dataset("archive", tmp_path / "out", archive, clips_per_shard=7) == expected
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_a_passing_fault_leaves_out_comes_in_the_next_run(error, archive, tmp_path, monkeypatch, capsys):
    build_dataset("archive", tmp_path / "undisturbed", archive, clips_per_shard=7)
    out, clips = tmp_path / "out", ["train_b_hello_1", "test_b_hello_2"]
    monkeypatch.setattr("archive_corpus.load_clip", failing(clips, error, 3))
    command = ["build-dataset", "archive", "--data-dir", str(archive), "--out", str(out), "--clips-per-shard", "7"]
    command += ["--num-proc", "1"]
    assert cli.main(command) == 1
    printed = capsys.readouterr().err
    assert "2 clips could not be read for now: the same command takes them up again" in printed
    report = json.loads((out / REPORT).read_text(encoding="utf-8"))
    assert [problem["sample_id"] for problem in report["postponed"]] == clips
    assert not set(clips) & {problem["sample_id"] for problem in report["set_aside"]}
    assert "**Not finished**: 2 more" in (out / "README.md").read_text()
    with pytest.raises(ValueError, match="found one that is being built: build it to its end"):
        push_dataset(out, "org/name")
    written = []
    write = shard_writer.ShardWriter._write
    monkeypatch.setattr(shard_writer.ShardWriter, "_write", lambda *args: written.append(args[2].name) or write(*args))
    assert cli.main(command) == 0
    assert written == ["train-00000-of-00005", "test-00000-of-00002"], "the others were there"
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_a_cache_does_not_lack_clips_for_good(archive, tmp_path, monkeypatch):
    monkeypatch.setattr("archive_corpus.load_clip", failing(["train_b_hello_1"], OSError(errno.EIO, "I/O"), 3))
    builder = Archive(cache_dir=tmp_path / "cache", data_dir=archive)
    with pytest.raises(OSError, match="I/O"):
        builder.download_and_prepare()
    builder.download_and_prepare()
    assert "train_b_hello_1" in builder.as_dataset(split="train")["sample_id"]


def test_files_of_others_in_the_folder_stay(archive, tmp_path):
    out = tmp_path / "out"
    build_dataset("archive", out, archive, clips_per_shard=10)
    (out / "data" / "notes.txt").write_text("mine")
    build_dataset("archive", out, archive, clips_per_shard=100)
    assert (out / "data" / "notes.txt").read_text() == "mine"


# --- again, and after a kill


def test_a_second_run_does_only_what_has_changed(archive, tmp_path, monkeypatch):
    out = tmp_path / "out"
    build_dataset("archive", out, archive, clips_per_shard=10)
    before = contents(out)
    written = []
    write = shard_writer.ShardWriter._write
    monkeypatch.setattr(shard_writer.ShardWriter, "_write", lambda *args: written.append(args[2].name) or write(*args))
    done = []
    build_dataset("archive", out, archive, clips_per_shard=10, progress=lambda *counts: done.append(counts))
    assert written == [] and done == [(38, 38)] and contents(out) == before
    # A mended clip: the fingerprint of its file changes, and the old files go.
    clip = load_clip(archive / "train_b_hello_1.npz")
    save_clip(archive / "train_b_world_3.npz", clip)
    report = build_dataset("archive", out, archive, clips_per_shard=100)
    assert report["splits"]["train"]["num_clips"] == 27
    assert sorted(path.name for path in (out / "data").iterdir()) == [
        "test-00000-of-00001.parquet",
        "train-00000-of-00001.parquet",
    ]
    assert len(datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]) == 27


class Killed(BaseException):
    pass


def test_a_kill_between_any_two_steps_changes_nothing(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # slow, and of no use against kills
    build_dataset("archive", tmp_path / "undisturbed", archive, clips_per_shard=15)
    expected = contents(tmp_path / "undisturbed")
    rename, num_kills = os.replace, 0
    while True:
        steps: list[object] = []

        def step(source, target, last_step=num_kills, steps=steps):
            if len(steps) == last_step:
                Path(source).with_name("1-half.parquet").write_bytes(Path(source).read_bytes()[:50])
                raise Killed
            steps.append(target)
            rename(source, target)

        out = tmp_path / f"killed-{num_kills}"
        monkeypatch.setattr(os, "replace", step)
        try:
            build_dataset("archive", out, archive, clips_per_shard=15)
        except Killed:
            monkeypatch.setattr(os, "replace", rename)
            build_dataset("archive", out, archive, clips_per_shard=15)
            assert contents(out) == expected, f"killed before step {num_kills}"
            num_kills += 1
        else:
            break
    assert num_kills == 3 * 2 + 3 + 4  # files with notes; into their places; picture, card, report, state


def test_a_worker_that_dies_is_one_line_and_the_next_run_goes_on(archive, tmp_path):
    def dying(make_task, shards, num_proc):
        yield from build.run_in_processes(make_task, shards[:1], 1)
        yield shards[1], WorkerDeath("the process died working on it (exit code -9)")

    with pytest.raises(ValueError, match=r"train-00001-of-00003: the process died .*exit code -9.* goes on"):
        build_dataset("archive", tmp_path / "out", archive, clips_per_shard=10, engine=dying)
    done = []
    build_dataset("archive", tmp_path / "out", archive, clips_per_shard=10, progress=lambda *n: done.append(n[0]))
    assert done[0] == 9, "the first file was there"


def test_kill_and_resume(tmp_path):
    options = ["--config", "isolated", "--clips-per-shard", "5"]
    options += ["--set", "num_train=50", "--set", "num_validation=5", "--set", "num_test=5"]
    start = "import sys; sys.argv[0] = 'sigma-slu'; from modeling_sigma.cli.main import main; sys.exit(main())"

    def command(out, num_proc):
        arguments = ["build-dataset", "synthetic", "--out", str(out), *options, "--num-proc", str(num_proc)]
        return [sys.executable, "-c", start, *arguments]

    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert cli.main(command(undisturbed, 1)[3:]) == 0
    notes = killed / ".build" / "notes"
    process = subprocess.Popen(command(killed, 2), cwd=ROOT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(list(notes.glob("*.json"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 3 <= len(list(notes.glob("*.json"))) < 12 and not (killed / "README.md").exists(), process.stderr.read()
    assert cli.main(command(killed, 1)[3:]) == 0
    assert contents(killed) == contents(undisturbed)


# --- what cannot be built


def test_wrong_arguments_take_one_line(archive, tmp_path, capsys, monkeypatch):
    with pytest.raises(ValueError, match="expected corpus to be one of archive, received 'nowhere'$"):
        build_dataset("nowhere", tmp_path / "out")
    with pytest.raises(ValueError, match="received 'foldr': did you mean folder"):
        build_dataset("foldr", tmp_path / "out")
    with pytest.raises(ValueError, match="expected at least 1 clip in a shard, received 0"):
        build_dataset("archive", tmp_path / "out", archive, clips_per_shard=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="full: expected a new folder or a data set .*, found 'thesis.tex' in it"):
        build_dataset("archive", tmp_path / "full", archive)
    with lone_writer(tmp_path / "busy"), pytest.raises(ValueError, match="busy: another process is writing here"):
        build_dataset("archive", tmp_path / "busy", archive)
    out = ["--out", str(tmp_path / "out")]
    assert cli.main(["build-dataset", "archive", *out, "--set", "colour"]) == 1
    assert "expected --set NAME=VALUE, received 'colour'" in capsys.readouterr().err
    assert cli.main(["build-dataset", "archive", *out, "--public"]) == 1
    assert "--public belongs to --push ORG/NAME" in capsys.readouterr().err
    assert cli.main(["build-dataset", "archive", *out, "--data-dir", str(archive), "--set", "colour=3"]) == 1
    assert "unknown option 'colour'" in capsys.readouterr().err


def test_the_command_says_what_was_built_and_left_out(archive, tmp_path, capsys):
    command = ["build-dataset", "archive", "--data-dir", str(archive), "--num-proc", "1"]
    assert cli.main([*command, "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert (
        "Archive of tests, all: 34 clips in" in captured.out and "1 signers are in both train and test" in captured.out
    )
    assert "2 clips are missing and 4 cannot be read: see" in captured.err
    assert cli.main([*command, "--out", str(tmp_path / "layout"), "--keep-layout", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"]["train"]["num_clips"] == 26
    row = datasets.load_dataset(str(tmp_path / "layout"), split="train", cache_dir=str(tmp_path / "cache"))[0]
    assert row["layout"] == "coco_wholebody_133" and decode_clip(row).keypoints.shape[1] == 133


# --- your own corpus, from videos or clips to a data set, in several processes


@pytest.fixture
def own_corpus(tmp_path) -> Path:
    """Forty clips, of which four are damaged, with a table as spreadsheets on Windows write it."""
    folder = tmp_path / "own"
    folder.mkdir()
    lines = ["path;text;signer"]
    for number in range(40):
        clip = PoseClip(np.random.default_rng(number).uniform(0, 9, (12, 133, 2)), np.ones((12, 133)), fps=25)
        save_clip(folder / f"{number}.npz", clip)
        lines.append(f"{number}.mp4;Satz {number} über Öl;{'ABCDEFGHIJ'[number % 10]}")
    for number in (7, 17, 27, 37):
        raw = (folder / f"{number}.npz").read_bytes()
        (folder / f"{number}.npz").write_bytes(raw[: len(raw) // 2])
    (folder / "metadata.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    return folder


def test_your_own_corpus_with_a_tenth_of_it_damaged(own_corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["sigma-slu"])  # workers import no more than the command does
    made_by = {"estimator": "rtmlib-wholebody-balanced", "layout": "coco_wholebody_133", "versions": {"rtmlib": "1.2"}}
    (own_corpus / "extraction.json").write_text(json.dumps({"made_by": [{**made_by, "num_clips": 40}]}))
    command = ["build-dataset", "folder", "--data-dir", str(own_corpus), "--num-proc", "2", "--clips-per-shard", "10"]
    command += ["--set", "sign_language=German Sign Language", "--set", "spoken_language=German"]
    command += ["--set", "license=CC BY 4.0", "--out", str(tmp_path / "out")]
    assert cli.main(command) == 0
    captured = capsys.readouterr()
    assert "0 clips are missing and 4 cannot be read" in captured.err
    report = json.loads((tmp_path / "out" / REPORT).read_text(encoding="utf-8"))
    assert sorted(problem["sample_id"] for problem in report["set_aside"]) == ["17", "27", "37", "7"]
    assert sum(split["num_clips"] for split in report["splits"].values()) == 36
    assert report["signer_overlap"] == dict.fromkeys(report["signer_overlap"], [])
    rows = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    texts = {text for part in rows.values() for text in part["text"]}
    assert len(texts) == 36 and "Satz 3 über Öl" in texts
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "German Sign Language, with text in German" in card and "CC BY 4.0" in card
    assert "40 clips by rtmlib-wholebody-balanced (rtmlib 1.2)." in card


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"clip_name,meaning\n0.npz,hello\n", "expected a column of paths"),
        (b"path,meaning\n0.npz,hello\n", "expected a column text, gloss or label"),
        ("path,text\n0.npz,ö\n".encode("latin-1"), "UTF-8"),
        (b"path,text\n0.npz,hello\n0.npz,world\n", "lines 2 and 3 have the same id"),
        (b"path,text\nnowhere.npz,hello\n", "1 of 1 clips not found: nowhere"),
        (b"", "empty"),
    ],
)
def test_tables_that_cannot_be_used_take_one_line(own_corpus, tmp_path, capsys, table, message):
    (own_corpus / "metadata.csv").write_bytes(table)
    command = ["build-dataset", "folder", "--data-dir", str(own_corpus), "--out", str(tmp_path / "out")]
    assert cli.main([*command, "--num-proc", "1"]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(errors) == 1 and message in errors[0]


def test_a_malicious_label_file_runs_nothing(tmp_path, capsys):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    folder = tmp_path / "wlasl"
    (folder / "pose_format").mkdir(parents=True)
    for split in ("train", "dev", "test"):
        with gzip.open(folder / f"labels-2000.{split}", "wb") as file:
            pickle.dump({"1": {"name": "1", "gloss": Payload(), "text": "x", "video_path": "1.mp4"}}, file)
    command = ["build-dataset", "wlasl", "--data-dir", str(folder), "--out", str(tmp_path / "out"), "--num-proc", "1"]
    assert cli.main(command) == 1
    assert "refused to load posix.mkdir" in capsys.readouterr().err and not (tmp_path / "owned").exists()


# --- to the Hub


@pytest.fixture
def hub() -> Iterator:
    if importlib.util.find_spec("hub_server") is None:
        pytest.skip("needs tests/hub_server.py")
    from hub_server import HubServer

    with HubServer() as server:
        yield server


@pytest.mark.slow
def test_push_and_load_again(hub, built, tmp_path, rows):
    code = f"""
import json, sys
from datasets_scripts.building.build import push_dataset
print(push_dataset({str(built)!r}, "tester/signs"))
import datasets
loaded = datasets.load_dataset("tester/signs")
stream = datasets.load_dataset("tester/signs", split="test", streaming=True)
print(json.dumps({{split: list(part["sample_id"]) for split, part in loaded.items()}}))
print(json.dumps([row["sample_id"] for row in stream]))
"""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": "hf_dummy",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home"),
    }
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    url, loaded, streamed = result.stdout.splitlines()
    assert url.endswith("/datasets/tester/signs")
    assert json.loads(loaded) == {split: list(part["sample_id"]) for split, part in rows.items()}
    assert json.loads(streamed) == list(rows["test"]["sample_id"])
    repo = hub.repos["dataset", "tester/signs"]
    assert repo.private, "most corpora may not be passed on"
    assert set(repo.files()) - {".gitattributes"} == set(contents(built)) - {".build.json"}


def test_only_finished_data_sets_are_pushed(tmp_path):
    with pytest.raises(ValueError, match="expected a finished data set, found none: build it first"):
        push_dataset(tmp_path, "tester/signs")


def test_a_hub_that_cannot_be_reached_is_one_line(built):
    class TransportError(Exception):
        """What the HTTP libraries call a broken connection."""

    def fail(*args, **options):
        raise TransportError("[Errno -3] Temporary failure\nin name resolution")

    with pytest.raises(ValueError, match="tester/signs: the Hub cannot be reached .*: nothing has changed") as caught:
        push_dataset(built, "tester/signs", api=SimpleNamespace(create_repo=fail))
    assert "\n" not in str(caught.value)
