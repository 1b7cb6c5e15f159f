"""Takes back a hand that MediaPipe Holistic has found twice.

Where one hand hides the other, or stays low, its search sometimes ends at the other hand: the left hand then lies on
the right one, while the left wrist of the body is elsewhere.
"""

from __future__ import annotations

import numpy as np

from modeling_sigma.io.detections import Detection
from modeling_sigma.model.skeleton_layouts import get_layout


# Of a hand's 21 points: the wrist, and the knuckle of the middle finger. A palm lies between them.
_WRIST, _KNUCKLE = 0, 9
# Of our 69 joints, those of the body that the hands hang on.
_BODY_WRISTS = (7, 8)


def hide_doubled_hands(detection: Detection, layout_name: str) -> Detection:
    """The persons without the hands that were found twice: these get score 0.

    A hand is taken back if the other one lies within a palm's length of it, if it begins nearer to the other arm's
    wrist than to its own, and if its own is more than a palm's length away. Hands that touch stay: so do their wrists.

    Args:
        detection (`tuple[np.ndarray, np.ndarray]`):
            The keypoints `(N, K, 2)` in pixels and scores `(N, K)` of N persons.
        layout_name (`str`):
            The layout of the keypoints.
    """
    keypoints, scores = detection
    layout = get_layout(layout_name)
    hands = (np.array(layout.left_hand), np.array(layout.right_hand))
    wrists = [layout.body[joint] for joint in _BODY_WRISTS]
    hidden = scores.copy()
    for number, (points, certainty) in enumerate(zip(keypoints, scores)):
        if not all(certainty[[*wrists, hands[0][_WRIST], hands[1][_WRIST]]] > 0):
            continue
        for side in (0, 1):
            begin, other_begin = points[hands[side][_WRIST]], points[hands[1 - side][_WRIST]]
            palm = _distance(other_begin, points[hands[1 - side][_KNUCKLE]])
            to_own, to_other = (_distance(begin, points[wrists[end]]) for end in (side, 1 - side))
            if _distance(begin, other_begin) <= palm < to_own and to_other < to_own:
                hidden[number, hands[side]] = 0
    return keypoints, hidden


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other))
