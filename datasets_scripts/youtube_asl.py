"""YouTube-ASL: captioned videos in American Sign Language, for pre-training."""

from __future__ import annotations

from pathlib import Path

from datasets_scripts.reading.clip_times import find_time_column, time_of
from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.label_cells import sentence_of
from datasets_scripts.reading.label_tables import column_names, find_column, read_table
from datasets_scripts.reading.pose_file_corpus import ClipLabel, PoseFileCorpus


_NAME = ("sentence_name", "sample_id", "clip", "clip_id", "clip_name", "file", "path", "name", "id")
_RECORDING = ("video_id", "video_name", "video", "youtube_id", "yid")
_TEXT = ("sentence", "text", "caption", "translation", "raw-text")
_START, _END = ("start_realigned", "start_time", "start"), ("end_realigned", "end_time", "end")


class YoutubeAsl(PoseFileCorpus):
    """YouTube-ASL. It has one split, `train`, and does not say who signs.

    The authors share only the ids of the videos. Everybody makes clips and captions from them, so the table is yours:

    Files:
        - `poses/<clip>.pose` or `.pkl` (or any other skeleton format); a clip without a file of its own is cut out of
          that of the whole video, `<YouTube id>.pose`,
        - one `.tsv` or `.csv` with one caption per line: a text column (`text`, `sentence` or `caption`), and the
          clip's name (`name`, `sentence_name`, ...) or `video_id`, `start` and `end` (seconds or hh:mm:ss; other units
          as in [`datasets_scripts.folder.Folder`]).
    """

    FACTS = CorpusFacts(
        title="YouTube-ASL",
        sign_language="American Sign Language",
        spoken_language="English",
        sign_language_code="ase",
        spoken_language_code="en",
        tasks=("slt",),
        license="CC BY 4.0 for the list of videos; the videos and captions belong to their owners",
        homepage="https://github.com/google-research/google-research/tree/master/youtube_asl",
        citation="""@inproceedings{uthus2023youtubeasl,
  title = {{YouTube-ASL}: A Large-Scale, Open-Domain {American Sign Language}-{English} Parallel Corpus},
  author = {Uthus, David and Tanzer, Garrett and Georg, Manfred},
  booktitle = {Advances in Neural Information Processing Systems, Datasets and Benchmarks Track},
  year = {2023}
}""",
        notes="11,093 videos, 984 hours, more than 2,519 signers, by the authors' count.",
    )
    LABEL_FILES = (r"(.*\.)?labels\.train", r".*\.(tsv|csv)")

    def label_path(self, split: str) -> Path | None:
        return super().label_path(split) if split == "train" else None

    def labels(self, split: str, path: Path) -> list[ClipLabel]:
        if path.suffix.lower() not in (".tsv", ".csv"):
            return super().labels(split, path)
        rows = read_table(path)
        columns = column_names(rows)
        name, recording, text = (find_column(columns, names) for names in (_NAME, _RECORDING, _TEXT))
        start, end = (find_time_column(columns, names) for names in (_START, _END))
        if text is None or (name is None and (recording is None or start is None or end is None)):
            raise ValueError(
                f"{path}: expected a column of text (text, sentence, caption), and one of names (name, "
                f"sentence_name) or video_id, start and end; received {', '.join(columns) or 'nothing'}"
            )
        labels = []
        for row in rows:
            where = f"{path}, line {row.line}"
            video = row.cells[recording] if recording else None
            (first, unit), (last, end_unit) = (
                (None, None) if column is None else time_of(row.cells[column.name], column.unit, where)
                for column in (start, end)
            )
            if name is None and None in (first, last):
                raise ValueError(
                    f"{where}: expected start and end of a clip of {video}, received an empty cell: fill them in, or "
                    "give the clips names"
                )
            clip = row.cells[name] if name else f"{video}_{first:g}_{last:g}"
            text_cell = sentence_of(row.cells[text], where)
            labels.append(
                ClipLabel(clip, text_cell, recording=video, start=first, end=last, time_unit=unit or end_unit)
            )
        return labels
