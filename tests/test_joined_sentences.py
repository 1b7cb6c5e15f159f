"""Sentences joined from pieces of others: what is signed when, and that nothing else gets in."""

import datasets
import numpy as np
import pytest

from datasets_scripts.schema import decode_clip, encode_sample, features
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import PART_SLICES
from modeling_sigma.training.arguments import DataArguments
from modeling_sigma.training.data.corpus_splits import with_joined_sentences
from modeling_sigma.training.data.joined_sentences import join_sentences


RIGHT = PART_SLICES["right_hand"]
TIMES = datasets.List(datasets.Value("int32"))
FEATURES = datasets.Features({**features(), "gloss_start": TIMES, "gloss_end": TIMES})
NUMBER = {"A": 10, "B": 20, "C": 30, "D": 40}  # where the wrist is while a gloss is signed


def sentence(name: str, signer: str, glosses: list[str]) -> dict:
    """Four frames of rest at 0, then four frames for each gloss with two frames between them, at 5."""
    places, spans = [0.0] * 4, []
    for place, gloss in enumerate(glosses):
        places += [5.0] * 2 if place else []
        spans.append((len(places), len(places) + 4))
        places += [NUMBER[gloss] + (0 if signer == "Ada" else 100)] * 4
    keypoints, scores = np.zeros((len(places), 69, 2)), np.zeros((len(places), 69))
    keypoints[:, 8, 0], keypoints[:, 8, 1], scores[:, 8] = places, 50, 1
    clip = PoseClip(keypoints, scores, "sigma_69", 25.0, 300, 200)
    row = encode_sample(
        clip, sample_id=name, gloss=glosses, signer_id=signer, split="train", sign_language="x", spoken_language="y"
    )
    return {**row, "gloss_start": [start for start, _ in spans], "gloss_end": [end for _, end in spans]}


def corpus(*more: dict) -> datasets.Dataset:
    rows = [
        sentence("1", "Ada", ["A", "B", "C"]),
        sentence("2", "Ada", ["D", "A"]),
        sentence("3", "Ben", ["B", "C", "A", "D"]),
    ]
    return datasets.Dataset.from_list([*rows, *more], features=FEATURES)


def wrist(row: dict) -> np.ndarray:
    return decode_clip(row).keypoints[:, 8, 0]


def test_each_gloss_is_signed_when_the_times_say_so() -> None:
    joined = join_sentences(corpus(), 50, longest_piece=2)
    assert len(joined) == 50 and joined.features == FEATURES and len(set(joined["sample_id"])) == 50
    for row in joined:
        offset = 0 if row["signer_id"] == "Ada" else 100
        assert 2 <= len(row["gloss"]) <= 4 and row["width"] == 300 and row["fps"] == 25
        for gloss, start, end in zip(row["gloss"], row["gloss_start"], row["gloss_end"], strict=True):
            np.testing.assert_allclose(wrist(row)[start:end], NUMBER[gloss] + offset, atol=0.02)
            assert end - start == 4
        starts = row["gloss_start"]
        gaps = [after - before - 4 for before, after in zip(starts, starts[1:])]
        assert all(1 <= gap <= 7 for gap in gaps), "half of the way at either side, and a transition"


def test_the_order_is_not_that_of_the_corpus() -> None:
    pairs = {tuple(row["gloss"][:2]) for row in join_sentences(corpus(), 200, longest_piece=1)}
    assert {("A", "A"), ("B", "A"), ("C", "B")} <= pairs


def test_neighbours_stay_together_as_they_were_signed() -> None:
    row = join_sentences(corpus().select([2]), 40, longest_piece=4)
    whole = [one for one in row if one["gloss"] == ["B", "C", "A", "D"] and one["num_frames"] == 22]
    assert whole, "a piece of all four signs is the sentence itself, without its rest"
    np.testing.assert_allclose(wrist(whole[0]), wrist(corpus()[2])[4:], atol=0.02)


def test_single_signs_are_pieces_and_not_sentences() -> None:
    single = sentence("4", "Ada", ["A"])
    single.update(text="E", gloss=[], gloss_start=[], gloss_end=[])
    arguments = DataArguments(task="cslr", joined_sentences=60)
    rows = with_joined_sentences(corpus(single), arguments)
    assert len(rows) == 63 and all(rows["gloss"]) and any("E" in gloss for gloss in rows["gloss"])
    arguments = DataArguments(task="cslr", joined_sentences=5, joined_alone=True)
    assert len(with_joined_sentences(corpus(), arguments)) == 5
    alone = join_sentences(corpus(single).select([3]), 30)
    assert {len(gloss) for gloss in alone["gloss"]} == set(range(1, 9))


def test_hands_of_two_cameras_become_equally_large() -> None:
    near, far = sentence("1", "Ada", ["A", "B"]), sentence("2", "Ada", ["C", "D"])
    for row, size in ((near, 40.0), (far, 10.0)):
        clip = decode_clip(row)
        keypoints, scores = clip.keypoints.copy(), clip.scores.copy()
        keypoints[:, RIGHT] = keypoints[:, 8:9] + size * np.linspace(0, 1, 21)[:, None] * (0.0, 1.0)
        scores[:, RIGHT] = 1
        changed = encode_sample(
            PoseClip(keypoints, scores, "sigma_69", 25.0, 300, 200), sample_id="x", split="train", sign_language="x",
            spoken_language="y",
        )  # fmt: skip
        row.update({key: changed[key] for key in ("keypoints", "scores", "keypoints_step", "x_offset", "y_offset")})
    joined = join_sentences(datasets.Dataset.from_list([near, far], features=FEATURES), 20, longest_piece=1)
    for row in joined:
        hands = decode_clip(row).keypoints[:, RIGHT]
        length = np.linalg.norm(hands[:, -1] - hands[:, 0], axis=1)
        assert np.ptp(length) < 0.1 and (abs(length[0] - 40) < 0.1 or abs(length[0] - 10) < 0.1)


def test_the_seed_decides() -> None:
    one, again, other = (join_sentences(corpus(), 10, seed=seed)["gloss"][:] for seed in (0, 0, 1))
    assert one == again != other


def test_mistakes_are_named() -> None:
    untimed = sentence("4", "Ada", ["A"])
    untimed.update(gloss_start=[], gloss_end=[])
    with pytest.raises(ValueError, match="sample 4: expected a first and a last frame"):
        join_sentences(corpus(untimed), 5)
    with pytest.raises(ValueError, match="at least 1"):
        join_sentences(corpus(), 0)
    with pytest.raises(ValueError, match="joined_alone"):
        DataArguments(task="cslr", joined_alone=True)
    with pytest.raises(ValueError, match="for the task cslr, received them for slt"):
        DataArguments(joined_sentences=3)
