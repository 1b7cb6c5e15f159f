"""NSL alphabet: letters of Nepali Sign Language, one by one and as whole alphabets with the frames of each letter.

The files are not part of this project (research use, doi 10.1016/j.dib.2024.110080): body (33 points) and hands (21)
by MediaPipe, no face. All coordinates are shares of the picture. A hand is stored relative to its wrist and in units
of its palm, with wrist and palm in `*_meta`. In a frame with a body, everything is relative to the middle between the
shoulders; else to the picture's corner, or to its middle where a body was looked for and not found (all zeros, moved
by one half). [`NslAlphabet`] puts all of that back into one place: pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets_scripts.reading.clip_archives import kept_until_changed, read_clip_arrays
from datasets_scripts.reading.corpus_builder import ClipEntry, CorpusConfig
from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.timed_glosses import TimedClipEntry, TimedCorpusBuilder
from datasets_scripts.schema import SPLITS
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import LAYOUTS, NUM_JOINTS, PART_SLICES


SIGNERS = (1, 2, 3, 4)  # those of the file that everybody has

_HANDS = ("left", "right")
_BODY = LAYOUTS["mediapipe_holistic_543"].body
_SHOULDERS = [11, 12]
# Real shoulders are 1.8 to 12 palms apart; in pictures of nothing but a hand, what is taken for a body has its
# shoulders 0.02 to 1.4 palms apart in 98 % of the frames.
_LEAST_PALMS_BETWEEN_SHOULDERS = 1.5
_OF_CLIPS = ("length", "kind", "label", "signer", "recording", "start", "end", "fps", "width", "height")
_OF_PARTS = {"pose": (33, 4), "left_hand": (21, 3), "right_hand": (21, 3), "left_meta": (4,), "right_meta": (4,)}


@dataclass
class NslAlphabetConfig(CorpusConfig):
    """Who signs in which split: numbers of signers, such as `"1,2,3"`.

    Args:
        train_signers (`str`, *optional*, defaults to `"1,2,3"`):
            Numbers of the signers to train on.
        validation_signers (`str`, *optional*, defaults to nobody):
            Numbers of the signers to choose a model by.
        test_signers (`str`, *optional*):
            Numbers of the signers to test on; by default, everybody else in the folder.
    """

    train_signers: str = "1,2,3"
    validation_signers: str = ""
    test_signers: str | None = None


def _configs(kind: str, signers: tuple[int, ...]) -> list[NslAlphabetConfig]:
    configs = [NslAlphabetConfig(name=kind)]
    for signer in signers:
        others = ",".join(str(other) for other in SIGNERS if other != signer)
        configs.append(NslAlphabetConfig(name=f"{kind}_test{signer}", train_signers=others, test_signers=str(signer)))
    return [*configs, NslAlphabetConfig(name=f"{kind}_new_signers", train_signers="1,2,3,4")]


class NslAlphabet(TimedCorpusBuilder):
    """Letters of Nepali Sign Language; nobody signs in two splits.

    In `letters` a clip is one of 49 letters, which is its `text`. In `continuous` it is a whole alphabet of vowels or
    consonants: `gloss` has its letters and `gloss_start`, `gloss_end` their frames; what lies between two letters is
    the transition. They are always in alphabetical order, so a model may learn the order instead of the letters.

    In pictures of nothing but a hand, the detector finds a body in some frames and none in others, and the origin
    changes with it. There, the origin is taken from the hand, which is in the same place before and after such a
    change.

    Args:
        config_name (`str`, *optional*, defaults to `"letters"`):
            `"letters"` and `"continuous"`: train is signers 1 to 3, test is everybody else in the folder.
            `"letters_test1"` to `"letters_test4"`, `"continuous_test3"`, `"continuous_test4"`: test is that signer,
            train is the others of the first four. `"letters_new_signers"`, `"continuous_new_signers"`: train is
            signers 1 to 4, test is everybody else, from files of your own.
        data_dir (`str`):
            The folder with `nsl23_signers_1-4.npz`; every `nsl23_*.npz` in it is read.
        train_signers, validation_signers, test_signers (`str`, *optional*):
            See [`NslAlphabetConfig`].
        **kwargs:
            See [`datasets_scripts.reading.corpus_builder.CorpusBuilder`].
    """

    FACTS = CorpusFacts(
        title="NSL alphabet",
        sign_language="Nepali Sign Language",
        spoken_language="Nepali",
        sign_language_code="nsp",
        spoken_language_code="ne",
        tasks=("islr", "cslr"),
        license="research use; license not checked",
        homepage="https://doi.org/10.1016/j.dib.2024.110080",
        citation="",
        notes=(
            "MediaPipe: body with its visibility, hands with score 1 where found, no face. Pixels: x and y were "
            "shares of the picture, and are multiplied by its width and height. Where a body was found, its place in "
            "the picture is not known: the middle between the shoulders is put into the picture's middle. Many clips "
            "are close-ups without a body (use scale_reference='hands' and fill_wrists=True). Of signer 1 and 2 each "
            "recording is there twice, the second time cropped. Letters are romanised (KA, T_SHA)."
        ),
    )
    FILES = ("nsl23_*.npz",)
    BUILDER_CONFIG_CLASS = NslAlphabetConfig
    BUILDER_CONFIGS = [*_configs("letters", SIGNERS), *_configs("continuous", (3, 4))]
    DEFAULT_CONFIG_NAME = "letters"

    def available_splits(self) -> tuple[str, ...]:
        return tuple(split for split in SPLITS if self.list_clips(split))

    def list_clips(self, split: str) -> list[ClipEntry]:
        list_entries = _letters if self.config.name.startswith("letters") else _recordings
        return [
            entry
            for path in self.find_files()
            for signer, entry in list_entries(path, _read_file(path), split)
            if self._split_of(signer) == split
        ]

    def read_clip(self, entry: ClipEntry) -> PoseClip:
        name, start, stop = entry.source.rsplit(":", 2)
        return _assemble(_read_file(self.folder / name), int(start), int(stop))

    def _split_of(self, signer: int) -> str | None:
        config = self.config
        chosen = {
            "train": _numbers(config.train_signers),
            "validation": _numbers(config.validation_signers),
            "test": None if config.test_signers is None else _numbers(config.test_signers),
        }
        splits = [split for split, signers in chosen.items() if signers is not None and signer in signers]
        if len(splits) > 1:
            raise ValueError(f"expected every signer in one split, received {signer} in {' and '.join(splits)}")
        return splits[0] if splits else ("test" if chosen["test"] is None else None)


def _letters(path: Path, arrays: dict[str, np.ndarray], split: str) -> Iterator[tuple[int, ClipEntry]]:
    stops = np.cumsum(arrays["length"])
    for index in np.flatnonzero(arrays["kind"] == "sign"):
        signer, letter = int(arrays["signer"][index]), str(arrays["classes"][arrays["label"][index]])
        yield (
            signer,
            TimedClipEntry(
                f"{_recording_id(arrays, int(index))}_{letter}",
                split,
                f"{path.name}:{stops[index] - arrays['length'][index]}:{stops[index]}",
                letter,
                signer_id=str(signer),
            ),
        )


def _recordings(path: Path, arrays: dict[str, np.ndarray], split: str) -> Iterator[tuple[int, ClipEntry]]:
    """The recordings of whole alphabets: those whose segments have times."""
    stops = np.cumsum(arrays["length"])
    starts = stops - arrays["length"]
    for recording in np.unique(arrays["recording"][arrays["start"] >= 0]):
        rows = np.flatnonzero(arrays["recording"] == recording)
        times = np.stack([arrays["start"][rows], arrays["end"][rows] + 1], axis=1)
        if (np.diff(rows) != 1).any() or (times[1:, 0] != times[:-1, 1]).any():
            raise ValueError(f"{path}: expected the segments of {arrays['recordings'][recording]} without gaps")
        letters = rows[arrays["kind"][rows] == "sign"]
        signer, first = int(arrays["signer"][rows[0]]), starts[rows[0]]
        yield (
            signer,
            TimedClipEntry(
                _recording_id(arrays, int(rows[0])),
                split,
                f"{path.name}:{first}:{stops[rows[-1]]}",
                gloss=tuple(str(letter) for letter in arrays["classes"][arrays["label"][letters]]),
                signer_id=str(signer),
                gloss_spans=tuple((int(starts[row] - first), int(stops[row] - first)) for row in letters),
            ),
        )


def _recording_id(arrays: dict[str, np.ndarray], index: int) -> str:
    name = str(arrays["recordings"][arrays["recording"][index]]).rsplit("/", 1)[-1]
    return re.sub(r"\s+", "_", f"signer{arrays['signer'][index]}_{name}")


def _assemble(arrays: dict[str, np.ndarray], start: int, stop: int) -> PoseClip:
    """The 69 joints of these frames in pixels."""
    index = int(np.searchsorted(np.cumsum(arrays["length"]), start, side="right"))
    width, height = int(arrays["width"][index]), int(arrays["height"][index])
    part = {name: _frames(arrays, name, start, stop) for name in _OF_PARTS}
    body, wrists = part["pose"], np.stack([part[f"{hand}_meta"] for hand in _HANDS], axis=1)  # (T, 33, 4), (T, 2, 4)
    has_body: np.ndarray = np.asarray((body[:, _SHOULDERS, 3] > 0).any(axis=1))
    looked_for = np.isfinite(body[:, 0, 0])
    origin = _origins(
        np.where((looked_for & ~has_body)[:, None, None], wrists[..., :2] + 0.5, wrists[..., :2]), has_body
    )
    origin[looked_for & ~has_body] = 0.5
    size = np.array([width, height])
    keypoints, scores = np.zeros((stop - start, NUM_JOINTS, 2)), np.zeros((stop - start, NUM_JOINTS))

    def put(name: str, shares: np.ndarray, certainty: np.ndarray) -> None:
        joints = PART_SLICES[name]
        keypoints[:, joints] = np.where(certainty[..., None] > 0, (shares + origin[:, None]) * size, 0)
        scores[:, joints] = np.where(certainty > 0, certainty, 0)

    is_person = has_body & _has_wide_shoulders(body, wrists, size)
    put("body", body[:, _BODY, :2], np.where(is_person[:, None], body[:, _BODY, 3], 0))
    for place, hand in enumerate(_HANDS):
        points = part[f"{hand}_hand"][..., :2] * wrists[:, place, None, 3:] + wrists[:, place, None, :2]
        put(f"{hand}_hand", points, np.isfinite(points).all(axis=2).astype(np.float64))
    return PoseClip(keypoints, scores, "sigma_69", float(arrays["fps"][index]), width, height)


def _frames(arrays: dict[str, np.ndarray], name: str, start: int, stop: int) -> np.ndarray:
    """A part's values `(T, ...)`, float64, NaN where it was not found."""
    present, before = arrays[f"{name.split('_')[0]}_present"], arrays[f"{name.split('_')[0]}_before"]
    values = np.full((stop - start, *_OF_PARTS[name]), np.nan)
    values[present[start:stop]] = arrays[name][before[start] : before[stop]]
    return values


