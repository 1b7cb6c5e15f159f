"""Joints and hands that jump away are put back, resting hands are left out, and nothing else is touched."""

import numpy as np
import pytest

from modeling_sigma import PoseClip, SigmaFeatureExtractor
from modeling_sigma.model.hand_mending import hand_length, mend_hands
from modeling_sigma.model.resting_ends import span_without_rest
from modeling_sigma.model.skeleton_layouts import PART_SLICES


RIGHT = PART_SLICES["right_hand"]
_HAND = np.stack([np.repeat(np.linspace(-0.4, 0.4, 7), 3), np.tile([-0.5, 0.0, 0.5], 7)], axis=1)
_HAND[0], _HAND[9] = (0, 0.5), (0, -0.5)  # wrist and knuckle of the middle finger: one hand apart


def _signing(num_frames: int = 30, lead: int = 0, tail: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A right hand that goes up and down, between rests of so many frames."""
    path = np.zeros((num_frames, 2))
    path[:, 1] = -3 * np.sin(np.linspace(0, np.pi, num_frames))
    path = np.concatenate([np.repeat(path[:1], lead, axis=0), path, np.repeat(path[-1:], tail, axis=0)])
    keypoints, scores = np.zeros((len(path), 69, 2)), np.zeros((len(path), 69))
    keypoints[:, RIGHT] = _HAND + path[:, None] + 10
    scores[:, RIGHT] = 1.0
    return keypoints, scores


def test_the_length_of_a_hand() -> None:
    keypoints, scores = _signing()
    assert hand_length(keypoints, scores > 0.3) == pytest.approx(1.0)
    assert hand_length(keypoints, scores > 2) == 0.0


def test_a_clean_clip_stays_as_it_is() -> None:
    keypoints, scores = _signing()
    before = keypoints.copy()
    assert mend_hands(keypoints, scores, 0.3) == 0 and (keypoints == before).all()


def test_joints_far_away_come_back() -> None:
    keypoints, scores = _signing()
    true = keypoints.copy()
    keypoints[7, RIGHT.start + 4] = (30, -5)
    keypoints[8, RIGHT.start + 4] = (0, 0)
    keypoints[20, RIGHT.start] = (14, 10)  # the wrist, to which the others are relative
    assert mend_hands(keypoints, scores, 0.3) == 3
    assert np.abs(keypoints - true).max() < 0.2 and (scores[:, RIGHT] == 1).all()


def test_a_hand_elsewhere_for_a_frame_is_not_found_there() -> None:
    keypoints, scores = _signing()
    keypoints[11, RIGHT] += 6.0
    assert mend_hands(keypoints, scores, 0.3) == 21
    assert not scores[11].any() and scores[[10, 12]].any(axis=1).all()
    keypoints, scores = _signing()
    keypoints[11:, RIGHT] += 6.0  # one that stays there has gone there
    assert mend_hands(keypoints, scores, 0.3) == 0


@pytest.mark.parametrize(("lead", "tail"), [(20, 15), (20, 0), (0, 20)])
def test_rests_are_left_out(lead: int, tail: int) -> None:
    keypoints, scores = _signing(40, lead, tail)
    span = span_without_rest(keypoints, scores > 0.3, 25.0)
    assert abs(span.start - lead) < 12 if lead else span.start == 0  # the way up is left out in part
    assert abs(len(keypoints) - span.stop - tail) < 12 if tail else span.stop == len(keypoints)


def test_signing_without_rest_and_rest_without_signing_stay_whole() -> None:
    keypoints, scores = _signing()
    assert span_without_rest(keypoints, scores > 0.3, 25.0) == slice(0, 30)
    keypoints[:] = keypoints[:1]
    assert span_without_rest(keypoints, scores > 0.3, None) == slice(0, 30)
    assert span_without_rest(keypoints, np.zeros_like(scores, bool), None) == slice(0, 30)
    short, seen = _signing(5, 20, 20)  # too little would remain
    assert span_without_rest(short, seen > 0.3, 25.0) == slice(0, 45)


def test_the_extractor_does_both() -> None:
    keypoints, scores = _signing(40, 20, 20)
    spoilt = keypoints.copy()
    spoilt[30, RIGHT.start + 4] = (90, 90)
    clips = [PoseClip(points, scores, layout="sigma_69", fps=25.0) for points in (keypoints, spoilt)]
    settings = {"scale_reference": "hands", "fill_wrists": True, "learnt_aspect_ratio": 1.0}
    plain = SigmaFeatureExtractor(**settings)
    mending = SigmaFeatureExtractor(**settings, mend_hands=True)
    clean, wrong = (plain([clip])["pose_values"].numpy() for clip in clips)
    mended = mending([clips[1]])["pose_values"].numpy()
    assert np.abs(mended - clean).max() < 0.1 < np.abs(wrong - clean).max()
    trimming = SigmaFeatureExtractor(**settings, trim_rest=True)
    length = trimming([clips[0]])["pose_values"].shape[1]
    assert 20 < length < 60 and trimming.to_dict()["trim_rest"] is True
    assert SigmaFeatureExtractor.from_dict({"feature_extractor_type": "SigmaFeatureExtractor"}).trim_rest is False
