"""Fingerspelling: the manual alphabets of 15 sign languages, one real clip per letter.

The file is not part of this project (MIT): MediaPipe Holistic, reduced to the 69 joints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.reading.clip_archives import frames_of_clip, kept_until_changed, read_clip_arrays
from datasets_scripts.reading.corpus_builder import ClipEntry, CorpusBuilder, CorpusConfig
from datasets_scripts.reading.corpus_facts import CorpusFacts
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import NUM_JOINTS


FILE_NAME = "fingerspelling15.npz"
PICTURE_SIZE = 500  # pixels, by which the file's coordinates are divided

# ISO 639-3 of a sign language: its English name, and that of the language whose letters it spells.
LANGUAGES = {
    "ase": ("American Sign Language", "English"),
    "asq": ("Austrian Sign Language", "German"),
    "bzs": ("Brazilian Sign Language", "Portuguese"),
    "cse": ("Czech Sign Language", "Czech"),
    "csq": ("Croatian Sign Language", "Croatian"),
    "eso": ("Estonian Sign Language", "Estonian"),
    "gss": ("Greek Sign Language", "Greek"),
    "ise": ("Italian Sign Language", "Italian"),
    "jos": ("Jordanian Sign Language", "Arabic"),
    "lls": ("Lithuanian Sign Language", "Lithuanian"),
    "mfs": ("Mexican Sign Language", "Spanish"),
    "psr": ("Portuguese Sign Language", "Portuguese"),
    "sgg": ("Swiss-German Sign Language", "German"),
    "swl": ("Swedish Sign Language", "Swedish"),
    "ukl": ("Ukrainian Sign Language", "Ukrainian"),
}

_SHAPES = {
    **dict.fromkeys(("length", "path", "sign_language", "letter", "fps"), ("clips",)),
    "keypoints": ("length", NUM_JOINTS, 2),
    "scores": ("length", NUM_JOINTS),
}


class Fingerspelling(CorpusBuilder):
    """The letters of 15 manual alphabets. All of them are train, since each language has each letter only once.

    Args:
        config_name (`str`, *optional*, defaults to `"all"`):
            `"all"`, or the ISO 639-3 code of one sign language: one of [`LANGUAGES`], such as `"ase"`.
        data_dir (`str`):
            The folder with `fingerspelling15.npz`.
        **kwargs:
            See [`datasets_scripts.reading.corpus_builder.CorpusBuilder`].
    """

    FACTS = CorpusFacts(
        title="Fingerspelling",
        sign_language="15 sign languages",
        spoken_language="13 spoken languages",
        sign_language_code="",
        spoken_language_code="",
        tasks=("islr",),
        license="MIT",
        homepage="the people who gave you the file",
        citation="",
        notes=(
            "MediaPipe Holistic; scores of the body are its visibility, 1 for hands and face where found. Pixels of "
            "square pictures, 500 by 500. One clip per letter and language; who signs is not known. It is meant for "
            "enrolment, for learning from few clips and for hand shapes that languages share; it is no test of "
            "recognition."
        ),
    )
    FILES = (FILE_NAME,)
    BUILDER_CONFIGS = [CorpusConfig(name=name) for name in ("all", *LANGUAGES)]
    DEFAULT_CONFIG_NAME = "all"

    @property
    def sign_language(self) -> str:
        """Of all clips, or of the chosen language's."""
        return LANGUAGES.get(self.config.name, (self.FACTS.sign_language,))[0]

    @property
    def spoken_language(self) -> str:
        """Of all clips, or of the chosen language's."""
        return LANGUAGES.get(self.config.name, ("", self.FACTS.spoken_language))[1]

    def available_splits(self) -> tuple[str, ...]:
        return ("train",)

    def list_clips(self, split: str) -> list[ClipEntry]:
        arrays, chosen = _read_arrays(*self.find_files()), self.config.name
        unknown = sorted(set(arrays["sign_language"].tolist()) - set(LANGUAGES))
        if unknown:
            raise ValueError(
                f"{FILE_NAME}: expected the sign languages {', '.join(LANGUAGES)}, received {unknown[0]!r}"
            )
        return [
            ClipEntry(f"{code}_{Path(path).stem}", split, str(index), str(letter))
            for index, (code, path, letter) in enumerate(
                zip(arrays["sign_language"], arrays["path"], arrays["letter"])
            )
            if chosen in ("all", code)
        ]

    def read_clip(self, entry: ClipEntry) -> PoseClip:
        arrays, index = _read_arrays(*self.find_files()), int(entry.source)
        frames = frames_of_clip(arrays["length"], index)
        # Visibilities of a body that turns away leave the range from 0 to 1: below is not found.
        scores = np.clip(arrays["scores"][frames].astype(np.float32), 0, 1)
        keypoints = PICTURE_SIZE * arrays["keypoints"][frames].astype(np.float32)
        keypoints = np.where(scores[..., None] > 0, keypoints, np.float32(0))
        fps = float(arrays["fps"][index])
        return PoseClip(keypoints, scores, "sigma_69", fps, PICTURE_SIZE, PICTURE_SIZE)

    def encode_clip(self, clip: PoseClip, entry: ClipEntry) -> dict[str, Any]:
        code = str(_read_arrays(*self.find_files())["sign_language"][int(entry.source)])
        sign_language, spoken_language = LANGUAGES[code]
        row = super().encode_clip(clip, entry)
        return {**row, "sign_language": sign_language, "spoken_language": spoken_language}


@kept_until_changed
def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    return read_clip_arrays(path, _SHAPES)
