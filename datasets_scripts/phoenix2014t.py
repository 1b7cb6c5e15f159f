"""RWTH-PHOENIX-Weather 2014 T: weather forecasts in German Sign Language with glosses and text."""

from __future__ import annotations

from pathlib import Path

from datasets_scripts.reading.corpus_builder import CorpusConfig
from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.label_tables import read_table
from datasets_scripts.reading.pose_file_corpus import ClipLabel, PoseFileCorpus


FPS = 25.0


class Phoenix2014T(PoseFileCorpus):
    """PHOENIX-2014T, for continuous recognition (`gloss`) and translation (`text`).

    Files:
        - `pose_format/<name>.pkl` (or any other skeleton format), or in `train/`, `dev/` and `test/`,
        - the official `PHOENIX-2014-T.train.corpus.csv`, ... (in `annotations/manual/`), or `labels.train`, ...
          (gzip-pickled).

    Glosses and text are left as they are; scoring has a clean-up of its own.
    """

    FACTS = CorpusFacts(
        title="RWTH-PHOENIX-Weather 2014 T",
        sign_language="German Sign Language",
        spoken_language="German",
        sign_language_code="gsg",
        spoken_language_code="de",
        tasks=("cslr", "slt"),
        license="CC BY-NC-SA 3.0",
        homepage="https://www-i6.informatik.rwth-aachen.de/~koller/RWTH-PHOENIX-2014-T/",
        citation="""@inproceedings{camgoz2018neural,
  title = {Neural Sign Language Translation},
  author = {Camgoz, Necati Cihan and Hadfield, Simon and Koller, Oscar and Ney, Hermann and Bowden, Richard},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2018}
}""",
        sizes={"default": {"train": 7096, "validation": 519, "test": 642}},
        notes="Nine signers, who are in all splits.",
    )
    BUILDER_CONFIGS = [CorpusConfig(name="default")]
    DEFAULT_CONFIG_NAME = "default"
    LABEL_FILES = (r"PHOENIX-2014-T\.{split}\.corpus\.csv", r"(.*\.)?labels\.{split}")

    def labels(self, split: str, path: Path) -> list[ClipLabel]:
        if path.suffix.lower() != ".csv":
            return super().labels(split, path)
        rows = read_table(path, delimiter="|", quoted=False)
        columns = list(rows[0].cells) if rows else []
        needed = ("name", "speaker", "orth", "translation")
        if not set(needed) <= set(columns):
            raise ValueError(f"{path}: expected the columns {', '.join(needed)}, received {', '.join(columns)}")
        return [
            ClipLabel(
                name=row.cells["name"],
                text=row.cells["translation"],
                gloss=tuple(row.cells["orth"].split()),
                signer_id=row.cells["speaker"],
                fps=FPS,
            )
            for row in rows
        ]
