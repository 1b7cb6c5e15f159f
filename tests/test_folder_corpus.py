"""Your own corpus: tables as people save them, splits by signer, and mistakes that are named."""

import json
import logging
import math
import os
import pickle
import re
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import random_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_scripts.corpora import load_corpus
from datasets_scripts.folder import Folder
from datasets_scripts.reading import recordings
from datasets_scripts.reading.clip_entry import ClipEntry
from datasets_scripts.reading.clip_times import cut_out
from datasets_scripts.reading.label_tables import read_table
from datasets_scripts.reading.split_by_signer import split_by_clip, split_by_signer
from datasets_scripts.schema import decode_clip
from modeling_sigma.io import load_clip, save_clip


LANGUAGES = {"sign_language": "Swiss German Sign Language", "spoken_language": "German"}


def write_clips(folder: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        path = folder / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_clip(path, random_clip(4 + seed, seed=seed))


def build(folder: Path, **options: Any) -> Folder:
    builder = Folder(data_dir=folder, cache_dir=folder.parent / "cache", **{**LANGUAGES, **options})
    builder.download_and_prepare()
    return builder


def rows_of(builder: Folder) -> dict[str, dict[str, Any]]:
    return {row["sample_id"]: row for part in builder.as_dataset().values() for row in part}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "mine"
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("start", "1e308", "at 1e+308 to the end s, received a recording of"),
        ("end", "9" * 400 + ":00", "expected seconds or hh:mm:ss"),
        ("start", "9" * 5000, "expected seconds or hh:mm:ss"),
        ("end", "inf", "expected seconds or hh:mm:ss"),
        ("path", "x" * 300, "line 2: expected a path, received one with a name of 300 bytes"),
        ("path", "a\0b", "line 2: expected a path, received one with a zero byte"),
        ("path", "/", "line 2: expected a path, received slashes alone"),
    ],
)
def test_cells_that_no_machine_can_hold_are_named(folder: Path, column: str, cell: str, message: str) -> None:
    write_clips(folder, "a")
    cells = {"path": "a", "text": "Hello", "start": "0", "end": "", column: cell}
    (folder / "metadata.csv").write_text(f"{','.join(cells)}\n{','.join(cells.values())}\n")
    with pytest.raises(ValueError, match=re.escape(message)):
        builder = Folder(data_dir=folder, cache_dir=folder.parent / "cache", fps=25, **LANGUAGES)
        for entry in builder.list_clips("train"):
            builder.read_clip(entry)


def test_a_table_of_clips_becomes_splits(folder: Path) -> None:
    write_clips(folder, "clips/hello", "clips/thanks", "clips/bye")
    (folder / "metadata.csv").write_text(
        "path,text,glosses,signer,split\n"
        'clips/hello.npz,"Hello, you",HELLO YOU,Ada,train\n'
        "clips/thanks.npz,Thanks,THANKS,Ben,dev\n"
        "clips/bye,Bye,BYE,Cy,test\n"
    )
    builder = build(folder)
    rows = rows_of(builder)
    assert {name: row["split"] for name, row in rows.items()} == {
        "clips/hello": "train",
        "clips/thanks": "validation",
        "clips/bye": "test",
    }
    hello = rows["clips/hello"]
    assert (hello["text"], hello["gloss"], hello["signer_id"]) == ("Hello, you", ["HELLO", "YOU"], "Ada")
    assert (hello["sign_language"], hello["spoken_language"]) == tuple(LANGUAGES.values())
    assert len(decode_clip(rows["clips/bye"])) == 6
    loaded = load_corpus("folder", split="test", data_dir=folder, cache_dir=folder.parent / "other", **LANGUAGES)
    assert loaded["sample_id"][:] == ["clips/bye"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.csv", "file;label;subset\r\nä;Größe, klein;train\r\n".encode()),
        ("labels.csv", b"\xef\xbb\xbf" + 'file,label,subset\n\nä,"Größe, klein",Train\n\n'.encode()),
        ("labels.tsv", "file\tlabel\tsubset\r\nä\tGröße, klein\ttraining\r\n".encode()),
        ("labels.csv", "file\tlabel\tsubset\r\nä\tGröße, klein\ttrain\r\n".encode("utf-16")),
        ("labels.jsonl", (json.dumps({"file": "ä", "label": "Größe, klein", "subset": "train"}) + "\r\n").encode()),
    ],
    ids=["semicolons-windows", "byte-order-mark", "tabs", "utf-16", "jsonl"],
)
def test_tables_as_programs_save_them(folder: Path, name: str, content: bytes) -> None:
    write_clips(folder, "ä")
    (folder / name).write_bytes(content)
    assert rows_of(build(folder))["ä"]["text"] == "Größe, klein"


