"""Joint selection, normalisation and the choice of frames, with numbers worked out by hand."""

import numpy as np
import pytest

from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import (
    even_frame_indices,
    fill_head_from_face,
    jittered_frame_indices,
    normalize_joints,
    random_frame_indices,
    replace_missing_origins,
    select_joints,
)
from modeling_sigma.model.skeleton_layouts import LAYOUTS, MISSING, PART_SLICES
from tests.factories import random_clip


BODY, LEFT, RIGHT, FACE = (PART_SLICES[part] for part in ("body", "left_hand", "right_hand", "face"))
LEFT_WRIST, RIGHT_WRIST = BODY.start + 7, BODY.start + 8


def _signer() -> tuple[np.ndarray, np.ndarray]:
    """One frame: a body 40 wide and 20 high around (30, 20); hands, face and the rest not seen."""
    keypoints, scores = np.zeros((1, 69, 2)), np.zeros((1, 69))
    for joint, point in {0: (30, 10), 3: (50, 20), 4: (10, 20), 7: (40, 30), 8: (20, 30)}.items():
        keypoints[0, joint], scores[0, joint] = point, 0.9
    return keypoints, scores


def _put(arrays: tuple[np.ndarray, np.ndarray], joint: int, point: tuple[float, float], score: float = 0.8) -> None:
    arrays[0][0, joint], arrays[1][0, joint] = point, score


# --- joints


@pytest.mark.parametrize("name", LAYOUTS)
def test_select_joints_reads_the_table(name: str) -> None:
    layout = LAYOUTS[name]
    numbers = np.arange(layout.num_keypoints, dtype=np.float64)
    keypoints = np.stack([numbers, numbers + 1000], axis=-1)[None].repeat(2, axis=0)
    joints, scores = select_joints(PoseClip(keypoints, np.tile((1 + numbers) / 1024, (2, 1)), layout=name))
    assert joints.shape == (2, 69, 2) and scores.shape == (2, 69)
    assert joints.dtype == scores.dtype == np.float64
    for joint, index in enumerate(layout.joint_indices):
        expected = (0, 0, 0) if index == MISSING else (index, index + 1000, (1 + index) / 1024)
        assert (*joints[1, joint], scores[1, joint]) == expected


# --- normalisation, by hand


def test_body_is_placed_in_a_square_box() -> None:
    # x from 10 to 50, y from 10 to 30: side 40, corner (10, 0), centre (30, 20).
    values = normalize_joints(*_signer())
    assert values.shape == (1, 69, 3) and values.dtype == np.float32
    expected = {0: (0, -0.5), 3: (1, 0), 4: (-1, 0), 7: (0.5, 0.5), 8: (-0.5, 0.5)}
    for joint, point in expected.items():
        assert values[0, joint] == pytest.approx((*point, 0.9))
    unseen = [joint for joint in range(69) if joint not in expected]
    assert not values[0, unseen].any()


def test_hands_are_relative_to_their_wrist_in_units_of_the_box() -> None:
    arrays = _signer()
    _put(arrays, LEFT.start, (41, 31), 0.5)  # the hand detector's wrist, not the body's
    _put(arrays, LEFT.start + 8, (45, 11))
    values = normalize_joints(*arrays)
    assert values[0, LEFT.start] == pytest.approx((0, 0, 0.5))
    assert values[0, LEFT.start + 8] == pytest.approx((4 / 40, -20 / 40, 0.8))  # no factor 2
    assert not values[0, RIGHT].any()


def test_face_is_relative_to_the_nose_tip_which_is_last() -> None:
    arrays = _signer()
    _put(arrays, FACE.start + 17, (30, 12))
    _put(arrays, FACE.start + 4, (30, 22))
    values = normalize_joints(*arrays)
    assert values[0, FACE.start + 17] == pytest.approx((0, 0, 0.8))
    assert values[0, FACE.start + 4] == pytest.approx((0, 0.25, 0.8))


