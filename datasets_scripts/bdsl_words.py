"""BdSL words: isolated signs of Bangla Sign Language, body, hands and face by MediaPipe Holistic.

The files are not part of this project, and state no license. One `.npz` per signer: `pose33, left_hand, right_hand,
face18` `(sum of lengths, n, 3)`, and `length, word, session, rep, grammar` for each clip. The body is centred between
the shoulders, in shoulder widths. Hands and face are **not** in the same place and unit: each hand is centred at its
wrist and about twice too large, the face is about two and a half times too small. [`BdslWords`] puts them where the
body has its wrists and its nose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets_scripts.reading.clip_archives import frames_of_clip, kept_until_changed, read_clip_arrays
from datasets_scripts.reading.clip_entry import ClipEntry
from datasets_scripts.reading.corpus_builder import CorpusBuilder, CorpusConfig
from datasets_scripts.reading.corpus_facts import CorpusFacts
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import LAYOUTS, PART_SLICES


SESSION_SPLITS = {"sess01": "train", "sess02": "test"}

_PARTS = {"pose33": 33, "left_hand": 21, "right_hand": 21, "face18": 18}
_LABELS = ("length", "word", "session", "rep", "grammar")
_BODY = LAYOUTS["mediapipe_holistic_543"].body
_NOSE = 0

# Points that both the body (its 33) and another part have: wrist, then knuckles of index and little finger.
_WRIST_OF_BODY = {"left": 15, "right": 16}
_KNUCKLES_OF_BODY = {"left": (19, 17), "right": (20, 18)}
_KNUCKLES_OF_HAND = (5, 17)
# Left ear, right ear, left and right corner of the mouth; in the body and in the 18 face points.
_HEAD_OF_BODY, _HEAD_OF_FACE, _NOSE_OF_FACE = (7, 8, 9, 10), (8, 0, 13, 9), 17


@dataclass
class BdslWordsConfig(CorpusConfig):
    """Options of [`BdslWords`], which explains `swap_hands`."""

    swap_hands: bool = True


class BdslWords(CorpusBuilder):
    """Isolated words of Bangla Sign Language; train is session 1 and test session 2 of each signer.

    What the files call the left hand is the signer's right hand: it has the shape of a right hand in 97 % of its
    frames, and it is found where the body's right wrist is raised while the left one rests. So the two are exchanged,
    unless `swap_hands=False`. The scale of hands and face is measured in each file, as the median over all frames, on
    points that the body has too.

    Args:
        config_name (`str`, *optional*, defaults to `"bdsl55"`):
            `"bdsl55"`.
        data_dir (`str`):
            The folder with `bdsl55_signer02.npz`; every `bdsl55_signer*.npz` in it is read.
        swap_hands (`bool`, *optional*, defaults to `True`):
            Whether to exchange the two hands; see above.
        **kwargs:
            See [`datasets_scripts.reading.corpus_builder.CorpusBuilder`].
    """

    FACTS = CorpusFacts(
        title="BdSL words",
        sign_language="Bangla Sign Language",
        spoken_language="Bangla",
        sign_language_code="",
        spoken_language_code="bn",
        tasks=("islr",),
        license="None stated: do not pass it on",
        homepage="the people who gave you the file",
        citation="",
        notes=(
            "MediaPipe Holistic, without visibility: every found joint has score 1. In shoulder widths; hands and "
            "face were put to the body's wrists and nose and scaled. Train and test have the same signer and words, "
            "recorded in two sessions. A word is signed neutrally, as a question, negated, happy or sad; its id says "
            "so."
        ),
    )
    FILES = ("bdsl55_signer*.npz",)
    BUILDER_CONFIG_CLASS = BdslWordsConfig
    BUILDER_CONFIGS = [BdslWordsConfig(name="bdsl55")]
    DEFAULT_CONFIG_NAME = "bdsl55"

    def available_splits(self) -> tuple[str, ...]:
        return ("train", "test")

    def list_clips(self, split: str) -> list[ClipEntry]:
        return [
            entry for path in self.find_files() for entry in _entries(path, _read_signer(path)) if entry.split == split
        ]

    def read_clip(self, entry: ClipEntry) -> PoseClip:
        name, _, index = entry.source.rpartition(":")
        signer = _read_signer(self.folder / name)
        frames = frames_of_clip(signer["length"], int(index))
        return _assemble(
            {part: signer[part][frames].astype(np.float64) for part in _PARTS},
            signer["scales"],
            self.config.swap_hands,
        )


def _entries(path: Path, signer: dict[str, np.ndarray]) -> Iterable[ClipEntry]:
    who = path.stem.rpartition("_")[2]
    for index, (word, session, rep, grammar) in enumerate(zip(*(signer[name] for name in _LABELS[1:]))):
        if session not in SESSION_SPLITS:
            raise ValueError(f"{path}: expected the sessions {', '.join(SESSION_SPLITS)}, received {str(session)!r}")
        sample_id = re.sub(r"\s+", "_", f"{who}_{session}_{word}_{grammar}_{rep}")
        yield ClipEntry(sample_id, SESSION_SPLITS[session], f"{path.name}:{index}", str(word), signer_id=who)


def _assemble(parts: dict[str, np.ndarray], scales: np.ndarray, swap_hands: bool) -> PoseClip:
    """The 69 joints in shoulder widths; score 1 where a part was found."""
    body = parts["pose33"]
    num_frames = len(body)
    keypoints, scores = np.zeros((num_frames, 69, 2)), np.zeros((num_frames, 69))
    hand_scale, face_scale = scales

    def put(part: str, points: np.ndarray, found: np.ndarray) -> None:
        keypoints[:, PART_SLICES[part]] = np.where(found[:, None, None], points, 0)
        scores[:, PART_SLICES[part]] = found[:, None]

    found_body = _found(body)
    put("body", body[:, _BODY, :2], found_body)
    for side in ("left", "right"):
        hand = parts[f"{_other(side) if swap_hands else side}_hand"]
        points = hand[..., :2] / hand_scale + body[:, [_WRIST_OF_BODY[side]], :2]
        put(f"{side}_hand", points, _found(hand) & found_body)
    face = parts["face18"][..., :2]
    face = (face - face[:, [_NOSE_OF_FACE]]) / face_scale + body[:, [_NOSE], :2]
    put("face", face, _found(parts["face18"]) & found_body)
    return PoseClip(keypoints, scores, "sigma_69", coordinates="pixels")  # shoulder widths, the same for x and y


def _scales(parts: dict[str, np.ndarray]) -> np.ndarray:
    """How much larger than the body hands and face are: medians over the frames of lengths in both."""
    body = parts["pose33"][..., :2].astype(np.float64)
    hand_ratios = []
    for side in ("left", "right"):
        hand = parts[f"{_other(side)}_hand"][..., :2].astype(np.float64)
        found = _found(hand)
        in_hand = hand[:, _KNUCKLES_OF_HAND] - hand[:, :1]
        in_body = body[:, _KNUCKLES_OF_BODY[side]] - body[:, [_WRIST_OF_BODY[side]]]
        hand_ratios.append((_length(in_hand) / np.maximum(_length(in_body), 1e-6))[found])
    face = parts["face18"][..., :2].astype(np.float64)
    in_face = face[:, _HEAD_OF_FACE] - face[:, [_NOSE_OF_FACE]]
    in_body = body[:, _HEAD_OF_BODY] - body[:, [_NOSE]]
    face_ratios = (_length(in_face) / np.maximum(_length(in_body), 1e-6))[_found(face)]
    return np.array(
        [np.median(ratios) if len(ratios) else 1.0 for ratios in (np.concatenate(hand_ratios), face_ratios)]
    )


def _found(part: np.ndarray) -> np.ndarray:
    """Frames `(T,)` in which a part `(T, n, 2 or 3)` is not all zeros."""
    return np.asarray(part.any(axis=(1, 2)))


def _length(vectors: np.ndarray) -> np.ndarray:
    """Root mean square length of each frame's vectors, `(T, n, 2)` -> `(T,)`."""
    return np.sqrt(np.square(vectors).sum(axis=2).mean(axis=1))


def _other(side: str) -> str:
    return "right" if side == "left" else "left"


@kept_until_changed
def _read_signer(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a signer's file and `scales`."""
    parts = {part: ("length", size, 3) for part, size in _PARTS.items()}
    arrays = read_clip_arrays(path, {**dict.fromkeys(_LABELS, ("clips",)), **parts})
    arrays["scales"] = _scales(arrays)
    return arrays
