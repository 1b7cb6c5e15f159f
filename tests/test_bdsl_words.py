"""BdSL words: a small file in the real one's format, and the counts and geometry of the real one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets_scripts.bdsl_words import BdslWords
from datasets_scripts.schema import decode_clip
from modeling_sigma.io.hand_tracking import hand_shape
from modeling_sigma.model.skeleton_layouts import LAYOUTS


WORDS = ("আমি", "তুমি")


def write_signer(folder: Path, name: str = "bdsl55_signer02.npz", **changes: Any) -> dict[str, np.ndarray]:
    """Two clips of 3 frames in each session. Hands are 2 times, the face is half as large as in the body."""
    rng = np.random.default_rng(0)
    num_frames = 12
    body = rng.normal(0, 0.5, (num_frames, 33, 3))
    left, right = rng.normal(0, 0.4, (2, num_frames, 21, 3))
    for hand, wrist, knuckles in ((left, 16, (20, 18)), (right, 15, (19, 17))):
        hand[:, 0] = 0
        body[:, knuckles] = body[:, [wrist]] + hand[:, (5, 17)] / 2
    face = 0.5 * rng.normal(0, 0.2, (num_frames, 18, 3)) - 1
    body[:, (7, 8, 9, 10), :2] = body[:, [0], :2] + 2 * (face[:, (8, 0, 13, 9), :2] - face[:, [17], :2])
    right[:3] = 0  # not found in the first clip
    arrays: dict[str, Any] = {
        "length": np.full(4, 3, np.int32),
        "word": np.array(WORDS * 2),
        "session": np.array(["sess01", "sess01", "sess02", "sess02"]),
        "rep": np.array(["rep01"] * 4),
        "grammar": np.array(["neutral", "sad", "neutral", "question"]),
        "pose33": body.astype(np.float16),
        "left_hand": left.astype(np.float16),
        "right_hand": right.astype(np.float16),
        "face18": face.astype(np.float16),
    }
    arrays.update(changes)
    np.savez(folder / name, **{key: value for key, value in arrays.items() if value is not None})
    return arrays


def test_parts_are_put_where_the_body_has_them(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    arrays = write_signer(folder)
    builder = BdslWords(data_dir=folder, cache_dir=tmp_path / "cache")
    builder.download_and_prepare()
    dataset = builder.as_dataset()
    assert {split: part["text"][:] for split, part in dataset.items()} == {"train": list(WORDS), "test": list(WORDS)}
    row = dataset["train"][0]
    assert (row["sample_id"], row["signer_id"]) == ("signer02_sess01_আমি_neutral_rep01", "signer02")
    assert (row["sign_language"], row["spoken_language"]) == ("Bangla Sign Language", "Bangla")
    clip = decode_clip(dataset["train"][1])
    body = arrays["pose33"][3:6].astype(float)
    assert np.abs(clip.keypoints[:, :9] - body[:, LAYOUTS["mediapipe_holistic_543"].body, :2]).max() < 2e-3
    for joints, wrist, hand in ((slice(9, 30), 15, "right_hand"), (slice(30, 51), 16, "left_hand")):
        expected = arrays[hand][3:6, :, :2].astype(float) / 2 + body[:, [wrist], :2]
        assert np.abs(clip.keypoints[:, joints] - expected).max() < 5e-3
    face = arrays["face18"][3:6, :, :2].astype(float)
    assert np.abs(clip.keypoints[:, 51:] - (2 * (face - face[:, [17]]) + body[:, [0], :2])).max() < 5e-3
    assert clip.scores.min() == 1.0
    first = decode_clip(row)
    assert not first.scores[:, 9:30].any() and not first.keypoints[:, 9:30].any()  # the file's right hand
    assert first.scores[:, 30:51].all()
    as_named = BdslWords(data_dir=folder, cache_dir=tmp_path / "cache", swap_hands=False)
    kept = as_named.read_clip(as_named.list_clips("train")[0])
    assert not kept.scores[:, 30:51].any() and kept.scores[:, 9:30].all()


def test_several_signers(tmp_path: Path) -> None:
    write_signer(tmp_path)
    write_signer(tmp_path, "bdsl55_signer03.npz")
    entries = BdslWords(data_dir=tmp_path, cache_dir=tmp_path / "cache").list_clips("test")
    assert [entry.signer_id for entry in entries] == ["signer02", "signer02", "signer03", "signer03"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"face18": None}, "missing are face18"),
        ({"length": np.full(4, 4)}, "expected 4 clips of 16 frames, pose33, left_hand, right_hand, face18 do not fit"),
        ({"session": np.array(["a"] * 4)}, "expected the sessions sess01, sess02, received 'a'"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_signer(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        BdslWords(data_dir=tmp_path, cache_dir=tmp_path / "cache").list_clips("train")


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    builder = BdslWords(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match=r"expected bdsl55_signer\*.npz in"):
        builder.list_clips("train")
    (tmp_path / "bdsl55_signer09.npz").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="bdsl55_signer09.npz: cannot be read as a .npz archive"):
        builder.list_clips("train")


@pytest.mark.data
def test_the_real_file(shared_data: Path, tmp_path: Path) -> None:
    builder = BdslWords(data_dir=shared_data / "bdsl_words", cache_dir=tmp_path)
    clips = {split: builder.list_clips(split) for split in builder.available_splits()}
    assert {split: len(entries) for split, entries in clips.items()} == {"train": 214, "test": 283}
    everything = [entry for entries in clips.values() for entry in entries]
    assert len(everything) == 497 and len({entry.text for entry in everything}) == 55
    rows = [builder.encode(entry) for entry in everything]
    assert {row["num_frames"] for row in rows} == {60}
    joints = np.concatenate([decode_clip(row).keypoints for row in rows])
    scores = np.concatenate([decode_clip(row).scores for row in rows])
    # The dominant hand is the right one, and hands are found in the share of the frames that the arrays say.
    assert np.allclose([(scores[:, 9] > 0).mean(), (scores[:, 30] > 0).mean()], [0.338, 0.596], atol=1e-3)
    # A seen hand hangs on its own wrist, and the face fits between the ears of the body.
    for hand, wrist in ((9, 7), (30, 8)):
        seen = scores[:, hand] > 0
        assert np.abs(joints[seen, hand] - joints[seen, wrist]).max() < 1e-3
    ears, jaw = joints[:, 1, 0] - joints[:, 2, 0], joints[:, 51 + 8, 0] - joints[:, 51, 0]
    assert 0.8 < np.median(jaw / ears) < 1.2


@pytest.mark.data
def test_hands_of_the_real_file_are_exchanged_for_a_reason(shared_data: Path) -> None:
    with np.load(shared_data / "bdsl_words" / "bdsl55_signer02.npz") as archive:
        arrays = {name: archive[name].astype(np.float64) for name in ("pose33", "left_hand", "right_hand")}
    for name, side in (("left_hand", -1), ("right_hand", 1)):
        hand = arrays[name][arrays[name].any(axis=(1, 2))]
        assert (np.sign(hand_shape(hand)) == side).mean() > 0.95, "it has the shape of the other hand"
    # Where the so-called left hand is seen, the body's left wrist (15) rests and the right one (16) is raised.
    alone = arrays["left_hand"].any(axis=(1, 2)) & ~arrays["right_hand"].any(axis=(1, 2))
    heights = np.median(arrays["pose33"][alone][:, (15, 16), 1], axis=0)  # downwards, in shoulder widths
    assert heights[0] > heights[1] + 1.0


@pytest.mark.data
def test_the_face_points_are_those_of_the_layout_table(shared_data: Path) -> None:
    folder = shared_data / "bdsl_words"
    with np.load(folder / "holistic_fullface_8clips.npz") as archive:
        face, word = archive["face468"], archive["word"]
    with np.load(folder / "bdsl55_signer02.npz") as archive:
        face18, words, lengths = archive["face18"], archive["word"], archive["length"]
    assert word[0] == words[0]
    layout = LAYOUTS["mediapipe_holistic_543"]
    start = layout.components[0][1]
    points = face[: lengths[0], [point - start for point in layout.face], :2].astype(np.float64)
    same = face18[: lengths[0], :, :2].astype(np.float64)
    # The same points in the same order, in one place and unit.
    assert np.abs(points - same).max() < 2e-3
