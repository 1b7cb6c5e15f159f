"""Augmentation: off by default, seeded, within its ranges, and harmless to what is missing."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from modeling_sigma.model.pose_augmentation import PoseAugmentation, flip_horizontally
from modeling_sigma.model.pose_transforms import normalize_joints, select_joints
from modeling_sigma.model.skeleton_layouts import FLIP_PERMUTATION, PART_SLICES
from tests.factories import random_clip


BODY, LEFT, RIGHT, FACE = (PART_SLICES[part] for part in ("body", "left_hand", "right_hand", "face"))
EVERYTHING = PoseAugmentation(
    rotation=20, scale=0.2, stretch=0.1, shift=0.1, noise=0.02, joint_dropout=0.1, part_dropout=0.2, flip=0.5
)


class _HighestDraws:
    """A generator whose uniform draws are the upper ends of their ranges."""

    def uniform(self, low: float, high: float, size: int | None = None) -> Any:
        return high if size is None else np.full(size, high)

    def random(self, size: Any = None) -> Any:
        return 1.0 if size is None else np.ones(size)


def _values(num_frames: int = 20, seed: int = 0) -> np.ndarray:
    """Normalised joints, drawn in towards the middle so that changes are not clipped."""
    values = normalize_joints(*select_joints(random_clip(num_frames, seed=seed)))
    values[..., :2] *= 0.3
    return values


def _seen(values: np.ndarray) -> np.ndarray:
    return values[..., 2] != 0


# --- nothing without being asked


def test_off_by_default() -> None:
    values, generator = _values(), np.random.default_rng(0)
    state = generator.bit_generator.state
    assert not any(asdict(PoseAugmentation()).values())
    changed = PoseAugmentation().apply(values, generator)
    assert (changed == values).all() and changed is not values
    assert PoseAugmentation().frame_indices(20, generator).tolist() == list(range(20))
    assert generator.bit_generator.state == state, "nothing was drawn"


def test_seeded() -> None:
    values = _values()
    drawn = [EVERYTHING.apply(values, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()


def test_input_is_left_alone() -> None:
    values = _values()
    before = values.copy()
    for name in ("rotation", "shift", "noise", "joint_dropout", "flip"):
        PoseAugmentation(**{name: 0.5}).apply(values, np.random.default_rng(0))
    assert (values == before).all()


@pytest.mark.parametrize("seed", range(5))
def test_results_stay_float32_in_range_and_missing_stays_missing(seed: int) -> None:
    values = normalize_joints(*select_joints(random_clip(20)))
    changed = EVERYTHING.apply(values, np.random.default_rng(seed))
    assert changed.dtype == np.float32 and changed.shape == values.shape
    assert np.abs(changed).max() <= 1.0
    assert not changed[~_seen(changed)].any()
    no_flip = PoseAugmentation(**{**asdict(EVERYTHING), "flip": 0.0}).apply(values, np.random.default_rng(seed))
    assert not no_flip[~_seen(values)].any()


# --- geometry, by hand


def test_rotation_by_90_degrees() -> None:
    values = np.zeros((1, 69, 3), np.float32)
    values[0, 0], values[0, 7] = (0.0, -0.5, 0.9), (0.5, 0.25, 0.8)
    values[0, LEFT.start + 8] = (0.0, -0.2, 0.7)  # relative to the wrist: turns about the wrist
    turned = PoseAugmentation(rotation=90).apply(values, _HighestDraws())  # type: ignore[arg-type]
    # y points down: from x towards y, clockwise on the screen. (x, y) -> (-y, x)
    assert turned[0, 0] == pytest.approx((0.5, 0.0, 0.9), abs=1e-7)
    assert turned[0, 7] == pytest.approx((-0.25, 0.5, 0.8), abs=1e-7)
    assert turned[0, LEFT.start + 8] == pytest.approx((0.2, 0.0, 0.7), abs=1e-7)


def test_rotation_turns_the_whole_signer() -> None:
    """Turning normalised joints by 90 degrees equals turning the picture."""
    keypoints, scores = select_joints(random_clip(15))
    turned = PoseAugmentation(rotation=90).apply(  # type: ignore[arg-type]
        normalize_joints(keypoints, scores), _HighestDraws()
    )
    picture = np.stack([-keypoints[..., 1], keypoints[..., 0]], axis=-1)
    assert np.abs(turned - normalize_joints(picture, scores)).max() <= 1e-6


def test_scale_stretch_and_shift_by_hand() -> None:
    values = np.zeros((2, 69, 3), np.float32)
    values[:, 0], values[:, LEFT.start + 8] = (0.5, 0.25, 0.9), (0.2, -0.1, 0.7)
    highest: Any = _HighestDraws()
    scaled = PoseAugmentation(scale=0.2).apply(values, highest)
    assert scaled[1, 0] == pytest.approx((0.6, 0.3, 0.9)) and scaled[1, LEFT.start + 8, 0] == pytest.approx(0.24)
    stretched = PoseAugmentation(stretch=0.2).apply(values, highest)
    assert stretched[1, 0] == pytest.approx((0.6, 0.25, 0.9))
    assert stretched[1, LEFT.start + 8] == pytest.approx((0.24, -0.1, 0.7))
    shifted = PoseAugmentation(shift=0.1).apply(values, highest)
    assert shifted[1, 0] == pytest.approx((0.6, 0.35, 0.9))
    assert (shifted[:, LEFT] == values[:, LEFT]).all(), "hands and face are relative to the body"
    assert not shifted[:, 1].any()


@pytest.mark.parametrize(
    ("fields", "measure", "low", "high"),
    [
        ({"scale": 0.2}, lambda new, old: new[..., 1] / old[..., 1], 0.8, 1.2),
        ({"stretch": 0.3}, lambda new, old: (new[..., 0] / old[..., 0]) / (new[..., 1] / old[..., 1]), 0.7, 1.3),
        ({"shift": 0.1}, lambda new, old: new[..., 0] - old[..., 0], -0.1, 0.1),
    ],
)
def test_one_draw_a_clip_within_its_range(fields: dict[str, float], measure: Any, low: float, high: float) -> None:
    values = _values()
    body = np.abs(values[:, BODY, :2]).min(axis=-1) > 0.02
    body &= _seen(values)[:, BODY]
    drawn = []
    for seed in range(50):
        changed = PoseAugmentation(**fields).apply(values, np.random.default_rng(seed))
        amounts = measure(changed[:, BODY][body], values[:, BODY][body].astype(np.float64))
        assert np.ptp(amounts) <= 1e-4, "the same for all joints and frames"
        drawn.append(amounts.mean())
    span = high - low
    assert low - 1e-4 <= min(drawn) < low + 0.2 * span and high - 0.2 * span < max(drawn) <= high + 1e-4


def test_rotation_range_and_lengths() -> None:
    values = np.zeros((1, 69, 3), np.float32)
    values[0, 0] = (0.5, 0.0, 1.0)
    angles = []
    for seed in range(100):
        x, y, _ = PoseAugmentation(rotation=15).apply(values, np.random.default_rng(seed))[0, 0]
        assert np.hypot(x, y) == pytest.approx(0.5)
        angles.append(np.rad2deg(np.arctan2(y, x)))
    assert -15 <= min(angles) < -12 and 12 < max(angles) <= 15


def test_noise_has_its_standard_deviation_and_leaves_scores() -> None:
    values = _values(200)
    changed = PoseAugmentation(noise=0.05).apply(values, np.random.default_rng(0))
    difference = (changed - values)[..., :2][_seen(values)]
    assert difference.std() == pytest.approx(0.05, rel=0.05) and abs(difference.mean()) < 2e-3
    assert (changed[..., 2] == values[..., 2]).all()


# --- dropout


def test_joint_dropout_takes_joints_from_the_whole_clip() -> None:
    values = np.full((10, 69, 3), 0.5, np.float32)
    changed = PoseAugmentation(joint_dropout=0.4).apply(values, np.random.default_rng(0))
    dropped = ~_seen(changed).any(axis=0)
    assert (_seen(changed) == ~dropped).all(), "a joint is there in every frame or in none"
    assert 0.2 < dropped.mean() < 0.6
    assert not PoseAugmentation(joint_dropout=1.0).apply(values, np.random.default_rng(0)).any()


def test_part_dropout_takes_hands_and_face_never_the_body() -> None:
    values = np.full((4, 69, 3), 0.5, np.float32)
    everything = PoseAugmentation(part_dropout=1.0).apply(values, np.random.default_rng(0))
    assert (everything[:, BODY] == 0.5).all() and not everything[:, LEFT.start :].any()
    patterns = set()
    for seed in range(50):
        changed = PoseAugmentation(part_dropout=0.5).apply(values, np.random.default_rng(seed))
        patterns.add(tuple(bool(_seen(changed)[:, part].any()) for part in (LEFT, RIGHT, FACE)))
        assert all(_seen(changed)[:, part].all() or not _seen(changed)[:, part].any() for part in (LEFT, RIGHT, FACE))
    assert len(patterns) == 8, "each part alone"


# --- mirroring


def test_flip_by_hand() -> None:
    values = np.zeros((1, 69, 3), np.float32)
    values[0, 3], values[0, LEFT.start + 8], values[0, FACE.start] = (0.4, 0.1, 0.9), (0.2, -0.1, 0.8), (-0.3, 0.2, 1)
    flipped = flip_horizontally(values)
    assert flipped[0, 4] == pytest.approx((-0.4, 0.1, 0.9))  # left shoulder -> right shoulder
    assert flipped[0, RIGHT.start + 8] == pytest.approx((-0.2, -0.1, 0.8))
    assert flipped[0, FACE.start + 8] == pytest.approx((0.3, 0.2, 1))  # jaw below one ear -> below the other
    assert (flipped != 0).any(axis=-1).sum() == 3


def test_flip_twice_is_the_identity() -> None:
    values = _values()
    assert (flip_horizontally(flip_horizontally(values)) == values).all()
    assert (flip_horizontally(values) != values).any()
    assert flip_horizontally(values[None, None]).shape == (1, 1, *values.shape)


def test_flip_mirrors_the_picture() -> None:
    keypoints, scores = select_joints(random_clip(15))
    mirrored = keypoints[:, list(FLIP_PERMUTATION)] * np.array([-1, 1]) + np.array([640, 0])
    expected = normalize_joints(mirrored, scores[:, list(FLIP_PERMUTATION)])
    assert np.abs(flip_horizontally(normalize_joints(keypoints, scores)) - expected).max() <= 1e-6


def test_flip_happens_as_often_as_asked() -> None:
    values = _values(2)
    flipped = flip_horizontally(values)
    always = PoseAugmentation(flip=1.0).apply(values, np.random.default_rng(0))
    assert (always == flipped).all()
    generator = np.random.default_rng(0)
    times = sum((PoseAugmentation(flip=0.25).apply(values, generator) == flipped).all() for _ in range(400))
    assert 70 < times < 130


# --- time


@pytest.mark.parametrize("num_frames", [1, 2, 37, 300])
def test_speed_keeps_order_and_both_ends(num_frames: int) -> None:
    lengths = set()
    for seed in range(60):
        indices = PoseAugmentation(speed=0.2).frame_indices(num_frames, np.random.default_rng(seed))
        assert len(indices) >= 1 and indices.min() >= 0 and indices.max() < num_frames
        assert (np.diff(indices) >= 0).all() and np.diff(indices, prepend=indices[0]).max() <= 2
        assert indices[0] <= 1 and indices[-1] >= num_frames - 2
        lengths.add(len(indices))
    assert min(lengths) >= round(0.8 * num_frames) and max(lengths) <= round(1.2 * num_frames)
    assert len(lengths) > 1 or num_frames < 3


def test_frame_dropout_keeps_order_and_at_least_one_frame() -> None:
    indices = PoseAugmentation(frame_dropout=0.3).frame_indices(1000, np.random.default_rng(0))
    assert (np.diff(indices) > 0).all() and 640 < len(indices) < 760
    for seed in range(10):
        assert len(PoseAugmentation(frame_dropout=1.0).frame_indices(50, np.random.default_rng(seed))) == 1
        assert len(PoseAugmentation(frame_dropout=0.9).frame_indices(1, np.random.default_rng(seed))) == 1


def test_speed_and_frame_dropout_together() -> None:
    augmentation = PoseAugmentation(speed=0.5, frame_dropout=0.5)
    drawn = [augmentation.frame_indices(100, np.random.default_rng(seed)) for seed in (3, 3)]
    assert (drawn[0] == drawn[1]).all() and (np.diff(drawn[0]) >= 0).all()


# --- mistakes


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rotation": -1}, "expected augmentation rotation as a number >= 0, received -1"),
        ({"noise": float("nan")}, "expected augmentation noise as a number >= 0, received nan"),
        ({"scale": "0.2"}, "expected augmentation scale as a number >= 0, received '0.2'"),
        ({"shift": None}, "expected augmentation shift as a number >= 0, received None"),
        ({"flip": 1.5}, "expected augmentation flip as a chance up to 1, received 1.5"),
        ({"joint_dropout": 2}, "expected augmentation joint_dropout as a chance up to 1"),
        ({"frame_dropout": 1.1}, "expected augmentation frame_dropout as a chance up to 1"),
        ({"speed": 1.0}, "expected augmentation speed below 1, received 1.0"),
        ({"scale": 3}, "expected augmentation scale below 1, received 3"),
    ],
)
def test_mistakes_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PoseAugmentation(**fields)


def test_from_dict() -> None:
    assert PoseAugmentation.from_dict({}) == PoseAugmentation()
    assert PoseAugmentation.from_dict(asdict(EVERYTHING)) == EVERYTHING
    with pytest.raises(ValueError, match=r"unknown augmentation \['mirror', 'zoom'\]: expected some of \['rotation'"):
        PoseAugmentation.from_dict({"zoom": 0.1, "mirror": 0.5, "flip": 0.5})