def _origins(wrists: np.ndarray, has_body: np.ndarray) -> np.ndarray:
    """Where the origin of each frame is in the picture, in shares: `(T, 2)`.

    Args:
        wrists (`np.ndarray` of shape `(T, 2, 2)`):
            Left and right: relative to the shoulders in frames with a body, in the picture elsewhere; NaN: not found.
        has_body (`np.ndarray` of shape `(T,)`):
            Whether a frame is relative to the shoulders.
    """
    origins = np.zeros((len(wrists), 2))
    moves = np.diff(wrists, axis=0)
    moves = np.where(has_body[:-1, None, None], moves, -moves)  # from the shoulders' frame to the picture's
    changes = np.flatnonzero((has_body[:-1] != has_body[1:]) & np.isfinite(moves).any(axis=(1, 2)))
    frames = np.flatnonzero(has_body)
    origins[frames] = 0.5
    if len(changes):
        seen = np.nanmean(moves[changes], axis=1)  # (changes, 2)
        for axis in (0, 1):
            origins[frames, axis] = np.interp(frames, changes + 0.5, seen[:, axis])
    return origins


def _has_wide_shoulders(body: np.ndarray, wrists: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Frames `(T,)` whose body is not one that was found in a picture of a hand."""
    shoulders = np.linalg.norm((body[:, 11, :2] - body[:, 12, :2]) * size, axis=1)
    palm = np.nan_to_num(wrists[..., 3]).max(axis=1) * size[1]
    return np.asarray(shoulders > _LEAST_PALMS_BETWEEN_SHOULDERS * palm)


def _numbers(text: str) -> set[int]:
    """`"1,2,3"` as numbers.

    Raises:
        ValueError: if it is something else.
    """
    names = [name.strip() for name in str(text).split(",") if name.strip()]
    if not all(name.isdigit() for name in names):
        raise ValueError(f"expected numbers of signers such as '1,2,3', received {text!r}")
    return {int(name) for name in names}


@kept_until_changed
def _read_file(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file and, for each part, in how many frames before each frame it is present (`*_before`)."""
    names = ("pose_present", "left_present", "right_present")
    arrays = read_clip_arrays(
        path,
        {
            **dict.fromkeys(_OF_CLIPS, ("clips",)),
            **dict.fromkeys(("classes", "recordings")),
            **dict.fromkeys(names, ("length",)),
            **{name: (f"{name.split('_')[0]}_present", *shape) for name, shape in _OF_PARTS.items()},
        },
    )
    for name in names:
        arrays[name.replace("present", "before")] = np.concatenate([[0], np.cumsum(arrays[name])])
    return arrays
