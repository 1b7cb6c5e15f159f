"""`SigmaFeatureExtractor`: everything that stands for a clip, in; padded tensors, out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import FeatureExtractionMixin

from modeling_sigma.io import save_clip
from modeling_sigma.model import feature_extraction_sigma, joint_reading
from modeling_sigma.model.clip_making import as_pose_clip
from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
from modeling_sigma.model.pose_augmentation import PoseAugmentation
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import even_frame_indices, normalize_joints, select_joints
from modeling_sigma.model.skeleton_layouts import PART_SLICES
from tests.factories import random_clip, random_clips


AUGMENTATION = {"rotation": 10.0, "noise": 0.01, "speed": 0.1, "flip": 0.5}


def _values(inputs: Any, row: int = 0) -> np.ndarray:
    return np.asarray(inputs["pose_values"][row])


def _as_array(clip: PoseClip) -> np.ndarray:
    return np.concatenate([clip.keypoints, clip.scores[..., None]], axis=-1)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the extractor warns of; `warning_once` forgets what it has said before."""
    told: list[str] = []
    for module in (feature_extraction_sigma, joint_reading):
        type(module.logger).warning_once.cache_clear()
        monkeypatch.setattr(module.logger, "warning", lambda message, *args, **kwargs: told.append(message))
    return told


# --- what comes out


def test_one_clip() -> None:
    clip = random_clip(12)
    inputs = SigmaFeatureExtractor()(clip)
    assert list(inputs) == ["pose_values", "pose_attention_mask"]
    assert inputs["pose_values"].shape == (1, 12, 69, 3) and inputs["pose_values"].dtype == torch.float32
    assert inputs["pose_attention_mask"].tolist() == [[1] * 12] and inputs["pose_attention_mask"].dtype == torch.int64
    assert (_values(inputs) == normalize_joints(*select_joints(clip))).all()


def test_ragged_batch() -> None:
    clips = random_clips((12, 7, 1))
    inputs = SigmaFeatureExtractor()(clips)
    assert inputs["pose_values"].shape == (3, 12, 69, 3)
    assert inputs["pose_attention_mask"].sum(dim=1).tolist() == [12, 7, 1]
    for row, clip in enumerate(clips):
        alone = SigmaFeatureExtractor()(clip)
        assert torch.equal(inputs["pose_values"][row, : len(clip)], alone["pose_values"][0])
        assert not inputs["pose_values"][row, len(clip) :].any(), "zeros behind the end"
        assert inputs["pose_attention_mask"][row].tolist() == [1] * len(clip) + [0] * (12 - len(clip))


def test_numpy_tensors() -> None:
    inputs = SigmaFeatureExtractor()(random_clip(3), return_tensors="np")
    assert isinstance(inputs["pose_values"], np.ndarray) and inputs["pose_values"].dtype == np.float32
    assert inputs["pose_attention_mask"].dtype == np.int64


def test_bounds() -> None:
    inputs = SigmaFeatureExtractor()(random_clips((30, 20)))
    assert inputs["pose_values"].abs().max() <= 1.0 and torch.isfinite(inputs["pose_values"]).all()


# --- what goes in


def test_arrays_dicts_and_paths_equal_clips(tmp_path: Path) -> None:
    clip = random_clip(6)
    clip = PoseClip(clip.keypoints.astype(np.float32), clip.scores.astype(np.float32))  # as files store them
    save_clip(tmp_path / "clip.npz", clip)
    extractor = SigmaFeatureExtractor()
    expected = _values(extractor(clip))
    same = [
        _as_array(clip),
        {"keypoints": clip.keypoints, "scores": clip.scores},
        {"keypoints": clip.keypoints.tolist(), "scores": clip.scores.tolist(), "layout": clip.layout, "person": "Ann"},
        tmp_path / "clip.npz",
        str(tmp_path / "clip.npz"),
    ]
    for one in same:
        assert (_values(extractor(one)) == expected).all(), type(one)
    batch = extractor([*same, clip])
    assert all((_values(batch, row) == expected).all() for row in range(len(same) + 1))


def test_tuples_and_generators_are_lists() -> None:
    clips = random_clips((3, 2))
    expected = SigmaFeatureExtractor()(clips)
    for poses in (tuple(clips), (clip for clip in clips)):
        assert torch.equal(SigmaFeatureExtractor()(poses)["pose_values"], expected["pose_values"])


