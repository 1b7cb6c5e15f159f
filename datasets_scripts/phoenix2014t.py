"""RWTH-PHOENIX-Weather 2014 T: weather forecasts in German Sign Language with glosses and text."""

from __future__ import annotations

from pathlib import Path

from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.label_cells import glosses_of
from datasets_scripts.reading.label_tables import needed_columns, read_table
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
    LABEL_FILES = (r"PHOENIX-2014-T\.{split}\.corpus\.csv", r"(.*\.)?labels\.{split}")

    def labels(self, split: str, path: Path) -> list[ClipLabel]:
        if path.suffix.lower() != ".csv":
            return super().labels(split, path)
        rows = read_table(path)
        name, signer, gloss, text = needed_columns(path, rows, "name", "speaker", "orth", "translation")
        return [
            ClipLabel(
                name=row.cells[name],
                text=row.cells[text],
                gloss=glosses_of(row.cells[gloss], f"{path}, line {row.line}"),
                signer_id=row.cells[signer],
                fps=FPS,
            )
            for row in rows
        ]