def test_nobody_is_in_two_splits_and_it_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"{signer}_{k}" for signer in "abcdefghij" for k in range(3)]
    write_clips(folder, *names)
    (folder / "metadata.csv").write_text("path,label,signer\n" + "".join(f"{n},w,{n[0]}\n" for n in names))
    with caplog.at_level(logging.WARNING):
        builder = build(folder)
    rows = rows_of(builder)
    assert len(rows) == 30
    signers: dict[str, set[str]] = {}
    for row in rows.values():
        signers.setdefault(row["split"], set()).add(row["signer_id"])
    assert {split: len(of) for split, of in signers.items()} == {"train": 8, "validation": 1, "test": 1}
    assert not signers["train"] & signers["test"] and not signers["train"] & signers["validation"]
    message = "splits were made by signer (10 of them): nobody signs in two splits"
    assert message in caplog.text and message in builder.info.description


def test_without_signers_the_risk_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"clip{k}" for k in range(40)]
    write_clips(folder, *names)
    (folder / "metadata.csv").write_text("path,label\n" + "".join(f"{name},w\n" for name in names))
    with caplog.at_level(logging.WARNING):
        assert set(build(folder, validation_share=0.2, test_share=0.2).as_dataset()) == {"train", "validation", "test"}
    assert "the same people may be in several splits" in caplog.text
    (folder / "metadata.csv").write_text("path,label,signer,split\nclip0,w,Ada,train\nclip1,w,Ada,test\n")
    with caplog.at_level(logging.WARNING):
        build(folder)
    assert "1 of 1 signers are in several splits: Ada" in caplog.text


