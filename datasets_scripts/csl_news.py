"""CSL-News: broadcast sentences of Chinese Sign Language with text, for pre-training."""

from __future__ import annotations

from pathlib import Path

from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.label_tables import TableRow, find_column, needed_columns, read_table
from datasets_scripts.reading.pose_file_corpus import ClipLabel, PoseFileCorpus
from modeling_sigma.io.json_text import read_json
from modeling_sigma.io.reading_errors import listed


class CslNews(PoseFileCorpus):
    """CSL-News. It has one split, `train`, and neither glosses nor signers.

    Files:
        - `pose_format/<name>.pkl`, unpacked from the archives of the pose version,
        - `CSL_News_Labels.json` or `CSL_News_Labels.csv`.
    """

    FACTS = CorpusFacts(
        title="CSL-News",
        sign_language="Chinese Sign Language",
        spoken_language="Chinese",
        sign_language_code="csl",
        spoken_language_code="zh",
        tasks=("slt",),
        license="CC BY-NC 4.0",
        homepage="https://huggingface.co/datasets/ZechengLi19/CSL-News_pose",
        citation="""@inproceedings{li2025unisign,
  title = {Uni-Sign: Toward Unified Sign Language Understanding at Scale},
  author = {Li, Zecheng and Zhou, Wengang and Zhao, Weichao and Wu, Kepeng and Hu, Hezhen and Li, Houqiang},
  booktitle = {International Conference on Learning Representations},
  year = {2025}
}""",
        sizes={"default": {"train": 722711}},
        notes="Keypoints by RTMPose, in shares of the image. The texts come from subtitles and speech recognition.",
    )
    LABEL_FILES = (r"CSL_News_Labels\.json", r"CSL_News_Labels\.[ct]sv", r"(.*\.)?labels\.train")

    def label_path(self, split: str) -> Path | None:
        return super().label_path(split) if split == "train" else None

    def labels(self, split: str, path: Path) -> list[ClipLabel]:
        if path.suffix.lower() not in (".json", ".csv", ".tsv"):
            return super().labels(split, path)
        rows = _json_rows(path) if path.suffix.lower() == ".json" else read_table(path)
        (text,) = needed_columns(path, rows, "text")
        name = find_column(rows[0].cells, ("pose", "video", "name"))
        if name is None:
            raise ValueError(f"{path}: expected the columns pose or video, and text, received {listed(rows[0].cells)}")
        return [ClipLabel(row.cells[name], row.cells[text]) for row in rows]


def _json_rows(path: Path) -> list[TableRow]:
    try:
        clips = read_json(path, "labels", list)
        return [
            TableRow(number, {column: str(cell) for column, cell in clip.items()})
            for number, clip in enumerate(clips, 1)
        ]
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{path}: expected a list of clips with pose and text ({error}): is it CSL-News's?"
        ) from error