def test_hands_and_face_do_not_change_the_box() -> None:
    arrays = _signer()
    body = normalize_joints(*arrays)[0, BODY]
    _put(arrays, LEFT.start, (40, 30))
    _put(arrays, LEFT.start + 1, (400, 300))
    assert (normalize_joints(*arrays)[0, BODY] == body).all()


def test_coordinates_and_scores_are_clipped() -> None:
    arrays = _signer()
    _put(arrays, LEFT.start, (40, 30), 7.0)
    _put(arrays, LEFT.start + 1, (400, -300), 7.0)
    values = normalize_joints(*arrays)
    assert values[0, LEFT.start].tolist() == [0, 0, 1]
    assert values[0, LEFT.start + 1].tolist() == [1, -1, 1]


def test_points_at_the_threshold_do_not_count() -> None:
    keypoints, scores = _signer()
    scores[0, 3] = 0.3  # the right end of the box: it now spans x from 10 to 40, and the corner is (10, 5)
    values = normalize_joints(keypoints, scores)
    assert not values[0, 3].any()
    assert values[0, 4] == pytest.approx((-1, 0, 0.9))
    assert values[0, 7] == pytest.approx((1, 2 / 3, 0.9))
    with_lower_threshold = normalize_joints(keypoints, scores, score_threshold=0.2)
    assert with_lower_threshold[0, 3] == pytest.approx((1, 0, 0.3))


def test_one_box_for_the_whole_clip() -> None:
    keypoints, scores = _signer()
    moved = keypoints + np.array([40, 0])  # frame 2 stands 40 pixels to the right: the box is 80 wide
    values = normalize_joints(np.concatenate([keypoints, moved]), scores.repeat(2, axis=0))
    assert values[0, 4, 0] == -1 and values[1, 3, 0] == 1
    assert values[0, 3, 0] == 0 and values[1, 4, 0] == 0


@pytest.mark.parametrize("num_seen", [0, 1, 3])
def test_fewer_than_four_points_erase_the_clip(num_seen: int) -> None:
    arrays = _signer()
    for joint in np.flatnonzero(arrays[1][0])[num_seen:]:
        arrays[1][0, joint] = 0.0
    _put(arrays, LEFT.start, (40, 30))
    _put(arrays, LEFT.start + 1, (44, 30))
    assert not normalize_joints(*arrays).any()


def test_four_points_in_different_frames_are_enough() -> None:
    keypoints, scores = _signer()
    keypoints, scores = keypoints.repeat(2, axis=0), scores.repeat(2, axis=0)
    scores[0, [7, 8]] = scores[1, [0, 3, 4, 8]] = 0  # 3 seen in frame 1, 1 in frame 2
    assert normalize_joints(keypoints, scores).any()


def test_zero_extent_erases_the_clip() -> None:
    keypoints, scores = _signer()
    keypoints[:] = 5.0
    assert not normalize_joints(keypoints, scores).any()


# --- what normalisation is for


@pytest.mark.parametrize("layout", ["coco_wholebody_133", "mediapipe_holistic_543", "openpose_137", "sigma_69"])
def test_place_and_size_of_the_signer_change_nothing(layout: str) -> None:
    clip = random_clip(20, layout)
    values = normalize_joints(*select_joints(clip))
    assert values.any()
    for factor, offset in ((1.0, (300.0, -50.0)), (7.3, (0.0, 0.0)), (1 / 640, (0.2, 0.1))):
        moved = PoseClip(clip.keypoints * factor + np.array(offset), clip.scores, layout)
        assert np.abs(normalize_joints(*select_joints(moved)) - values).max() <= 1e-6


@pytest.mark.parametrize(("reference", "layout"), [("hands", "hands_42"), ("hands", "coco_wholebody_133")])
def test_place_and_size_change_nothing_with_hands_either(reference: str, layout: str) -> None:
    clip = random_clip(20, layout)
    keypoints, scores = select_joints(clip)
    options = {"scale_reference": reference, "fill_wrists": True}
    values = normalize_joints(keypoints, scores, **options)
    assert np.abs(normalize_joints(3 * keypoints - 17, scores, **options) - values).max() <= 1e-6