@pytest.mark.parametrize("layout", ["hands_42", "sigma_69", "openpose_137", "mediapipe_holistic_543"])
def test_layout_of_an_array_follows_from_its_keypoints(layout: str) -> None:
    clip = random_clip(5, layout)
    extractor = SigmaFeatureExtractor(scale_reference="hands")
    assert as_pose_clip(_as_array(clip)).layout == layout
    assert (_values(extractor(_as_array(clip))) == _values(extractor(clip))).all()
    assert (_values(extractor({"keypoints": clip.keypoints, "scores": clip.scores})) == _values(extractor(clip))).all()


def test_array_without_scores_counts_as_seen() -> None:
    clip = random_clip(5)
    inputs = SigmaFeatureExtractor()(clip.keypoints)
    assert (inputs["pose_values"][..., 2] == 1).all()


class _OtherClip:
    """Remote code brings a `PoseClip` class of its own."""

    keypoints, scores = random_clip(4).keypoints, random_clip(4).scores
    layout, fps, width, height = "coco_wholebody_133", 25.0, 640, 480


def test_clips_of_another_copy_of_this_code() -> None:
    expected = _values(SigmaFeatureExtractor()(random_clip(4)))
    assert (_values(SigmaFeatureExtractor()([_OtherClip(), random_clip(4)])) == expected).all()


def test_one_clip_of_another_copy_of_this_code() -> None:
    expected = _values(SigmaFeatureExtractor()(random_clip(4)))
    assert (_values(SigmaFeatureExtractor()(_OtherClip())) == expected).all()


@pytest.mark.parametrize("pose", [3, None])
def test_one_thing_that_is_no_clip(pose: Any) -> None:
    with pytest.raises(TypeError, match="expected a PoseClip, path, array, dict of .*, received"):
        SigmaFeatureExtractor()(pose)


def test_image_size_of_a_clip_is_used() -> None:
    clip = random_clip(5)
    extractor = SigmaFeatureExtractor(scale_reference="image", image_share=0.8)
    expected = normalize_joints(*select_joints(clip), scale_reference="image", image_size=(640, 480), image_share=0.8)
    assert (_values(extractor(clip)) == expected).all()
    shares = PoseClip(clip.keypoints / np.array([640, 640]), clip.scores, width=1, height=0.75)  # type: ignore[arg-type]
    assert np.abs(_values(extractor(shares)) - expected).max() <= 1e-6


def test_image_reference_needs_the_size_of_the_image() -> None:
    clip = random_clip(5)
    with pytest.raises(ValueError, match="width and height"):
        SigmaFeatureExtractor(scale_reference="image")(PoseClip(clip.keypoints, clip.scores))


@pytest.mark.parametrize("size", [{"width": 640}, {"height": 480}])
def test_half_a_size_is_no_size(size: dict[str, Any]) -> None:
    clip, extractor = random_clip(5), SigmaFeatureExtractor(scale_reference="image")
    with pytest.raises(ValueError, match=r"expected clips with width and height .*(width=640.*None|None.*height=480)"):
        extractor(PoseClip(clip.keypoints, clip.scores, **size))
    shares = clip.keypoints / 640  # cannot be pixels, whatever is said of one side
    expected = extractor(PoseClip(shares, clip.scores))
    assert (_values(extractor(PoseClip(shares, clip.scores, **size))) == _values(expected)).all()


# --- length


def test_one_frame() -> None:
    inputs = SigmaFeatureExtractor()(random_clip(1))
    assert inputs["pose_values"].shape == (1, 1, 69, 3) and inputs["pose_values"].any()


def test_twenty_thousand_frames() -> None:
    rng = np.random.default_rng(0)
    clip = PoseClip(rng.random((20_000, 133, 2), np.float32), np.ones((20_000, 133), np.float32))
    inputs = SigmaFeatureExtractor()(clip)
    assert inputs["pose_values"].shape == (1, 256, 69, 3)
    expected = normalize_joints(*select_joints(clip), frames=even_frame_indices(20_000, 256))
    assert (_values(inputs) == expected).all()
    assert SigmaFeatureExtractor()(clip, training=True, generator=0)["pose_values"].shape == (1, 256, 69, 3)


def test_max_frames_of_the_call_goes_first() -> None:
    extractor, clip = SigmaFeatureExtractor(max_frames=8), random_clip(20)
    assert extractor(clip)["pose_values"].shape[1] == 8
    assert extractor(clip, max_frames=5)["pose_values"].shape[1] == 5
    assert extractor(clip, max_frames=100)["pose_values"].shape[1] == 20


# --- evaluation is deterministic, training is seedable


