"""Hands keep their side: on hands with known truth, and on real clips."""

from pathlib import Path

import numpy as np
import pytest

from datasets_scripts.wlasl_hands import read_detections
from modeling_sigma.io.hand_tracking import count_jumps, hand_shape, track_hands


def right_hand_shape() -> np.ndarray:
    """A right hand with its back to the camera, fingers up and a little bent: `(21, 3)`, wrist at the origin."""
    hand = np.zeros((21, 3))
    for finger, x in enumerate((-0.06, -0.03, 0.0, 0.03, 0.06)):
        for joint in range(4):
            reach = 0.03 + 0.02 * joint if finger == 0 else 0.07 + 0.02 * joint
            hand[1 + 4 * finger + joint] = (x * (1.3 if finger == 0 else 1), -reach, 0.012 * joint * (finger > 0))
    hand[1:5, 2] = 0.02
    return hand


def left_hand_shape() -> np.ndarray:
    return right_hand_shape() * (-1, 1, 1)


def two_hands(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Hands whose wrists follow the paths `(T, 2)`: `(T, 2, 21, 3)`, left first."""
    clip = np.stack(
        [np.tile(left_hand_shape(), (len(left), 1, 1)), np.tile(right_hand_shape(), (len(right), 1, 1))], 1
    )
    clip[:, 0, :, :2] += left[:, None]
    clip[:, 1, :, :2] += right[:, None]
    return clip.astype(np.float32)


def crossing(num_frames: int = 60) -> np.ndarray:
    """Hands that pass each other, there and back; a signer's left hand starts on the image's right."""
    phase = np.linspace(0, 2 * np.pi, num_frames)
    x = 0.5 + 0.2 * np.cos(phase)
    return two_hands(np.stack([x, np.full(num_frames, 0.45)], 1), np.stack([1 - x, np.full(num_frames, 0.6)], 1))


def exchanged(clip: np.ndarray, frames: np.ndarray) -> np.ndarray:
    result = clip.copy()
    result[frames] = result[frames][:, ::-1]
    return result


def test_shape_tells_left_from_right_in_the_constructed_hands() -> None:
    assert hand_shape(left_hand_shape()) > 0.2 > -0.2 > hand_shape(right_hand_shape())


def test_hands_keep_their_side_through_crossings() -> None:
    truth = crossing()
    swap = np.random.default_rng(0).random(len(truth)) < 0.5
    assert count_jumps(exchanged(truth, swap)) > 20
    tracked = track_hands(exchanged(truth, swap))
    assert np.array_equal(tracked, truth)
    assert count_jumps(tracked) == 0


def test_hands_keep_their_side_through_dropouts() -> None:
    truth = crossing()
    truth[10:22, 0] = truth[35:41, 1] = truth[28:31] = np.nan
    swap = np.random.default_rng(1).random(len(truth)) < 0.5
    assert np.array_equal(track_hands(exchanged(truth, swap)), truth, equal_nan=True)


def test_a_single_hand_goes_where_its_shape_belongs() -> None:
    truth = crossing()
    for slot in (0, 1):
        alone = np.full_like(truth, np.nan)
        alone[:, 0] = truth[:, slot]
        tracked = track_hands(alone)
        assert np.isfinite(tracked[:, slot]).all() and np.isnan(tracked[:, 1 - slot]).all()


def test_a_hand_found_twice_is_kept_once() -> None:
    truth = crossing(5)
    truth[:, 1] = truth[:, 0] + 0.002
    assert np.isfinite(track_hands(truth)).all(axis=(2, 3)).sum(axis=1).tolist() == [1] * 5


def test_jumps_are_counted_between_successive_frames() -> None:
    clip = np.full((5, 2, 21, 3), np.nan)
    clip[0, 0], clip[1, 0], clip[2, 0] = 0.1, 0.3, 0.31  # one jump, by 0.2 in x and y
    clip[4, 0] = 0.9  # after a gap
    clip[:, 1] = 0.5
    assert count_jumps(clip) == 1 and count_jumps(clip, 0.3) == 0 and count_jumps(clip, 0.28) == 1


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"expected detections \(T, 2, 21, 3\) with x, y, z, received \(4, 21, 3\)"):
        track_hands(np.zeros((4, 21, 3)))


@pytest.mark.data
def test_real_hands_stop_jumping_and_keep_their_side(shared_data: Path) -> None:
    detections = read_detections(shared_data / "wlasl_hands", "wlasl100", "validation")
    tracked = [track_hands(clip) for clip in detections]
    num_frames = sum(map(len, detections))
    before, after = (1000 * sum(map(count_jumps, clips)) / num_frames for clips in (detections, tracked))
    assert before > 15 and after < 4, (before, after)
    # Nothing is invented and nothing is lost but hands that were found twice.
    assert sum(np.isfinite(c).all(axis=(2, 3)).sum() for c in tracked) > 0.98 * sum(
        np.isfinite(c).all(axis=(2, 3)).sum() for c in detections
    )
    generator = np.random.default_rng(0)
    back = total = 0
    for clip in tracked:
        if np.isfinite(clip).all(axis=(1, 2, 3)).mean() < 0.6:
            continue
        disturbed = exchanged(clip, generator.random(len(clip)) < 0.5)
        disturbed[generator.random((len(clip), 2)) < 0.15] = np.nan
        again = track_hands(disturbed)
        found = np.isfinite(again).all(axis=(2, 3))
        back += int((found & (again == clip).all(axis=(2, 3))).sum())
        total += int(found.sum())
    assert total > 1500 and back > 0.97 * total, (back, total)
