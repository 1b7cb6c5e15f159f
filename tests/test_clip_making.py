"""What people have in their hands becomes a `PoseClip`, and what was not found looks the same, however it was told."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow
import pytest
import torch

from datasets_scripts.schema import encode_sample
from modeling_sigma import SigmaFeatureExtractor
from modeling_sigma.model.clip_making import as_pose_clip, split_clips
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import LAYOUTS
from tests.factories import random_clip, random_clips


RNG = np.random.default_rng(0)
CLIP = random_clip(6)
POINTS = np.concatenate([CLIP.keypoints, CLIP.scores[..., None]], axis=-1)  # (6, 133, 3)


def _same(clip: PoseClip, expected: PoseClip = CLIP, tolerance: float = 0.0) -> bool:
    return (
        clip.layout == expected.layout
        and clip.keypoints.shape == expected.keypoints.shape
        and np.abs(clip.keypoints - expected.keypoints).max() <= tolerance
        and np.abs(clip.scores - expected.scores).max() <= tolerance
    )


class _ArrayOfAnotherLibrary:
    """jax's and tensorflow's arrays look like this."""

    shape, dtype, ndim = POINTS.shape, POINTS.dtype, POINTS.ndim

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return POINTS


# --- one clip in many forms


@pytest.mark.parametrize(
    "pose",
    [
        POINTS,
        torch.tensor(POINTS),
        torch.tensor(POINTS, requires_grad=True),
        np.ma.array(POINTS),
        POINTS.astype(object),
        _ArrayOfAnotherLibrary(),
        POINTS[:, None],  # (T, people, K, C)
        list(POINTS),
        list(torch.tensor(POINTS)),
        POINTS.tolist(),
        list(map(list, POINTS)),
        {"keypoints": POINTS},
        (CLIP.keypoints, CLIP.scores),  # as detectors return them
        (torch.tensor(CLIP.keypoints)[:, None], torch.tensor(CLIP.scores)[:, None]),
        {"keypoints": CLIP.keypoints, "scores": CLIP.scores, "sample_id": "a"},
        {"keypoints": POINTS, "scores": CLIP.scores[..., None]},  # a depth or the score again, of no matter
        {"keypoints": torch.tensor(CLIP.keypoints), "scores": torch.tensor(CLIP.scores)},
        {"keypoints": list(CLIP.keypoints[:, None]), "scores": list(CLIP.scores[:, None])},
        {"keypoints": CLIP.keypoints[:, None], "scores": CLIP.scores[:, None], "fps": None},
        {"keypoints": CLIP.keypoints.tolist(), "scores": CLIP.scores.tolist(), "layout": "coco_wholebody_133"},
    ],
)
def test_forms_of_one_clip(pose: Any) -> None:
    assert _same(as_pose_clip(pose))
    assert not split_clips(pose)[1]
    values = SigmaFeatureExtractor()(pose)["pose_values"]
    assert torch.equal(values, SigmaFeatureExtractor()(PoseClip(CLIP.keypoints, CLIP.scores))["pose_values"])


def test_half_precision() -> None:
    assert _same(as_pose_clip(torch.tensor(POINTS).half()), tolerance=0.5)
    assert _same(as_pose_clip(torch.tensor(POINTS).bfloat16()), tolerance=2)


# --- what was not found


def _missing() -> np.ndarray:
    """One keypoint in frame 1, the whole of frame 4."""
    missing = np.zeros(CLIP.scores.shape, bool)
    missing[1, 5] = missing[4] = True
    return missing


def _without(value: float, score: float) -> np.ndarray:
    points = POINTS.copy()
    points[_missing()] = (value, value, score)
    return points


def _frames(nothing: Any) -> list[Any]:
    frames: list[Any] = list(_without(0, 0))
    frames[4] = nothing
    return frames


def _nested() -> list[Any]:
    points = _without(0, 0).tolist()
    points[1][5], points[4] = [None, None, None], None
    return points


@pytest.mark.parametrize(
    "pose",
    [
        _without(0, 0),
        _without(np.nan, np.nan),
        _without(np.nan, 0.9),
        _without(np.inf, 0.9),
        _without(-1, -1),
        _without(640, 0),
        np.ma.array(POINTS, mask=np.repeat(_missing()[..., None], 3, axis=-1)),
        np.ma.array(POINTS, mask=_missing()[..., None] & (np.arange(3) == 1)),
        np.ma.masked_invalid(_without(np.nan, 0.9)),
        _frames(None),
        _frames([]),
        _frames(np.zeros((0, 133, 3))),
        _frames(np.full((133, 3), np.nan)),
        _nested(),
        {"keypoints": _frames(None)},
        {
            "keypoints": [f if f is None else f[None, :, :2] for f in _frames(None)],
            "scores": list(_without(0, 0)[..., 2]),
        },
        {
            "keypoints": _without(0, 0)[..., :2],
            "scores": [None if t == 4 else s for t, s in enumerate(_without(0, 0)[..., 2])],
        },
        {
            "keypoints": np.ma.array(CLIP.keypoints, mask=np.repeat(_missing()[..., None], 2, -1)),
            "scores": CLIP.scores,
        },
        {"keypoints": _without(np.nan, 0)[..., :2], "scores": CLIP.scores},
    ],
)
def test_what_was_not_found(pose: Any) -> None:
    clip = as_pose_clip(pose)
    missing = _missing()
    assert not clip.scores[missing].any() and not clip.keypoints[missing].any()
    assert (clip.scores[~missing] == CLIP.scores[~missing]).all()
    assert (clip.keypoints[~missing] == CLIP.keypoints[~missing]).all()


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_without_scores_only_coordinates_tell(nothing: float) -> None:
    points = CLIP.keypoints.copy()
    points[_missing()] = nothing
    for pose in (points, {"keypoints": points, "scores": np.ones(CLIP.scores.shape)}, np.ma.masked_invalid(points)):
        clip = as_pose_clip(pose)
        assert (clip.scores == ~_missing()).all() and not clip.keypoints[_missing()].any()


def test_nobody_at_all() -> None:
    with pytest.raises(ValueError, match="keypoints of somebody in at least one frame, received none in 2 frames"):
        as_pose_clip({"keypoints": [None, []], "scores": [None, []]})
    assert not as_pose_clip(np.zeros((4, 133, 3))).scores.any()


# --- what is no clip, and what to do


def _third(values: Any) -> np.ndarray:
    points = POINTS.copy()
    points[..., 2] = values
    return points


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        (_third(np.linspace(-0.5, 0.2, 133)), r"x, y and a score .* negative: are they a depth \(z\)"),
        (_third(0), r"a third number that is 0 for every point: a depth \(z\)\? Pass x and y alone, array\[..., :2\]"),
        (100 * _third(CLIP.scores / 100 * 100), "divide percentages by 100"),
        (np.zeros((46, 1662)), r"must be \(K, 2\) or \(K, 3\).* 33 pose points of x, y, z, visibility and 510 points"),
        (np.zeros((30, 225)), r"225 numbers may be 75 points: array.reshape\(len\(array\), 75, 3\)\[..., :2\]"),
        (np.zeros((225, 2172)), r"543 points: array.reshape\(len\(array\), 543, 4\)"),
        (np.zeros((30, 258)), "33 pose points of x, y, z, visibility and 42 points of x, y, z"),
        (np.zeros((30, 266)), r"133 points: array.reshape\(len\(array\), 133, 2\)$"),
        (list(np.zeros((30, 126))), r"42 points: array.reshape\(len\(array\), 42, 3\)"),
        (np.zeros(399), r"133 points: array.reshape\(1, 133, 3\)"),
        (np.zeros((30, 7)), r"33 \+ 21 \+ 21 \(75\) points .* array.reshape\(len\(array\), K, numbers per point\)"),
        (np.zeros((133, 3)), r"add a frame axis, array\[None\]"),
        (np.zeros((3, 30, 133)), r"array.transpose\(1, 2, 0\)"),
        (np.zeros((133, 30, 2)), r"array.transpose\(1, 0, 2\)"),
        (np.zeros((30, 3, 133)), r"array.transpose\(0, 2, 1\)"),
        (np.zeros((3, 30, 133, 1)), r"array.transpose\(1, 3, 2, 0\)\[:, 0\]"),  # C, T, V, M
        (np.zeros((4, 2, 133, 3)), r"array\[:, 0\] of \(frames, people, keypoints, ...\)"),
        (np.zeros((4, 133, 4)), r"array\[..., \[0, 1, 3\]\]"),
        (np.zeros((4, 17, 3)), "no known layout has 17 keypoints.* no hands to read: use a whole-body detector"),
        (np.zeros((4, 21, 3)), "no known layout has 21 keypoints.* Put one hand into 42 points, left hand first"),
        (np.zeros((4, 576, 3)), r"world landmarks, the last 33: array\[:, :543\]"),
        (np.zeros((4, 50, 3)), "no known layout has 50 keypoints"),
        ([None, []], "keypoints of somebody in at least one frame, received none in 2 frames"),
        ({"keypoints": CLIP.keypoints, "scores": CLIP.scores[:, :5]}, r"expected scores of shape \(6, 133\)"),
        ([POINTS[0], POINTS[0, :42]], r"keypoints of one shape in all frames, received \(42, 3\) and \(133, 3\)"),
        ({"keypoints": [["a", "b"]]}, "keypoints of frame 0 as an array of numbers"),
        (np.full((4, 133, 3), "x"), "arrays of real numbers, received dtype"),
    ],
)
def test_advice(pose: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_pose_clip(pose)


def test_a_body_in_other_axes_is_what_the_advice_says() -> None:
    assert _same(as_pose_clip(POINTS.transpose(2, 0, 1).transpose(1, 2, 0)))


# --- several clips


def _row(clip: PoseClip, name: str) -> dict[str, Any]:
    return encode_sample(clip, sample_id=name, sign_language="a", spoken_language="b", split="test")


@pytest.mark.parametrize(
    "batch", [np.stack([POINTS] * 3), torch.tensor(np.stack([POINTS] * 3)), [POINTS] * 3, (CLIP,) * 3]
)
def test_batches(batch: Any) -> None:
    clips, is_batch = split_clips(batch)
    assert is_batch and len(clips) == 3 and all(_same(as_pose_clip(clip)) for clip in clips)


def test_ragged_lists_of_anything() -> None:
    clips = random_clips((5, 3))
    mixed = [clips[0], list(POINTS), {"keypoints": clips[1].keypoints, "scores": clips[1].scores}]
    inputs = SigmaFeatureExtractor()(mixed)
    assert inputs["pose_attention_mask"].sum(dim=1).tolist() == [5, 6, 3]


@pytest.mark.parametrize("kind", [None, "numpy", "torch"])
def test_data_sets_of_plain_columns(kind: str | None) -> None:
    import datasets

    clips = random_clips((6, 3))
    columns = {name: [getattr(clip, name).tolist() for clip in clips] for name in ("keypoints", "scores")}
    rows = datasets.Dataset.from_dict({**columns, "fps": [25.0, 30.0]}).with_format(kind)
    expected = SigmaFeatureExtractor()(clips)["pose_values"]
    for poses in (rows, rows[:2], [rows[0], rows[1]], {**columns, "layout": "coco_wholebody_133"}):
        assert torch.allclose(SigmaFeatureExtractor()(poses)["pose_values"], expected, atol=1e-5)
    assert [as_pose_clip(clip).fps for clip in split_clips(rows[:2])[0]] == [25.0, 30.0]


def test_object_arrays_are_lists() -> None:
    ragged = np.empty(2, object)
    ragged[:] = [POINTS, POINTS[:3]]
    assert SigmaFeatureExtractor()(ragged)["pose_attention_mask"].sum(dim=1).tolist() == [6, 3]


def test_a_batch_of_one() -> None:
    assert SigmaFeatureExtractor()(POINTS[None])["pose_values"].shape == (1, 6, 69, 3)
    assert _same(as_pose_clip(POINTS[None]))


@pytest.mark.parametrize("kind", [None, "numpy", "torch"])
def test_rows_of_a_data_set(kind: str | None) -> None:
    import datasets

    from datasets_scripts.schema import decode_clip, features

    clips = [PoseClip(clip.keypoints, clip.scores, fps=25.0, coordinates="pixels") for clip in random_clips((5, 3))]
    rows = datasets.Dataset.from_list([_row(clip, str(n)) for n, clip in enumerate(clips)], features()).with_format(
        kind
    )
    plain = rows.with_format(None)
    extractor = SigmaFeatureExtractor()
    expected = extractor([decode_clip(row) for row in plain])
    for poses in (list(rows), rows, rows[:2]):
        found = extractor(poses)
        assert torch.allclose(found["pose_values"], expected["pose_values"], atol=1e-5)
        assert torch.equal(found["pose_attention_mask"], expected["pose_attention_mask"])
    one = as_pose_clip(rows[0])
    assert (one.coordinates, one.aspect_ratio, one.fps, one.width) == ("pixels", None, 25.0, None)
    assert len(extractor(rows[0])["pose_values"]) == 1


def test_units_are_for_clips_that_do_not_state_theirs() -> None:
    stated = PoseClip(CLIP.keypoints, CLIP.scores, coordinates="pixels")
    assert as_pose_clip(stated, "shares", 1.5).coordinates == "pixels"
    clip = as_pose_clip(POINTS, "shares", 1.5)
    assert (clip.coordinates, clip.aspect_ratio) == ("shares", 1.5)
    assert as_pose_clip({"keypoints": POINTS, "coordinates": "shares", "width": 16, "height": 9}).width == 16


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "coco_wholebody_133"])
def test_layout_follows_from_the_number_of_keypoints(layout: str) -> None:
    clip = random_clip(3, layout)
    assert as_pose_clip(np.concatenate([clip.keypoints, clip.scores[..., None]], axis=-1)).layout == layout


# --- what other libraries hand over


def test_masked_body_of_a_pose_file_and_its_confidence():
    body = np.ma.array(np.concatenate([CLIP.keypoints, RNG.normal(0, 1, (6, 133, 1))], axis=-1)[:, None], mask=False)
    body[1] = np.ma.masked
    clip = as_pose_clip((body, CLIP.scores[:, None]))  # x, y, z of one person
    assert _same(clip.frames([0, 2, 3, 4, 5]), CLIP.frames([0, 2, 3, 4, 5])) and not clip.scores[1].any()


class _MaskedTensor:
    """pose-format's: True where a value is valid; other attributes raise NotImplementedError."""

    def __init__(self, tensor: torch.Tensor, mask: torch.Tensor) -> None:
        self.tensor, self.mask = tensor, mask

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