def test_coordinates_of_unseen_points_change_nothing() -> None:
    keypoints, scores = select_joints(random_clip(10))
    unseen = scores <= 0.3
    # Origins are the exception: a hand whose wrist was not seen still lies relative to where the wrist was guessed.
    origins = np.zeros_like(unseen)
    origins[:, [LEFT.start, RIGHT.start, FACE.start + 17]] = True
    values = normalize_joints(keypoints, scores)
    keypoints[unseen & ~origins] = 1e6
    assert (normalize_joints(keypoints, scores) == values).all()
    assert not values[unseen].any()


def test_inputs_are_left_alone_and_lists_are_taken() -> None:
    keypoints, scores = _signer()
    before = keypoints.copy(), scores.copy()
    values = normalize_joints(keypoints, scores, fill_wrists=True)
    assert (keypoints == before[0]).all() and (scores == before[1]).all()
    assert (normalize_joints(keypoints.tolist(), scores.tolist()) == values).all()


# --- without a body


def _two_hands() -> tuple[np.ndarray, np.ndarray]:
    """One frame: the left hand from (60, 40) to (70, 50), the right wrist at (20, 40) with a finger at (20, 30)."""
    arrays = np.zeros((1, 69, 2)), np.zeros((1, 69))
    _put(arrays, LEFT.start, (60, 40))
    _put(arrays, LEFT.start + 12, (70, 50))
    _put(arrays, RIGHT.start, (20, 40))
    _put(arrays, RIGHT.start + 12, (20, 30))
    return arrays


def test_body_reference_erases_hands_alone() -> None:
    assert not normalize_joints(*_two_hands()).any()
    assert not normalize_joints(*_two_hands(), fill_wrists=True).any()  # two wrists are still fewer than four points


def test_hands_reference() -> None:
    # x from 20 to 70, y from 30 to 50: side 50, corner (20, 15).
    values = normalize_joints(*_two_hands(), scale_reference="hands")
    assert values[0, LEFT.start + 12] == pytest.approx((10 / 50, 10 / 50, 0.8))
    assert values[0, RIGHT.start + 12] == pytest.approx((0, -10 / 50, 0.8))
    assert not values[0, BODY].any()


def test_fill_wrists_keeps_the_place_of_the_hands() -> None:
    values = normalize_joints(*_two_hands(), scale_reference="hands", fill_wrists=True)
    # ((60, 40) - (20, 15)) / 50 = (0.8, 0.5) -> (0.6, 0); ((20, 40) - (20, 15)) / 50 = (0, 0.5) -> (-1, 0)
    assert values[0, LEFT_WRIST] == pytest.approx((0.6, 0, 0.8))
    assert values[0, RIGHT_WRIST] == pytest.approx((-1, 0, 0.8))
    assert not values[0, :LEFT_WRIST].any()


def test_fill_wrists_does_not_overwrite_a_body() -> None:
    arrays = _signer()
    _put(arrays, LEFT.start, (33, 33))
    assert (normalize_joints(*arrays, fill_wrists=True) == normalize_joints(*arrays)).all()
    arrays[1][0, LEFT_WRIST] = 0.1
    filled = normalize_joints(*arrays, fill_wrists=True)
    # The box is still that of x from 10 to 50; y now from 10 to 33: corner (10, 1.5).
    assert filled[0, LEFT_WRIST] == pytest.approx(((33 - 30) / 20, (33 - 21.5) / 20, 0.8))
    assert not normalize_joints(*arrays)[0, LEFT_WRIST].any()


def test_fill_wrists_needs_a_seen_hand() -> None:
    arrays = _signer()
    arrays[1][0, LEFT_WRIST] = 0.1
    _put(arrays, LEFT.start, (33, 33), score=0.2)
    assert not normalize_joints(*arrays, fill_wrists=True)[0, LEFT_WRIST].any()


