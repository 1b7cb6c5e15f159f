"""The synthetic sign language: reproducible, anatomically plausible, grammatical, and learnable by its parameters."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from datasets_scripts.synthetic import NUM_SIGNERS, SyntheticSample, SyntheticSigns
from datasets_scripts.synthetic_language.body import ELBOWS, SHOULDERS, WRISTS, hand_points, pose_body, rotations
from datasets_scripts.synthetic_language.grammar import (
    CATEGORIES,
    MAX_SIGNS,
    MIN_SIGNS,
    SPLITS,
    SyntheticGrammar,
    _compose,
    _Meaning,
)
from datasets_scripts.synthetic_language.signing import SigningPlan, SyntheticSigner, sign
from datasets_scripts.synthetic_language.vocabulary import HAND_CHANNELS, HANDSHAPES, ORIENTATIONS, PARAMETERS
from modeling_sigma.model.pose_transforms import normalize_joints, select_joints


NUM_SENTENCES = 90
GLOSS_ORDER = ("time", "place", "person", "object", "property", "verb", "negation")
# The hand's wrist and the body's wrist: left, right.
WRIST_PAIRS = ((91, 9), (112, 10))


@pytest.fixture(scope="module")
def language() -> SyntheticSigns:
    return SyntheticSigns()


@pytest.fixture(scope="module")
def sentences(language: SyntheticSigns) -> list[SyntheticSample]:
    return list(language.generate_sentences(NUM_SENTENCES, split="train"))


@pytest.fixture(scope="module")
def signs(language: SyntheticSigns) -> list[SyntheticSample]:
    return list(language.generate_isolated(2 * language.num_signs, split="test"))


def assert_same(first: SyntheticSample, second: SyntheticSample) -> None:
    assert np.array_equal(first.clip.keypoints, second.clip.keypoints)
    assert np.array_equal(first.clip.scores, second.clip.scores)
    for name in ("sample_id", "text", "gloss", "sign_spans", "text_alignment", "signer_id", "split", "fps", "width"):
        assert getattr(first, name) == getattr(second, name)


def perfect(signer: SyntheticSigner, **changes: object) -> SyntheticSigner:
    """A signer without habits, filmed from straight ahead by a camera and a detector without faults."""
    changes = {"jitter": 0.0, "drop_rate": 0.0, "tilt": 0.0, "speed": 1.0, "amplitude": 1.0} | changes
    return replace(signer, location_habits=np.zeros_like(signer.location_habits), **changes)


# --- reproducibility


def test_equal_seeds_give_equal_arrays(sentences: list[SyntheticSample]) -> None:
    again = SyntheticSigns()
    for first, second in zip(sentences[:6], again.generate_sentences(6), strict=True):
        assert_same(first, second)


def test_a_sample_does_not_depend_on_how_many_are_drawn(
    language: SyntheticSigns, sentences: list[SyntheticSample], signs: list[SyntheticSample]
) -> None:
    *_, last = language.generate_sentences(4)
    assert_same(last, sentences[3])
    assert_same(language.sentence(77), sentences[77])
    assert_same(language.isolated(50, split="test"), signs[50])


@pytest.mark.parametrize("change", [{"seed": 1}, {"split": "validation"}, {"split": "test"}])
def test_other_seeds_and_splits_give_other_clips(language: SyntheticSigns, change: dict) -> None:
    other, first = language.sentence(0, **change), language.sentence(0)
    assert other.sample_id != first.sample_id
    assert other.clip.keypoints.shape != first.clip.keypoints.shape or not np.array_equal(
        other.clip.keypoints, first.clip.keypoints
    )


def test_another_language_has_other_signs(language: SyntheticSigns) -> None:
    other = SyntheticSigns(seed=1)
    assert sum(language.forms[gloss] != other.forms[gloss] for gloss in language.glosses) > 40


def test_bad_arguments_are_refused_at_once(language: SyntheticSigns) -> None:
    with pytest.raises(ValueError, match="expected split to be one of train, validation, test, received 'dev'"):
        language.generate_sentences(3, split="dev")
    with pytest.raises(ValueError, match="expected a seed of 0 or more, received -1"):
        language.generate_isolated(3, seed=-1)
    with pytest.raises(ValueError, match="expected num_signs from 24 to 64, received 12"):
        SyntheticSigns(num_signs=12)


# --- signers and splits


def split_signers(language: SyntheticSigns, split: str) -> tuple[SyntheticSigner, ...]:
    return language.signers(NUM_SIGNERS[split], seed=SPLITS.index(split))


def test_signers_of_the_splits_are_disjoint(language: SyntheticSigns) -> None:
    names = {split: {signer.signer_id for signer in split_signers(language, split)} for split in SPLITS}
    assert [len(names[split]) for split in SPLITS] == [20, 4, 6]
    assert len(set.union(*names.values())) == 30
    for split in SPLITS:
        assert {sample.signer_id for sample in language.generate_isolated(30, split=split)} <= names[split]


def test_signers_are_reproducible_and_differ(language: SyntheticSigns) -> None:
    first, second = language.signers(3, seed=9), language.signers(5, seed=9)
    assert [signer.signer_id for signer in first] == [signer.signer_id for signer in second[:3]]
    assert all(np.array_equal(a.location_habits, b.location_habits) for a, b in zip(first, second, strict=False))
    assert len({(signer.arm_scale, signer.speed, signer.tilt) for signer in second}) == 5
    for split in ("train", "validation", "test"):
        assert {signer.is_left_handed for signer in split_signers(language, split)} == {True, False}


def test_no_sentence_is_in_two_splits(language: SyntheticSigns, sentences: list[SyntheticSample]) -> None:
    rng = np.random.default_rng(0)
    drawn = {split: {language.grammar.draw(split, rng).text for _ in range(800)} for split in SPLITS}
    assert not drawn["train"] & drawn["test"] and not drawn["train"] & drawn["validation"]
    assert not drawn["validation"] & drawn["test"]
    assert len(drawn["train"]) > 650  # a large space
    assert {language.grammar.split_of(sample.text) for sample in sentences} == {"train"}


def test_a_sentence_of_training_by_people_whom_training_does_not_know(language: SyntheticSigns) -> None:
    known = [language.sentence(index) for index in range(12)]
    others = [language.sentence(index, signers="test") for index in range(12)]
    names = {signer.signer_id for signer in language.signers(6, seed=2)}
    assert [one.text for one in known] == [other.text for other in others]
    assert {other.signer_id for other in others} <= names and not {one.signer_id for one in known} & names
    assert {one.sample_id for one in known}.isdisjoint(other.sample_id for other in others)


def test_number_of_sentences() -> None:
    grammar = SyntheticGrammar(0, MIN_SIGNS)
    words = {name: [word for word in grammar.words if word.category == name] for name in CATEGORIES}
    predicates = [*itertools.product(words["action"], words["object"], [None, *words["property"]], [True, False])]
    predicates += [(verb, None, None, False) for verb in words["activity"]]
    settings = itertools.product([None, *words["time"]], [None, *words["place"]], words["person"], [True, False])
    sentences = [
        _compose(_Meaning(time, place, person, *predicate, is_negated, is_question))
        for time, place, person, is_negated in settings
        for predicate in predicates
        for is_question in (True, False)
    ]
    assert len({sentence.text for sentence in sentences}) == len(sentences)  # a text says it all
    assert sum(len(sentence.gloss) >= 3 for sentence in sentences) == grammar.num_sentences
    assert SyntheticGrammar(0, 48).num_sentences > 1_000_000


# --- grammar


def test_glosses_are_in_signed_order(language: SyntheticSigns, sentences: list[SyntheticSample]) -> None:
    category = {word.gloss: word.category for word in language.grammar.words}
    category = {gloss: "verb" if name in ("action", "activity") else name for gloss, name in category.items()}
    for sample in sentences:
        order = [GLOSS_ORDER.index(category[gloss]) for gloss in sample.gloss]
        assert order == sorted(set(order))
        assert 3 <= len(sample.gloss) <= 7


def test_text_has_another_order_than_gloss(sentences: list[SyntheticSample]) -> None:
    aligned = [[number for number in sample.text_alignment if number is not None] for sample in sentences]
    assert np.mean([numbers != sorted(numbers) for numbers in aligned]) > 0.8
    assert 5.0 < np.mean([len(sample.text.split()) for sample in sentences]) < 6.8


def test_every_word_is_aligned_with_its_gloss(language: SyntheticSigns, sentences: list[SyntheticSample]) -> None:
    words = {word.gloss: word for word in language.grammar.words}
    for sample in sentences:
        tokens = sample.text.split()
        assert len(sample.text_alignment) == len(tokens)
        assert {number for number in sample.text_alignment if number is not None} == set(range(len(sample.gloss)))
        for token, number in zip(tokens, sample.text_alignment, strict=True):
            if number is None:
                assert token in {"a", "an", "the", "at", "in", "my", "do", "does"}
            else:
                word = words[sample.gloss[number]]
                forms = {form.split("_")[-1] for form in word.forms}
                assert token in forms or (word.category == "time" and token in {"will", "did"})


def test_inflection(sentences: list[SyntheticSample]) -> None:
    past = {"bought", "found", "saw", "sold", "drew", "lost", "wanted", "cleaned", "painted", "liked", "brought"}
    for sample in sentences:
        tokens = set(sample.text.split())
        assert ("not" in tokens) == ("NOT" in sample.gloss)
        assert not tokens & past or "YESTERDAY" in sample.gloss
        assert ("will" in tokens) == bool({"TOMORROW", "SOON"} & set(sample.gloss))
        assert ("did" in tokens) <= ("YESTERDAY" in sample.gloss)
    assert any(sample.text.split()[0] in {"do", "does", "did", "will"} for sample in sentences)  # questions


# --- signs


@pytest.mark.parametrize("num_signs", [MIN_SIGNS, 48, MAX_SIGNS])
def test_minimal_pairs_differ_in_one_parameter(num_signs: int) -> None:
    language = SyntheticSigns(seed=3, num_signs=num_signs)
    assert tuple(language.minimal_pairs) == PARAMETERS and len(set(language.forms.values())) == num_signs
    categories = {word.gloss: word.category for word in language.grammar.words}
    for parameter, pairs in language.minimal_pairs.items():
        assert pairs
        for first, second in pairs:
            assert language.forms[first].difference(language.forms[second]) == (parameter,)
            assert categories[first] == categories[second]


def test_minimal_pairs_move_differently(language: SyntheticSigns) -> None:
    tables = dict(zip(language.glosses, language.vocabulary.motion_tables(language.glosses)[:-1], strict=True))

    def body(gloss: str) -> np.ndarray:
        table = tables[gloss]
        hands = table[:, : 2 * HAND_CHANNELS].reshape(-1, 2, HAND_CHANNELS)
        still = np.zeros((len(table), 3))
        return pose_body(hands, table[:, 2 * HAND_CHANNELS :], still, still[:, 0])

    hands, lips = np.r_[91:133], np.r_[83:91]
    for parameter, pairs in language.minimal_pairs.items():
        for first, second in pairs:
            distance = np.linalg.norm((body(first) - body(second))[..., :2], axis=-1).max(axis=0)  # (133,)
            seen, unseen = (lips, hands) if parameter == "mouthing" else (hands, lips)
            # Several times the detector's error, in shoulder widths.
            assert distance[seen].max() > (0.02 if parameter == "mouthing" else 0.1), (parameter, first, second)
            assert distance[unseen].max() == 0.0


def test_isolated_signs_are_balanced(language: SyntheticSigns, signs: list[SyntheticSample]) -> None:
    for block in (signs[: language.num_signs], signs[language.num_signs :]):
        assert sorted(sample.gloss[0] for sample in block) == sorted(language.glosses)
    assert all(sample.text == language.english[sample.gloss[0]] for sample in signs)
    assert len({sample.text for sample in signs}) == language.num_signs
    assert all(sample.text_alignment == [0] for sample in signs)


# --- time


def test_spans_are_in_order_inside_the_clip(sentences: list[SyntheticSample], signs: list[SyntheticSample]) -> None:
    for sample in [*sentences, *signs]:
        assert len(sample.sign_spans) == len(sample.gloss)
        edges = np.array(sample.sign_spans)
        assert (edges[:, 1] - edges[:, 0] >= 5).all()
        assert edges[0, 0] > 0 and edges[-1, 1] < len(sample.clip)  # rest at both ends
        assert (edges[1:, 0] - edges[:-1, 1] >= 2).all()  # transitions in between


def test_lengths(sentences: list[SyntheticSample], signs: list[SyntheticSample]) -> None:
    assert 50 < np.mean([len(sample.clip) for sample in sentences]) < 80
    assert 16 < np.mean([len(sample.clip) for sample in signs]) < 28
    assert max(len(sample.clip) for sample in signs) <= 45


def test_motion_is_smooth_and_hands_rest_at_both_ends(language: SyntheticSigns) -> None:
    signer = perfect(split_signers(language, "train")[0])
    plan = SigningPlan(signs=(1, 7, 20), rest_seconds=0.4)
    keypoints, scores, spans = sign(plan, language._tables, language._durations, signer, np.random.default_rng(0))
    shoulder_width = signer.shoulder_width * signer.height
    wrists = keypoints[:, [10, 9]] / shoulder_width
    steps = np.linalg.norm(np.diff(wrists, axis=0), axis=-1)
    assert steps.max() < 0.6 and (scores > 0.3)[:, :11].all()
    belly = keypoints[:, 5:7].mean(axis=1)[:, None] / shoulder_width + [0.0, 0.6]
    assert (wrists[[0, -1], :, 1] > belly[[0, -1], :, 1]).all()
    first, stop = spans[0]
    assert wrists[first:stop, 0, 1].min() < wrists[0, 0, 1]


def test_plural_is_signed_twice(language: SyntheticSigns) -> None:
    signer = perfect(split_signers(language, "train")[0])
    number = next(k for k, gloss in enumerate(language.glosses) if language.forms[gloss].movement == "down")
    lengths, reversals = [], []
    for repeated in ((), (0,)):
        plan = SigningPlan(signs=(number,), repeated=repeated)
        keypoints, _, (span,) = sign(plan, language._tables, language._durations, signer, np.random.default_rng(5))
        wrist = 9 if signer.is_left_handed else 10
        height = keypoints[slice(*span), wrist, 1]
        lengths.append(len(height))
        reversals.append(int((np.diff(np.sign(np.diff(height)[1:-1])) != 0).sum()))
    assert lengths[1] > 1.4 * lengths[0]
    assert reversals[0] == 0 and reversals[1] == 2  # down; down, up, down


def test_question_and_negation_move_the_head(language: SyntheticSigns) -> None:
    signer = perfect(split_signers(language, "train")[0])

    def head(**marks: object) -> tuple[np.ndarray, np.ndarray]:
        plan = SigningPlan(signs=(3, 13, 7), **marks)
        keypoints, _, _ = sign(plan, language._tables, language._durations, signer, np.random.default_rng(2))
        ears = (keypoints[:, 3] - keypoints[:, 4]) / (signer.shoulder_width * signer.height)
        nose = (keypoints[:, 0, 0] - keypoints[:, 3:5, 0].mean(axis=1)) / (signer.shoulder_width * signer.height)
        return np.abs(ears[:, 1]), np.abs(nose)

    plain, question, negation = head(), head(is_question=True), head(shaken=(1, 3))
    assert np.median(question[0]) > 3 * np.median(plain[0])  # aside
    assert negation[1].max() > 3 * plain[1].max()  # from side to side


# --- bodies


def test_clips_are_complete(sentences: list[SyntheticSample], signs: list[SyntheticSample]) -> None:
    for sample in [*sentences, *signs]:
        clip = sample.clip
        assert clip.keypoints.shape == (len(clip), 133, 2) and clip.layout == "coco_wholebody_133"
        assert clip.keypoints.dtype == clip.scores.dtype == np.float32
        assert np.isfinite(clip.keypoints).all() and clip.scores.min() >= 0 and clip.scores.max() <= 1
        assert (sample.fps, sample.width, sample.height) == (clip.fps, clip.width, clip.height)
        assert 15 <= clip.fps <= 25
        assert (sample.sign_language, sample.spoken_language) == ("synthetic", "English")
        found = clip.keypoints[clip.scores > 0.3]
        inside = ((found >= 0) & (found <= [clip.width, clip.height])).all(axis=-1)
        assert inside.mean() > 0.98


def test_hands_are_on_their_arms(sentences: list[SyntheticSample]) -> None:
    for sample in sentences:
        keypoints, found = sample.clip.keypoints, sample.clip.scores > 0.3
        shoulder_width = np.median(np.linalg.norm(keypoints[:, 5] - keypoints[:, 6], axis=-1))
        for hand, body in WRIST_PAIRS:
            gap = np.linalg.norm(keypoints[:, hand] - keypoints[:, body], axis=-1)[found[:, hand] & found[:, body]]
            assert np.median(gap) < 0.06 * shoulder_width and gap.max() < 0.15 * shoulder_width


def test_signer_is_upright_and_faces_the_camera(sentences: list[SyntheticSample]) -> None:
    for sample in sentences:
        x, y = np.median(sample.clip.keypoints, axis=0).T
        assert x[5] > x[6] and x[3] > x[4] and x[11] > x[12]  # the signer's left is on the right
        assert y[1] < y[0] < y[5] < y[11] <= y[13] <= y[15]
        assert x[23] < x[31] < x[39] and y[31] > y[86] > y[53]  # jaw from right to left ear, chin, lip, nose


def test_arms_keep_their_length() -> None:
    rng = np.random.default_rng(0)
    hands = rng.normal(0.0, 0.8, (50, 2, HAND_CHANNELS))
    body = pose_body(hands, np.zeros((50, 2)), np.zeros((50, 3)), np.zeros(50), arm_scale=1.1)
    for bone, length in ((SHOULDERS, ELBOWS), 0.88), ((ELBOWS, WRISTS), 0.77):
        start, stop = body[:, bone[0]], body[:, bone[1]]
        np.testing.assert_allclose(np.linalg.norm(start - stop, axis=-1), length, atol=1e-9)


def test_turns_are_rotations_and_fingers_keep_their_length() -> None:
    rng = np.random.default_rng(0)
    turns = rng.normal(0.0, 2.0, (40, 3))
    matrices = rotations(turns)
    np.testing.assert_allclose(
        matrices @ matrices.swapaxes(-1, -2), np.broadcast_to(np.eye(3), (40, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1.0)
    shapes = np.array(list(HANDSHAPES.values()))
    bones = []
    for turn in turns[:3]:
        points = hand_points(shapes, np.broadcast_to(turn, (len(shapes), 3)))
        assert points.shape == (len(shapes), 21, 3) and not points[:, 0].any()
        bones.append(np.linalg.norm(np.diff(points, axis=1), axis=-1)[:, [1, 2, 3, 5, 6, 7, 9, 10, 11, 17, 18, 19]])
    np.testing.assert_allclose(np.concatenate(bones), np.broadcast_to(bones[0][0], (3 * len(shapes), 12)), rtol=1e-6)


def test_orientations_turn_palm_and_fingers() -> None:
    flat = np.array(HANDSHAPES["flat"])
    hands = {name: hand_points(flat, np.radians(turn)) for name, turn in ORIENTATIONS.items()}
    index, little, middle_tip = 5, 17, 12
    assert hands["out"][middle_tip, 1] < -0.8 and hands["down"][middle_tip, 1] > 0.7  # up, down
    assert hands["across"][middle_tip, 0] > 0.8 and hands["forward"][middle_tip, 2] > 0.7
    # A right hand shows its palm: thumb and index are towards the body's middle, on the right of the picture.
    assert hands["out"][index, 0] > hands["out"][little, 0] and hands["in"][index, 0] < hands["in"][little, 0]


def test_left_handed_signers_mirror(language: SyntheticSigns) -> None:
    right = perfect(split_signers(language, "train")[0], is_left_handed=False)
    left = replace(right, is_left_handed=True)
    plan = SigningPlan(signs=(3, 17))
    clips = [
        sign(plan, language._tables, language._durations, signer, np.random.default_rng(1))[0]
        for signer in (right, left)
    ]
    middle = [keypoints[:, 5:7].mean(axis=1, keepdims=True) for keypoints in clips]
    hands = [keypoints - center for keypoints, center in zip(clips, middle, strict=True)]
    for here, there in ((slice(91, 112), slice(112, 133)), ([7, 9], [8, 10])):
        np.testing.assert_allclose(hands[0][:, here] * [-1, 1], hands[1][:, there], atol=2e-3)
        np.testing.assert_allclose(hands[0][:, there] * [-1, 1], hands[1][:, here], atol=2e-3)
    np.testing.assert_allclose(hands[0][:, 23:91], hands[1][:, 23:91], atol=2e-3)


# --- the detector


def test_hands_are_dropped_in_runs(sentences: list[SyntheticSample]) -> None:
    runs, frames = [], 0
    for sample in sentences:
        for hand in (slice(91, 112), slice(112, 133)):
            lost = (sample.clip.scores[:, hand] < 0.13).all(axis=1)
            frames += len(lost)
            edges = np.flatnonzero(np.diff(np.r_[False, lost, False].astype(int)))
            runs += list(edges[1::2] - edges[0::2])
    assert 0.005 < sum(runs) / frames < 0.1
    assert np.mean(runs) > 2 and max(runs) <= 20


def test_legs_out_of_the_picture_have_low_scores(sentences: list[SyntheticSample]) -> None:
    for sample in sentences:
        below = sample.clip.keypoints[..., 1] > sample.clip.height
        assert (sample.clip.scores[below & (np.arange(133) < 23)] < 0.3).mean() > 0.9
    feet = np.concatenate([sample.clip.scores[:, 17:23].ravel() for sample in sentences])
    assert feet.mean() < 0.4


# --- learning


def test_unseen_signers_can_be_read(language: SyntheticSigns) -> None:
    """Ridge regression on 12 frames of each clip: far above chance (2 %), and not perfect."""

    def features(split: str, number: int) -> tuple[np.ndarray, np.ndarray]:
        rows, labels = [], []
        for sample in language.generate_isolated(number, split=split):
            values = normalize_joints(*select_joints(sample.clip))[..., :2]
            values *= np.repeat([1.0, 2.0, 5.0], [9, 42, 18])[:, None]
            rows.append(values[np.linspace(0, len(values) - 1, 12).round().astype(int)].ravel())
            labels.append(language.glosses.index(sample.gloss[0]))
        return np.array(rows, np.float64), np.array(labels)

    (train, train_labels), (test, test_labels) = features("train", 480), features("test", 144)
    mean, scale = train.mean(axis=0), train.std()
    train, test = (train - mean) / scale, (test - mean) / scale
    weights = np.linalg.solve(train @ train.T + 300 * np.eye(len(train)), np.eye(language.num_signs)[train_labels])
    accuracy = float(((test @ train.T @ weights).argmax(axis=1) == test_labels).mean())
    assert 0.5 < accuracy < 1.0
