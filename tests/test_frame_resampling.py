"""Interpolated frames: known answers, and an extractor that makes every clip equally long."""

from __future__ import annotations

import numpy as np
import pytest

from modeling_sigma import PoseClip, SigmaFeatureExtractor
from modeling_sigma.model.frame_resampling import interpolate_frames, span_with_hands
from modeling_sigma.model.pose_augmentation import PoseAugmentation
from modeling_sigma.model.skeleton_layouts import PART_SLICES
from tests.factories import random_clip


LEFT, RIGHT = PART_SLICES["left_hand"], PART_SLICES["right_hand"]


def test_interpolation_by_hand() -> None:
    values = np.zeros((3, 69, 3), np.float32)
    values[:, 0] = [[0.0, 0.0, 1.0], [0.4, 0.2, 0.5], [0.8, 0.0, 1.0]]
    values[1:, 1] = [[0.3, 0.3, 1.0], [0.5, 0.3, 1.0]]
    out = interpolate_frames(values, np.array([0.0, 0.25, 0.75, 1.5, 2.0, 9.0]))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out[:, 0, 0], [0, 0.1, 0.3, 0.6, 0.8, 0.8], atol=1e-6)
    np.testing.assert_allclose(out[:, 0, 2], [1, 0.875, 0.625, 0.75, 1, 1], atol=1e-6)
    # Not seen in frame 0: until halfway nothing, then what frame 1 says.
    np.testing.assert_allclose(out[:4, 1, 0], [0, 0, 0.3, 0.4], atol=1e-6)
    assert (interpolate_frames(values, np.arange(3)) == values).all()


def test_the_span_with_hands() -> None:
    values = np.zeros((6, 69, 3), np.float32)
    values[:, 0, 2] = 1
    assert span_with_hands(values) == (0, 5)
    values[2, LEFT, 2] = values[4, RIGHT, 2] = 1
    assert span_with_hands(values) == (2, 4)


@pytest.mark.parametrize("length", [1, 5, 16, 70])
def test_every_clip_becomes_equally_long(length: int) -> None:
    extractor = SigmaFeatureExtractor(max_frames=16, frame_sampling="interpolate")
    inputs = extractor(random_clip(length), return_tensors="np")
    assert inputs["pose_values"].shape == (1, 16, 69, 3) and inputs["pose_attention_mask"].all()


def test_frame_rates_hardly_matter() -> None:
    """A movement sampled 25 or 50 times a second is the same movement."""
    times = np.linspace(0, 1, 51)
    still = random_clip(1)
    keypoints = still.keypoints + 20 * np.sin(6 * times)[:, None, None]
    clips = [PoseClip(keypoints[::step], np.ones(keypoints[::step].shape[:2])) for step in (1, 2)]
    extractor = SigmaFeatureExtractor(max_frames=24, frame_sampling="interpolate")
    one, other = extractor(clips, return_tensors="np")["pose_values"]
    np.testing.assert_allclose(one, other, atol=0.01)


def test_rest_before_and_after_without_hands_is_left_out() -> None:
    clip = random_clip(12)
    scores = clip.scores.copy()
    scores[:4, 91:] = scores[9:, 91:] = 0
    extractor = SigmaFeatureExtractor(max_frames=5, frame_sampling="interpolate", parts=["left_hand", "right_hand"],
                                      scale_reference="hands")  # fmt: skip
    whole = extractor(PoseClip(clip.keypoints, scores), return_tensors="np")["pose_values"]
    cut = extractor(PoseClip(clip.keypoints[4:9], scores[4:9]), return_tensors="np")["pose_values"]
    np.testing.assert_allclose(whole, cut, atol=1e-6)
    assert whole[0, 0].any()


def test_training_crops_and_changes_the_tempo() -> None:
    augmentation = PoseAugmentation(crop=0.2, tempo=0.5)
    rng = np.random.default_rng(0)
    drawn = np.stack([augmentation.moments(9, rng) for _ in range(200)])
    assert (np.diff(drawn) > 0).all()
    assert 0 <= drawn[:, 0].min() < 0.02 and 0.18 < drawn[:, 0].max() <= 0.2
    assert 0.8 <= drawn[:, -1].min() < 0.82 and 0.98 < drawn[:, -1].max() <= 1
    held = np.stack([PoseAugmentation(hold=0.4).moments(9, rng) for _ in range(200)])
    assert held[:, 0].max() == 0 and held[:, -1].min() == 1 and (np.diff(held) >= 0).all()
    assert (held[:, :3] == 0).all(axis=1).any() and (held[:, -3:] == 1).all(axis=1).any()
    assert not (held[:, :4] == 0).all(axis=1).any()  # 0.4 of 1.4 clips, the longest, has three of nine moments
    assert PoseAugmentation().moments(5, rng).tolist() == [0, 0.25, 0.5, 0.75, 1]
    frames = PoseAugmentation(crop=0.2).frame_indices(100, rng)
    assert len(frames) == 100 and 0 <= frames[0] <= 20 and 79 <= frames[-1] <= 99
    extractor = SigmaFeatureExtractor(max_frames=8, frame_sampling="interpolate", augmentation={"crop": 0.2})
    one, other = (extractor(random_clip(30), training=True, generator=seed)["pose_values"] for seed in (0, 1))
    assert (one != other).any()


def test_an_unknown_sampling_is_refused() -> None:
    with pytest.raises(ValueError, match="expected frame_sampling to be one of"):
        SigmaFeatureExtractor(frame_sampling="bicubic")