def test_masked_tensor():
    mask = torch.ones(6, 133, 2, dtype=torch.bool)
    mask[1] = False
    masked = _MaskedTensor(torch.tensor(CLIP.keypoints), mask)
    for pose in ((masked, torch.tensor(CLIP.scores)), {"keypoints": masked, "scores": CLIP.scores}):
        clip = as_pose_clip(split_clips(pose)[0][0])
        assert not clip.scores[1].any() and _same(clip.frames([0, 2]), CLIP.frames([0, 2]))


@pytest.mark.parametrize("name", ["keypoint_scores", "keypoint_score", "confidence", "confidences"])
def test_scores_under_the_names_of_detectors(name):
    assert _same(as_pose_clip({"keypoints": CLIP.keypoints, name: CLIP.scores}))


def test_minus_one_is_not_found_in_coordinates_without_scores():
    keypoints = CLIP.keypoints.copy()
    keypoints[2] = -1
    assert as_pose_clip(keypoints).scores.any(axis=1).tolist() == [True, True, False, True, True, True]


def test_points_and_frames_that_are_none_or_nan():
    frames = [[None if k == 7 else point for k, point in enumerate(frame)] for frame in POINTS.tolist()]
    clip = as_pose_clip([float("nan"), *frames[1:]])
    assert not clip.scores[0].any() and not clip.scores[:, 7].any() and clip.scores[1:, 8].any()