def test_image_reference() -> None:
    # Shorter side 100, share 0.5: side 50 around the centre (100, 50), corner (75, 25).
    keypoints, scores = _two_hands()
    keypoints[0, LEFT.start + 12] = (65, 30)
    values = normalize_joints(
        keypoints, scores, scale_reference="image", fill_wrists=True, image_size=(200, 100), image_share=0.5
    )
    assert values[0, LEFT.start + 12] == pytest.approx((5 / 50, -10 / 50, 0.8))
    assert values[0, LEFT_WRIST] == pytest.approx((((60 - 75) / 50 - 0.5) * 2, ((40 - 25) / 50 - 0.5) * 2, 0.8), abs=1)
    assert values[0, LEFT_WRIST, 0] == -1.0  # -1.6, clipped
    assert values[0, LEFT_WRIST, 1] == pytest.approx(-0.4)


def test_image_reference_of_normalised_coordinates_equals_pixels() -> None:
    clip = random_clip(8)
    keypoints, scores = select_joints(clip)
    pixels = normalize_joints(keypoints, scores, scale_reference="image", image_size=(640, 480))
    shares = normalize_joints(keypoints / 480, scores, scale_reference="image", image_size=(640 / 480, 1.0))
    assert np.abs(pixels - shares).max() <= 1e-6


def test_image_reference_needs_no_points() -> None:
    arrays = _two_hands()
    arrays[1][0, 30:] = 0  # the left hand alone: 2 points
    assert normalize_joints(*arrays, scale_reference="image", image_size=(200, 100)).any()
    assert not normalize_joints(*arrays, scale_reference="hands").any()


def test_unknown_reference() -> None:
    with pytest.raises(ValueError, match=r"expected scale_reference to be one of .*, received 'feet'"):
        normalize_joints(*_signer(), scale_reference="feet")  # type: ignore[arg-type]


# --- frames


@pytest.mark.parametrize(
    ("num_frames", "max_frames", "expected"),
    [
        (3, 4, [0, 1, 2]),
        (4, 4, [0, 1, 2, 3]),
        (10, 4, [1, 3, 6, 8]),  # the frames in the middle of four spans of 2.5
        (8, 4, [1, 3, 5, 7]),
        (5, 1, [2]),
        (1, 1, [0]),
    ],
)
def test_even_frames(num_frames: int, max_frames: int, expected: list[int]) -> None:
    assert even_frame_indices(num_frames, max_frames).tolist() == expected


@pytest.mark.parametrize("num_frames", [257, 300, 511, 512, 20_000])
def test_even_frames_are_in_order_and_cover_the_clip(num_frames: int) -> None:
    indices = even_frame_indices(num_frames, 256)
    steps = np.diff(indices)
    assert len(indices) == 256 and indices[0] >= 0 and indices[-1] < num_frames
    assert steps.min() >= 1 and steps.max() - steps.min() <= 1
    assert abs(indices[0] - (num_frames - 1 - indices[-1])) <= 1


