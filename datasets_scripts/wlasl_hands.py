"""WLASL-hands: real clips of American Sign Language, hands only, with the official WLASL labels and splits.

The file is not part of this project; its terms are WLASL's C-UDA (academic computational use). It holds what MediaPipe
Hands found: up to two hands per frame, in order of detection, **without** saying which is the left one;
`modeling_sigma.io.hand_tracking` finds that out. There is no body and no face.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datasets_scripts.reading.clip_archives import frames_of_clip, kept_until_changed, read_clip_arrays
from datasets_scripts.reading.clip_entry import ClipEntry
from datasets_scripts.reading.corpus_builder import CorpusBuilder, CorpusConfig
from datasets_scripts.schema import SPLITS
from datasets_scripts.wlasl import Wlasl
from modeling_sigma.io.hand_tracking import track_hands
from modeling_sigma.io.text_files import read_lines
from modeling_sigma.model.pose_clip import PoseClip


FILE_NAME = "wlasl2000_hands_f16.npz"
CLASS_LIST_NAME = "wlasl_class_list.txt"
FPS = 29.97
LAYOUT = "hands_42"
# Width over height of the images, which the file does not state. It was measured from palms: their width over length
# must not depend on the direction that they point in.
ASPECT_RATIO = 1.7
SUBSETS = ("wlasl100", "wlasl300", "wlasl1000", "wlasl2000")

_FILE_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_SHAPES = {
    "xyz": ("present", 21, 3),
    "present": ("length", 2),
    **dict.fromkeys(("length", "video_id", "subset", "label", "in_100", "in_300", "in_1000"), ("clips",)),
}


@dataclass(frozen=True, eq=False)
class WlaslHandsSample:
    """One clip of one sign.

    Args:
        clip ([`PoseClip`]):
            Keypoints `(T, 42, 2)`, left hand first, layout `hands_42`, 29.97 fps. x and y are shares of the image's
            width and height; the images are about 1.7 times as wide as high. Scores are 1.0 where a hand was found and
            0.0 where not.
        label (`int`):
            The official class number; the numbers below 100 are WLASL100's, and so on.
        word (`str`):
            The English word of the class.
        subset (`str`):
            `"wlasl100"`, `"wlasl300"`, `"wlasl1000"` or `"wlasl2000"`, as asked for.
        split (`str`):
            `"train"`, `"validation"` or `"test"`.
        video_id (`str`):
            WLASL's number of the video.
    """

    clip: PoseClip
    label: int
    word: str
    subset: str
    split: str
    video_id: str


def load_wlasl_hands(data_dir: str | Path, subset: str = "wlasl100", split: str = "train") -> list[WlaslHandsSample]:
    """The clips of one split, in the order of the file, without the frames before the first and after the last hand.

    Args:
        data_dir (`str` or `Path`):
            The folder with `wlasl2000_hands_f16.npz` and `wlasl_class_list.txt`.
        subset (`str`, *optional*, defaults to `"wlasl100"`):
            `"wlasl100"`, `"wlasl300"`, `"wlasl1000"` or `"wlasl2000"`: so many classes.
        split (`str`, *optional*, defaults to `"train"`):
            `"train"`, `"validation"` or `"test"`: the official ones. About half of the official clips are missing.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: for an unknown subset or split, or a file of other content.
    """
    if subset not in SUBSETS:
        raise ValueError(f"expected subset to be one of {SUBSETS}, received {subset!r}")
    if split not in SPLITS:
        raise ValueError(f"expected split to be one of {SPLITS}, received {split!r}")
    archive = _archive_in(Path(data_dir))
    return [
        WlaslHandsSample(
            archive.clip(index),
            archive.label(index),
            archive.word(index),
            subset,
            split,
            archive.video_id(index),
        )
        for index in archive.select(subset, split)
    ]


def load_class_list(data_dir: str | Path) -> dict[int, str]:
    """The English word of each class number.

    Raises:
        FileNotFoundError: if `wlasl_class_list.txt` is missing.
        ValueError: if a line is not a number, a tab and a word.
    """
    path = _find(Path(data_dir), CLASS_LIST_NAME)
    words = {}
    for line in read_lines(path, "class numbers and words"):
        number, tab, word = line.partition("\t")
        if not tab or not number.strip().isdigit():
            raise ValueError(f"{path}: expected lines of a number, a tab and a word, received {line!r}")
        words[int(number)] = word.strip()
    return words


def hands_to_clip(hands: np.ndarray) -> PoseClip:
    """Tracked hands as a clip.

    Args:
        hands (`np.ndarray` of shape `(T, 2, 21, 3)`):
            Left, then right hand; x, y (shares of the image) and z, which is left out. NaN where not found.
    """
    hands = np.asarray(hands, np.float32)
    found: np.ndarray = np.asarray(np.isfinite(hands).all(axis=(2, 3)))  # (T, 2)
    keypoints = np.where(found[..., None, None], hands[..., :2], np.float32(0))
    scores = np.repeat(found, hands.shape[2], axis=1).astype(np.float32)
    return PoseClip(
        keypoints.reshape(len(hands), -1, 2), scores, LAYOUT, FPS, coordinates="shares", aspect_ratio=ASPECT_RATIO
    )


@dataclass
class WlaslHandsConfig(CorpusConfig):
    """`trim` leaves out the frames before the first and after the last seen hand."""

    trim: bool = True


class WlaslHands(CorpusBuilder):
    """WLASL with 100, 300, 1000 or 2000 words, hands only, from those of its videos that were still online.

    Args:
        config_name (`str`, *optional*, defaults to `"wlasl2000"`):
            `"wlasl100"`, `"wlasl300"`, `"wlasl1000"` or `"wlasl2000"`.
        data_dir (`str`):
            The folder with `wlasl2000_hands_f16.npz` and `wlasl_class_list.txt`.
        trim (`bool`, *optional*, defaults to `True`):
            Whether to leave out the frames before the first and after the last seen hand. A clip without hands keeps
            all frames.
        **kwargs:
            See [`datasets_scripts.reading.corpus_builder.CorpusBuilder`].
    """

    FACTS = replace(
        Wlasl.FACTS,
        title="WLASL-hands",
        license="C-UDA 1.0 (WLASL's): academic and computational use only, no commercial use",
        sizes={
            "wlasl100": {"train": 748, "validation": 165, "test": 100},
            "wlasl300": {"train": 1897, "validation": 446, "test": 317},
            "wlasl1000": {"train": 5001, "validation": 1290, "test": 941},
            "wlasl2000": {"train": 8313, "validation": 2253, "test": 1414},
        },
        notes=(
            "MediaPipe Hands, no body and no face: use scale_reference='hands' and fill_wrists=True. Left and right "
            "were found by tracking. About half of the official clips are missing, so no published WLASL result is "
            "comparable. Coordinates are shares of the image, about 1.7 times as wide as high."
        ),
    )
    FILES = (FILE_NAME, CLASS_LIST_NAME)
    BUILDER_CONFIG_CLASS = WlaslHandsConfig
    BUILDER_CONFIGS = [WlaslHandsConfig(name=subset) for subset in SUBSETS]
    DEFAULT_CONFIG_NAME = "wlasl2000"

    def available_splits(self) -> tuple[str, ...]:
        return SPLITS

    def list_clips(self, split: str) -> list[ClipEntry]:
        archive = _archive_in(self.folder)
        return [
            ClipEntry(archive.video_id(index), split, str(index), archive.word(index))
            for index in archive.select(self.config.name, split)
        ]

    def read_clip(self, entry: ClipEntry) -> PoseClip:
        return _archive_in(self.folder).clip(int(entry.source), self.config.trim)


class _Archive:
    """The arrays of the file (about 110 MB) and the words of its labels."""

    def __init__(self, columns: dict[str, np.ndarray], words: dict[int, str]) -> None:
        self._columns, self._words = columns, words
        self._hands = np.concatenate([[0], np.cumsum(columns["present"].sum(axis=1))])

    def select(self, subset: str, split: str) -> list[int]:
        chosen = self._columns["subset"] == _FILE_SPLITS[split]
        if subset != "wlasl2000":
            chosen &= self._columns[f"in_{subset.removeprefix('wlasl')}"]
        return [int(index) for index in np.flatnonzero(chosen)]

    def detections(self, index: int) -> np.ndarray:
        """`(T, 2, 21, 3)`, NaN where no hand was found."""
        frames = frames_of_clip(self._columns["length"], index)
        present = self._columns["present"][frames]
        clip = np.full((*present.shape, 21, 3), np.nan, np.float32)
        clip[present] = self._columns["xyz"][self._hands[frames.start] : self._hands[frames.stop]]
        return clip

    def clip(self, index: int, trim: bool = True) -> PoseClip:
        hands = track_hands(self.detections(index))
        return hands_to_clip(_without_empty_ends(hands) if trim else hands)

    def label(self, index: int) -> int:
        return int(self._columns["label"][index])

    def word(self, index: int) -> str:
        if self.label(index) not in self._words:
            raise ValueError(f"{CLASS_LIST_NAME}: expected a word for label {self.label(index)}: another version?")
        return self._words[self.label(index)]

    def video_id(self, index: int) -> str:
        return str(self._columns["video_id"][index])


def read_detections(data_dir: str | Path, subset: str, split: str) -> list[np.ndarray]:
    """What the detector found in each clip of a split, `(T, 2, 21, 3)` in its own order, NaN where nothing.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: for a file of other content.
    """
    archive = _archive_in(Path(data_dir))
    return [archive.detections(index) for index in archive.select(subset, split)]


def _archive_in(data_dir: Path) -> _Archive:
    return _read_archive(_find(data_dir, FILE_NAME))


@kept_until_changed
def _read_archive(path: Path) -> _Archive:
    return _Archive(read_clip_arrays(path, _SHAPES), load_class_list(path.parent))


def _without_empty_ends(hands: np.ndarray) -> np.ndarray:
    frames = np.flatnonzero(np.isfinite(hands).all(axis=(2, 3)).any(axis=1))
    return hands[frames[0] : frames[-1] + 1] if len(frames) else hands


def _find(data_dir: Path, name: str) -> Path:
    path = data_dir / name
    if not path.is_file():
        raise FileNotFoundError(f"expected {name} in {data_dir}: give the folder of WLASL-hands")
    return path