def test_evaluation_is_deterministic() -> None:
    extractor, clip = SigmaFeatureExtractor(max_frames=8, augmentation=AUGMENTATION), random_clip(50)
    drawn = [extractor(clip, generator=seed)["pose_values"] for seed in (None, 1, 2)]
    assert torch.equal(drawn[0], drawn[1]) and torch.equal(drawn[0], drawn[2])
    plain = SigmaFeatureExtractor(max_frames=8)(clip)["pose_values"]
    assert torch.equal(drawn[0], plain), "augmentation is for training"


def test_training_is_seedable() -> None:
    extractor, clip = SigmaFeatureExtractor(max_frames=8, augmentation=AUGMENTATION), random_clip(50)
    one, same, other = (extractor(clip, training=True, generator=seed)["pose_values"] for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    generator = np.random.default_rng(1)
    first, second = (extractor(clip, training=True, generator=generator)["pose_values"] for _ in range(2))
    assert torch.equal(first, one) and not torch.equal(second, one), "a generator goes on"
    unseeded = [extractor(clip, training=True)["pose_values"] for _ in range(2)]
    assert not torch.equal(unseeded[0], unseeded[1])


def test_training_draws_frames_in_order_and_each_clip_its_own() -> None:
    rng = np.random.default_rng(0)
    body = rng.random((40, 133, 2))
    scores = np.full((40, 133), 0.9)
    scores[:, 0] = np.linspace(0.4, 1.0, 40)  # the nose's score numbers the frames
    clip = PoseClip(body, scores)
    inputs = SigmaFeatureExtractor(max_frames=10)([clip] * 4, training=True, generator=0)
    noses = inputs["pose_values"][:, :, 0, 2]
    assert (noses.diff(dim=1) > 0).all()
    assert len({tuple(row.tolist()) for row in noses}) == 4


def test_training_without_augmentation_changes_no_short_clip() -> None:
    clip = random_clip(12)
    plain, trained = (SigmaFeatureExtractor()(clip, training=flag)["pose_values"] for flag in (False, True))
    assert torch.equal(plain, trained)


def test_augmentation_is_applied_to_normalised_values() -> None:
    clip, fields = random_clip(12), {"noise": 0.05}
    trained = SigmaFeatureExtractor(augmentation=fields)(clip, training=True, generator=5)
    expected = PoseAugmentation(**fields).apply(normalize_joints(*select_joints(clip)), np.random.default_rng(5))
    assert (_values(trained) == expected).all()


def test_a_whole_body_is_read_like_its_hands_alone() -> None:
    """What a model of hands reads does not depend on what else a detector found."""
    clip = random_clip(12)
    keypoints, scores = select_joints(clip)
    hands = slice(PART_SLICES["left_hand"].start, PART_SLICES["right_hand"].stop)
    alone = PoseClip(keypoints[:, hands], scores[:, hands], layout="hands_42")
    options: dict[str, Any] = {"scale_reference": "hands", "fill_wrists": True}
    whole = SigmaFeatureExtractor(**options, parts=["left_hand", "right_hand"])(clip)
    assert torch.equal(whole["pose_values"], SigmaFeatureExtractor(**options)(alone)["pose_values"])
    assert not torch.equal(whole["pose_values"], SigmaFeatureExtractor(**options)(clip)["pose_values"])


# --- what is saved


def test_save_and_load(tmp_path: Path) -> None:
    fields = {
        "max_frames": 20,
        "score_threshold": 0.2,
        "scale_reference": "hands",
        "fill_wrists": True,
        "image_share": 0.7,
        "parts": ["left_hand", "right_hand"],
        "augmentation": AUGMENTATION,
        "training_layout": "hands_42",
        "training_estimator": "mediapipe-holistic",
        "learnt_aspect_ratio": 1.7,
        "box": "quantile",
        "box_before_sampling": False,
    }
    extractor = SigmaFeatureExtractor(**fields)
    extractor.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert {name: saved[name] for name in fields} == fields
    loaded = SigmaFeatureExtractor.from_pretrained(tmp_path)
    assert {name: getattr(loaded, name) for name in fields} == fields
    clip = random_clip(30, "hands_42")
    for options in ({}, {"training": True, "generator": 3}):
        assert torch.equal(loaded(clip, **options)["pose_values"], extractor(clip, **options)["pose_values"])
    assert SigmaFeatureExtractor.from_pretrained(tmp_path, max_frames=4).max_frames == 4
    assert isinstance(loaded, FeatureExtractionMixin)


# --- warnings and errors


def test_clips_of_another_layout_are_read_with_one_warning(warnings: list[str]) -> None:
    extractor = SigmaFeatureExtractor(training_layout="coco_wholebody_133")
    extractor(random_clips((4, 5)))
    extractor(random_clip(4, "sigma_69"))  # a row of a data set: its detector is not known
    assert warnings == []
    for _ in range(2):
        values = extractor([random_clip(4, "openpose_137"), random_clip(4, "openpose_137", seed=1)])["pose_values"]
        assert values.any()
    assert len(warnings) == 1
    assert "trained on coco_wholebody_133 keypoints" in warnings[0] and "openpose_137" in warnings[0]


def test_clips_of_another_estimator_are_read_with_one_warning(warnings: list[str]) -> None:
    extractor = SigmaFeatureExtractor(training_layout="coco_wholebody_133", training_estimator="rtmlib-rtmw")
    for clip in (random_clip(4), random_clip(4, "sigma_69")):
        extractor(clip)  # nobody knows
        extractor(replace(clip, estimator="rtmlib-rtmw (rtmlib 0.0.16)"))
    assert warnings == []
    for version in ("1.0", "1.1"):
        extractor(replace(random_clip(4), estimator=f"dwpose ({version})"))
    (told,) = warnings
    assert told.startswith("this model was trained on keypoints of rtmlib-rtmw, but a clip has those of dwpose:")
    # Of joints that were selected, a row of a data set tells the estimator.
    extractor(replace(random_clip(4, "sigma_69"), estimator="mediapipe-holistic (mediapipe 1.2.3)"))
    assert len(warnings) == 2 and "those of mediapipe-holistic" in warnings[1]


def test_no_training_layout_no_warning(warnings: list[str]) -> None:
    SigmaFeatureExtractor()([random_clip(4, "openpose_137"), random_clip(4)])
    assert warnings == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_frames": 0}, "expected max_frames as an integer >= 1, received 0"),
        ({"max_frames": 2.5}, "expected max_frames as an integer >= 1, received 2.5"),
        ({"learnt_aspect_ratio": 0}, "expected learnt_aspect_ratio as 1.0 or the width over the height"),
        ({"box": "hands"}, "expected box to be one of .*, received 'hands'"),
        ({"parts": ["feet"]}, r"expected parts among body, .*, received \['feet'\]"),
        ({"parts": []}, "expected parts among body, .*, received none"),
        ({"scale_reference": "feet"}, "expected scale_reference to be one of .*, received 'feet'"),
        ({"augmentation": {"zoom": 1}}, r"unknown augmentation \['zoom'\]"),
        ({"augmentation": {"flip": 2}}, "expected augmentation flip as a chance up to 1"),
    ],
)
def test_wrong_fields(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SigmaFeatureExtractor(**fields)


@pytest.mark.parametrize("poses", [[], (), iter(())])
def test_no_clip(poses: Any) -> None:
    with pytest.raises(ValueError, match="expected at least one clip, received an empty list"):
        SigmaFeatureExtractor()(poses)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((133, 3)), r"expected \(T, K, 3\) or \(T, K, 2\) keypoints, received \(133, 3\): add a frame axis"),
        (np.zeros((4, 2, 133, 3)), r"received \(4, 2, 133, 3\): pass one person as .* array\[:, 0\]"),
        (np.zeros((4, 133, 4)), r"received \(4, 133, 4\): of x, y, z and visibility keep .*array\[..., \[0, 1, 3\]\]"),
        (np.zeros((4, 17, 3)), "no known layout has 17 keypoints"),
        (np.zeros((0, 133, 3)), "at least one frame, received an empty clip"),
    ],
)
def test_arrays_of_wrong_shape(array: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SigmaFeatureExtractor()([random_clip(3), array])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_coordinates_that_are_not_finite_were_not_found(bad: float) -> None:
    array = _as_array(random_clip(4))
    expected = array.copy()
    expected[2, 7] = 0.0  # not found
    for values in ((bad, 1.0, 0.9), (bad, bad, 0.0), (3.0, 1.0, bad)):
        array[2, 7] = values
        assert torch.equal(
            SigmaFeatureExtractor()(array)["pose_values"], SigmaFeatureExtractor()(expected)["pose_values"]
        )


@pytest.mark.parametrize("fields", [{}, {"pose": 1, "scores": 2}, {"pose_values": np.zeros((1, 2, 69, 3))}])
def test_dicts_without_keypoints(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected a dict with keypoints and scores, received keys"):
        SigmaFeatureExtractor()(fields)


@pytest.mark.parametrize("pose", [3, {1, 2}, object()])
def test_other_types(pose: Any) -> None:
    with pytest.raises(TypeError, match="expected a PoseClip, path, array, dict of .*, received"):
        SigmaFeatureExtractor()([pose])


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="clip.npz"):
        SigmaFeatureExtractor()(tmp_path / "clip.npz")


@pytest.mark.parametrize("max_frames", [0, -3])
def test_max_frames_of_the_call_must_be_positive(max_frames: int) -> None:
    with pytest.raises(ValueError, match="expected max_frames as an integer >= 1"):
        SigmaFeatureExtractor()(random_clip(3), max_frames=max_frames)


# --- batches of clips that were read one by one


def test_pad_gives_what_the_batch_gives() -> None:
    extractor, clips = SigmaFeatureExtractor(), random_clips((12, 7, 1))
    expected = extractor(clips)
    alone = [extractor(clip) for clip in clips]
    for features in (alone, [{"pose_values": one["pose_values"][0].tolist()} for one in alone]):
        batch = extractor.pad(features)
        assert all(torch.equal(batch[name], expected[name]) for name in expected)
    columns = extractor.pad({"pose_values": [one["pose_values"][0] for one in alone]}, return_tensors="np")
    assert (columns["pose_values"] == expected["pose_values"].numpy()).all()


def test_pad_to_a_length() -> None:
    extractor, clips = SigmaFeatureExtractor(max_frames=30), random_clips((5, 3))
    features = [extractor(clip) for clip in clips]
    assert extractor.pad(features, pad_to_multiple_of=8)["pose_values"].shape == (2, 8, 69, 3)
    assert extractor.pad(features, padding="max_length", max_length=9)["pose_attention_mask"].shape == (2, 9)
    assert extractor.pad(features, padding="max_length")["pose_values"].shape[1] == 30
    with pytest.raises(ValueError, match="expected clips of at most 4 frames, received one of 5"):
        extractor.pad(features, padding="max_length", max_length=4)
    with pytest.raises(ValueError, match="expected pose_values of every clip, received input_ids"):
        extractor.pad([{"input_ids": [1]}])


def test_the_library_s_padding_collator() -> None:
    from transformers import DataCollatorWithPadding

    extractor, clips = SigmaFeatureExtractor(), random_clips((5, 3))
    rows = [{**extractor(clip, return_tensors="np"), "label": row} for row, clip in enumerate(clips)]
    batch = DataCollatorWithPadding(extractor)(rows)
    assert torch.equal(batch["pose_values"], extractor(clips)["pose_values"])
    assert batch["labels"].tolist() == [0, 1] and batch["pose_attention_mask"].sum(dim=1).tolist() == [5, 3]


# --- what a file leaves out


def test_a_head_from_the_face_keeps_the_size_of_the_signer(warnings: list[str]) -> None:
    keypoints, scores = select_joints(random_clip(12))
    keypoints[:, :3], scores[:, :3] = keypoints[:, [68, 59, 51]], 0.9  # the head lies where the face has it
    scores[:, [68, 59, 51]] = 0.9
    whole = _values(SigmaFeatureExtractor()(PoseClip(keypoints, scores, "sigma_69")))
    scores[:, :3] = 0
    for _ in range(2):
        reduced = _values(SigmaFeatureExtractor()(PoseClip(keypoints, scores, "sigma_69")))
        assert np.abs(reduced - whole).max() <= 1e-6
    assert len(warnings) == 1 and "no nose and no ears" in warnings[0]


def test_hands_alone_are_told_the_truth_once(warnings: list[str]) -> None:
    extractor, clip = SigmaFeatureExtractor(), random_clip(5, "hands_42")
    for _ in range(2):
        assert not extractor(clip)["pose_values"].any()
    assert len(warnings) == 1
    for words in (
        "found left hand and right hand",
        "4 or more body points",
        "scale_reference='hands'",
        "fill_wrists=True",
    ):
        assert words in warnings[0]
    assert extractor.explain_unseen(clip) == warnings[0]
    nobody = PoseClip(np.zeros((5, 42, 2)), np.zeros((5, 42)), "hands_42")
    assert "somebody is seen, found no joints" in extractor.explain_unseen(nobody)


def test_a_head_alone_is_no_measure_of_a_signer() -> None:
    """Face and hands without a body: filling the body's head would scale the signer by the size of the head."""
    clip = random_clip(8)
    scores = clip.scores.copy()
    scores[:, :23] = 0
    extractor = SigmaFeatureExtractor()
    face_and_hands = replace(clip, scores=scores)
    assert not extractor(face_and_hands, return_tensors="np")["pose_values"].any()
    assert "takes the size of a signer from a body" in extractor.explain_unseen(face_and_hands)
