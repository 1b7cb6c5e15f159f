"""RWTH-BOSTON-104: a small file in the real one's format, and the counts of the real one."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import load_dataset

from datasets_scripts.boston104 import SIGNERS, Boston104
from datasets_scripts.building.build import build_dataset
from datasets_scripts.corpora import load_corpus
from datasets_scripts.schema import decode_clip
from modeling_sigma.metrics import word_error_rates


def write_file(folder: Path, **changes: Any) -> dict[str, np.ndarray]:
    """Four sentences of 10 frames and two words each."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "video": np.array([7, 12, 13, 40], np.int32),
        "length": np.full(4, 10, np.int32),
        "points": rng.uniform(50, 250, (40, 3, 2)).astype(np.float32),
        "points_order": np.array(["left_hand", "right_hand", "nose"]),
        "speaker": np.array(["man-1", "woman-1", "woman-2", "man-1"]),
        "split": np.array(["train", "train", "train", "test"]),
        "gloss": np.array(["JOHN GO", "GO JOHN", "JOHN JOHN", "JOHN GO"]),
        "num_words": np.full(4, 2, np.int32),
        "word_start": np.tile([1, 4], 4).astype(np.int32),
        "word_end": np.tile([3, 8], 4).astype(np.int32),
        "word": np.array([1, 0, 0, 1, 1, 1, 1, 0], np.int32),
        "vocabulary": np.array(["GO", "JOHN"]),
    }
    arrays.update(changes)
    np.savez(
        folder / "boston104_hands_nose.npz", **{name: value for name, value in arrays.items() if value is not None}
    )
    return arrays


def test_a_small_file(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    arrays = write_file(folder)
    dataset = load_corpus("boston104", data_dir=folder, cache_dir=tmp_path / "cache")
    assert {split: part["sample_id"][:] for split, part in dataset.items()} == {
        "train": ["video007", "video012", "video013"], "test": ["video040"]
    }  # fmt: skip
    row = dataset["train"][1]
    assert (row["text"], row["gloss"], row["signer_id"]) == ("", ["GO", "JOHN"], "woman-1")
    assert (row["gloss_start"], row["gloss_end"]) == ([1, 4], [4, 9])  # the file's last frames are within
    assert (row["fps"], row["width"], row["height"], row["coordinates"]) == (30.0, 312, 242, "pixels")
    clip = decode_clip(row)
    points = arrays["points"][10:20]
    for joint, point in ((7, 0), (8, 1), (0, 2)):  # left wrist, right wrist, nose
        assert np.abs(clip.keypoints[:, joint] - points[:, point]).max() < 0.02
    others = [joint for joint in range(69) if joint not in (0, 7, 8)]
    assert clip.scores[:, [0, 7, 8]].all() and not clip.scores[:, others].any()


def test_leaving_one_person_out(tmp_path: Path) -> None:
    write_file(tmp_path)
    builder = Boston104(config_name="without_man-1", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    assert [entry.sample_id for entry in builder.list_clips("test")] == ["video007", "video040"]
    assert {entry.signer_id for entry in builder.list_clips("train")} == {"woman-1", "woman-2"}


def test_times_survive_a_build(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write_file(folder)
    build_dataset("boston104", tmp_path / "built", data_dir=folder)
    built = load_dataset(str(tmp_path / "built"), split="test", cache_dir=str(tmp_path / "cache"))
    assert built[0]["gloss_start"] == [1, 4] and built[0]["gloss_end"] == [4, 9]
    card = (tmp_path / "built" / "README.md").read_text()
    assert "1 of 40" in card and "research use" in card


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": None}, "missing are points"),
        ({"word": np.zeros(7, np.int32)}, "4 clips of 40 frames, word do not fit"),
        ({"points_order": np.array(["nose", "left", "right"])}, "expected the points left_hand, right_hand, nose"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_file(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        Boston104(data_dir=tmp_path, cache_dir=tmp_path / "cache").list_clips("train")


def test_impossible_times_are_refused(tmp_path: Path) -> None:
    write_file(tmp_path, word_end=np.tile([3, 10], 4).astype(np.int32))
    builder = Boston104(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(ValueError, match=r"video040: expected spans within 10 frames, received \(4, 11\)"):
        builder.encode(builder.list_clips("test")[0])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected boston104_hands_nose.npz in"):
        Boston104(data_dir=tmp_path, cache_dir=tmp_path / "cache").list_clips("train")


@pytest.mark.data
def test_the_real_file(shared_data: Path, tmp_path: Path) -> None:
    builder = Boston104(data_dir=shared_data / "boston104", cache_dir=tmp_path)
    clips = {split: builder.list_clips(split) for split in builder.available_splits()}
    assert {split: len(entries) for split, entries in clips.items()} == builder.FACTS.sizes["boston104"]
    words = {split: [gloss for entry in entries for gloss in entry.gloss] for split, entries in clips.items()}
    assert {split: len(found) for split, found in words.items()} == {"train": 710, "test": 178}
    assert len({*words["train"], *words["test"]}) == 113 and len(set(words["train"])) == 112
    assert set(words["test"]) - set(words["train"]) == {"MUST"}
    everything = clips["train"] + clips["test"]
    assert {entry.signer_id for entry in everything} == set(SIGNERS)
    rows = [builder.encode(entry) for entry in everything]
    assert sum(row["num_frames"] for row in rows) == 15_746
    # The hands are where the signer's are: the left one to the picture's right of the right one, both below the nose.
    joints = np.concatenate([decode_clip(row).keypoints for row in rows])
    nose, left, right = (joints[:, joint].mean(axis=0) for joint in (0, 7, 8))
    assert left[0] > right[0] and min(left[1], right[1]) > nose[1]
    known = {entry.gloss for entry in clips["train"]}
    assert sum(entry.gloss in known for entry in clips["test"]) == 26
    # Always saying the commonest train sentence.
    commonest = " ".join(Counter(entry.gloss for entry in clips["train"]).most_common(1)[0][0])
    references = [" ".join(entry.gloss) for entry in clips["test"]]
    assert word_error_rates([commonest] * 40, references)["wer"] == pytest.approx(87.6, abs=0.06)
