"""OpenASL: sentences of American Sign Language from the web, with text."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from datasets_scripts.reading.clip_times import time_of
from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.label_tables import TableRow, find_column, needed_columns, read_table, split_of
from datasets_scripts.reading.pose_file_corpus import ClipLabel, PoseFileCorpus


_TABLES = (".tsv", ".csv")


class OpenAsl(PoseFileCorpus):
    """OpenASL.

    Files:
        - `pose_format/<clip name>.pkl` (or any other skeleton format). Clip names have colons, such as
          `abcdefghijk-00:01:02.5-00:01:07.5`; on disk these may also be `%` (the authors' own script), `_`, `-` or
          nothing. A clip without a file of its own is cut out of that of the whole video, `<YouTube id>.pose`,
        - `labels.train`, `labels.dev`, `labels.test` (gzip-pickled), or the official `openasl-v1.0.tsv`.
    """

    FACTS = CorpusFacts(
        title="OpenASL",
        sign_language="American Sign Language",
        spoken_language="English",
        sign_language_code="ase",
        spoken_language_code="en",
        tasks=("slt",),
        license="Not known to us: ask the authors; the videos belong to their owners",
        homepage="https://github.com/chevalierNoir/OpenASL",
        citation="""@inproceedings{shi2022open,
  title = {Open-Domain Sign Language Translation Learned from Online Video},
  author = {Shi, Bowen and Brentari, Diane and Shakhnarovich, Greg and Livescu, Karen},
  booktitle = {Conference on Empirical Methods in Natural Language Processing},
  year = {2022}
}""",
        notes="The official table does not say who signs. Some of the videos are no longer on the web.",
    )
    LABEL_FILES = (r"(.*\.)?labels\.{split}", r"openasl-v\d+\.\d+\.[ct]sv")

    def label_path(self, split: str) -> Path | None:
        path = super().label_path(split)
        if path is not None and path.suffix.lower() in _TABLES and not self.labels(split, path):
            return None
        return path

    def labels(self, split: str, path: Path) -> list[ClipLabel]:
        if path.suffix.lower() not in _TABLES:
            return super().labels(split, path)
        rows = _read_official(path)
        name, split_column = needed_columns(path, rows, "vid", "split")
        columns = list(rows[0].cells)
        text = find_column(columns, ("raw-text", "text", "tokenized-text"))
        if text is None:
            raise ValueError(f"{path}: expected the columns vid, raw-text and split, received {', '.join(columns)}")
        recording, start, end = (find_column(columns, (column,)) for column in ("yid", "start", "end"))
        labels = []
        for row in rows:
            where = f"{path}, line {row.line}"
            if split_of(row.cells[split_column], where) != split:
                continue
            times = [time_of(row.cells[column], "seconds", where)[0] if column else None for column in (start, end)]
            video = row.cells[recording] if recording else None
            labels.append(ClipLabel(row.cells[name], row.cells[text], recording=video, start=times[0], end=times[1]))
        return labels


@lru_cache(maxsize=1)
def _read_official(path: Path) -> list[TableRow]:
    return read_table(path)
