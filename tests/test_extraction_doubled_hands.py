"""Hands that MediaPipe finds twice, on skeletons whose hands lie at known places."""

import numpy as np
import pytest

from modeling_sigma.extraction.doubled_hands import hide_doubled_hands


LAYOUT = "mediapipe_holistic_553"
LEFT, RIGHT = slice(511, 532), slice(532, 553)


def person(left_wrist, right_wrist, left_hand, right_hand) -> tuple[np.ndarray, np.ndarray]:
    """Wrists and hands at these places (x, y); a hand's palm is 10 long, and points up. None: not found."""
    keypoints, scores = np.zeros((1, 553, 2), np.float32), np.zeros((1, 553), np.float32)
    for index, place in ((15, left_wrist), (16, right_wrist)):
        keypoints[0, index], scores[0, index] = place, 0.9
    for points, place in ((LEFT, left_hand), (RIGHT, right_hand)):
        if place is not None:
            keypoints[0, points] = place
            keypoints[0, points.start + 9] -= (0, 10)
            scores[0, points] = 1
    return keypoints, scores


@pytest.mark.parametrize(
    ("places", "left", "right"),
    [
        (((100, 0), (0, 0), (100, 2), (0, 2)), True, True),
        (((100, 0), (0, 0), (3, 2), (0, 2)), False, True),  # the left hand lies on the right one
        (((100, 0), (0, 0), (100, 2), (97, 2)), True, False),
        (((100, 0), (0, 0), (11, 2), (0, 2)), True, True),  # more than a palm from it
        (((8, 0), (0, 0), (3, 2), (0, 2)), True, True),  # hands that touch
        (((100, 0), (0, 0), (3, 2), None), True, False),  # who knows
        (((0, 0), (100, 0), (0, 2), (100, 2)), True, True),  # crossed arms
    ],
)
def test_who_is_hidden(places, left, right):
    keypoints, scores = person(*places)
    kept = scores.copy()
    same, hidden = hide_doubled_hands((keypoints, scores), LAYOUT)
    assert hidden[0, LEFT].all() == left and hidden[0, RIGHT].all() == right
    assert hidden[0, LEFT].any() == left and hidden[0, RIGHT].any() == right
    assert same is keypoints and (scores == kept).all(), "what was given stays as it was"
    assert hidden[0, 15] == hidden[0, 16] == np.float32(0.9)


def test_nobody():
    nothing = np.zeros((0, 553, 2), np.float32), np.zeros((0, 553), np.float32)
    keypoints, scores = hide_doubled_hands(nothing, LAYOUT)
    assert keypoints.shape == (0, 553, 2) and scores.shape == (0, 553)
