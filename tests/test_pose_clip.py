"""`PoseClip`: what it keeps, and every input it refuses."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch

from modeling_sigma.model.pose_clip import PoseClip


def _arrays(num_frames: int = 4, num_keypoints: int = 133) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((num_frames, num_keypoints, 2)), rng.random((num_frames, num_keypoints))


def test_keeps_what_it_is_given() -> None:
    keypoints, scores = _arrays(24)
    clip = PoseClip(keypoints, scores, fps=25.0, width=640, height=480)
    assert clip.layout == "coco_wholebody_133" and len(clip) == 24
    assert clip.duration == pytest.approx(0.96)
    assert (clip.keypoints == keypoints).all() and (clip.scores == scores).all()
    assert (clip.fps, clip.width, clip.height) == (25.0, 640, 480)


def test_duration_of_unknown_frame_rate() -> None:
    assert PoseClip(*_arrays()).duration is None


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [(np.float64, np.float64), (np.float32, np.float32), (np.float16, np.float32), (np.int32, np.float32)],
)
def test_stored_as_float32_or_float64(dtype: type, stored: type) -> None:
    keypoints, scores = _arrays()
    clip = PoseClip((100 * keypoints).astype(dtype), scores.astype(np.float32))
    assert clip.keypoints.dtype == stored and clip.scores.dtype == np.float32


def test_lists_are_taken() -> None:
    keypoints, scores = _arrays(2, 42)
    assert PoseClip(keypoints.tolist(), scores.tolist(), layout="hands_42").keypoints.shape == (2, 42, 2)


def test_frames_selects() -> None:
    keypoints, scores = _arrays(10)
    clip = PoseClip(keypoints, scores, fps=10, width=4, height=3)
    part = clip.frames(slice(2, 6))
    assert len(part) == 4 and (part.keypoints == keypoints[2:6]).all()
    assert (part.fps, part.width, part.height, part.layout) == (10, 4, 3, clip.layout)
    assert (clip.frames(np.array([9, 0])).scores == scores[[9, 0]]).all()
    with pytest.raises(ValueError, match="at least one frame"):
        clip.frames(slice(20, 30))


def test_is_frozen_and_compares_by_identity() -> None:
    clip = PoseClip(*_arrays())
    with pytest.raises(FrozenInstanceError):
        clip.layout = "hands_42"  # type: ignore[misc]
    assert clip == clip and clip != PoseClip(*_arrays())
    assert len({clip, clip}) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_coordinates_that_nobody_found_become_zero(bad: float) -> None:
    keypoints, scores = _arrays()
    keypoints[1, 5, 0], scores[1, 5] = bad, 0.0
    original = keypoints.copy()
    clip = PoseClip(keypoints, scores)
    assert clip.keypoints[1, 5].tolist() == [0.0, 0.0]
    assert np.isfinite(clip.keypoints).all() and clip.keypoints[1, 6].tolist() == keypoints[1, 6].tolist()
    assert np.array_equal(keypoints, original, equal_nan=True), "the caller's array is left alone"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_coordinates_that_were_found_must_be_finite(bad: float) -> None:
    keypoints, scores = _arrays()
    keypoints[2, 5, 1], scores[2, 5] = bad, 0.9
    with pytest.raises(ValueError, match=r"received 1 NaN or infinite ones .* first in frame 2: set their score to 0"):
        PoseClip(keypoints, scores)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_must_be_finite(bad: float) -> None:
    keypoints, scores = _arrays()
    scores[0, 0] = scores[3, 3] = bad
    with pytest.raises(ValueError, match="expected finite scores, received 2 NaN or infinite ones: use 0"):
        PoseClip(keypoints, scores)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((133, 2), "received (133, 2): add a frame axis"),
        ((4, 1, 133, 2), "received (4, 1, 133, 2): select one person"),
        ((4, 133, 3), "received (4, 133, 3): keep x and y, and pass the certainty as scores"),
        ((4,), "received (4,): keep x and y"),
        ((4, 17, 2), "received (4, 17, 2): name the layout of your detector"),
        ((0, 133, 2), "received an empty clip (0, 133, 2)"),
    ],
)
def test_wrong_shapes_of_keypoints(shape: tuple[int, ...], hint: str) -> None:
    with pytest.raises(ValueError) as error:
        PoseClip(np.zeros(shape), np.zeros(shape[:2]))
    assert "expected (T, 133, 2) keypoints of layout coco_wholebody_133" in str(error.value)
    assert hint in str(error.value)


@pytest.mark.parametrize("shape", [(4, 132), (3, 133), (4, 133, 1), (133,)])
def test_wrong_shapes_of_scores(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected scores of shape \(4, 133\) like the keypoints, received"):
        PoseClip(np.zeros((4, 133, 2)), np.zeros(shape))


def test_unknown_layout() -> None:
    with pytest.raises(ValueError, match="unknown keypoint layout 'kinect'"):
        PoseClip(*_arrays(), layout="kinect")


def test_layout_of_another_detector() -> None:
    with pytest.raises(ValueError, match=r"expected \(T, 42, 2\) keypoints of layout hands_42"):
        PoseClip(*_arrays(), layout="hands_42")


@pytest.mark.parametrize("values", [np.zeros((4, 133, 2), dtype=object), np.zeros((4, 133, 2), complex), "keypoints"])
def test_keypoints_must_be_real_numbers(values: object) -> None:
    with pytest.raises(ValueError, match="expected keypoints as an array of real numbers, received dtype"):
        PoseClip(values, np.zeros((4, 133)))  # type: ignore[arg-type]


def test_scores_must_be_real_numbers() -> None:
    with pytest.raises(ValueError, match="expected scores as an array of real numbers"):
        PoseClip(np.zeros((4, 133, 2)), np.full((4, 133), "high"))


@pytest.mark.parametrize("field", ["fps", "width", "height"])
@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf])
def test_rates_and_sizes_must_be_positive(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"expected a positive number for {field}, received .*: leave it out"):
        PoseClip(*_arrays(), **{field: value})


@pytest.mark.parametrize("score", [0.0, -1.0])
def test_what_was_not_found_has_score_and_coordinates_zero(score: float) -> None:
    keypoints, scores = _arrays()
    scores[1, 5:9] = score
    clip = PoseClip(keypoints, scores)
    assert not clip.scores[1, 5:9].any() and not clip.keypoints[1, 5:9].any()
    assert (clip.keypoints[1, 9:] == keypoints[1, 9:]).all() and keypoints[1, 5:9].all()


def test_masked_keypoints_were_not_found() -> None:
    keypoints, scores = _arrays()
    mask = np.zeros(keypoints.shape, bool)
    mask[2, 3, 1] = mask[0, :7] = True  # one coordinate is enough
    clip = PoseClip(np.ma.array(keypoints, mask=mask), scores)
    assert type(clip.keypoints) is type(clip.scores) is np.ndarray
    assert ((clip.scores == 0) == mask.any(-1)).all() and not clip.keypoints[mask.any(-1)].any()
    by_scores = PoseClip(keypoints, np.ma.array(scores, mask=mask.any(-1)))
    assert (by_scores.scores == clip.scores).all() and (by_scores.keypoints == clip.keypoints).all()


def test_masked_nan_is_no_error() -> None:
    keypoints, scores = _arrays()
    keypoints[0, 0] = np.nan
    assert PoseClip(np.ma.masked_invalid(keypoints), scores).scores[0, 0] == 0


def test_boolean_scores_and_tensors() -> None:
    keypoints, scores = _arrays()
    assert (PoseClip(keypoints, scores > 0.5).scores == (scores > 0.5)).all()
    half = PoseClip(torch.tensor(keypoints).bfloat16(), torch.tensor(scores, requires_grad=True))  # type: ignore[arg-type]
    assert half.keypoints.dtype == np.float32 and (half.scores == scores).all()


@pytest.mark.parametrize(
    ("lowest", "highest", "message"),
    [
        (-0.4, 0.3, r"x, y and a score .*negative: are they a depth \(z\)\? Of x, y, z pass x and y alone"),
        (-4.0, 6.0, "logits or a depth .* through a sigmoid"),
        (0.0, 97.0, "scores up to 97: divide percentages by 100"),
    ],
)
def test_numbers_that_are_no_scores(lowest: float, highest: float, message: str) -> None:
    keypoints, _ = _arrays()
    with pytest.raises(ValueError, match=message):
        PoseClip(keypoints, np.linspace(lowest, highest, 4 * 133).reshape(4, 133))


def test_scores_a_little_beyond_their_range_are_kept() -> None:
    keypoints, scores = _arrays()
    scores[0, 0], scores[3, 3] = 1.083, -0.002  # heatmaps; a guess outside of the image
    clip = PoseClip(keypoints, scores)
    assert clip.scores[0, 0] == 1.083 and clip.scores[3, 3] == 0


def test_units_are_kept_by_frames() -> None:
    clip = PoseClip(*_arrays(), coordinates="shares", aspect_ratio=1.7).frames(slice(2))
    assert (clip.coordinates, clip.aspect_ratio) == ("shares", 1.7)


def test_unknown_units() -> None:
    with pytest.raises(ValueError, match="expected coordinates to be one of .*, received 'meters'"):
        PoseClip(*_arrays(), coordinates="meters")
    with pytest.raises(ValueError, match="expected a positive number for aspect_ratio"):
        PoseClip(*_arrays(), aspect_ratio=0.0)
