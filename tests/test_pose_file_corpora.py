"""Corpora of skeleton files: small folders in each corpus's own layout, with official and with shared labels."""

import gzip
import json
import logging
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import random_clip

from datasets_scripts.corpora import CORPORA
from datasets_scripts.reading.corpus_builder import CorpusBuilder
from datasets_scripts.reading.pose_files import PoseFiles, clip_name, spellings
from datasets_scripts.schema import decode_clip
from datasets_scripts.wlasl import Wlasl
from modeling_sigma.io import UnsafePickleError, load_label_file, save_clip


OPENASL_NAME = "abcdefghijk-00:01:02.500-00:01:07.250"


def write_pickle(path: Path, num_frames: int = 5, seed: int = 0) -> None:
    """A whole-body pickle: one array a frame, in shares of the image."""
    clip = random_clip(num_frames, seed=seed)
    keypoints = (clip.keypoints / (640, 480)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {"keypoints": [frame[None] for frame in keypoints], "scores": [row[None] for row in clip.scores]}
    path.write_bytes(pickle.dumps({**data, "w_h": (640, 480)}))


def write_labels(path: Path, labels: dict[str, dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    empty = {"gloss": "", "text": ""}
    whole = {name: {"name": name, **empty, "video_path": f"{name}.mp4", **rest} for name, rest in labels.items()}
    path.write_bytes(gzip.compress(pickle.dumps(whole)))


def write_openpose(folder: Path, num_frames: int) -> None:
    folder.mkdir(parents=True)
    for frame in range(num_frames):
        person = {
            f"{part}_keypoints_2d": [float(300 + frame), 200.0, 0.9] * size
            for part, size in (("pose", 25), ("face", 70), ("hand_left", 21), ("hand_right", 21))
        }
        (folder / f"{folder.name}_{frame:012d}_keypoints.json").write_text(json.dumps({"people": [person]}))


def built(name: str, folder: Path, config: str | None = None, **options: Any) -> CorpusBuilder:
    builder = CORPORA[name](config_name=config, data_dir=folder, cache_dir=folder.parent / "cache", **options)
    builder.download_and_prepare()
    return builder


def rows_of(builder: CorpusBuilder) -> dict[str, dict[str, Any]]:
    return {row["sample_id"]: row for part in builder.as_dataset().values() for row in part}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "corpus"
    path.mkdir()
    return path


# --- WLASL


def official_wlasl(*words: str) -> list[dict[str, Any]]:
    splits = ("train", "val", "test")
    return [
        {
            "gloss": word,
            "instances": [
                {"video_id": f"{10 * number + k:05d}", "split": split, "signer_id": number, "fps": 25}
                for k, split in enumerate(splits)
            ],
        }
        for number, word in enumerate(words)
    ]


def test_wlasl_with_shared_labels(folder: Path) -> None:
    write_pickle(folder / "pose_format" / "00295.pkl")
    write_pickle(folder / "pose_format" / "01613-2.pkl")
    write_labels(folder / "labels-2000.train", {"00295": {"text": "a"}, "01613": {"text": "a lot"}})
    builder = built("wlasl", folder, "wlasl2000")
    row = rows_of(builder)["01613"]
    assert (row["text"], row["split"], row["gloss"], row["signer_id"]) == ("a lot", "train", [], None)
    assert (row["sign_language"], row["spoken_language"]) == ("American Sign Language", "English")
    assert (row["width"], row["fps"], row["num_frames"]) == (None, None, 5)
    assert builder.problems == [] and builder.info.license.startswith("C-UDA")


def test_wlasl_with_official_labels(folder: Path) -> None:
    words = [f"word{k}" for k in range(101)]
    (folder / "WLASL_v0.3.json").write_text(json.dumps(official_wlasl(*words)))
    for name in ("00000", "00001", "00012", "01000"):
        write_pickle(folder / f"{name}.pkl")
    rows = rows_of(built("wlasl", folder, "wlasl100"))
    assert {name: (row["text"], row["split"], row["signer_id"], row["fps"]) for name, row in rows.items()} == {
        "00000": ("word0", "train", "0", 25.0),
        "00001": ("word0", "validation", "0", 25.0),
        "00012": ("word1", "test", "1", 25.0),
    }
    assert "01000" in rows_of(built("wlasl", folder, "wlasl300"))  # the 101st word


def test_a_smaller_wlasl_out_of_larger_labels(folder: Path) -> None:
    write_labels(folder / "labels" / "wlasl.labels-2000.dev", {f"{k:05d}": {"text": f"word{k}"} for k in range(120)})
    for k in range(120):
        write_pickle(folder / "pose_format" / f"{k:05d}.pkl", 1)
    with pytest.raises(FileNotFoundError, match="no labels-100.*expected it, WLASL_v0.3.json or wlasl_class_list.txt"):
        built("wlasl", folder, "wlasl100")
    (folder / "wlasl_class_list.txt").write_text("".join(f"{k}\tword{k + 10}\n" for k in range(2000)))
    rows = rows_of(built("wlasl", folder, "wlasl100"))
    assert set(rows) == {f"{k:05d}" for k in range(10, 110)}


@pytest.mark.data
def test_wlasl_with_the_real_label_file_and_three_files_missing(
    folder: Path, shared_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(shared_data / "samples" / "labels" / "wlasl.labels-2000.dev", folder / "labels-2000.dev")
    names = list(load_label_file(folder / "labels-2000.dev"))
    clip = random_clip(1)
    (folder / "pose_format").mkdir()
    save_clip(folder / "first.npz", clip)
    for name in names[3:]:
        os.link(folder / "first.npz", folder / "pose_format" / f"{name}.npz")
    builder = Wlasl(config_name="wlasl2000", data_dir=folder, cache_dir=folder.parent / "cache")
    with caplog.at_level(logging.WARNING):
        entries = builder.list_clips("validation")
    assert len(names) == 3916 and len(entries) == 3913
    assert f"WLASL, validation: 3 of 3916 pose files not found: {', '.join(names[:3])}" in caplog.text
    assert [problem.sample_id for problem in builder.problems] == names[:3]


# --- MS-ASL


def official_msasl(label: int, url: str = "https://www.youtube.com/watch?v=C37R_Ix8-qs") -> dict[str, Any]:
    return {
        "url": url, "label": label, "text": "match", "clean_text": "match", "signer_id": 7, "fps": 30.0,
        "start": 60, "end": 90, "start_time": 2.0, "end_time": 3.0,
    }  # fmt: skip


def test_msasl_with_official_labels(folder: Path) -> None:
    (folder / "MSASL_train.json").write_text(
        json.dumps(
            [
                official_msasl(3),
                official_msasl(500),
                official_msasl(99, "www.youtube.com/watch?v=abcdefghijk&t=3"),
                official_msasl(0, "https://youtu.be/ABCDEFGHIJK"),
            ]
        )
    )
    write_pickle(folder / "poses" / "C37R_Ix8-qs_60_90.pkl", 6)
    save_clip(folder / "poses" / "abcdefghijk.npz", random_clip(120, fps=30.0))  # the whole video
    write_pickle(folder / "poses" / "train_00003.pkl", 7)
    rows = rows_of(built("msasl", folder, "msasl100"))
    assert {name: row["num_frames"] for name, row in rows.items()} == {
        "C37R_Ix8-qs_60_90": 6, "abcdefghijk_60_90": 30, "ABCDEFGHIJK_60_90": 7
    }  # fmt: skip
    assert {row["signer_id"] for row in rows.values()} == {"7"}


def test_msasl_with_shared_labels(folder: Path) -> None:
    write_labels(folder / "labels-1000.train", {"a": {"text": "Match"}, "b": {"text": "other"}})
    (folder / "MSASL_classes.json").write_text(json.dumps(["match", *(f"w{k}" for k in range(98)), "x", "other"]))
    for name in "ab":
        write_pickle(folder / "pose_format" / f"{name}.pkl")
    assert set(rows_of(built("msasl", folder, "msasl1000"))) == {"a", "b"}
    assert set(rows_of(built("msasl", folder, "msasl100"))) == {"a"}


# --- CSL-Daily and CSL-News


def test_csl_daily_with_shared_labels(folder: Path) -> None:
    name = "S000020_P0008_T00"
    write_pickle(folder / "pose_format" / f"{name}.pkl")
    write_labels(folder / "labels.dev", {name: {"gloss": ["他", "今天", "年龄", "4"], "text": "他今年四岁。"}})
    row = rows_of(built("csl_daily", folder))[name]
    assert (row["gloss"], row["text"]) == (["他", "今天", "年龄", "4"], "他今年四岁。")
    assert (row["signer_id"], row["split"], row["spoken_language"]) == ("P0008", "validation", "Chinese")


def test_csl_daily_with_official_labels(folder: Path) -> None:
    label = folder / "sentence_label"
    label.mkdir()
    names = {f"S000020_P000{k}_T00": split for k, split in enumerate(("train", "dev", "test"))}
    texts = {"label_gloss": ["他", "好"], "label_char": ["他", "好", "。"], "signer": 0}
    sentences = [{"name": name, **texts} for name in names]
    (label / "csl2020ct_v2.pkl").write_bytes(pickle.dumps({"info": sentences, "gloss_map": ["他", "好"]}))
    (label / "split_1.txt").write_text("name|split\n" + "".join(f"{n}|{s}\n" for n, s in names.items()))
    for name in names:
        write_pickle(folder / "pose_format" / f"{name}.pkl")
    rows = rows_of(built("csl_daily", folder))
    assert {row["split"] for row in rows.values()} == {"train", "validation", "test"}
    assert all(row["text"] == "他好。" and row["gloss"] == ["他", "好"] for row in rows.values())
    (label / "split_1.txt").write_text("name|split\nS9_P9_T9|train\n")
    with pytest.raises(ValueError, match="1 clips are not in csl2020ct_v2.pkl: S9_P9_T9"):
        built("csl_daily", folder)


@pytest.mark.data
def test_csl_daily_with_the_real_label_file(folder: Path, shared_data: Path) -> None:
    shutil.copy(shared_data / "samples" / "labels" / "csl_daily.labels.dev", folder / "labels.dev")
    save_clip(folder / "first.npz", random_clip(1))
    for name in load_label_file(folder / "labels.dev"):
        os.link(folder / "first.npz", folder / f"{name}.npz")
    entries = CORPORA["csl_daily"](data_dir=folder, cache_dir=folder.parent / "cache").list_clips("validation")
    assert len(entries) == 1077
    assert {entry.signer_id for entry in entries} == {f"P{k:04d}" for k in range(10)}
    assert all(entry.text and entry.gloss for entry in entries)


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_csl_news(folder: Path, suffix: str) -> None:
    name = "Common-Concerns_20201118_0-2020"
    write_pickle(folder / "pose_format" / f"{name}.pkl")
    if suffix == "json":
        label = [{"video": f"{name}.mp4", "pose": f"{name}.pkl", "text": "共同关注。"}]
        (folder / "CSL_News_Labels.json").write_text(json.dumps(label, ensure_ascii=False), encoding="utf-8")
    else:
        (folder / "CSL_News_Labels.csv").write_text(
            f"video,pose,text\n{name}.mp4,{name}.pkl,共同关注。\n", encoding="utf-8"
        )
    builder = built("csl_news", folder)
    assert set(builder.as_dataset()) == {"train"}
    assert rows_of(builder)[name]["text"] == "共同关注。"


# --- How2Sign, OpenASL, YouTube-ASL


HOW2SIGN = (
    "VIDEO_ID\tVIDEO_NAME\tSENTENCE_ID\tSENTENCE_NAME\tSTART_REALIGNED\tEND_REALIGNED\tSENTENCE\n"
    "_2FBDaOPYig\t_2FBDaOPYig-3-rgb_front\t_2FBDaOPYig_4\t_2FBDaOPYig_4-3-rgb_front\t1.0\t3.5\tYou see bubbles.\n"
    '-fZc293MpJk\t-fZc293MpJk-1-rgb_front\t-fZc293MpJk_0\t-fZc293MpJk_0-1-rgb_front\t1.0\t2.0\t"He said ""Hi!"""\n'
)


def test_how2sign_with_official_labels_and_openpose(folder: Path) -> None:
    (folder / "how2sign_realigned_test.csv").write_text(HOW2SIGN)
    write_openpose(folder / "test_2D_keypoints" / "json" / "_2FBDaOPYig_4-3-rgb_front", 4)
    save_clip(folder / "test_2D_keypoints" / "-fZc293MpJk-1-rgb_front.npz", random_clip(100, fps=30.0))
    rows = rows_of(built("how2sign", folder))
    first, second = rows["_2FBDaOPYig_4-3-rgb_front"], rows["-fZc293MpJk_0-1-rgb_front"]
    assert (first["signer_id"], first["source_layout"], first["num_frames"]) == ("3", "openpose_137", 4)
    assert (second["text"], second["signer_id"], second["num_frames"]) == ('He said "Hi!"', "1", 30)


@pytest.mark.data
def test_how2sign_with_real_labels_and_a_real_clip(folder: Path, shared_data: Path) -> None:
    samples = shared_data / "samples"
    shutil.copy(samples / "labels" / "how2sign.labels.test", folder / "labels.test")
    name = "-fZc293MpJk_0-1-rgb_front"
    shutil.copytree(next((samples / "openpose_json").iterdir()), folder / "json" / name)
    builder = built("how2sign", folder)
    row = rows_of(builder)[name]
    assert (row["text"], row["num_frames"], row["signer_id"], row["split"]) == ("Hi!", 62, "1", "test")
    assert len(builder.problems) == 2348 and "2348 of 2349 pose files not found" in builder.info.description
    whole = decode_clip(rows_of(built("how2sign", folder, keep_layout=True))[name])
    assert whole.layout == "openpose_137" and whole.keypoints.shape == (62, 137, 2)
    assert decode_clip(row).scores[:, 9:51].max() > 0.3  # hands were found


@pytest.mark.parametrize("colon", [":", "%", "_", "-", ""])
def test_openasl_names_with_colons(folder: Path, colon: str) -> None:
    (folder / "openasl-v1.0.tsv").write_text(
        "vid\tyid\tstart\tend\traw-text\ttokenized-text\tsplit\n"
        f"{OPENASL_NAME}\tabcdefghijk\t00:01:02.500\t00:01:07.250\tHello, you!\thello , you !\tvalid\n"
    )
    write_pickle(folder / "pose_format" / f"{OPENASL_NAME.replace(':', colon)}.pkl")
    builder = built("openasl", folder)
    assert set(builder.as_dataset()) == {"validation"}
    assert rows_of(builder)[OPENASL_NAME]["text"] == "Hello, you!"


def test_openasl_with_shared_labels_and_whole_videos(folder: Path) -> None:
    write_labels(folder / "labels.train", {f"{OPENASL_NAME}.mp4": {"text": "Hello"}})
    write_pickle(folder / "pose_format" / f"{OPENASL_NAME}.pkl")
    assert set(rows_of(built("openasl", folder))) == {OPENASL_NAME}
    (folder / "labels.train").unlink()
    (folder / "pose_format" / f"{OPENASL_NAME}.pkl").unlink()
    (folder / "openasl-v1.0.tsv").write_text(
        f"vid\tyid\tstart\tend\traw-text\tsplit\n{OPENASL_NAME}\tabcdefghijk\t00:00:01\t00:00:02.5\tHello\ttest\n"
    )
    save_clip(folder / "pose_format" / "abcdefghijk.npz", random_clip(100, fps=20.0))
    assert rows_of(built("openasl", folder))[OPENASL_NAME]["num_frames"] == 30


def test_youtube_asl_with_names_or_times(folder: Path) -> None:
    (folder / "train.tsv").write_text("SENTENCE_NAME\tVIDEO_ID\tSTART\tEND\tSENTENCE\nabc_0\tabc\t1\t2\tHello.\n")
    write_pickle(folder / "poses" / "abc_0.pkl", 4)
    assert rows_of(built("youtube_asl", folder))["abc_0"]["num_frames"] == 4
    (folder / "train.tsv").write_text("video_id\tstart\tend\ttext\nabc\t00:00:01\t3\tHello.\n")
    save_clip(folder / "poses" / "abc.npz", random_clip(100, fps=10.0))
    row = rows_of(built("youtube_asl", folder))["abc_1_3"]
    assert (row["num_frames"], row["text"], row["split"]) == (20, "Hello.", "train")
    for times in ("\t3", "1\t"):
        (folder / "train.tsv").write_text(f"video_id\tstart\tend\ttext\nabc\t{times}\tHello.\n")
        with pytest.raises(
            ValueError, match="line 2: expected start and end of a clip of abc, .*: fill them in, or gi"
        ):
            built("youtube_asl", folder)
    (folder / "train.tsv").write_text("video_id\ttext\nabc\tHello.\n")
    with pytest.raises(ValueError, match="expected a column of text .*received video_id, text"):
        built("youtube_asl", folder)


@pytest.mark.data
def test_youtube_asl_from_pose_files(folder: Path, shared_data: Path) -> None:
    for name in ("sample_01", "sample_02"):
        shutil.copy(shared_data / "samples" / "pose_mediapipe" / f"{name}.pose", folder)
    (folder / "clips.tsv").write_text("name\ttext\nsample_01\tone\nsample_02\ttwo\n")
    rows = rows_of(built("youtube_asl", folder))
    assert {row["source_layout"] for row in rows.values()} == {"mediapipe_holistic_553"}
    assert all(row["fps"] and row["width"] and decode_clip(row).scores.any() for row in rows.values())


# --- PHOENIX-2014T


PHOENIX = (
    "name|video|start|end|speaker|orth|translation\n"
    "11August_2010_Wednesday_tagesschau-1|11August_2010_Wednesday_tagesschau-1/1/*.png|-1|-1|Signer08|"
    'JETZT WETTER MORGEN DONNERSTAG|und nun die "wettervorhersage" für morgen\n'
)


def test_phoenix_with_official_labels(folder: Path) -> None:
    name = "11August_2010_Wednesday_tagesschau-1"
    manual = folder / "annotations" / "manual"
    manual.mkdir(parents=True)
    (manual / "PHOENIX-2014-T.dev.corpus.csv").write_text(PHOENIX, encoding="utf-8")
    write_pickle(folder / "pose_format" / "dev" / f"{name}.pkl")
    write_pickle(folder / "pose_format" / "train" / f"{name}.pkl", 9)  # a namesake in another split
    row = rows_of(built("phoenix2014t", folder))[name]
    assert row["gloss"] == ["JETZT", "WETTER", "MORGEN", "DONNERSTAG"]
    assert row["text"] == 'und nun die "wettervorhersage" für morgen'
    assert (row["signer_id"], row["fps"], row["num_frames"]) == ("Signer08", 25.0, 5)


def test_phoenix_with_shared_labels(folder: Path) -> None:
    write_labels(folder / "labels.train", {"train/a-1": {"gloss": "JETZT WETTER", "text": "und nun das wetter"}})
    write_pickle(folder / "pose_format" / "train" / "a-1.pkl")
    assert rows_of(built("phoenix2014t", folder))["a-1"]["gloss"] == ["JETZT", "WETTER"]


# --- what all of them say


def test_ten_percent_of_the_clips_are_damaged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"{k:05d}" for k in range(20)]
    for name in names:
        write_pickle(folder / "pose_format" / f"{name}.pkl")
    for name in names[:2]:
        path = folder / "pose_format" / f"{name}.pkl"
        path.write_bytes(path.read_bytes()[:-500])
    write_labels(folder / "labels-100.train", {name: {"text": "a"} for name in names})
    with caplog.at_level(logging.WARNING):
        builder = built("wlasl", folder, "wlasl100")
    assert set(rows_of(builder)) == set(names[2:])
    assert "WLASL, train: 2 of 20 clips cannot be read and are left out: 00000, 00001" in caplog.text
    assert [problem.sample_id for problem in builder.problems] == names[:2]
    assert all("00000.pkl" in p.reason or "00001.pkl" in p.reason for p in builder.problems)
    with pytest.raises(Exception) as raised:
        built("wlasl", folder, "wlasl100", on_problem="raise")
    assert "WLASL, train, 00000: " in str(raised.value)


def test_a_malicious_label_file_is_refused(folder: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'owned'}",)

    write_pickle(folder / "a.pkl")
    (folder / "labels-100.train").write_bytes(gzip.compress(pickle.dumps({"a": Evil()})))
    with pytest.raises(UnsafePickleError, match="labels-100.train"):
        built("wlasl", folder, "wlasl100")
    assert not (tmp_path / "owned").exists()


def test_folders_and_labels_that_are_not_there(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"WLASL: no label file in .*like labels-100.\{split\} or "):
        built("wlasl", folder, "wlasl100")
    with pytest.raises(FileNotFoundError, match="no such folder: get WLASL from https://"):
        built("wlasl", folder / "nowhere")
    with pytest.raises(
        ValueError, match=r"WLASL: expected data_dir \(--data-dir .* received none; they come from https://"
    ):
        Wlasl(cache_dir=folder.parent / "cache").download_and_prepare()
    write_labels(folder / "labels.train", {"a": {"text": "b"}})
    with pytest.raises(FileNotFoundError, match="How2Sign, train: 1 of 1 pose files not found: a"):
        built("how2sign", folder)
    with pytest.raises(FileNotFoundError, match="no such folder: give pose_dir"):
        built("how2sign", folder, pose_dir=folder / "nowhere")
    write_labels(folder / "labels" / "labels.train", {"a": {"text": "b"}})
    with pytest.raises(ValueError, match="several label files of train: .*give label_dir"):
        built("how2sign", folder)


def test_clips_and_labels_in_folders_of_their_own(folder: Path, tmp_path: Path) -> None:
    write_pickle(tmp_path / "elsewhere" / "a.pkl")
    write_labels(tmp_path / "texts" / "labels.train", {"a.mp4": {"text": "b"}})
    builder = built("how2sign", folder, pose_dir=tmp_path / "elsewhere", label_dir=tmp_path / "texts")
    assert set(rows_of(builder)) == {"a"}


def test_the_label_file_may_name_the_clip_otherwise(folder: Path) -> None:
    write_labels(folder / "labels.train", {"0001": {"text": "b", "video_path": "train/some_clip.mp4"}})
    write_pickle(folder / "pose_format" / "some_clip.pkl")
    assert set(rows_of(built("how2sign", folder))) == {"0001"}


def test_new_files_are_noticed(folder: Path) -> None:
    write_pickle(folder / "pose_format" / "a.pkl")
    write_labels(folder / "labels.train", {name: {"text": name} for name in "ab"})
    assert set(rows_of(built("how2sign", folder))) == {"a"}
    write_pickle(folder / "pose_format" / "b.pkl")
    assert set(rows_of(built("how2sign", folder))) == {"a", "b"}


def test_a_frame_written_again_is_noticed(folder: Path) -> None:
    """In place: the folder of the frames stays as it is."""
    write_openpose(folder / "poses" / "a", 3)
    write_labels(folder / "labels.train", {"a": {"text": "hello"}})
    assert decode_clip(rows_of(built("how2sign", folder))["a"]).scores[2].any()
    (folder / "poses" / "a" / f"a_{2:012d}_keypoints.json").write_text('{"people": []}')
    assert not decode_clip(rows_of(built("how2sign", folder))["a"]).scores[2].any()


def test_several_processes_and_streaming(folder: Path) -> None:
    names = [f"clip{k}" for k in range(6)]
    for seed, name in enumerate(names):
        write_pickle(folder / "pose_format" / f"{name}.pkl", seed=seed)
    write_labels(folder / "labels.train", {name: {"text": name} for name in names})
    rows = list(built("how2sign", folder).as_dataset(split="train"))
    other = CORPORA["how2sign"](data_dir=folder, cache_dir=folder.parent / "other")
    assert list(other.as_streaming_dataset(split="train")) == rows
    other.download_and_prepare(num_proc=2)
    assert list(other.as_dataset(split="train")) == rows


def test_names_on_disk(tmp_path: Path) -> None:
    assert clip_name("train/a.b-1.mp4") == "a.b-1" and clip_name("v1.5") == "v1.5"
    assert clip_name(r"train\a.pkl") == "a" and spellings("a.mp4") == ("a",)
    for place in ("x/a.pkl", "x/a.json", "y/a.pkl", "y/a.npy", "z/b.txt"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    files = PoseFiles(tmp_path)
    assert len(files) == 4 and files.find(["b"], "train") is None  # features and notes are readable, too
    with pytest.raises(ValueError, match="2 files are called a: .*give pose_dir"):
        files.find(["nothing", "a"], "train")
