"""Do two people sign a word in the same way? The joints answer, before a model is blamed for what it cannot know.

For each person and word: are the person's own clips of the word nearest to each other (one sign, well recorded), and
which rank has the word when these clips are compared with those of all other people? If the own clips agree and the
rank is poor in two measures of distance, this person may use another sign for the word, or its label may be wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets_scripts.auditing.near_duplicates import motion_signature
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import normalize_joints, select_joints
from modeling_sigma.model.skeleton_layouts import PART_SLICES


# A rank above this in both measures is poor; own clips agree if at least this share of them is nearest to another one.
POOR_RANK = 10
OWN_SHARE = 0.7

_NUM_FRAMES = 16
_JOINTS = [*range(PART_SLICES["left_hand"].start, PART_SLICES["right_hand"].stop)]


@dataclass(frozen=True)
class SignedWord:
    """A clip of one word by a known person.

    Args:
        word, signer (`str`):
            What is signed, and by whom.
        shapes (`np.ndarray` of shape `(16, D)`):
            Joints of the hands relative to their wrists, and the paths of the wrists.
        motion (`np.ndarray` of shape `(384,)`):
            [`motion_signature`].
    """

    word: str
    signer: str
    shapes: np.ndarray
    motion: np.ndarray


def signed_word(clip: PoseClip, word: str, signer: str) -> SignedWord | None:
    """The features by which a clip is compared; None if no hand moves."""
    motion = motion_signature(clip)
    if motion is None:
        return None
    values = normalize_joints(*select_joints(clip), scale_reference="hands", fill_wrists=True)
    hands = values[:, _JOINTS]
    frames = np.flatnonzero((hands[..., 2] > 0).any(axis=1))
    moments = frames[np.linspace(0, len(frames) - 1, _NUM_FRAMES).round().astype(int)]
    shapes = hands[moments, :, :2].reshape(_NUM_FRAMES, -1)
    # The size of a hand depends on its distance from the camera: scale it to unit size over the clip.
    return SignedWord(word, signer, shapes / max(float(np.sqrt(np.square(shapes).mean())), 1e-9), motion)


def words_signed_differently(clips: Sequence[SignedWord]) -> list[dict[str, Any]]:
    """Words that a person may sign differently from all others, the poorest rank first.

    Returns:
        `list[dict]`: `signer`, `word`, `own` (share of the person's clips of the word whose nearest other clip of the
        same person is that word), `rank by shapes` and `rank by motion` (median rank of the word among the words of
        all others; 1 is best), `words` (how many there are to rank).
    """
    measures = (_warped_distances([clip.shapes for clip in clips]), _distances([clip.motion for clip in clips]))
    found = []
    for signer, word, rows in _words_of_signers(clips):
        own = [max(_finds_own(distances, clips, row) for distances in measures) for row in rows]
        ranks = [[_rank_among_others(distances, clips, row) for row in rows] for distances in measures]
        if None in ranks[0]:
            continue  # nobody else signs this word
        by_shapes, by_motion = (float(np.median(np.array(values, float))) for values in ranks)
        if np.mean(own) >= OWN_SHARE and min(by_shapes, by_motion) > POOR_RANK:
            others = {clip.word for clip in clips if clip.signer != signer}
            found.append(
                {
                    "signer": signer,
                    "word": word,
                    "own": f"{np.mean(own):.0%}",
                    "rank by shapes": by_shapes,
                    "rank by motion": by_motion,
                    "words": len(others),
                }
            )
    return sorted(found, key=lambda example: -min(example["rank by shapes"], example["rank by motion"]))


def _words_of_signers(clips: Sequence[SignedWord]) -> Iterator[tuple[str, str, list[int]]]:
    """People and words with at least two clips, so that own clips can be compared."""
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, clip in enumerate(clips):
        rows[clip.signer, clip.word].append(row)
    for (signer, word), found in sorted(rows.items()):
        if len(found) > 1:
            yield signer, word, found


def _finds_own(distances: np.ndarray, clips: Sequence[SignedWord], row: int) -> bool:
    own = [other for other, clip in enumerate(clips) if clip.signer == clips[row].signer and other != row]
    return clips[min(own, key=lambda other: distances[row, other])].word == clips[row].word


def _rank_among_others(distances: np.ndarray, clips: Sequence[SignedWord], row: int) -> int | None:
    nearest: dict[str, float] = {}
    for other, clip in enumerate(clips):
        if clip.signer != clips[row].signer:
            nearest[clip.word] = min(nearest.get(clip.word, np.inf), float(distances[row, other]))
    word = clips[row].word
    return None if word not in nearest else 1 + sum(value < nearest[word] for value in nearest.values())


def _distances(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """Euclidean, `(N, D)` -> `(N, N)`."""
    points = np.stack(vectors).astype(np.float64)
    squares = np.square(points).sum(axis=1)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0))


def _warped_distances(sequences: Sequence[np.ndarray]) -> np.ndarray:
    """Dynamic time warping over Euclidean distances of frames, `(N, T, D)` -> `(N, N)`."""
    frames = np.stack(sequences).astype(np.float32)  # (N, T, D)
    num_clips, length, _ = frames.shape
    squares = np.square(frames).sum(axis=2)  # (N, T)
    result = np.zeros((num_clips, num_clips))
    for row in range(num_clips):
        products = frames @ frames[row].T  # (N, T, T): of all clips' frames with this clip's
        costs = np.sqrt(np.maximum(squares[:, :, None] + squares[row] - 2 * products, 0))
        best = np.full((num_clips, length + 1, length + 1), np.inf)
        best[:, 0, 0] = 0
        for one in range(length):
            for other in range(length):
                before = np.minimum(np.minimum(best[:, one, other + 1], best[:, one + 1, other]), best[:, one, other])
                best[:, one + 1, other + 1] = costs[:, one, other] + before
        result[row] = best[:, length, length]
    return result