def test_tables_of_rows_and_of_numbers():
    pandas = pytest.importorskip("pandas")
    facts = {"sample_id": "a", "sign_language": "A", "spoken_language": "B", "split": "train"}
    rows = [encode_sample(clip, **facts) for clip in random_clips((5, 7))]
    frame = pandas.DataFrame(rows)
    for table in (frame, pyarrow.Table.from_pylist([{k: v for k, v in row.items() if v is not None} for row in rows])):
        clips, are_several = split_clips(table)
        assert are_several and [len(as_pose_clip(clip)) for clip in clips] == [5, 7]
    with pytest.raises(ValueError, match=r"received \(6, 399\): .* 399 numbers may be 133 points"):
        SigmaFeatureExtractor()(pandas.DataFrame(POINTS.reshape(6, -1)))


@pytest.mark.parametrize(
    ("pose", "message"),
    [
        (b"packed", "packed keypoints of a data set need their whole row"),
        ({"keypoints": b"packed", "scores": b"packed"}, "pass the whole row of the data set"),
        (SimpleNamespace(header=None, body=None), "write it into a file, .* and pass the path"),
        (SimpleNamespace(data=None, confidence=None), r"\(body.data, body.confidence\)"),
        (np.zeros((6, 133), [("x", "f4"), ("y", "f4")]), "records of x, y: np.stack"),
        (
            {"keypoints": POINTS, "fps": "25"},
            "a positive number for fps, received '25'",
        ),
        (np.zeros((5, 6, 1662)), r"several clips as list\(array\); .* 33 pose points"),
        (np.zeros((6, 63)), "63 numbers may be 21 points of a part. Put one hand into 42 points"),
        (np.zeros((6, 1024)), "features of a network"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(pose, message):
    with pytest.raises((TypeError, ValueError), match=message):
        as_pose_clip(pose)


def test_list_of_single_frames_is_several_clips_and_says_so(caplog):
    assert split_clips(list(POINTS[:, None]))[1]
    assert "join them with np.concatenate" in caplog.text
