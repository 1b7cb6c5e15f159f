"""The schema: exact to its promise, idempotent, readable by numpy alone, through Arrow, Parquet and streaming."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, Features, load_dataset
from factories import random_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_scripts.schema import DECODING_RECIPE, STEP, decode_clip, encode_sample, features
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import normalize_joints, select_joints
from modeling_sigma.model.skeleton_layouts import LAYOUTS


def encoded(clip: PoseClip, **fields: Any) -> dict[str, Any]:
    known = {"sample_id": "a", "sign_language": "synthetic", "spoken_language": "English", "split": "train"}
    return encode_sample(clip, **{**known, **fields})


def decode_by_recipe(row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    names: dict[str, Any] = {}
    exec(DECODING_RECIPE, names)
    return names["decode"](row)


def largest_shift(clip: PoseClip, decoded: PoseClip) -> float:
    keypoints, scores = select_joints(clip)
    return float(np.abs(keypoints - decoded.keypoints)[scores > 0].max(initial=0.0))


def test_coordinates_keep_their_place_and_missing_joints_stay_missing() -> None:
    clip = random_clip(150)
    clip.scores[::7, 91:112] = 0.0
    row = encoded(clip)
    decoded = decode_clip(row)
    assert decoded.layout == row["layout"] == "sigma_69" and row["source_layout"] == "coco_wholebody_133"
    assert (decoded.fps, decoded.width, decoded.height) == (25.0, 640, 480)
    assert largest_shift(clip, decoded) <= 0.5 * STEP * 480 * 1.001
    assert not decoded.keypoints[::7, 9:30].any() and not decoded.scores[::7, 9:30].any()
    _, scores = select_joints(clip)
    assert np.array_equal(decoded.scores > 0, scores > 0)


def test_the_estimator_is_kept_and_older_rows_have_none() -> None:
    clip = replace(random_clip(4), estimator="mediapipe-holistic (mediapipe 1.2.3)")
    rows = Dataset.from_list([encoded(clip), encoded(random_clip(4))], features=features())
    assert [decode_clip(row).estimator for row in rows] == [clip.estimator, None]
    assert decode_clip(rows.with_format("numpy")[0]).estimator == clip.estimator
    assert decode_clip(rows.remove_columns("estimator")[0]).estimator is None


def test_bytes_of_a_known_clip() -> None:
    # Step 0.01 pixels of a 100 x 200 image. x of joint 0: 10, 10.02, 9.99; the rest stands at (5, 6).
    keypoints = np.full((3, 69, 2), (5.0, 6.0))
    keypoints[:, 0, 0] = 10.0, 10.02, 9.99
    row = encoded(PoseClip(keypoints, np.ones((3, 69)), "sigma_69", width=100, height=200))
    assert (row["keypoints_step"], row["x_offset"], row["y_offset"]) == (0.01, 5.0, 6.0)
    moves = np.frombuffer(row["keypoints"], np.uint8).reshape(2, 3, 69, 2)[:, :, 0, 0].astype(int)
    assert (moves[0] + 256 * moves[1]).tolist() == [500, 2, 65536 - 3]
    assert row["scores_step"] == 0.3 / 76.5 and set(row["scores"]) == {255}


def test_keypoints_far_outside_of_the_image_survive() -> None:
    clip = random_clip(20)
    clip.keypoints[3, 91] = (-41_000.0, 9_000_000.0)
    clip.scores[3, 91] = 0.9
    row = encoded(clip)
    assert len(row["keypoints"]) == 4 * 2 * 20 * 69  # four bytes instead of two
    assert largest_shift(clip, decode_clip(row)) <= 0.51  # float32 at nine million
    inside = decode_clip(row).keypoints[4:]
    assert np.abs(inside - select_joints(clip)[0][4:])[select_joints(clip)[1][4:] > 0].max() <= 0.5 * STEP * 480 * 1.01


def test_shares_of_the_image_need_no_size() -> None:
    pixels = random_clip(60)
    clip = PoseClip(pixels.keypoints / (640, 480), pixels.scores)
    row = encoded(clip)
    assert row["width"] is None and row["fps"] is None
    assert largest_shift(clip, decode_clip(row)) <= 0.5 * STEP
    outlier = PoseClip(clip.keypoints.copy(), clip.scores.copy())
    outlier.keypoints[0, 0], outlier.scores[0, 0] = (500.0, 0.5), 1.0
    shift = np.abs(decode_clip(encoded(outlier)).keypoints - select_joints(outlier)[0])[1:]
    assert shift[select_joints(outlier)[1][1:] > 0].max() <= 0.5 * STEP  # one wild point does not coarsen the others


@pytest.mark.parametrize("highest", [0.2, 1.0, 1.083, 8.5])
def test_no_score_crosses_the_threshold(highest: float) -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, highest, (200, 69)).astype(np.float32)
    scores[0, :6] = np.float32([0.3, 0.30001, 0.29999, 1e-9, 0.0, highest])
    clip = PoseClip(rng.random((200, 69, 2)), scores, "sigma_69")
    decoded = decode_clip(encoded(clip)).scores.astype(np.float64)
    assert np.array_equal(decoded > 0.3, scores.astype(np.float64) > 0.3)  # the extractor compares in float64
    assert np.array_equal(decoded > 0, scores > 0)
    positive = scores > max(highest, 1) / 255
    assert np.abs(decoded - scores)[positive].max() <= max(highest, 1) / 255 * (0.55 if highest < 2 else 0.75)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.floats(1e-3, 1e5),
    st.floats(-1e5, 1e5),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_packing_again_changes_nothing(seed: int, num_frames: int, size: float, place: float, sized: bool) -> None:
    rng = np.random.default_rng(seed)
    keypoints = rng.normal(place, size, (num_frames, 69, 2))
    scores = rng.uniform(-0.2, 1.1, (num_frames, 69)).clip(0)
    pixels = max(1, int(size))
    clip = PoseClip(keypoints, scores, "sigma_69", width=pixels if sized else None, height=pixels if sized else None)
    once = decode_clip(encoded(clip))
    again = decode_clip(encoded(once))
    assert np.array_equal(once.scores > 0, again.scores > 0)
    assert np.abs(once.scores - again.scores).max() <= 1.1 / 255
    allowed = 0.5 * STEP * (pixels if sized else 8 * size) + 2 * np.spacing(np.float32(abs(place) + 8 * size))
    assert largest_shift(clip, once) <= allowed
    # Decoding is exact up to float32, so a second rounding moves nothing by a whole step.
    assert np.abs(once.keypoints.astype(float) - again.keypoints).max() <= allowed


def test_the_recipe_of_the_data_card_agrees() -> None:
    clip = random_clip(40)
    clip.keypoints[1, 5] = 1e7  # four bytes
    for row in (encoded(clip), encoded(random_clip(3)), encoded(random_clip(5), keep_layout=True)):
        keypoints, scores = decode_by_recipe(row)
        decoded = decode_clip(row)
        assert np.allclose(keypoints, decoded.keypoints, rtol=1e-6, atol=0)
        assert np.allclose(scores, decoded.scores, rtol=1e-6, atol=0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_keypoints_on_request(layout: str) -> None:
    clip = random_clip(4, layout)
    decoded = decode_clip(encoded(clip, keep_layout=True))
    assert decoded.layout == layout
    assert np.abs(decoded.keypoints - clip.keypoints).max() <= 0.5 * STEP * 480 * 1.001


def test_a_clip_where_nothing_was_found() -> None:
    decoded = decode_clip(encoded(PoseClip(np.zeros((2, 133, 2)), np.zeros((2, 133)))))
    assert not decoded.keypoints.any() and not decoded.scores.any()


def test_model_input_is_the_same_to_rounding() -> None:
    clip = random_clip(80)
    original, stored = (normalize_joints(*select_joints(c)) for c in (clip, decode_clip(encoded(clip))))
    assert np.abs(original - stored)[..., :2].max() <= 4 * STEP
    assert np.abs(original - stored)[..., 2].max() <= 1 / 500


def test_rows_survive_arrow_parquet_and_streaming(tmp_path: Path) -> None:
    clips = [random_clip(length, seed=length) for length in (5, 1, 17)]
    rows = [encoded(clip, sample_id=str(k), gloss=["A", "B"][:k]) for k, clip in enumerate(clips)]
    dataset = Dataset.from_list(rows, features=features())
    assert dataset.features == features()
    folder = tmp_path / "data"
    folder.mkdir()
    dataset.to_parquet(str(folder / "train-00000-of-00001.parquet"))
    stored = load_dataset("parquet", data_dir=str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    streamed = load_dataset("parquet", data_dir=str(folder), split="train", streaming=True)
    for got in (list(dataset), list(stored), list(streamed)):
        assert got == rows
    assert np.array_equal(decode_clip(stored[2]).keypoints, decode_clip(rows[2]).keypoints)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"split": "dev"}, "expected split to be one of train, validation, test, received 'dev'"),
        ({"sample_id": ""}, "expected a sample_id"),
        ({"gloss": "HELLO WORLD"}, "received one string: split it"),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoded(random_clip(2), **fields)


def test_columns_can_be_written_into_a_data_card() -> None:
    assert Features._from_yaml_list(features()._to_yaml_list()) == features()
    assert DECODING_RECIPE.count("\n") < 12  # short enough to be read


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_formats_that_cut_zeros_which_are_put_back(name: str) -> None:
    keypoints = random_clip(3).keypoints
    keypoints[:] = keypoints[0]
    scores = np.ones((3, 133))
    scores[:, -1] = scores[-1] = 0.0
    row = encoded(PoseClip(keypoints, scores, width=640, height=480), keep_layout=True)
    bare = Dataset.from_list([row], features=features()).with_format(name)[0]
    rtol = 1e-6 if name == "torch" else 0  # torch's format holds steps and offsets in float32
    assert len(bare["keypoints"]) < len(row["keypoints"])  # why this test is here
    assert np.allclose(decode_clip(bare).keypoints, decode_clip(row).keypoints, rtol=rtol, atol=0)
    assert np.array_equal(decode_clip(bare).scores, decode_clip(row).scores)


def test_damaged_rows_are_named() -> None:
    row = encoded(random_clip(2))
    with pytest.raises(ValueError, match="sample a: expected 2 frames of 69 keypoints"):
        decode_clip({**row, "scores": row["scores"][:-1]})
    rows = Dataset.from_list([row, row], features=features())
    for batch in (rows[:2], rows.with_format("torch")[:2]):
        with pytest.raises(ValueError, match=r"expected one row, received a batch of 2: decode dataset\[i\]"):
            decode_clip(batch)
    with pytest.raises(ValueError, match="scores_step missing"):
        decode_clip({name: value for name, value in row.items() if name != "scores_step"})
