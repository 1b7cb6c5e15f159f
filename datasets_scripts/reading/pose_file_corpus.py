"""Base of the corpora that lie on disk as a folder of skeleton files and files of labels."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from datasets_scripts.reading.clip_entry import ClipEntry
from datasets_scripts.reading.clip_times import with_last_times, with_span
from datasets_scripts.reading.corpus_builder import CorpusBuilder
from datasets_scripts.reading.label_cells import glosses_of
from datasets_scripts.reading.label_tables import SPLIT_NAMES
from datasets_scripts.reading.pose_files import PoseFiles, clip_name, spellings, state_of_clips
from datasets_scripts.schema import SPLITS
from modeling_sigma.io.pickles import load_label_file
from modeling_sigma.model.pose_clip import PoseClip


_POSE_FOLDERS = ("pose_format", "pose_formats", "poses", "pose", "keypoints", "skeletons")
_LABEL_FOLDERS = ("", "labels", "label", "annotations", "annotations/manual", "sentence_label", "data")


@dataclass(frozen=True)
class ClipLabel:
    """What the labels say about a clip; whether its file exists is another question.

    Args:
        name (`str`):
            The clip's name; its file may be spelled otherwise.
        text, gloss, signer_id, fps:
            See [`ClipEntry`].
        other_names (`tuple[str, ...]`):
            Other names that its file may have.
        recording (`str`, *optional*), start, end, time_unit:
            The longer recording that the clip is a part of, and its times as those of [`ClipEntry`]. They are used
            where no file has the clip's own name.
    """

    name: str
    text: str = ""
    gloss: tuple[str, ...] = ()
    signer_id: str | None = None
    fps: float | None = None
    other_names: tuple[str, ...] = ()
    recording: str | None = None
    start: float | None = None
    end: float | None = None
    time_unit: str | None = "seconds"


class PoseFileCorpus(CorpusBuilder):
    """A corpus with one skeleton file per clip (`.pkl`, `.pose`, `.npz` or a folder of OpenPose JSON), and labels.

    Files are looked for in `pose_dir`, else in `pose_format/`, `poses/`, ... of `data_dir`, else anywhere below
    `data_dir`; labels in `label_dir`, else in `data_dir` and its `labels/`, `annotations/manual/`, ...
    """

    # Label files by split, as regular expressions of their name; `{split}` stands for every name of the split.
    LABEL_FILES: ClassVar[tuple[str, ...]] = (r"(.*\.)?labels\.{split}",)

    def labels(self, split: str, path: Path) -> list[ClipLabel]:
        """The labels of `split` in the label file `path`; by default a gzip-pickled dict, as the field shares them.

        Raises:
            ValueError, OSError: if it cannot be read.
        """
        return [
            ClipLabel(
                name=sample_id,
                text=str(sample.get("text") or ""),
                gloss=glosses_of(sample.get("gloss")),
                signer_id=self.signer_of(sample_id),
                other_names=tuple(str(sample[field]) for field in ("video_path", "name") if sample.get(field)),
            )
            for sample_id, sample in load_label_file(path).items()
        ]

    def signer_of(self, name: str) -> str | None:
        """The signer, where a clip's name tells."""
        return None

    def file_name_alias(self, name: str) -> str:
        """What a file is also called; for names on disk that are longer than those of the labels."""
        return name

    def label_patterns(self) -> tuple[str, ...]:
        """`LABEL_FILES`, the preferred ones first; a config may narrow them."""
        return self.LABEL_FILES

    def label_path(self, split: str) -> Path | None:
        """The label file of a split."""
        words = "|".join(word for word, name in SPLIT_NAMES.items() if name == split)
        for pattern in self.label_patterns():
            expression = re.compile(pattern.replace("{split}", f"({words})"), re.IGNORECASE)
            found = [path for path in self._label_folder_files if expression.fullmatch(path.name)]
            if len(found) > 1:
                raise ValueError(
                    f"{self.FACTS.title}: several label files of {split}: {', '.join(map(str, found[:3]))}: "
                    "give label_dir, the folder to take"
                )
            if found:
                return found[0]
        return None

    def available_splits(self) -> tuple[str, ...]:
        splits = tuple(split for split in SPLITS if self.label_path(split) is not None)
        if not splits:
            looked = self.config.label_dir or self.folder
            raise FileNotFoundError(
                f"{self.FACTS.title}: no label file in {looked}: expected a name like "
                f"{' or '.join(_readable(pattern) for pattern in self.label_patterns())}"
            )
        return splits

    def list_clips(self, split: str) -> list[ClipEntry]:
        path = self.label_path(split)
        labels = [] if path is None else self.labels(split, path)
        if not labels:
            raise ValueError(f"{path}: expected labels of {split} clips, received none")
        entries, missing = [], []
        for label in labels:
            source, is_longer = self._find(label, split)
            if source is None:
                missing.append(clip_name(label.name))
                continue
            entry = ClipEntry(
                clip_name(label.name), split, source, label.text, label.gloss, label.signer_id, label.fps
            )
            if is_longer:
                entry = with_span(entry, (label.start, label.time_unit), (label.end, label.time_unit))
            entries.append(entry)
        self.report_missing(split, missing, len(labels))
        return with_last_times(entries)

    def read_clip(self, entry: ClipEntry) -> PoseClip:
        return self.read_source(entry)

    def source_files(self, data_dir: str | None, options: dict[str, Any]) -> Iterable[str]:
        folder = options.get("label_dir") or data_dir
        if folder is not None:
            yield from map(os.fspath, _files_in_label_folders(Path(folder)))

    def _source_state(self, data_dir: str | None, options: dict[str, Any]) -> str:
        state = super()._source_state(data_dir, options)
        folder = options.get("pose_dir") or data_dir
        if folder is None or not os.path.isdir(folder):
            return state
        return state + state_of_clips(_pose_folder(Path(folder), given="pose_dir" in options))

    def __getstate__(self) -> dict[str, Any]:
        # Workers get the entries; the index of the folder stays here.
        kept = {}
        for name, value in self.__dict__.items():
            if not isinstance(getattr(type(self), name, None), cached_property):
                kept[name] = value
        return kept

    def _find(self, label: ClipLabel, split: str) -> tuple[str | None, bool]:
        """The path of a clip's file, and whether it is that of a longer recording."""
        names = [spelling for name in (label.name, *label.other_names) for spelling in spellings(name)]
        source = self._files.find(names, split)
        if source is None and label.recording is not None:
            source = self._files.find(spellings(label.recording), split)
            return source, source is not None
        return source, False

    @cached_property
    def _files(self) -> PoseFiles:
        given = self.config.pose_dir is not None
        folder = Path(self.config.pose_dir) if given else self.folder
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder: give pose_dir, the folder of the skeleton files")
        return PoseFiles(_pose_folder(folder, given), self.file_name_alias)

    @cached_property
    def _label_folder_files(self) -> list[Path]:
        folder = Path(self.config.label_dir) if self.config.label_dir is not None else self.folder
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder: give label_dir, the folder of the label files")
        return _files_in_label_folders(folder)


def first_words(words: Sequence[str], count: int) -> frozenset[str]:
    """The vocabulary of a subset: the first `count` words, whatever their case."""
    return frozenset(word.strip().lower() for word in words[:count])


def _pose_folder(folder: Path, given: bool) -> Path:
    if given:
        return folder
    return next((folder / name for name in _POSE_FOLDERS if (folder / name).is_dir()), folder)


def _files_in_label_folders(folder: Path) -> list[Path]:
    folders = [folder / name for name in _LABEL_FOLDERS]
    return [path for place in folders if place.is_dir() for path in sorted(place.iterdir()) if path.is_file()]


def _readable(pattern: str) -> str:
    """`labels.{split}` instead of the regular expression."""
    pattern = pattern.replace(r"\d+", "0")
    return re.sub(r"\\(.)", r"\1", re.sub(r"\([^()]*\)\??", "", pattern)).replace(".*", "")