@given(
    st.lists(st.one_of(st.none(), st.sampled_from("ABCDEFGHIJKL")), min_size=1, max_size=60),
    st.floats(0, 0.4),
    st.floats(0, 0.4),
    st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_splits_by_signer_never_share_one(
    signers: list[str | None], validation: float, test: float, seed: int
) -> None:
    splits = split_by_signer(signers, validation, test, seed)
    assert len(splits) == len(signers) and "train" in splits
    of: dict[str, set[str]] = {}
    for signer, split in zip(signers, splits):
        of.setdefault(str(signer), set()).add(split)
    assert all(len(found) == 1 for found in of.values())
    num_signers = len({signer for signer in signers if signer is not None})
    if test > 0 and num_signers >= 2:
        assert "test" in splits
    if test > 0 and validation > 0 and num_signers >= 3:
        assert "validation" in splits


def test_a_clip_keeps_its_split_when_others_come() -> None:
    ids = [f"clip{k}" for k in range(500)]
    splits = split_by_clip(ids)
    assert split_by_clip(ids[100:]) == splits[100:]
    assert 30 <= splits.count("test") <= 70 and 30 <= splits.count("validation") <= 70
    assert split_by_clip(ids, seed=1) != splits


def test_clips_of_a_longer_recording(folder: Path) -> None:
    save_clip(folder / "talk.npz", random_clip(100, fps=25.0))
    (folder / "metadata.tsv").write_text(
        "path\ttext\tstart\tend\tsplit\ntalk\tone\t0\t2\ttrain\ntalk\ttwo\t00:00:02\t00:00:03.2\ttrain\n"
    )
    rows = rows_of(build(folder))
    assert [row["num_frames"] for row in rows.values()] == [50, 30]
    whole = random_clip(100, fps=25.0)
    second = decode_clip(rows["talk 00:00:02-00:00:03.2"])
    assert np.abs(second.keypoints[0, 0] - whole.keypoints[50, 0]).max() < 0.05


def test_clips_with_impossible_times_are_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_clip(folder / "talk.npz", random_clip(100, fps=25.0))
    times = {"good": ("0", "2"), "early": ("-1", "2"), "back": ("2", "1"), "never": ("2", "2"),
             "ends early": ("1", "0"), "late": ("4", "5")}  # fmt: skip
    lines = [f"talk,{name},{name},{start},{end},train\n" for name, (start, end) in times.items()]
    (folder / "metadata.csv").write_text("path,id,text,start,end,split\n" + "".join(lines))
    with caplog.at_level(logging.WARNING):
        builder = build(folder)
    assert {name: row["num_frames"] for name, row in rows_of(builder).items()} == {"good": 50}
    reasons = {problem.sample_id: problem.reason for problem in builder.problems}
    assert set(reasons) == set(times) - {"good"}
    assert "expected early to start at 0 s or later and to end after that, received -1 to 2 s" in reasons["early"]
    assert "never to start" in reasons["never"] and "received 2 to 2 s: correct" in reasons["never"]
    assert "received 2 to 1 s" in reasons["back"] and "received a recording of 4.0 s" in reasons["late"]
    assert "5 of 6 clips cannot be read and are left out: early, back, never" in caplog.text


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf, -0.5])
def test_times_of_any_corpus_are_checked(time: float) -> None:
    clip, entry = random_clip(100, fps=25.0), ClipEntry("hello", "train", "talk.npz", start=0.0, end=2.0)
    assert len(cut_out(clip, entry, print)) == 50
    for wrong in (replace(entry, start=time), replace(entry, end=time), replace(entry, start=None, end=time)):
        with pytest.raises(
            ValueError, match="talk.npz: expected hello to start at 0 s or later .*: correct its times"
        ):
            cut_out(clip, wrong, print)


def rows_of_table(folder: Path, table: str, name: str = "metadata.csv", **options: Any) -> list[dict[str, Any]]:
    """The rows of a table, in its order."""
    (folder / name).write_text(table)
    builder = build(folder, validation_share=0, test_share=0, **options)
    return [row for part in builder.as_dataset().values() for row in part]


@pytest.mark.parametrize(
    ("start", "end"), [("0", "0"), ("-1", "-1"), ("", ""), ("nan", "NaN"), ("", "0"), ("0.0", "-1"), ("None", "null")]
)
def test_times_that_stand_for_the_whole_recording(folder: Path, start: str, end: str) -> None:
    save_clip(folder / "talk.npz", random_clip(100, fps=25.0))
    (row,) = rows_of_table(folder, f"path,text,start,end\ntalk,hello,{start},{end}\n")
    assert (row["sample_id"], row["num_frames"]) == ("talk", 100)


