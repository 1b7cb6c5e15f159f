"""NSL alphabet: a small file in the real one's format, and the counts and geometry of the real one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets_scripts.corpora import load_corpus
from datasets_scripts.nsl_alphabet import NslAlphabet
from datasets_scripts.schema import decode_clip
from modeling_sigma.model.skeleton_layouts import LAYOUTS


NAME = "nsl23_signers_1-4.npz"
BODY = LAYOUTS["mediapipe_holistic_543"].body


def write_file(folder: Path, name: str = NAME, **changes: Any) -> dict[str, np.ndarray]:
    """A whole alphabet of two letters by signer 3 (4, 2 and 5 frames, no body), and a letter each by signer 1 (6
    frames with a body) and 4 (6 frames, the first three without one). Pictures are twice as wide as high.
    """
    rng = np.random.default_rng(0)
    length = np.array([4, 2, 5, 6, 6], np.int32)
    body_present = np.repeat([False, True], [11, 12])
    body = rng.uniform(-0.1, 0.1, (12, 33, 4))
    body[..., 3] = 0.9
    body[:, 11, :2], body[:, 12, :2] = (0.2, 0), (-0.2, 0)
    body[6:9] = (-0.5, -0.5, 0, 0)  # looked for and not found
    left_present = np.zeros(23, bool)
    left_present[:2] = True
    palms = rng.normal(0, 0.5, (25, 21, 3))
    palms[:, 0] = 0
    wrist = np.concatenate([rng.uniform(0.3, 0.7, (23, 2)), np.zeros((23, 1)), np.full((23, 1), 0.1)], axis=1)
    wrist[17:20, :2] = (0.1, 0.2)  # in the picture: (0.6, 0.7)
    wrist[20:, :2] = (-0.1, 0.3)  # from the shoulders, the hand has not moved: so they are at (0.7, 0.4)
    arrays: dict[str, Any] = {
        "length": length,
        "name": np.array(["KA", "trans_KA_to_GA", "GA", "KA", "KA"]),
        "kind": np.array(["sign", "transition", "sign", "sign", "sign"]),
        "label": np.array([1, -1, 0, 1, 1], np.int16),
        "signer": np.array([3, 3, 3, 1, 4], np.int16),
        "recording": np.array([0, 0, 0, 1, 2], np.int64),
        "order": np.array([0, 1, 2, 0, 0], np.int16),
        "start": np.array([100, 104, 106, -1, -1], np.int32),
        "end": np.array([103, 105, 110, -1, -1], np.int32),
        "fps": np.array([50, 50, 50, 30, 30], np.float32),
        "width": np.full(5, 2000, np.int32),
        "height": np.full(5, 1000, np.int32),
        "classes": np.array(["GA", "KA"]),
        "recordings": np.array(["Multi/S3_all", "one/S1_Bright", "one/S4_Bright"]),
        "pose_present": body_present,
        "pose": body.astype(np.float16),
        "left_present": left_present,
        "left_hand": palms[:2].astype(np.float16),
        "left_meta": wrist[:2].astype(np.float32),
        "right_present": np.ones(23, bool),
        "right_hand": palms[2:].astype(np.float16),
        "right_meta": wrist.astype(np.float32),
    }
    arrays.update(changes)
    np.savez(folder / name, **{key: value for key, value in arrays.items() if value is not None})
    return arrays


def builder(folder: Path, config: str = "letters", **options: Any) -> NslAlphabet:
    return NslAlphabet(config_name=config, data_dir=folder, cache_dir=folder / "cache", **options)


def test_letters(tmp_path: Path) -> None:
    write_file(tmp_path)
    dataset = load_corpus("nsl_alphabet", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    assert {split: part["sample_id"][:] for split, part in dataset.items()} == {
        "train": ["signer3_S3_all_KA", "signer3_S3_all_GA", "signer1_S1_Bright_KA"], "test": ["signer4_S4_Bright_KA"]
    }  # fmt: skip
    row = dataset["train"][1]
    assert (row["text"], row["gloss"], row["gloss_start"], row["signer_id"]) == ("GA", [], [], "3")
    assert (row["num_frames"], row["fps"], row["width"], row["height"]) == (5, 50, 2000, 1000)
    assert (row["sign_language"], row["spoken_language"]) == ("Nepali Sign Language", "Nepali")


def test_a_whole_alphabet_has_times(tmp_path: Path) -> None:
    arrays = write_file(tmp_path)
    corpus = builder(tmp_path, "continuous")
    assert corpus.available_splits() == ("train",)
    (entry,) = corpus.list_clips("train")
    row = corpus.encode(entry)
    assert (row["sample_id"], row["text"], row["gloss"]) == ("signer3_S3_all", "", ["KA", "GA"])
    assert (row["num_frames"], row["gloss_start"], row["gloss_end"]) == (11, [0, 6], [4, 11])
    clip = decode_clip(row)
    assert not clip.scores[:, :9].any() and not clip.scores[:, 51:].any()  # a close-up without a face
    assert clip.scores[:2, 9:30].all() and not clip.scores[2:, 9:30].any()
    wrist, hand = arrays["right_meta"][:11], arrays["right_hand"][:11].astype(float)
    expected = (wrist[:, None, :2] + wrist[:, None, 3:] * hand[..., :2]) * [2000, 1000]  # pixels: one unit for x and y
    assert np.abs(clip.keypoints[:, 30:51] - expected).max() < 0.1


def test_a_body_stands_in_the_middle(tmp_path: Path) -> None:
    arrays = write_file(tmp_path)
    clip = decode_clip(builder(tmp_path).encode(builder(tmp_path).list_clips("train")[2]))
    expected = (arrays["pose"][:6, BODY, :2].astype(float) + 0.5) * [2000, 1000]
    assert np.abs(clip.keypoints[:, :9] - expected).max() < 0.1
    assert np.allclose(clip.scores[:, :9], 0.9, atol=3e-3)
    wrist = (arrays["right_meta"][11:17, :2] + 0.5) * [2000, 1000]
    assert np.abs(clip.keypoints[:, 30] - wrist).max() < 0.1


def test_a_hand_stays_where_it_is_when_a_body_comes(tmp_path: Path) -> None:
    write_file(tmp_path)
    (entry,) = builder(tmp_path).list_clips("test")
    clip = builder(tmp_path).read_clip(entry)
    assert np.abs(clip.keypoints[:, 30] - (1200, 700)).max() < 0.5
    assert not clip.scores[:3, :9].any() and clip.scores[3:, :9].all()
    assert np.abs(clip.keypoints[3:, 3:5].mean(axis=1) - (1400, 400)).max() < 0.5  # between the shoulders


def test_a_body_found_in_a_hand_is_none(tmp_path: Path) -> None:
    body = write_file(tmp_path)["pose"]
    body[:, 11, 0], body[:, 12, 0] = 0.02, -0.02  # 80 pixels between the shoulders, the palm has 100
    write_file(tmp_path, pose=body)
    clip = builder(tmp_path).read_clip(builder(tmp_path).list_clips("train")[2])
    assert not clip.scores[:, :9].any() and clip.scores[:, 30:51].all()


def test_who_signs_where(tmp_path: Path) -> None:
    write_file(tmp_path)
    write_file(tmp_path, "nsl23_more.npz", signer=np.array([51, 51, 51, 88, 90], np.int16))

    def signers(config: str, **options: str) -> dict[str, set[str | None]]:
        corpus = builder(tmp_path, config, **options)
        return {split: {entry.signer_id for entry in corpus.list_clips(split)} for split in corpus.available_splits()}

    assert signers("letters") == {"train": {"1", "3"}, "test": {"4", "51", "88", "90"}}
    assert signers("letters_test1") == {"train": {"3", "4"}, "test": {"1"}}
    assert signers("letters_new_signers") == {"train": {"1", "3", "4"}, "test": {"51", "88", "90"}}
    assert signers("continuous") == {"train": {"3"}, "test": {"51"}}
    chosen = signers("letters", train_signers="1,3", validation_signers="4, 88", test_signers="90")
    assert chosen == {"train": {"1", "3"}, "validation": {"4", "88"}, "test": {"90"}}
    with pytest.raises(ValueError, match="expected every signer in one split, received 1 in train and test"):
        signers("letters", test_signers="1")
    with pytest.raises(ValueError, match="expected numbers of signers such as '1,2,3', received 'Ada'"):
        signers("letters", test_signers="Ada")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"right_meta": None}, "missing are right_meta"),
        ({"right_hand": np.zeros((22, 21, 3))}, "expected 5 clips of 23 frames, right_hand do not fit"),
        ({"start": np.array([100, 105, 106, -1, -1])}, "expected the segments of Multi/S3_all without gaps"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_file(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        builder(tmp_path, "continuous").list_clips("train")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected nsl23_\*.npz in"):
        builder(tmp_path).list_clips("train")


@pytest.mark.data
def test_the_real_file(shared_data: Path, tmp_path: Path) -> None:
    def corpus(config: str) -> NslAlphabet:
        return NslAlphabet(config_name=config, data_dir=shared_data / "nsl_alphabet", cache_dir=tmp_path)

    letters = corpus("letters")
    entries = [entry for split in letters.available_splits() for entry in letters.list_clips(split)]
    first_four = [entry for entry in entries if entry.signer_id in ("1", "2", "3", "4")]
    assert len(first_four) == 637 and len({entry.text for entry in first_four}) == 49
    per_signer = [sum(entry.signer_id == str(signer) for entry in entries) for signer in (1, 2, 3, 4)]
    assert per_signer == [196, 196, 183, 62]
    for signer, count in zip((1, 2, 3, 4), per_signer):
        rotation = corpus(f"letters_test{signer}")
        assert [len(rotation.list_clips(split)) for split in ("train", "test")] == [637 - count, count]
    rotation = corpus("continuous_test3")
    recordings = {split: rotation.list_clips(split) for split in ("train", "test")}
    assert {split: len(found) for split, found in recordings.items()} == {"train": 3, "test": 7}
    assert {len(entry.gloss) for found in recordings.values() for entry in found} == {36, 13}  # consonants, vowels
    rows = [rotation.encode(entry) for found in recordings.values() for entry in found]
    assert sum(row["num_frames"] for row in rows) == 16_544 + 4_960
    # Where a body is found, the right hand begins at its right wrist.
    body = [
        decode_clip(letters.encode(entry)) for entry in first_four if "S1_NSL_Consonant_Bright_K" in entry.sample_id
    ]
    seen = [clip.scores[:, 8] > 0.9 for clip in body]
    apart = [np.abs(clip.keypoints[:, 30] - clip.keypoints[:, 8])[found] for clip, found in zip(body, seen)]
    assert np.median(np.concatenate(apart)) < 30  # pixels, where the palm has 150
