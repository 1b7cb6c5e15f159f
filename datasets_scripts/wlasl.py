"""WLASL: isolated signs of American Sign Language, from skeleton files and official or shared label files."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from datasets_scripts.reading.corpus_builder import CorpusConfig
from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.label_tables import split_of
from datasets_scripts.reading.pose_file_corpus import ClipLabel, PoseFileCorpus, first_words
from modeling_sigma.io.json_text import read_json
from modeling_sigma.io.text_files import read_text


SIZES = (100, 300, 1000, 2000)


class Wlasl(PoseFileCorpus):
    """WLASL with 100, 300, 1000 or 2000 words.

    Files:
        - `pose_format/<video id>.pkl` (or any other skeleton format; `<video id>-<anything>.pkl` too),
        - `labels-2000.train`, `labels-2000.dev`, `labels-2000.test` (gzip-pickled), or the official
          `WLASL_v0.3.json`. The official file, where it is there, also tells who signs.

    The subset of N words is in `labels-N.*`, or the first N words of `WLASL_v0.3.json` or `wlasl_class_list.txt`.

    Args:
        config_name (`str`, *optional*, defaults to `"wlasl2000"`):
            `"wlasl100"`, `"wlasl300"`, `"wlasl1000"` or `"wlasl2000"`.
        **kwargs:
            See [`datasets_scripts.reading.corpus_builder.CorpusBuilder`].
    """

    FACTS = CorpusFacts(
        title="WLASL",
        sign_language="American Sign Language",
        spoken_language="English",
        sign_language_code="ase",
        spoken_language_code="en",
        tasks=("islr",),
        license="C-UDA 1.0: academic and computational use only, no commercial use",
        homepage="https://dxli94.github.io/WLASL/",
        citation="""@inproceedings{li2020word,
  title = {Word-level Deep Sign Language Recognition from Video: A New Large-scale Dataset and Methods Comparison},
  author = {Li, Dongxu and Rodriguez, Cristian and Yu, Xin and Li, Hongdong},
  booktitle = {IEEE Winter Conference on Applications of Computer Vision},
  pages = {1459--1469},
  year = {2020}
}""",
        sizes={"wlasl2000": {"train": 14289, "validation": 3916, "test": 2878}},
        notes="Many of the official videos are no longer on the web: say how many clips you had.",
    )
    BUILDER_CONFIGS = [CorpusConfig(name=f"wlasl{size}") for size in SIZES]
    DEFAULT_CONFIG_NAME = "wlasl2000"

    @property
    def num_words(self) -> int:
        """Size of the vocabulary."""
        return int(self.config.name.removeprefix("wlasl"))

    def label_patterns(self) -> tuple[str, ...]:
        larger = [size for size in SIZES if size > self.num_words]
        shared = [rf"(.*\.)?labels-{size}\.{{split}}" for size in (self.num_words, *larger)]
        return (*shared, r"(.*\.)?labels\.{split}", r"WLASL_v\d+\.\d+\.json")

    def labels(self, split: str, path: Path) -> list[ClipLabel]:
        if path.suffix.lower() == ".json":
            return [label for label, of in self._official if of == split]
        signers = {label.name: label.signer_id for label, _ in self._official}
        labels = [replace(label, signer_id=signers.get(label.name)) for label in super().labels(split, path)]
        if path.stem.endswith(f"labels-{self.num_words}") or self.num_words == SIZES[-1]:
            return labels
        words = self._words
        return [label for label in labels if label.text.strip().lower() in words]

    def file_name_alias(self, name: str) -> str:
        match = re.match(r"(\d{5,6})[-_]", name)
        return match.group(1) if match else name

    @cached_property
    def _official(self) -> list[tuple[ClipLabel, str]]:
        """Labels and splits of the official file, the first `num_words` words; empty without the file."""
        path = next(
            (path for path in self._label_folder_files if re.fullmatch(r"WLASL_v\d+\.\d+\.json", path.name)), None
        )
        if path is None:
            return []
        try:
            return [
                (
                    ClipLabel(
                        str(clip["video_id"]), str(word["gloss"]), signer_id=str(clip["signer_id"]), fps=clip["fps"]
                    ),
                    split_of(str(clip["split"]), f"{path}, {clip['video_id']}"),
                )
                for word in read_json(path, "labels", list)[: self.num_words]
                for clip in word["instances"]
            ]
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{path}: expected a list of words with instances ({type(error).__name__}: {error}): is it WLASL's?"
            ) from error

    @cached_property
    def _words(self) -> frozenset[str]:
        if self._official:
            return first_words(list(dict.fromkeys(label.text for label, _ in self._official)), self.num_words)
        path = next((path for path in self._label_folder_files if path.name == "wlasl_class_list.txt"), None)
        if path is None:
            raise FileNotFoundError(
                f"{self.FACTS.title}: no labels-{self.num_words}.*: expected it, WLASL_v0.3.json or "
                f"wlasl_class_list.txt beside the label files, to know the {self.num_words} words"
            )
        words = [line.partition("\t")[2] for line in read_text(path, "words, one per line").split("\n")]
        return first_words(words, self.num_words)