@pytest.mark.parametrize(
    ("header", "start", "end", "assumed"),
    [
        ("start,end", "2", "3.2", None),
        ("start,end", "00:00:02", "00:00:03.200", None),
        ("Start Time,End Time", "0:02", '"0:03,2"', None),
        ("start,end", "0 days 00:00:02", "0 days 00:00:03.200000", None),
        ("start,end", "2s", "3200 ms", None),
        ("start,end", '"2,0"', '"3,2"', None),
        ("start_ms,end_ms", "2000", "3200", None),
        ("startMs,endMs", "2000", "3200", None),
        ("Start (milliseconds),End (milliseconds)", "2000", "3200", None),
        ("start_frame,end_frame", "50", "80", None),
        ("frame start,frame end", "50", "80", None),
        ("begin_seconds,end_seconds", "2", "3.2", None),
        ("signal_start,signal_end", "2000", "3200", "milliseconds"),
        ("start,end", "2000", "3200", "milliseconds"),
        ("start,duration", "2", "1.2", None),
        ("start_ms,duration_ms", "2000", "1200", None),
        ("start,duration", "00:00:02", "1.2", None),
        ("START_REALIGNED,END_REALIGNED", "2", "3.2", None),
        ("start,end", "50", "80", "frames"),
    ],
)
def test_times_in_every_unit(
    folder: Path, caplog: pytest.LogCaptureFixture, header: str, start: str, end: str, assumed: str | None
) -> None:
    save_clip(folder / "talk.npz", random_clip(100, fps=25.0))
    with caplog.at_level(logging.WARNING):
        (row,) = rows_of_table(folder, f"path,text,{header}\ntalk,hello,{start},{end}\n")
    assert row["num_frames"] == 30
    whole, part = random_clip(100, fps=25.0), decode_clip(row)
    assert np.abs(part.keypoints[0, 0] - whole.keypoints[50, 0]).max() < 0.05
    said = [unit for unit in ("milliseconds", "frames") if f"are read as {unit}" in caplog.text]
    assert said == ([assumed] if assumed else [])


