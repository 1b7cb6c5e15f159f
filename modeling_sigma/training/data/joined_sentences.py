"""More training sentences, joined from pieces of those that a corpus has: for recognition of glosses in small corpora.

Sentences of a small corpus repeat one another, and a recording of an alphabet is always in alphabetical order: a model
learns the order instead of the signs. Joined in a random order, the same signs leave it nothing but the signs to read.

Not here: changes to a single clip (`model/pose_augmentation.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np

from datasets_scripts.schema import decode_clip, encode_sample
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import select_joints
from modeling_sigma.model.skeleton_layouts import PART_SLICES


# In how many frames a signer moves from one piece to the next: drawn from 1 to 5, beside what is cut with a piece.
_TRANSITION = (1, 6)
_MIDDLE_KNUCKLE = 9  # joint of a hand


@dataclass(frozen=True)
class _Signed:
    """A recording of some signs.

    Args:
        row (`dict`): Its row in the corpus.
        keypoints, scores (`np.ndarray` of shape `(T, 69, 2)` and `(T, 69)`): The joints.
        glosses (`tuple[str, ...]`): What is signed.
        spans (`tuple[tuple[int, int], ...]`): First frame of each gloss, and the frame after its last.
        palm (`float`): Median length from wrist to middle knuckle; 0 if no hand was seen.
        centre (`np.ndarray` of shape `(2,)`): Where the wrists are on average.
    """

    row: dict[str, Any]
    keypoints: np.ndarray
    scores: np.ndarray
    glosses: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    palm: float
    centre: np.ndarray

    def cut(self, first: int, stop: int) -> tuple[int, int]:
        """The frames of the signs from `first` to before `stop`, with half of the way from and to their neighbours."""
        before = self.spans[first - 1][1] if first else self.spans[0][0]
        after = self.spans[stop][0] if stop < len(self.spans) else self.spans[-1][1]
        return (before + self.spans[first][0]) // 2, -(-(self.spans[stop - 1][1] + after) // 2)

    def keypoints_like(self, other: _Signed) -> np.ndarray:
        """The joints as large and where they would be in another recording of this signer: cameras differ. Without
        hands nobody knows how large they are there, and they stay."""
        if not (self.palm and other.palm) or other is self:
            return self.keypoints
        return (self.keypoints - self.centre) * (other.palm / self.palm) + other.centre


def join_sentences(
    rows: datasets.Dataset, number: int, longest_piece: int = 4, longest_sentence: int | None = None, seed: int = 0
) -> datasets.Dataset:
    """Makes sentences out of others: pieces of one to `longest_piece` neighbouring signs in a random order.

    All pieces of a sentence are of one signer, with hands of one size, and where two of them meet, the joints move on
    a straight line for some frames. How many signs a sentence has is drawn from the sentences that there are, or from
    1 to 8 if there are none.

    Args:
        rows (`datasets.Dataset`):
            Clips with columns `gloss`, `gloss_start` and `gloss_end`, or single signs with a `text` alone, which are
            pieces of one sign.
        number (`int`):
            How many sentences to make.
        longest_piece (`int`, *optional*, defaults to 4):
            The most neighbouring signs that stay together.
        longest_sentence (`int`, *optional*):
            The most signs of a sentence; by default those of the longest one in `rows`.
        seed (`int`, *optional*, defaults to 0):
            The seed of all choices.

    Returns:
        `datasets.Dataset`: the new sentences, with the same columns.

    Raises:
        ValueError: for clips whose signs have no times, or numbers below 1.
    """
    if min(number, longest_piece, 1 if longest_sentence is None else longest_sentence) < 1:
        raise ValueError(f"expected numbers of at least 1, received {number}, {longest_piece} and {longest_sentence}")
    by_signer: dict[Any, list[_Signed]] = defaultdict(list)
    for row in rows:
        by_signer[row["signer_id"]].append(_read(row))
    rng = np.random.default_rng([seed, number])
    signers = [recordings for _, recordings in sorted(by_signer.items(), key=lambda item: str(item[0]))]
    weights = np.array([sum(len(one.glosses) for one in recordings) for recordings in signers], float)
    lengths = np.array([len(one.glosses) for recordings in signers for one in recordings if one.row["gloss"]])
    if not len(lengths):  # single signs alone: there is no sentence to take the length from
        lengths = np.arange(1, 1 + (longest_sentence or 8))
    if longest_sentence is not None:
        lengths = np.minimum(lengths, longest_sentence)
    made = []
    for place in range(number):
        recordings = signers[rng.choice(len(signers), p=weights / weights.sum())]
        made.append(_join(recordings, int(rng.choice(lengths)), longest_piece, rng, f"joined{place:05d}"))
    return datasets.Dataset.from_list(made, features=rows.features)


def _read(row: dict[str, Any]) -> _Signed:
    clip = decode_clip(row)
    keypoints, scores = select_joints(clip)
    glosses = tuple(row["gloss"])
    spans = tuple(zip(row.get("gloss_start") or [], row.get("gloss_end") or []))
    if not glosses and row["text"].strip():
        glosses, spans = (row["text"],), ((0, len(clip)),)
    if not glosses or len(spans) != len(glosses):
        raise ValueError(
            f"sample {row['sample_id']}: expected a first and a last frame for each of its {len(glosses)} glosses "
            "(columns gloss_start and gloss_end), it has none: joined sentences need a corpus with times, such as "
            "boston104"
        )
    return _Signed(row, keypoints, scores, glosses, spans, *_palm_and_centre(keypoints, scores))


def _palm_and_centre(keypoints: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    starts = [PART_SLICES[hand].start for hand in ("left_hand", "right_hand")]
    wrists, knuckles = keypoints[:, starts], keypoints[:, [start + _MIDDLE_KNUCKLE for start in starts]]  # (T, 2, 2)
    seen = (scores[:, starts] > 0) & (scores[:, [start + _MIDDLE_KNUCKLE for start in starts]] > 0)
    if not seen.any():
        return 0.0, np.zeros(2)
    return float(np.median(np.linalg.norm(knuckles - wrists, axis=2)[seen])), wrists[seen].mean(axis=0)


def _join(
    recordings: Sequence[_Signed], num_signs: int, longest_piece: int, rng: np.random.Generator, name: str
) -> dict[str, Any]:
    parts: list[tuple[np.ndarray, np.ndarray]] = []  # keypoints and scores
    glosses: list[str] = []
    spans: list[tuple[int, int]] = []
    model: _Signed | None = None  # the recording in whose place and size all others are put
    while len(glosses) < num_signs:
        source = recordings[int(rng.integers(len(recordings)))]
        count = int(rng.integers(1, 1 + min(longest_piece, len(source.glosses), num_signs - len(glosses))))
        first = int(rng.integers(len(source.glosses) - count + 1))
        start, stop = source.cut(first, first + count)
        model = model or source
        piece = source.keypoints_like(model)[start:stop], source.scores[start:stop]
        if parts:
            parts.append(_transition(parts[-1], piece, int(rng.integers(*_TRANSITION))))
        move = sum(len(keypoints) for keypoints, _ in parts) - start
        for begin, end in source.spans[first : first + count]:
            spans.append((max(begin, start) + move, min(end, stop) + move))
        glosses += source.glosses[first : first + count]
        parts.append(piece)
    assert model is not None, "a sentence has a sign"
    row = model.row
    keypoints, scores = (np.concatenate(values) for values in zip(*parts))
    clip = PoseClip(
        keypoints, scores, "sigma_69", row["fps"], row["width"], row["height"], row["coordinates"], row["aspect_ratio"]
    )
    known = {key: row[key] for key in ("sign_language", "spoken_language", "signer_id", "split")}
    made = encode_sample(clip, sample_id=name, gloss=glosses, **known)
    return {**made, "gloss_start": [begin for begin, _ in spans], "gloss_end": [end for _, end in spans]}


def _transition(
    before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """So many frames between two pieces; a joint that was not seen at both ends is not seen between them."""
    (one, score), (other, next_score) = ((values[-1] for values in before), (values[0] for values in after))
    shares = (np.arange(1, count + 1) / (count + 1))[:, None, None]
    scores = np.where((score > 0) & (next_score > 0), np.minimum(score, next_score), 0.0)[None].repeat(count, axis=0)
    return (one + (other - one) * shares) * (scores > 0)[..., None], scores
