"""RWTH-BOSTON-104: sentences of American Sign Language with glosses and the frames of each word, as three points.

The file is not part of this project (research use). It holds no skeletons, only what people marked by hand in every
frame: the signer's left hand, right hand and nose. [`Boston104`] puts them where Sigma has the two wrists and the
nose; the other 66 joints are missing. A model sees where the hands go, but nothing of their shape.
"""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np

from datasets_scripts.reading.clip_archives import frames_of_clip, kept_until_changed, read_clip_arrays
from datasets_scripts.reading.corpus_builder import ClipEntry, CorpusConfig
from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.timed_glosses import TimedClipEntry, TimedCorpusBuilder
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import BODY_JOINT_NAMES, NUM_JOINTS


FILE_NAME = "boston104_hands_nose.npz"
WIDTH, HEIGHT, FPS = 312, 242, 30.0  # of the database's videos, which the file does not repeat
SIGNERS = ("man-1", "woman-1", "woman-2")

_JOINT_OF_POINT = {
    point: BODY_JOINT_NAMES.index(joint)
    for point, joint in {"left_hand": "left_wrist", "right_hand": "right_wrist", "nose": "nose"}.items()
}
_SHAPES = {
    **dict.fromkeys(("video", "length", "speaker", "split", "gloss", "num_words"), ("clips",)),
    **dict.fromkeys(("word", "word_start", "word_end"), ("num_words",)),
    "points": ("length", 3, 2),
    **dict.fromkeys(("points_order", "vocabulary")),
}


class Boston104(TimedCorpusBuilder):
    """Continuous American Sign Language with word times.

    Args:
        config_name (`str`, *optional*, defaults to `"boston104"`):
            `"boston104"`, the database's own split, in which all three people sign in both; or `"without_man-1"`,
            `"without_woman-1"`, `"without_woman-2"`: all sentences of that person are test, all others train.
        data_dir (`str`):
            The folder with `boston104_hands_nose.npz`.
        **kwargs:
            See [`datasets_scripts.reading.corpus_builder.CorpusBuilder`].
    """

    FACTS = CorpusFacts(
        title="RWTH-BOSTON-104",
        sign_language="American Sign Language",
        spoken_language="English",
        sign_language_code="ase",
        spoken_language_code="en",
        tasks=("cslr",),
        license="research use (RWTH-BOSTON-104)",
        homepage="https://www-i6.informatik.rwth-aachen.de/aslr/database-rwth-boston-104.php",
        citation="""\
@inproceedings{dreuw2007speech,
  title = {Speech Recognition Techniques for a Sign Language Recognition System},
  author = {Dreuw, Philippe and Rybach, David and Deselaers, Thomas and Zahedi, Morteza and Ney, Hermann},
  booktitle = {Interspeech},
  year = {2007},
}""",
        sizes={"boston104": {"train": 161, "test": 40}},
        notes=(
            "Three points per frame, marked by hand and never missing: nose, left and right hand (here the wrists). "
            "No other joint of body, hands or face. Coordinates are pixels of 312 by 242, 30 frames per second, as "
            "the database describes its videos; the file itself states neither. Glosses have first and last frames; "
            "there are no English sentences. Of the 40 test sentences, 26 are also in train. All videos have one "
            "camera: scale_reference='image' keeps the signer's size and place, while with 'body' the unit is the "
            "box around the three points, and changes with how far the hands travel."
        ),
    )
    FILES = (FILE_NAME,)
    VERSION = datasets.Version("1.2.0")  # clips state their size and frame rate since
    BUILDER_CONFIGS = [CorpusConfig(name=name) for name in ("boston104", *(f"without_{one}" for one in SIGNERS))]
    DEFAULT_CONFIG_NAME = "boston104"

    def available_splits(self) -> tuple[str, ...]:
        return ("train", "test")

    def list_clips(self, split: str) -> list[ClipEntry]:
        arrays = _read_arrays(*self.find_files())
        left_out = self.config.name.removeprefix("without_")
        entries: list[ClipEntry] = []
        for index, stop in enumerate(np.cumsum(arrays["num_words"])):
            signer, official = str(arrays["speaker"][index]), str(arrays["split"][index])
            is_test = official == "test" if left_out == "boston104" else signer == left_out
            if is_test != (split == "test"):
                continue
            words = slice(stop - arrays["num_words"][index], stop)
            entries.append(
                TimedClipEntry(
                    f"video{arrays['video'][index]:03d}",
                    split,
                    str(index),
                    gloss=tuple(str(gloss) for gloss in arrays["vocabulary"][arrays["word"][words]]),
                    signer_id=signer,
                    gloss_spans=tuple(
                        (int(first), int(last) + 1)
                        for first, last in zip(arrays["word_start"][words], arrays["word_end"][words])
                    ),
                )
            )
        return entries

    def read_clip(self, entry: ClipEntry) -> PoseClip:
        arrays = _read_arrays(*self.find_files())
        points = arrays["points"][frames_of_clip(arrays["length"], int(entry.source))]
        keypoints, scores = np.zeros((len(points), NUM_JOINTS, 2)), np.zeros((len(points), NUM_JOINTS))
        for place, point in enumerate(arrays["points_order"]):
            keypoints[:, _JOINT_OF_POINT[str(point)]] = points[:, place]
            scores[:, _JOINT_OF_POINT[str(point)]] = 1.0
        return PoseClip(keypoints, scores, "sigma_69", FPS, WIDTH, HEIGHT, coordinates="pixels")


@kept_until_changed
def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    arrays = read_clip_arrays(path, _SHAPES)
    if sorted(arrays["points_order"].tolist()) != sorted(_JOINT_OF_POINT):
        raise ValueError(
            f"{path}: expected the points {', '.join(_JOINT_OF_POINT)}, received {arrays['points_order']}"
        )
    return arrays