def test_the_latest_label_of_a_recording_tells_the_unit_of_all(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """0 to 2 alone would pass for seconds."""
    save_clip(folder / "talk.npz", random_clip(100, fps=25.0))
    table = "path,text,start,end\ntalk,one,0,2\ntalk,two,2,40\ntalk,three,40,100\n"
    assert [row["num_frames"] for row in rows_of_table(folder, table)] == [2, 38, 60]
    options = {"time_unit": "milliseconds", "on_problem": "report"}
    with caplog.at_level(logging.WARNING):
        assert [row["num_frames"] for row in rows_of_table(folder, table, **options)] == [1, 1]
    with pytest.raises(ValueError, match="expected time_unit to be one of seconds, milliseconds, frames, received 'h"):
        build(folder, time_unit="hours")


def test_an_end_after_the_recording_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_clip(folder / "talk.npz", random_clip(100, fps=25.0))
    with caplog.at_level(logging.WARNING):
        (row,) = rows_of_table(folder, "path,text,start,end\ntalk,hello,1,9.5\n")
    assert row["num_frames"] == 75 and "end well after their recordings" in caplog.text
    with pytest.raises(
        ValueError, match=r"received a recording of 4.0 s \(100 frames\): .* another unit. Give time_u"
    ):
        rows_of_table(folder, "path,text,start,end\ntalk,hello,999999,9999999\n")


def test_columns_can_be_left_out(folder: Path) -> None:
    write_clips(folder, "a", "b")
    table = "path,text,start,end,split,signer\na,x,7,9,everything,s\nb,y,7,9,everything,s\n"
    left_out = dict.fromkeys(("start_column", "end_column", "split_column", "signer_column"), "none")
    rows = rows_of_table(folder, table, **left_out)
    assert [(row["sample_id"], row["signer_id"]) for row in rows] == [("a", None), ("b", None)]


@pytest.mark.parametrize(
    ("column", "options"),
    [
        ("fps,25", {}), ("Frame Rate,25 fps", {}), ("frames_per_second,25000/1000", {}),
        ("hz,25", {"fps_column": "hz"}), ("fps,", {"fps": 25}), ("fps,nan", {"fps": 25}), ("fps,0", {"fps": "50/2"}),
        ("fps,99", {"fps_column": "none", "fps": 25}),
    ],
)  # fmt: skip
def test_frame_rates_of_files_that_state_none(folder: Path, column: str, options: dict[str, Any]) -> None:
    save_clip(folder / "talk.npz", replace(random_clip(100), fps=None))
    save_clip(folder / "fast.npz", random_clip(100, fps=50.0))
    name, value = column.split(",")
    table = f"path,text,{name},start,end\ntalk,one,{value},2,3\nfast,two,{value},1,2\ntalk,three,{value},,\n"
    rows = rows_of_table(folder, table, **options)
    assert [(row["num_frames"], row["fps"]) for row in rows] == [(25, 25.0), (50, 50.0), (100, 25.0)]


def test_without_a_frame_rate_the_way_out_is_named(folder: Path) -> None:
    save_clip(folder / "talk.npz", replace(random_clip(100), fps=None))
    with pytest.raises(ValueError, match="neither the file nor the labels state one: give fps="):
        rows_of_table(folder, "path,text,start,end\ntalk,one,2,3\n")
    assert rows_of_table(folder, "path,text,start_frame,end_frame\ntalk,one,2,5\n")[0]["num_frames"] == 3
    with pytest.raises(ValueError, match="line 2: expected frames per second, received 'fast'"):
        rows_of_table(folder, "path,text,fps\ntalk,one,fast\n")
    with pytest.raises(ValueError, match="option fps: expected frames per second, received '-25'"):
        build(folder, fps=-25)


def test_a_recording_of_many_sentences_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def load(path: str, *arguments: Any) -> Any:
        reads.append(Path(path).stem)
        return load_clip(path, *arguments)

    monkeypatch.setattr(recordings, "load_clip", load)
    for name in ("front", "side"):
        save_clip(folder / f"{name}.npz", random_clip(100, fps=25.0))
    lines = [
        f"{name},{name} {second},{second / 10},{second / 10 + 1}" for second in range(30) for name in ("front", "side")
    ]
    assert len(rows_of_table(folder, "\n".join(["path,text,start,end", *lines]))) == 60
    assert reads == ["front", "side"]
    save_clip(folder / "front.npz", random_clip(100, seed=1, fps=25.0))  # written again: read again
    rows_of_table(folder, "path,text,start,end\nfront,one,0,1\n")
    assert reads == ["front", "side", "front"]


@pytest.mark.parametrize("named", ["clips/a", "clips/a.mp4", "clips/a.MP4", "clips\\a"])
@pytest.mark.parametrize(
    "beside", ["a/images0001.png", "a.mp4", "a.txt", "a.eaf", "a", "a.json", "a.npy", "a.csv", "a/0001.npy"]
)
def test_files_with_the_name_of_the_clip_beside_it(folder: Path, named: str, beside: str) -> None:
    write_clips(folder, "clips/a")
    (folder / "clips" / beside).parent.mkdir(exist_ok=True)
    (folder / "clips" / beside).write_bytes(b"no skeleton")
    (row,) = rows_of_table(folder, f"path,text\n{named},hello\n")
    assert row["sample_id"] == "clips/a" and row["num_frames"] == 4


def test_a_clip_among_others_in_a_file(folder: Path) -> None:
    clip = random_clip(5)
    clips = {name: {"keypoints": clip.keypoints, "scores": clip.scores} for name in ("one", "two")}
    (folder / "clips.pkl").write_bytes(pickle.dumps(clips))
    rows = rows_of_table(folder, "path,text\nclips.pkl::one,hello\nclips.pkl::two,bye\nother.pkl::two,bye\n")
    assert [(row["sample_id"], row["num_frames"]) for row in rows] == [("clips.pkl::one", 5), ("clips.pkl::two", 5)]


def test_a_video_that_somebody_wants_estimated_goes_before_its_poses(folder: Path) -> None:
    write_clips(folder, "a")
    (folder / "a.mp4").touch()
    (folder / "metadata.csv").write_text("path,text,split\na.mp4,hello,train\n")
    sources = [build_of.list_clips("train")[0].source for build_of in (
        Folder(data_dir=folder, **LANGUAGES), Folder(data_dir=folder, estimator="mediapipe", **LANGUAGES)
    )]  # fmt: skip
    assert [Path(source).name for source in sources] == ["a.npz", "a.mp4"]


def test_a_split_without_clips_is_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_clips(folder, "a", "b")
    (folder / "metadata.csv").write_text("path,text,split\na,x,train\nb,,test\n")
    with caplog.at_level(logging.WARNING):
        builder = build(folder)
    assert set(builder.as_dataset()) == {"train"}
    message = (
        "there is no split test: all of its 1 clips are left out, the first for this: metadata.csv, line 3: neither"
    )
    assert message in caplog.text and message in builder.info.description
    options = {"data_dir": folder, "cache_dir": folder.parent / "cache", **LANGUAGES}
    for split in ("test", "test[:5]", "validation"):
        with pytest.raises(ValueError, match="expected a split that has clips .train., received "):
            load_corpus("folder", split=split, **options)
    (folder / "metadata.csv").write_text("path,text,split\nb,,test\n")
    with pytest.raises(ValueError, match="expected clips, found none: .*there is no split test: all of its 1 clips"):
        load_corpus("folder", **options)


def test_the_reason_of_a_failed_load_is_the_error_itself(folder: Path) -> None:
    write_clips(folder, "a")
    (folder / "a.npz").write_bytes(b"PK\x03\x04 not an archive")
    (folder / "metadata.csv").write_text("path,text,split\na,x,train\n")
    for streaming in (False, True):
        with pytest.raises(ValueError, match="1 of 1 clips cannot be read, the first: .*a.npz: .*damaged") as raised:
            loaded = load_corpus("folder", data_dir=folder, cache_dir=folder.parent / "cache", streaming=streaming)
            list(loaded["train"])
        assert "An error occurred" not in "".join(traceback.format_exception(raised.value))


def test_missing_and_damaged_clips_are_reported(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"clip{k}" for k in range(10)]
    write_clips(folder, *names)
    (folder / "clip3.npz").write_bytes(b"PK\x03\x04 not an archive")
    (folder / "metadata.csv").write_text(
        "path,label,split\n" + "".join(f"{name},w,train\n" for name in [*names, "gone"]) + "clip9.npz,,test\n"
    )
    (folder / "metadata.csv").write_text((folder / "metadata.csv").read_text().replace("clip9,w,train\n", ""))
    with caplog.at_level(logging.WARNING):
        builder = build(folder, test_share=0.0)
    assert len(builder.as_dataset(split="train")) == 8
    assert {(p.sample_id, p.split) for p in builder.problems} == {
        ("gone", "train"), ("clip3", "train"), ("clip9", "test")
    }  # fmt: skip
    assert "train: 1 of 10 clips not found: gone" in caplog.text
    assert "train: 1 of 9 clips cannot be read and are left out: clip3" in caplog.text
    assert "line 12: neither text, gloss nor label: clip9 is left out" in caplog.text
    assert "clip3" in builder.info.description
    with pytest.raises(FileNotFoundError, match="1 of 10 clips not found: gone"):
        build(folder, on_problem="raise")


def test_a_changed_table_is_built_again(folder: Path) -> None:
    write_clips(folder, "a", "b")
    (folder / "metadata.csv").write_text("path,label,split\na,x,train\n")
    assert set(rows_of(build(folder))) == {"a"}
    (folder / "metadata.csv").write_text("path,label,split\na,x,train\nb,y,train\n")
    assert set(rows_of(build(folder))) == {"a", "b"}


def test_a_changed_table_of_another_folder_is_built_again(folder: Path) -> None:
    write_clips(folder, "tables/a", "tables/b")
    write_clips(folder.parent / "elsewhere", "a", "b")
    for name in ("tables/words.csv", "../elsewhere/words.csv", str(folder / "tables" / "words.csv")):
        (folder / name).write_text("path,label,split\na,x,train\n")
        assert set(rows_of(build(folder, metadata=name))) == {"a"}
        (folder / name).write_text("path,label,split\na,x,train\nb,y,train\n")
        assert set(rows_of(build(folder, metadata=name))) == {"a", "b"}
        save_clip((folder / name).with_name("b.npz"), random_clip(9))
        assert rows_of(build(folder, metadata=name))["b"]["num_frames"] == 9
        save_clip((folder / name).with_name("b.npz"), random_clip(5))


@pytest.mark.parametrize("name", ["a.npz", "deep/a.mp4", "a/a_000000000001_keypoints.json", "a/000001.json"])
def test_a_file_written_again_is_noticed(folder: Path, name: str) -> None:
    """In place: the folder around it stays as it is."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / "metadata.csv").write_text(f"path,text\n{'a' if name.endswith('.json') else name},hello\n")
    states = []
    for content in ("one", "three", "again"):
        (folder / name).write_text(content)
        os.utime(folder / name, ns=(0, len(states)))
        os.utime((folder / name).parent, ns=(0, 0))
        states.append(Folder(data_dir=folder, cache_dir=folder.parent / "cache").config.source_state)
    assert len(set(states)) == 3
    (folder / "other.npz").write_text("the table does not name it")
    assert Folder(data_dir=folder, cache_dir=folder.parent / "cache").config.source_state == states[-1]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("clip_at,text\na,x\n", {}, "expected a column of paths .*received clip_at, text: rename it or give path_co"),
        ("path,meaning\na,x\n", {}, "expected a column text, gloss or label, received path, meaning"),
        ("path,text\na,x\n", {"text_column": "txt"}, "expected the column 'txt' .text_column., received path, text"),
        ("path,text\na,x\na,y\n", {}, "lines 2 and 3 have the same id, a: remove one"),
        ("path,text,split\na,x,tset\n", {}, "line 2: expected a split .*received 'tset'"),
        ("path,text\na,x,y\n", {}, "line 2: expected 2 cells .path, text., received 3: put text"),
        ("path,text,text\na,x,y\n", {}, "two columns are called 'text'"),
        ('path,text\na,"x\n', {}, "is a double quote left open"),
        ("path,text\n,x\n", {}, "line 2: expected a path, received an empty cell"),
        ("path,text,start,end\na,x,soon,2\n", {}, "expected seconds or hh:mm:ss, received 'soon'"),
        ("path,text,start,end_ms\na,x,1,2500\n", {}, "expected start and end in one unit, received no unit and sec"),
        ("path,text\na,x\n", {"delimiter": ";;"}, "expected delimiter to be one character, received ';;'"),
        ("path,text\n", {}, "expected a line for each clip, received an empty table"),
        ("path,text\na,x\n", {"validation_share": 0.7, "test_share": 0.5}, "leave something for train"),
        ("path,text\nb,x\n", {}, "1 of 1 clips not found: b"),
    ],
)
def test_mistakes_are_named(folder: Path, table: str, options: dict[str, Any], message: str) -> None:
    write_clips(folder, "a")
    (folder / "metadata.csv").write_text(table)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        build(folder, **options)


def test_wrong_encoding_and_wrong_json_name_their_line(folder: Path) -> None:
    (folder / "metadata.csv").write_bytes("path,text\na,ok\nb,größe\n".encode("latin-1"))
    with pytest.raises(
        ValueError, match="line 3: expected labels as UTF-8 text, received byte 0xf6: save the file as UTF-8"
    ):
        build(folder)
    path = folder / "table.jsonl"
    path.write_text('{"path": "a"}\n[1]\n')
    with pytest.raises(ValueError, match="line 2: expected a JSON object, received list"):
        read_table(path)
    path.write_text('{"path": \n')
    with pytest.raises(ValueError, match="line 1: expected a JSON object"):
        read_table(path)


def test_a_folder_without_or_with_two_tables(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="received none: name it metadata.csv or give metadata="):
        build(folder)
    (folder / "a.csv").write_text("path,text\n")
    (folder / "b.tsv").write_text("path,text\n")
    with pytest.raises(FileNotFoundError, match="received a.csv, b.tsv"):
        build(folder)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        build(folder / "nowhere")
