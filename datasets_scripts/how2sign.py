"""How2Sign: instructional sentences of American Sign Language with text."""

from __future__ import annotations

import re
from pathlib import Path

from datasets_scripts.reading.clip_times import time_of
from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.label_tables import TableRow, column_names, find_column, needed_columns, read_table
from datasets_scripts.reading.pose_file_corpus import ClipLabel, PoseFileCorpus
from datasets_scripts.reading.pose_files import clip_name


class How2Sign(PoseFileCorpus):
    """How2Sign, frontal view.

    Files:
        - OpenPose folders `<sentence name>/` anywhere below `data_dir`, as the authors share them, or
          `pose_format/<sentence name>.pkl` (or any other skeleton format); a clip without a file of its own is cut
          out of that of the whole video, `<video name>.pose`, by the times of the labels,
        - `labels.train`, `labels.dev`, `labels.test` (gzip-pickled), or the official
          `how2sign_realigned_train.csv`, ... (`how2sign_train.csv`, ... where there are no realigned ones).

    Names often begin with `-` or `_`. They say who signs: 3 of `_2FBDaOPYig_4-3-rgb_front`. The texts are left as
    they are; some lines of the official files have garbled characters.
    """

    FACTS = CorpusFacts(
        title="How2Sign",
        sign_language="American Sign Language",
        spoken_language="English",
        sign_language_code="ase",
        spoken_language_code="en",
        tasks=("slt",),
        license="CC BY-NC 4.0",
        homepage="https://how2sign.github.io/",
        citation="""@inproceedings{duarte2021how2sign,
  title = {{How2Sign}: A Large-scale Multimodal Dataset for Continuous American Sign Language},
  author = {Duarte, Amanda and Palaskar, Shruti and Ventura, Lucas and Ghadiyaram, Deepti and DeHaan, Kenneth and
            Metze, Florian and Torres, Jordi and Giro-i-Nieto, Xavier},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2021}
}""",
        notes="The numbers of clips differ between the original and the realigned labels: say which you used.",
    )
    LABEL_FILES = (r"(.*\.)?labels\.{split}", r"how2sign_realigned_{split}\.[ct]sv", r"how2sign_{split}\.[ct]sv")

    def signer_of(self, name: str) -> str | None:
        match = re.search(r"-(\d+)-rgb_front$", clip_name(name))
        return match.group(1) if match else None

    def labels(self, split: str, path: Path) -> list[ClipLabel]:
        if path.suffix.lower() not in (".csv", ".tsv"):
            return super().labels(split, path)
        rows = read_table(path)
        name, text = needed_columns(path, rows, "SENTENCE_NAME", "SENTENCE")
        columns = column_names(rows)
        recording = find_column(columns, ("VIDEO_NAME",))
        start = find_column(columns, ("START_REALIGNED", "START"))
        end = find_column(columns, ("END_REALIGNED", "END"))

        def seconds(row: TableRow, column: str | None) -> float | None:
            return time_of(row.cells[column], "seconds", f"{path}, line {row.line}")[0] if column else None

        return [
            ClipLabel(
                name=row.cells[name],
                text=row.cells[text],
                signer_id=self.signer_of(row.cells[name]),
                recording=row.cells[recording] if recording else None,
                start=seconds(row, start),
                end=seconds(row, end),
            )
            for row in rows
        ]
