"""Words that one person signs differently are found by the joints; words that all sign alike are not."""

from pathlib import Path

import numpy as np
import pytest
from test_audit_dataset import row

from datasets_scripts.auditing.audit import audit_dataset
from datasets_scripts.auditing.sign_agreement import _warped_distances, signed_word, words_signed_differently
from modeling_sigma.model.pose_clip import PoseClip


WORDS = [f"word{number}" for number in range(24)]


def sign(number: int, repetition: int, size: float = 1.0) -> PoseClip:
    """A sign: a path and a handshape of its own, a little different each time."""
    rng = np.random.default_rng(number)
    path = np.cumsum(rng.normal(0, 10, (40, 2, 1, 2)), axis=0)
    shape = rng.uniform(-40, 40, (2, 21, 2))
    noise = np.random.default_rng([number, repetition]).normal(0, 1, (40, 2, 21, 2))
    hands = 300 + size * (shape + path + noise)
    keypoints = np.full((40, 133, 2), 200.0)
    keypoints[:, 91:] = hands.reshape(40, 42, 2)
    return PoseClip(keypoints, np.ones((40, 133)), fps=25, width=640, height=480)


def signs_of_three(other_sign: int = 3) -> list[tuple[str, str, PoseClip]]:
    """Word, signer and clip; Cy has a sign of his own for one word."""
    found = []
    for place, signer in enumerate(("Ada", "Ben", "Cy")):
        for number, word in enumerate(WORDS):
            for repetition in range(2):
                motion = 100 if signer == "Cy" and number == other_sign else number
                found.append((word, signer, sign(motion, 10 * place + repetition, 1 + 0.3 * place)))
    return found


def test_a_sign_of_ones_own_is_found_and_nothing_else() -> None:
    words = [signed_word(clip, word, signer) for word, signer, clip in signs_of_three()]
    found = words_signed_differently([word for word in words if word is not None])
    assert [(example["signer"], example["word"]) for example in found] == [("Cy", "word3")]
    assert found[0]["own"] == "100%" and found[0]["words"] == 24
    assert min(found[0]["rank by shapes"], found[0]["rank by motion"]) > 10
    alike = [signed_word(clip, word, signer) for word, signer, clip in signs_of_three(other_sign=-1)]
    assert words_signed_differently([word for word in alike if word is not None]) == []


def test_warping_by_hand() -> None:
    slow = np.array([[0.0], [0.0], [1.0], [3.0]])
    fast = np.array([[0.0], [1.0], [3.0], [3.0]])
    other = np.array([[1.0], [1.0], [1.0], [1.0]])
    distances = _warped_distances([slow, fast, other])
    assert distances[0, 1] == 0  # the same path in another tempo
    assert distances[0, 2] == distances[2, 0] == 4  # twice 1 away at 0, and 2 away at 3


def test_the_audit_says_so() -> None:
    rows = {"train": [], "test": []}
    for number, (word, signer, clip) in enumerate(signs_of_three()):
        split = "test" if signer == "Cy" else "train"
        rows[split].append(row(number, split, clip, text=word, gloss=(), signer_id=signer))
    check = audit_dataset(rows, task="islr")["checks"]["signed_differently"]
    assert check["num_findings"] == 1 and check["examples"][0]["word"] == "word3" and "labels" in check["advice"]
    rows["test"] = []
    for one in rows["train"]:
        one["signer_id"] = None
    assert audit_dataset(rows, task="islr")["checks"]["signed_differently"]["num_findings"] is None


@pytest.mark.data
def test_letters_of_nepali_are_signed_alike(shared_data: Path, tmp_path: Path) -> None:
    from datasets_scripts.nsl_alphabet import NslAlphabet

    corpus = NslAlphabet(config_name="letters", data_dir=shared_data / "nsl_alphabet", cache_dir=tmp_path)
    entries = [entry for split in ("train", "test") for entry in corpus.list_clips(split)]
    chosen = [entry for entry in entries if entry.signer_id in ("1", "3") and "ropped" not in entry.sample_id]
    words = [signed_word(corpus.read_clip(entry), entry.text, str(entry.signer_id)) for entry in chosen]
    assert words_signed_differently([word for word in words if word is not None]) == []
