"""CSL-Daily: sentences of Chinese Sign Language with glosses and text, from skeleton files and label files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.label_cells import glosses_of
from datasets_scripts.reading.label_tables import needed_columns, read_table, split_of
from datasets_scripts.reading.pose_file_corpus import ClipLabel, PoseFileCorpus
from modeling_sigma.io.pickles import load_restricted_pickle


class CslDaily(PoseFileCorpus):
    """CSL-Daily, for continuous recognition (`gloss`) and translation (`text`).

    Files:
        - `pose_format/S000020_P0000_T00.pkl` (or any other skeleton format),
        - `labels.train`, `labels.dev`, `labels.test` (gzip-pickled), or the official `csl2020ct_v2.pkl` with
          `split_1.txt` (in `sentence_label/`).

    A clip's name says who signs: `P0000` of `S000020_P0000_T00`. The official splits share their signers.
    """

    FACTS = CorpusFacts(
        title="CSL-Daily",
        sign_language="Chinese Sign Language",
        spoken_language="Chinese",
        sign_language_code="csl",
        spoken_language_code="zh",
        tasks=("cslr", "slt"),
        license="CSL-Daily release agreement: authorised academic use only",
        homepage="https://ustc-slr.github.io/datasets/2021_csl_daily/",
        citation="""@inproceedings{zhou2021improving,
  title = {Improving Sign Language Translation with Monolingual Data by Sign Back-Translation},
  author = {Zhou, Hao and Zhou, Wengang and Qi, Weizhen and Pu, Junfu and Li, Houqiang},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2021}
}""",
        sizes={"default": {"train": 18401, "validation": 1077, "test": 1176}},
        notes="Ten signers, who are in all splits.",
    )
    LABEL_FILES = (r"(.*\.)?labels\.{split}", r"split_1\.txt")

    def signer_of(self, name: str) -> str | None:
        match = re.fullmatch(r"S\d+_(P\d+)_T\d+", name)
        return match.group(1) if match else None

    def labels(self, split: str, path: Path) -> list[ClipLabel]:
        if path.suffix.lower() != ".txt":
            return super().labels(split, path)
        rows = read_table(path)
        name, of = needed_columns(path, rows, "name", "split")
        wanted = [row.cells[name] for row in rows if split_of(row.cells[of], f"{path}, line {row.line}") == split]
        sentences = self._official_sentences()
        unknown = [name for name in wanted if name not in sentences]
        if unknown:
            raise ValueError(f"{path}: {len(unknown)} clips are not in csl2020ct_v2.pkl: {', '.join(unknown[:5])}")
        return [
            ClipLabel(
                name, "".join(sentences[name]["label_char"]), glosses_of(sentences[name]["label_gloss"]),
                self.signer_of(name),
            )
            for name in wanted
        ]  # fmt: skip

    def _official_sentences(self) -> dict[str, dict[str, Any]]:
        path = next((path for path in self._label_folder_files if path.name == "csl2020ct_v2.pkl"), None)
        if path is None:
            raise FileNotFoundError(f"{self.FACTS.title}: expected csl2020ct_v2.pkl beside split_1.txt")
        try:
            sentences = load_restricted_pickle(path)["info"]
            return {sentence["name"]: sentence for sentence in sentences}
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path}: expected a dict with info, a list of sentences: is it CSL-Daily's?") from error
