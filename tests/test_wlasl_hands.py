"""WLASL-hands: a small file in the real one's format, and the counts of the real one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets_scripts.corpora import load_corpus
from datasets_scripts.schema import decode_clip
from datasets_scripts.wlasl_hands import SUBSETS, WlaslHands, load_wlasl_hands
from modeling_sigma.io.hand_tracking import track_hands
from modeling_sigma.model.pose_transforms import normalize_joints, select_joints


LENGTHS = (6, 4, 5, 3)


def write_archive(folder: Path, **changes: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    num_frames = sum(LENGTHS)
    present = np.ones((num_frames, 2), bool)
    present[::3, 1] = False
    present[0] = False  # the first clip begins without hands
    arrays: dict[str, Any] = {
        "xyz": rng.uniform(0.2, 0.8, (int(present.sum()), 21, 3)).astype(np.float16),
        "present": present,
        "length": np.array(LENGTHS, np.int32),
        "video_id": np.array(["00001", "00002", "00003", "00004"]),
        "subset": np.array(["train", "val", "test", "train"]),
        "label": np.array([0, 1, 0, 150], np.int16),
        "in_100": np.array([True, True, True, False]),
        "in_300": np.ones(4, bool),
        "in_1000": np.ones(4, bool),
    }
    arrays.update(changes)
    np.savez(
        folder / "wlasl2000_hands_f16.npz", **{name: value for name, value in arrays.items() if value is not None}
    )
    (folder / "wlasl_class_list.txt").write_text("0\tbook\n1\tdrink\n150\tcool\n")
    return arrays


def test_a_small_archive(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    arrays = write_archive(folder)
    builder = WlaslHands(config_name="wlasl100", data_dir=folder, cache_dir=tmp_path / "cache")
    builder.download_and_prepare()
    dataset = builder.as_dataset()
    assert {split: part["sample_id"][:] for split, part in dataset.items()} == {
        "train": ["00001"], "validation": ["00002"], "test": ["00003"]
    }  # fmt: skip
    row = dataset["train"][0]
    assert (row["text"], row["num_frames"], row["source_layout"]) == ("book", 5, "hands_42")
    assert row["fps"] == 29.97 and row["width"] is None
    clip = decode_clip(row)
    assert not clip.scores[:, :9].any() and not clip.scores[:, 51:].any()  # neither body nor face
    # The rest is what tracking makes of the detections.
    detections = np.full((6, 2, 21, 3), np.nan, np.float32)
    detections[arrays["present"][:6]] = arrays["xyz"][: arrays["present"][:6].sum()]
    tracked = track_hands(detections)[1:]
    found = np.isfinite(tracked).all(axis=(2, 3))
    assert np.array_equal(clip.scores[:, [9, 30]] > 0, found)
    for slot, joints in enumerate((slice(9, 30), slice(30, 51))):
        difference = clip.keypoints[:, joints][found[:, slot]] - tracked[:, slot][found[:, slot]][..., :2]
        assert np.abs(difference).max() < 1e-4
    values = normalize_joints(*select_joints(clip), scale_reference="hands", fill_wrists=True)
    assert values.any() and not normalize_joints(*select_joints(clip)).any()
    whole = load_corpus("wlasl_hands", "wlasl2000", "train", data_dir=folder, cache_dir=tmp_path / "cache", trim=False)
    assert whole["num_frames"][:] == [6, 3] and whole["text"][:] == ["book", "cool"]


def test_the_plain_loader_agrees_with_the_builder(tmp_path: Path) -> None:
    write_archive(tmp_path)
    builder = WlaslHands(config_name="wlasl300", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    samples = load_wlasl_hands(tmp_path, "wlasl300", "train")
    entries = builder.list_clips("train")
    assert [(s.video_id, s.word, s.label) for s in samples] == [("00001", "book", 0), ("00004", "cool", 150)]
    for sample, entry in zip(samples, entries):
        assert (sample.video_id, sample.word) == (entry.sample_id, entry.text)
        assert np.array_equal(sample.clip.keypoints, builder.read_clip(entry).keypoints)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": None}, "expected arrays xyz, .*, missing are label"),
        ({"length": np.array([6, 4, 5, 4])}, "expected 4 clips of 19 frames, present do not fit"),
        ({"label": np.array([0, 1, 0, 7])}, "expected a word for label 7: another version"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_archive(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        load_wlasl_hands(tmp_path, "wlasl300")


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected wlasl2000_hands_f16.npz in"):
        load_wlasl_hands(tmp_path)
    write_archive(tmp_path)
    with pytest.raises(ValueError, match="expected subset to be one of"):
        load_wlasl_hands(tmp_path, "wlasl50")
    (tmp_path / "wlasl2000_hands_f16.npz").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="cannot be read as a .npz archive"):
        load_wlasl_hands(tmp_path)


@pytest.mark.data
def test_counts_of_the_real_file(shared_data: Path, tmp_path: Path) -> None:
    for subset in SUBSETS:
        builder = WlaslHands(config_name=subset, data_dir=shared_data / "wlasl_hands", cache_dir=tmp_path)
        clips = {split: builder.list_clips(split) for split in builder.available_splits()}
        assert {split: len(entries) for split, entries in clips.items()} == builder.FACTS.sizes[subset]
        words = {entry.text for entries in clips.values() for entry in entries}
        assert len(words) == int(subset.removeprefix("wlasl"))
    assert builder.FACTS.sizes == {
        "wlasl100": {"train": 748, "validation": 165, "test": 100},
        "wlasl300": {"train": 1897, "validation": 446, "test": 317},
        "wlasl1000": {"train": 5001, "validation": 1290, "test": 941},
        "wlasl2000": {"train": 8313, "validation": 2253, "test": 1414},
    }


@pytest.mark.data
def test_the_real_test_split_is_built(shared_data: Path, tmp_path: Path) -> None:
    builder = WlaslHands(config_name="wlasl100", data_dir=shared_data / "wlasl_hands", cache_dir=tmp_path)
    entries = builder.list_clips("test")
    rows = [builder.encode(entry) for entry in entries]
    assert len(rows) == 100 and builder.problems == []
    share = np.mean([decode_clip(row).scores[:, [9, 30]].any(axis=1).mean() for row in rows])
    assert 0.8 < share <= 1.0  # frames with a hand, without the empty ends