def test_random_frames_are_a_sorted_subset() -> None:
    drawn = [random_frame_indices(100, 30, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()
    for indices in drawn:
        assert len(indices) == 30 and (np.diff(indices) > 0).all() and indices.min() >= 0 and indices.max() < 100


def test_random_frames_are_uniform() -> None:
    generator = np.random.default_rng(0)
    counts = np.bincount(np.concatenate([random_frame_indices(10, 4, generator) for _ in range(2000)]), minlength=10)
    # Binomial: 2000 draws with chance 0.4, standard deviation 22.
    assert (np.abs(counts - 800) < 110).all()


def test_jittered_frames_are_one_of_each_stretch() -> None:
    generator = np.random.default_rng(0)
    drawn = np.stack([jittered_frame_indices(100, 20, generator) for _ in range(500)])
    assert (drawn // 5 == np.arange(20)).all()
    assert (np.bincount(drawn.ravel(), minlength=100) > 60).all(), "each of five frames in a fifth of 500 draws"
    assert jittered_frame_indices(5, 30, generator).tolist() == [0, 1, 2, 3, 4]
    # Evaluation reads the middle of each stretch.
    assert np.abs(drawn - even_frame_indices(100, 20)).max() <= 2


def test_random_frames_of_a_short_clip_are_all() -> None:
    assert random_frame_indices(5, 30, np.random.default_rng(0)).tolist() == [0, 1, 2, 3, 4]


# --- the box of the whole clip, outliers, and heads that only the face has


def test_chosen_frames_keep_the_box_of_the_whole_clip() -> None:
    keypoints, scores = select_joints(random_clip(40))
    frames = np.array([30, 3, 3])
    chosen = normalize_joints(keypoints, scores, frames=frames)
    assert (chosen == normalize_joints(keypoints, scores)[frames]).all()
    assert not np.allclose(chosen, normalize_joints(keypoints[frames], scores[frames]))


def test_quantile_box_ignores_an_outlier() -> None:
    keypoints, scores = select_joints(random_clip(40))
    wild = keypoints.copy()
    wild[7, 3] += 5000
    scores[7, 3] = 1.0
    boxes = {
        box: [normalize_joints(k, scores, box=box)[0] for k in (keypoints, wild)] for box in ("extremes", "quantile")
    }
    assert np.abs(np.subtract(*boxes["quantile"])).max() < 0.05 < np.abs(np.subtract(*boxes["extremes"])).max()
    with pytest.raises(ValueError, match="expected box to be one of .*, received 'median'"):
        normalize_joints(keypoints, scores, box="median")


def test_head_comes_from_the_face_where_the_body_has_none() -> None:
    keypoints, scores = select_joints(random_clip(10))
    scores[:, :3] = 0
    before = keypoints.copy()
    assert fill_head_from_face(keypoints, scores)
    for joint, place in ((0, 17), (1, 8), (2, 0)):  # nose tip, left and right end of the jaw
        assert (keypoints[:, joint] == before[:, FACE.start + place]).all()
        assert (scores[:, joint] == scores[:, FACE.start + place]).all()


def test_a_head_that_the_body_has_in_one_frame_is_left_alone() -> None:
    keypoints, scores = select_joints(random_clip(10))
    scores[:, :3] = 0
    scores[4, 2] = 0.5
    before = keypoints.copy()
    assert not fill_head_from_face(keypoints, scores) and (keypoints == before).all() and not scores[:, 0].any()


def test_no_face_no_head() -> None:
    keypoints, scores = select_joints(random_clip(10, "hands_42"))
    assert not fill_head_from_face(keypoints, scores) and not scores[:, BODY].any()


def test_a_hand_without_a_wrist_lies_at_the_body_s() -> None:
    keypoints, scores = _signer()
    keypoints, scores = keypoints.repeat(2, axis=0), scores.repeat(2, axis=0)
    keypoints[:, LEFT.start + 5], scores[:, LEFT.start + 5] = (44, 28), 0.8
    scores[1, LEFT_WRIST] = 0  # in the second frame the body has no wrist either
    replace_missing_origins(keypoints, scores)
    values = normalize_joints(keypoints, scores)
    assert values[0, LEFT.start + 5] == pytest.approx((4 / 40, -2 / 40, 0.8))
    assert not values[0, LEFT.start].any(), "the wrist itself was not seen"
    assert not values[1, LEFT].any()


def test_a_face_without_a_nose_tip_lies_at_the_nose() -> None:
    keypoints, scores = _signer()
    keypoints[0, FACE.start + 4], scores[0, FACE.start + 4] = (30, 14), 0.8
    replace_missing_origins(keypoints, scores)
    assert normalize_joints(keypoints, scores)[0, FACE.start + 4] == pytest.approx((0, 4 / 40, 0.8))


def test_origins_that_were_found_stay() -> None:
    keypoints, scores = select_joints(random_clip(10))
    before = keypoints.copy(), scores.copy()
    replace_missing_origins(keypoints, scores)
    assert (keypoints == before[0]).all() and (scores == before[1]).all()
