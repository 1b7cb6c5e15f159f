"""One unit for x and y: what a clip's numbers are, what a model learnt, and that one clip gets one answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets_scripts.schema import decode_clip, encode_sample
from modeling_sigma import PoseClip, SigmaFeatureExtractor
from modeling_sigma.model import clip_units
from modeling_sigma.model.clip_units import unit_of
from tests.factories import random_clip


CLIP = replace(random_clip(12), coordinates="pixels")  # 640 x 480
SHARES = replace(CLIP, keypoints=CLIP.keypoints / np.array([640, 480]), coordinates="shares")
CHECKPOINT = Path(__file__).parents[1] / "checkpoints" / "sigma-wlasl-hands"


def _values(clip: PoseClip, learnt: float | None = 1.0, **call: object) -> np.ndarray:
    return SigmaFeatureExtractor(learnt_aspect_ratio=learnt)(clip, return_tensors="np", **call)["pose_values"]  # type: ignore[arg-type]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said; `warning_once` forgets what it has said before."""
    messages: list[str] = []
    clip_units.warn_once.cache_clear()
    monkeypatch.setattr(clip_units.logger, "warning", lambda message, *args, **kwargs: messages.append(message))
    return messages


# --- one clip, one answer


@pytest.mark.parametrize("learnt", [1.0, 4 / 3, 1.7])
@pytest.mark.parametrize(
    "clip",
    [
        SHARES,
        replace(SHARES, coordinates=None),
        replace(SHARES, width=None, height=None, aspect_ratio=4 / 3),
        replace(SHARES, width=1280, height=960, aspect_ratio=9.0),  # the size goes first
        replace(CLIP, coordinates=None),
        replace(CLIP, coordinates=None, width=None, height=None),
        replace(CLIP, keypoints=CLIP.keypoints * 0.4, width=256, height=192),
        replace(CLIP, keypoints=CLIP.keypoints / 480, width=None, height=None),
    ],
)
def test_the_unit_changes_nothing(clip: PoseClip, learnt: float) -> None:
    assert np.abs(_values(clip, learnt) - _values(CLIP, learnt)).max() <= 1e-6


def test_learnt_proportions_squeeze_x_alone() -> None:
    squeezed = replace(CLIP, keypoints=CLIP.keypoints / np.array([1.7, 1.0]))
    assert np.abs(_values(CLIP, 1.7) - _values(squeezed)).max() <= 1e-6
    assert np.abs(_values(CLIP, 1.7) - _values(CLIP)).max() > 0.01


def test_shares_of_the_learnt_proportions_are_read_as_they_are() -> None:
    raw = replace(SHARES, coordinates="pixels", width=None, height=None)
    assert (_values(SHARES, 640 / 480) == _values(raw)).all(), "to the last bit"


@pytest.mark.parametrize("learnt", [1.0, 1.7])
def test_image_reference_in_any_unit(learnt: float) -> None:
    extractor = SigmaFeatureExtractor(scale_reference="image", learnt_aspect_ratio=learnt)
    pixels, shares = (extractor(clip)["pose_values"] for clip in (CLIP, SHARES))
    assert (pixels - shares).abs().max() <= 1e-6


def test_the_call_states_what_a_clip_does_not() -> None:
    bare = replace(SHARES, coordinates=None, width=None, height=None)
    assert np.abs(_values(bare, coordinates="shares", aspect_ratio=4 / 3) - _values(CLIP)).max() <= 1e-6
    assert np.abs(_values(CLIP, coordinates="shares") - _values(CLIP)).max() == 0


def test_rows_keep_the_unit() -> None:
    for clip in (CLIP, SHARES, replace(SHARES, width=None, height=None, aspect_ratio=4 / 3)):
        row = encode_sample(clip, sample_id="1", sign_language="a", spoken_language="b", split="test")
        back = decode_clip(row)
        assert (back.coordinates, back.aspect_ratio) == (clip.coordinates, clip.aspect_ratio)
        assert np.abs(_values(back) - _values(CLIP)).max() <= 0.01
        assert row["keypoints_step"] == pytest.approx(1e-4 * (480 if clip is CLIP else 1))


# --- what is assumed is said, once


def test_stated_units_are_not_commented(told: list[str]) -> None:
    for clip in (CLIP, SHARES, replace(CLIP, coordinates=None), replace(CLIP, width=None, height=None)):
        _values(clip)
    _values(replace(CLIP, coordinates=None, width=None, height=None))  # up to 460: pixels, whatever the size
    assert told == []


def test_shares_of_an_unknown_image_are_told_once(told: list[str]) -> None:
    for seed in range(3):
        clip = random_clip(5, seed=seed)
        _values(PoseClip(clip.keypoints / np.array([640, 480]), clip.scores))
    assert len(told) == 1
    assert "shares of the image" in told[0] and "aspect_ratio=" in told[0] and "width=, height=" in told[0]


def test_shares_by_their_numbers_are_told_once(told: list[str]) -> None:
    for _ in range(2):
        _values(replace(SHARES, coordinates=None))
    assert len(told) == 1 and "taken as shares" in told[0] and "coordinates='shares'" in told[0]


def test_neither_pixels_nor_shares_is_told(told: list[str]) -> None:
    _values(PoseClip(CLIP.keypoints / 100, CLIP.scores))
    assert len(told) == 1 and "neither pixels nor shares" in told[0]


