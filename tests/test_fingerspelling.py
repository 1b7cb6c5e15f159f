"""Fingerspelling: a small file in the real one's format, and the counts of the real one."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets_scripts.corpora import load_corpus
from datasets_scripts.fingerspelling import LANGUAGES, Fingerspelling
from datasets_scripts.schema import decode_clip


def write_file(folder: Path, **changes: Any) -> dict[str, np.ndarray]:
    """Three letters of 4 frames in two languages."""
    rng = np.random.default_rng(0)
    scores = np.ones((12, 69), np.float16)
    scores[:, 9:30] = 0
    scores[5, 7], scores[6, 4] = -3.5, 1.25  # visibilities of a body that turns away
    arrays: dict[str, Any] = {
        "length": np.full(3, 4, np.int32),
        "keypoints": (rng.uniform(0.2, 0.8, (12, 69, 2)) * (scores != 0)[..., None]).astype(np.float16),
        "scores": scores,
        "path": np.array(["ase/one.pose", "gss/two.pose", "gss/three.pose"]),
        "sign_language": np.array(["ase", "gss", "gss"]),
        "letter": np.array(["A", "Α", "Ω"]),
        "fps": np.array([25, 25, 24], np.float32),
    }
    arrays.update(changes)
    np.savez(folder / "fingerspelling15.npz", **{name: value for name, value in arrays.items() if value is not None})
    return arrays


def test_a_small_file(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    arrays = write_file(folder)
    dataset = load_corpus("fingerspelling", data_dir=folder, cache_dir=tmp_path / "cache")
    assert list(dataset) == ["train"]
    rows = list(dataset["train"])
    assert [row["sample_id"] for row in rows] == ["ase_one", "gss_two", "gss_three"]
    assert [row["text"] for row in rows] == ["A", "Α", "Ω"]
    assert [row["sign_language"] for row in rows] == ["American Sign Language"] + 2 * ["Greek Sign Language"]
    assert [row["spoken_language"] for row in rows] == ["English", "Greek", "Greek"]
    assert (rows[2]["fps"], rows[2]["width"], rows[2]["height"]) == (24, 500, 500)
    clip = decode_clip(rows[1])
    seen = arrays["scores"][4:8] > 0
    assert not seen[1, 7] and seen[2, 4]
    assert np.array_equal(clip.scores > 0, seen) and clip.scores.max() < 1.005
    assert (
        np.abs(clip.keypoints - 500 * arrays["keypoints"][4:8].astype(np.float32))[seen].max() < 0.05
    )  # a grid of 1e-4 of 500 pixels
    assert not clip.keypoints[1, 7].any()


def test_one_language(tmp_path: Path) -> None:
    write_file(tmp_path)
    builder = Fingerspelling(config_name="gss", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    assert [entry.text for entry in builder.list_clips("train")] == ["Α", "Ω"]
    assert (builder.sign_language, builder.spoken_language) == ("Greek Sign Language", "Greek")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": None}, "missing are scores"),
        ({"scores": np.ones((12, 68), np.float16)}, "expected 3 clips of 12 frames, scores do not fit"),
        ({"sign_language": np.array(["ase", "xyz", "gss"])}, "expected the sign languages ase, asq.* received 'xyz'"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_file(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        Fingerspelling(data_dir=tmp_path, cache_dir=tmp_path / "cache").list_clips("train")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected fingerspelling15.npz in"):
        Fingerspelling(data_dir=tmp_path, cache_dir=tmp_path / "cache").list_clips("train")


@pytest.mark.data
def test_the_real_file(shared_data: Path, tmp_path: Path) -> None:
    builder = Fingerspelling(data_dir=shared_data / "fingerspelling", cache_dir=tmp_path)
    entries = builder.list_clips("train")
    counts = Counter(entry.sample_id[:3] for entry in entries)
    assert len(entries) == 467 and set(counts) == set(LANGUAGES) and len(counts) == 15
    assert (counts["ase"], counts["ise"], counts["gss"]) == (26, 40, 24)
    rows = [builder.encode(entry) for entry in entries]
    assert sum(row["num_frames"] for row in rows) == 11_854
    for code, side in (("ase", 30), ("ise", 9)):
        clips = [decode_clip(row) for row, entry in zip(rows, entries) if entry.sample_id.startswith(code)]
        assert np.mean([(clip.scores[:, side] > 0).mean() for clip in clips]) > 0.99, "the hand that signs"
        shoulders = np.concatenate([clip.keypoints[:, 3] - clip.keypoints[:, 4] for clip in clips])
        assert (shoulders[:, 0] > 0).mean() > 0.99, "the signer's left is on the picture's right"
