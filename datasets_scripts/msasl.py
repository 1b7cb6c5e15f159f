"""MS-ASL: isolated signs of American Sign Language, from skeleton files and official or shared label files."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

from datasets_scripts.reading.corpus_builder import CorpusConfig
from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.pose_file_corpus import ClipLabel, PoseFileCorpus, first_words
from modeling_sigma.io.json_text import read_json


SIZES = (100, 200, 500, 1000)


class Msasl(PoseFileCorpus):
    """MS-ASL with 100, 200, 500 or 1000 signs.

    Files:
        - `pose_format/<name>.pkl` (or any other skeleton format),
        - `labels-1000.train`, ... (gzip-pickled), or the official `MSASL_train.json`, `MSASL_val.json`,
          `MSASL_test.json`.

    The official files have no names for clips. Here a clip is called `<YouTube id>_<start>_<end>` after the official
    frame numbers, which is unique; its file may also be called `<split>_<row, five digits>`, or it is cut out of a
    skeleton file of the whole video, `<YouTube id>.pose`, by the official times.

    Args:
        config_name (`str`, *optional*, defaults to `"msasl1000"`):
            `"msasl100"`, `"msasl200"`, `"msasl500"` or `"msasl1000"`.
        **kwargs:
            See [`datasets_scripts.reading.corpus_builder.CorpusBuilder`].
    """

    FACTS = CorpusFacts(
        title="MS-ASL",
        sign_language="American Sign Language",
        spoken_language="English",
        sign_language_code="ase",
        spoken_language_code="en",
        tasks=("islr",),
        license="C-UDA 1.0: computational use; the videos belong to their owners",
        homepage="https://www.microsoft.com/en-us/download/details.aspx?id=100121",
        citation="""@inproceedings{joze2019msasl,
  title = {{MS-ASL}: A Large-Scale Data Set and Benchmark for Understanding {American Sign Language}},
  author = {Vaezi Joze, Hamid Reza and Koller, Oscar},
  booktitle = {British Machine Vision Conference},
  year = {2019}
}""",
        sizes={"msasl1000": {"train": 16054, "validation": 5287, "test": 4172}},
        notes="No signer is in two of the official splits. Many of the videos are no longer on the web.",
    )
    BUILDER_CONFIGS = [CorpusConfig(name=f"msasl{size}") for size in SIZES]
    DEFAULT_CONFIG_NAME = "msasl1000"

    @property
    def num_signs(self) -> int:
        """Size of the vocabulary."""
        return int(self.config.name.removeprefix("msasl"))

    def label_patterns(self) -> tuple[str, ...]:
        larger = [size for size in SIZES if size > self.num_signs]
        shared = [rf"(.*\.)?labels-{size}\.{{split}}" for size in (self.num_signs, *larger)]
        return (*shared, r"(.*\.)?labels\.{split}", r"MSASL_{split}\.json")

    def labels(self, split: str, path: Path) -> list[ClipLabel]:
        if path.suffix.lower() == ".json":
            return self._official_labels(path)
        labels = super().labels(split, path)
        if path.stem.endswith(f"labels-{self.num_signs}") or self.num_signs == SIZES[-1]:
            return labels
        words = self._words
        return [label for label in labels if label.text.strip().lower() in words]

    def _official_labels(self, path: Path) -> list[ClipLabel]:
        split = path.stem.rpartition("_")[2]
        try:
            return [
                _official_label(clip, f"{split}_{row:05d}")
                for row, clip in enumerate(read_json(path, "labels", list))
                if clip["label"] < self.num_signs
            ]
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}: expected a list of clips with url, label, start and end ({type(error).__name__}: {error}): "
                "is it MS-ASL's?"
            ) from error

    @cached_property
    def _words(self) -> frozenset[str]:
        path = next((path for path in self._label_folder_files if path.name == "MSASL_classes.json"), None)
        if path is None:
            raise FileNotFoundError(
                f"{self.FACTS.title}: no labels-{self.num_signs}.*: expected it, or MSASL_classes.json beside the "
                f"label files, to know the {self.num_signs} signs"
            )
        return first_words(read_json(path, "labels", list), self.num_signs)


def _official_label(clip: dict[str, Any], row_name: str) -> ClipLabel:
    match = re.search(r"(?:v=|youtu\.be/|embed/)([\w-]{11})", clip["url"])
    recording = match.group(1) if match else None
    return ClipLabel(
        name=row_name if recording is None else f"{recording}_{clip['start']}_{clip['end']}",
        other_names=(row_name,),
        text=str(clip.get("clean_text") or clip["text"]),
        signer_id=str(clip["signer_id"]),
        fps=clip.get("fps"),
        recording=recording,
        start=clip.get("start_time"),
        end=clip.get("end_time"),
    )
