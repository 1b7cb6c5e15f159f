"""The same recording is found again at another size, place, frame rate and with noise; other recordings are not."""

from collections.abc import Sequence

import numpy as np
import pytest

from datasets_scripts.auditing.near_duplicates import THRESHOLD, motion_signature, near_pairs
from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma.model.pose_clip import PoseClip


def stack_signatures(clips: Sequence[PoseClip]) -> tuple[np.ndarray, list[int]]:
    """The signatures of the clips that have one, `(N, 384)`, and the places of these clips in the sequence."""
    signatures = {place: motion_signature(clip) for place, clip in enumerate(clips)}
    found = {place: signature for place, signature in signatures.items() if signature is not None}
    return np.stack([*found.values()]) if found else np.zeros((0, 1), np.float32), [*found]


@pytest.fixture(scope="module")
def clips() -> list[PoseClip]:
    language = SyntheticSigns()
    return [language.isolated(number, split="train").clip for number in range(25)]


def distance(one: PoseClip, other: PoseClip) -> float:
    first, second = motion_signature(one), motion_signature(other)
    assert first is not None and second is not None
    return float(np.sqrt(np.square(first - second).mean()))


def changed(clip: PoseClip, keypoints: np.ndarray, scores: np.ndarray | None = None) -> PoseClip:
    return PoseClip(keypoints, clip.scores if scores is None else scores, clip.layout, clip.fps)


def test_size_and_place_in_the_picture_do_not_matter(clips):
    for clip in clips:
        assert distance(clip, changed(clip, 0.3 * clip.keypoints + 70)) < 1e-4


def test_noise_and_dropouts_hardly_matter(clips):
    rng = np.random.default_rng(0)
    for clip in clips:
        signing_space = np.ptp(clip.keypoints[:, 91:][clip.scores[:, 91:] > 0.3], axis=0).max()
        noisy = changed(clip, clip.keypoints + rng.normal(0, 0.01 * signing_space, clip.keypoints.shape))
        assert distance(clip, noisy) < THRESHOLD
        scores = clip.scores.copy()
        scores[len(clip) // 2, 91:] = 0
        assert distance(clip, changed(clip, clip.keypoints, scores)) < THRESHOLD


def test_another_frame_rate_hardly_matters():
    t = np.linspace(0, 1, 60)

    def waving(num_frames: int) -> PoseClip:
        times = np.linspace(0, 1, num_frames)
        keypoints = np.zeros((num_frames, 42, 2))
        keypoints[:, :21] = (
            np.stack([np.sin(6 * times), np.cos(4 * times)], axis=-1)[:, None] + np.arange(21)[:, None] / 50
        )
        scores = np.zeros((num_frames, 42))
        scores[:, :21] = 1
        return PoseClip(keypoints, scores, "hands_42")

    assert len(t) == 60 and distance(waving(60), waving(50)) < 0.02
    assert distance(waving(60), waving(24)) < 0.05


def test_other_recordings_are_further_away(clips):
    signatures, places = stack_signatures(clips)
    assert places == list(range(25))
    squares = np.square(signatures[:, None] - signatures[None]).mean(axis=-1)
    np.fill_diagonal(squares, np.inf)
    assert np.sqrt(squares.min()) > THRESHOLD


def test_pairs_are_those_below_the_threshold():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(5000, 24)).astype(np.float32), rng.normal(size=(30, 24)).astype(np.float32)
    second[7], second[20] = first[4321], first[10] + 0.1
    pairs = sorted(near_pairs(first, second), key=lambda pair: pair.first)
    assert [(pair.first, pair.second) for pair in pairs] == [(10, 20), (4321, 7)]
    np.testing.assert_allclose([pair.distance for pair in pairs], [0.1, 0], atol=1e-3)
    assert list(near_pairs(first, second[:0])) == list(near_pairs(first[:0], second)) == []


def test_clips_that_say_nothing_have_no_signature():
    still = np.broadcast_to(np.arange(84.0).reshape(42, 2), (9, 42, 2))
    assert motion_signature(PoseClip(still, np.ones((9, 42)), "hands_42")) is None
    assert motion_signature(PoseClip(still, np.zeros((9, 42)), "hands_42")) is None
    assert motion_signature(PoseClip(still[:3], np.ones((3, 42)), "hands_42")) is None
    signatures, places = stack_signatures([PoseClip(still, np.zeros((9, 42)), "hands_42")])
    assert len(signatures) == 0 and places == []