def test_nobody_is_no_unit(told: list[str]) -> None:
    _values(PoseClip(np.zeros((3, 133, 2)), np.zeros((3, 133))))
    assert told == []


def test_units_by_numbers() -> None:
    bare = {"coordinates": None, "width": None, "height": None}
    assert unit_of(replace(SHARES, **bare)) == "shares" and unit_of(replace(CLIP, **bare)) == "pixels"
    outside = SHARES.keypoints.copy()
    outside[3, :5] += 2  # a few guesses far outside of the image
    assert unit_of(replace(SHARES, keypoints=outside, **bare)) == "shares"
    assert unit_of(replace(SHARES, keypoints=SHARES.keypoints - 0.5, **bare)) == "pixels", "around the signer"


# --- what models say they have learnt


def test_models_saved_before_read_clips_as_they_did(tmp_path: Path, told: list[str]) -> None:
    SigmaFeatureExtractor(max_frames=6).save_pretrained(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    lines = [line for line in file.read_text().splitlines() if "learnt_" not in line and "box" not in line]
    file.write_text("\n".join(lines))
    old = SigmaFeatureExtractor.from_pretrained(tmp_path)
    assert old.learnt_aspect_ratio is None and old.box_before_sampling is False
    for clip in (CLIP, SHARES):
        chosen = replace(clip.frames(np.array([1, 3, 5, 7, 9, 11])), coordinates="pixels")
        assert (old(clip)["pose_values"].numpy() == _values(chosen)).all()
    assert len(told) == 1 and "learnt_aspect_ratio" in told[0]
    old.save_pretrained(tmp_path)
    assert SigmaFeatureExtractor.from_pretrained(tmp_path).learnt_aspect_ratio is None


def test_the_box_is_the_whole_clip_s() -> None:
    wide = CLIP.keypoints.copy()
    wide[0] *= 3  # a frame that is not among the chosen ones
    wide = replace(CLIP, keypoints=wide)
    whole = SigmaFeatureExtractor()(wide)["pose_values"][0, 1::2]
    assert torch.equal(SigmaFeatureExtractor(max_frames=6)(wide)["pose_values"][0], whole)
    as_before = SigmaFeatureExtractor(max_frames=6, box_before_sampling=False)(wide)["pose_values"][0]
    assert not torch.equal(as_before, whole)


def test_the_shipped_checkpoint_states_what_it_learnt() -> None:
    extractor = SigmaFeatureExtractor.from_pretrained(CHECKPOINT)
    assert (extractor.learnt_aspect_ratio, extractor.box_before_sampling, extractor.box) == (1.0, True, "extremes")
    assert extractor.assumed_aspect_ratio == 1.7, "that of the corpus that it learnt from"


@pytest.mark.parametrize(("learnt", "assumed", "taken"), [(1.0, 1.7, 1.7), (1.7, None, 1.7), (1.0, None, 1.0)])
def test_what_is_not_stated_is_assumed(learnt: float, assumed: float | None, taken: float, told: list[str]) -> None:
    bare = replace(SHARES, coordinates="shares", width=None, height=None)
    extractor = SigmaFeatureExtractor(learnt_aspect_ratio=learnt, assumed_aspect_ratio=assumed)
    stated = _values(replace(bare, aspect_ratio=taken), learnt)
    assert np.abs(extractor(bare, return_tensors="np")["pose_values"] - stated).max() <= 1e-6
    assert ("square" if taken == 1 else "1.7 times") in told[0]
    with pytest.raises(ValueError, match="expected assumed_aspect_ratio"):
        SigmaFeatureExtractor(assumed_aspect_ratio=0)


@pytest.mark.data
def test_the_shipped_checkpoint_answers_alike_in_every_unit(shared_data: Path) -> None:
    from benchmarks.coordinate_units import FORMS
    from datasets_scripts.wlasl_hands import load_wlasl_hands
    from modeling_sigma import SigmaForSequenceClassification

    model = SigmaForSequenceClassification.from_pretrained(CHECKPOINT).eval()
    extractor = SigmaFeatureExtractor.from_pretrained(CHECKPOINT)
    clips = [sample.clip for sample in load_wlasl_hands(shared_data / "wlasl_hands", "wlasl100", "validation")[:60]]
    answers = {}
    for name, form in FORMS.items():
        with torch.no_grad():
            answers[name] = model(**extractor([form(clip) for clip in clips])).logits.argmax(-1)
    expected = answers["shares, as the corpus states them"]
    for name, found in answers.items():
        assert (found == expected).float().mean() >= (0.85 if "16:9" in name else 1.0), name


def test_odd_units_are_told_although_the_size_is_known(told: list[str]) -> None:
    _values(replace(CLIP, keypoints=SHARES.keypoints * 2 - 1, coordinates=None))  # -1 to 1
    assert "neither pixels nor shares" in told.pop() and not told


def test_shares_among_pixels_are_told(told: list[str]) -> None:
    mixed = CLIP.keypoints.copy()
    mixed[:3] = SHARES.keypoints[:3]
    _values(replace(CLIP, keypoints=mixed, coordinates=None))
    assert "some in shares of the image and others in pixels" in told.pop() and not told
