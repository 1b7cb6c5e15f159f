"""Your own corpus: a folder of clips in any format that we read, and a table that says what is signed in them.

Or a folder of recordings, each with a file of annotations beside it: ELAN's, or subtitles.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
from datasets import Features, Value

from datasets_scripts.reading.annotated_recordings import annotated_clips, files_behind, find_annotation_files
from datasets_scripts.reading.clip_entry import ClipEntry
from datasets_scripts.reading.clip_times import (
    TIME_UNITS,
    as_time_column,
    find_time_column,
    frame_rate_of,
    time_of,
    with_last_times,
    with_span,
)
from datasets_scripts.reading.corpus_builder import CorpusBuilder, CorpusConfig
from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.label_cells import glosses_of, sentence_of
from datasets_scripts.reading.label_tables import TableRow, column_names, find_column, read_table, split_of
from datasets_scripts.reading.pose_files import clip_exists, file_of_clip, files_of, unusable_path, without_suffix
from datasets_scripts.reading.split_by_signer import split_by_clip, split_by_signer
from datasets_scripts.schema import SPLITS
from modeling_sigma.extraction.video_sources import is_address, name_of_address
from modeling_sigma.io.reading_errors import listed, shown
from modeling_sigma.model.pose_clip import PoseClip


_TABLES = (".csv", ".tsv", ".jsonl")
_OTHER_TABLES = (".json", ".txt", ".xlsx", ".xls")
UNKNOWN = "unknown"

# The names that each column may have; the options `path_column`, `text_column`, ... name another column, or "none".
COLUMNS = {
    "path": ("path", "file", "file_name", "filename", "clip", "pose", "video", "video_path", "name"),
    "text": ("text", "sentence", "translation", "caption"),
    "gloss": ("gloss", "glosses", "orth"),
    "label": ("label", "word", "sign", "class"),
    "signer": ("signer_id", "signer", "speaker", "participant"),
    "split": ("split", "subset", "partition"),
    "consent": ("consent", "consent_to_publish"),
    "id": ("sample_id", "id"),
    "fps": ("fps", "frame_rate", "framerate", "frames_per_second"),
    "start": ("start_time", "start", "begin_time", "begin", "onset", "signal_start", "start_realigned"),
    "end": ("end_time", "end", "stop_time", "stop", "offset", "signal_end", "end_realigned"),
    "duration": ("duration",),
}
_TIMES = ("start", "end", "duration")
_NO_COLUMN = ("none", "")


@dataclass
class FolderConfig(CorpusConfig):
    """Options of your own corpus.

    Args:
        metadata (`str`, *optional*):
            The table of the clips; by default the only `.csv`, `.tsv` or `.jsonl` file in `data_dir`.
        annotations (`str`, *optional*):
            Which files of annotations to read instead of a table, such as `"*.txt"` for what ELAN exports; by default
            all `.eaf` below `data_dir`, or all `.srt` and `.vtt`, if there is no table.
        tiers (`str`, *optional*):
            The tiers of these files that hold the labels, between commas: `"gloss"`, `"*_RH,*_LH"`. Needed if several
            tiers have annotations.
        delimiter (`str`, *optional*), quoted (`bool`, *optional*):
            The character between cells, and whether cells may be quoted, where this is not recognised; see
            `datasets_scripts.reading.label_tables.read_table`.
        path_column, text_column, gloss_column, label_column, signer_column, split_column, consent_column, id_column,
        fps_column, start_column, end_column, duration_column (`str`, *optional*):
            Columns with names that are not in [`COLUMNS`]; `"none"` leaves out a column that is.
        time_unit (`str`, *optional*):
            The unit of start and end: `"seconds"`, `"milliseconds"` or `"frames"`; see [`Folder`] for the default.
        sign_language, spoken_language (`str`, *optional*):
            English names of the languages, such as "Swiss German Sign Language" and "German".
        license (`str`, *optional*):
            The terms of your clips, for the data card.
        validation_share, test_share (`float`, *optional*, defaults to 0.1), seed (`int`, *optional*, defaults to 0):
            Shares of the clips, and the seed, of the splits that are made where the table has none.
        estimator (`str`, *optional*):
            The pose estimator for videos; see `modeling_sigma.extraction.estimate_clip`.
        person (`int`, *optional*, defaults to 0):
            Which person of each file to read; 0 is the signer.
    """

    metadata: str | None = None
    annotations: str | None = None
    tiers: str | None = None
    delimiter: str | None = None
    quoted: bool | None = None
    path_column: str | None = None
    text_column: str | None = None
    gloss_column: str | None = None
    label_column: str | None = None
    signer_column: str | None = None
    split_column: str | None = None
    consent_column: str | None = None
    id_column: str | None = None
    fps_column: str | None = None
    start_column: str | None = None
    end_column: str | None = None
    duration_column: str | None = None
    time_unit: str | None = None
    sign_language: str = UNKNOWN
    spoken_language: str = UNKNOWN
    license: str = UNKNOWN
    validation_share: float = 0.1
    test_share: float = 0.1
    seed: int = 0
    estimator: str | None = None
    person: int = 0


class Folder(CorpusBuilder):
    """A folder of clips and a table (csv, tsv or jsonl) with a line for each.

    ```
    my_corpus/
      metadata.csv        path,text,signer
      clips/hello.pose    clips/hello.pose,hello,Ada
      clips/thanks.pkl    clips/thanks.pkl,thank you,Ben
    ```

    A path is relative to the table's folder; its extension may be left out, or be that of the video (`a.mp4` for the
    clip `a.npz` that `sigma-slu extract-poses` made of it); the address of a video (`https://host/a.mp4`) stands for
    the clip `host/a.npz` that it made. In a file of several clips, the clip's name follows the file's
    (`annotations.pkl::clip_01`). One of text, gloss (separated by spaces, or a printed list) and label is
    needed; a label is the text of an isolated sign. Signer, split, id, fps, and start and end in a longer recording
    are optional. Without a split column, splits are made so that nobody signs in two of them. Where signers are not
    known, they are made by clip, and a warning says so.

    Start and end (or start and duration) are seconds or hh:mm:ss, or what a column's name says (`start_ms`,
    `end_frame`); numbers far beyond the end of the recording are taken for frames or milliseconds, and a warning says
    so. 0 to 0, -1 to -1 and empty cells stand for the whole recording.

    Without a table, files of annotations are read: `talk.eaf` (or `talk.srt`, `talk.vtt`) beside the recording
    `talk.pose`. Each annotation of the chosen tiers is a clip, its value the text, its participant the signer.

    Args:
        data_dir (`str`):
            The folder.
        **kwargs:
            Fields of [`FolderConfig`]; see also [`datasets_scripts.reading.corpus_builder.CorpusBuilder`].

    Example:

    ```python
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from datasets_scripts.folder import Folder
    >>> from modeling_sigma.io import save_clip
    >>> from modeling_sigma.model.pose_clip import PoseClip
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_clip(f"{folder}/hello.npz", PoseClip(np.ones((24, 133, 2)), np.ones((24, 133))))
    ...     _ = Path(folder, "metadata.csv").write_text("path,label,split\\nhello,hello,train\\n")
    ...     builder = Folder(data_dir=folder, cache_dir=f"{folder}/cache", sign_language="British Sign Language",
    ...                      spoken_language="English")
    ...     builder.download_and_prepare()
    ...     builder.as_dataset(split="train")[0]["text"]
    'hello'

    ```
    """

    FACTS = CorpusFacts(
        title="Your corpus",
        sign_language=UNKNOWN,
        spoken_language=UNKNOWN,
        sign_language_code="",
        spoken_language_code="",
        tasks=("islr", "cslr", "slt"),
        license="Yours: state it with license=",
        homepage="the people who signed",
        citation="",
        notes="Made from a folder of clips and a table.",
    )
    FILES_IN_WORDS = "your clips and their table (metadata.csv: path; label, text or gloss; signer)"
    BUILDER_CONFIG_CLASS = FolderConfig
    BUILDER_CONFIGS = [FolderConfig(name="default")]

    @property
    def sign_language(self) -> str:
        return str(self.config.sign_language)

    @property
    def spoken_language(self) -> str:
        return str(self.config.spoken_language)

    def available_splits(self) -> tuple[str, ...]:
        present = {entry.split for entry, _ in self._rows}
        return tuple(split for split in SPLITS if split in present)

    def list_clips(self, split: str) -> list[ClipEntry]:
        rows = [(entry, place) for entry, place in self._rows if entry.split == split]
        missing = [entry.source for entry, _ in rows if not clip_exists(entry.source)]
        base = self.folder if self._annotation_files else self._table.parent
        self.report_missing(split, [os.path.relpath(path, base) for path in missing], len(rows), "clips")
        clips = []
        for entry, place in rows:
            if not clip_exists(entry.source):
                continue
            if not entry.text.strip() and not entry.gloss:
                self.report(split, entry.sample_id, f"{os.path.basename(place)}: neither text nor gloss")
                self.say(f"{place}: neither text, gloss nor label: {entry.sample_id} is left out")
                continue
            clips.append(entry)
        return clips

    def encode_clip(self, clip: PoseClip, entry: ClipEntry) -> dict[str, Any]:
        return {**super().encode_clip(clip, entry), "consent": entry.consent}

    def _info(self) -> datasets.DatasetInfo:
        """With a column of its own: what each signer has agreed to, null where the table does not say."""
        info = super()._info()
        info.features = Features({**info.features, "consent": Value("string")})
        return info

    def read_clip(self, entry: ClipEntry) -> PoseClip:
        return self.read_source(entry, self.config.person, self.config.estimator)

    def source_files(self, data_dir: str | None, options: dict[str, Any]) -> Iterable[str]:
        """The labels, and what they name: clips may be videos, and lie beside a table outside of `data_dir`."""
        if data_dir is None:
            return
        try:
            annotated = _annotation_files(Path(data_dir), *map(options.get, ("metadata", "annotations", "tiers")))
            for labels in annotated:
                yield from files_behind(labels, options.get("estimator") is not None)
            if annotated:
                return
            table = _find_table(Path(data_dir), options.get("metadata"))
            rows = read_table(table, options.get("delimiter"), options.get("quoted"))
        except (ValueError, OSError):  # for the build to say
            return
        yield os.fspath(table)
        column = str(options.get("path_column") or find_column(column_names(rows), COLUMNS["path"]))
        for path in {_place(row.cells.get(column, "").strip()) for row in rows}:
            if path and unusable_path(path) is None:
                yield from files_of(_source(table, path, options.get("estimator")))

    def _split_generators(self, dl_manager: Any) -> Any:
        for name in ("_rows", "_annotation_files"):
            self.__dict__.pop(name, None)  # what there is to say is said for each build
        return super()._split_generators(dl_manager)

    @cached_property
    def _table(self) -> Path:
        return _find_table(self.folder, self.config.metadata)

    @cached_property
    def _annotation_files(self) -> list[Path]:
        """Empty if there is a table."""
        return _annotation_files(self.folder, self.config.metadata, self.config.annotations, self.config.tiers)

    @cached_property
    def _rows(self) -> list[tuple[ClipEntry, str]]:
        """Every clip with the place of its label, a file and line; `source` is a path that need not exist."""
        return self._annotated_rows() if self._annotation_files else self._table_rows()

    def _annotated_rows(self) -> list[tuple[ClipEntry, str]]:
        prefers_video = self.config.estimator is not None
        found = annotated_clips(self.folder, self._annotation_files, self.config.tiers, prefers_video)
        for note in found.notes:
            self.say(note)
        if not found.entries:
            raise ValueError(
                f"{self.folder}: expected annotations with values, found none: label them, or give tiers="
            )
        self._say_unknown_languages()
        return list(zip(self._with_made_splits(found.entries), found.places))

    def _table_rows(self) -> list[tuple[ClipEntry, str]]:
        rows = read_table(self._table, self.config.delimiter, self.config.quoted)
        if not rows:
            raise ValueError(f"{self._table}: expected a line for each clip, received an empty table")
        columns = self._columns(column_names(rows))
        entries = with_last_times([self._entry(row, columns) for row in rows])
        self._check_ids(entries, rows)
        if columns["split"] is None:
            entries = self._with_made_splits(entries)
        else:
            self._say_shared_signers(entries)
        return [(entry, f"{self._table}, line {row.line}") for entry, row in zip(entries, rows)]

    def _columns(self, names: Sequence[str]) -> dict[str, str | None]:
        """For each meaning the column that has it."""
        columns: dict[str, str | None] = {}
        for meaning, known in COLUMNS.items():
            given = getattr(self.config, f"{meaning}_column")
            if given in names:
                columns[meaning] = given
            elif given in _NO_COLUMN:
                columns[meaning] = None
            elif given is not None:
                raise ValueError(
                    f"{self._table}: expected the column {given!r} ({meaning}_column), received {listed(names)}"
                )
            elif meaning in _TIMES:
                time_column = find_time_column(names, known)
                columns[meaning] = time_column.name if time_column else None
            else:
                columns[meaning] = find_column(names, known)
        if columns["path"] is None:
            raise ValueError(
                f"{self._table}: expected a column of paths ({', '.join(COLUMNS['path'])}), received "
                f"{listed(names)}: rename it or give path_column="
            )
        if all(columns[meaning] is None for meaning in ("text", "gloss", "label")):
            raise ValueError(
                f"{self._table}: expected a column text, gloss or label, received {listed(names)}: rename it or "
                "give text_column=, gloss_column= or label_column="
            )
        if columns["start"] is None or columns["end"] is not None:
            columns["duration"] = None  # of the whole clip, or told by its end
        if self.config.time_unit not in (None, *TIME_UNITS):
            raise ValueError(
                f"expected time_unit to be one of {', '.join(TIME_UNITS)}, received {self.config.time_unit!r}"
            )
        unused = [name for name in names if name not in columns.values()]
        if unused:
            self.say(f"{self._table.name}: columns that are not used: {listed(unused)}")
        self._say_unknown_languages()
        return columns

    def _say_unknown_languages(self) -> None:
        if UNKNOWN in (self.sign_language, self.spoken_language):
            self.say("sign_language and spoken_language are unknown: name them, prompts and data card need them")

    def _entry(self, row: TableRow, columns: dict[str, str | None]) -> ClipEntry:
        cells = {meaning: row.cells.get(column, "").strip() if column else "" for meaning, column in columns.items()}
        where = f"{self._table}, line {row.line}"
        cells["path"] = _place(cells["path"])
        if not cells["path"]:
            raise ValueError(f"{where}: expected a path, received an empty cell")
        if problem := unusable_path(cells["path"]):
            raise ValueError(f"{where}: expected a path, received {problem}, {shown(cells['path'])}: correct it")
        entry = ClipEntry(
            sample_id=cells["id"] or without_suffix(cells["path"]),
            split=split_of(cells["split"], where) if columns["split"] else SPLITS[0],
            source=_source(self._table, cells["path"], self.config.estimator),
            text=sentence_of(cells["text"] or cells["label"], where),
            gloss=glosses_of(cells["gloss"], where),
            signer_id=cells["signer"] or None,
            fps=frame_rate_of(cells["fps"], where),
            consent=cells["consent"] if columns["consent"] else None,
        )
        start, end, duration = (
            time_of(cells[meaning], self.config.time_unit or as_time_column(columns[meaning] or "").unit, where)
            for meaning in _TIMES
        )
        if duration[0] is not None and start[0] is not None:
            end = (start[0] + duration[0], duration[1] or start[1])
        entry = with_span(entry, start, end, where)
        if not cells["id"] and (entry.start, entry.end) != (None, None):
            until = cells["end"] or (f"{end[0]:g}" if duration[0] is not None else "")
            entry = replace(entry, sample_id=f"{entry.sample_id} {cells['start']}-{until}")
        return entry

    def _check_ids(self, entries: Sequence[ClipEntry], rows: Sequence[TableRow]) -> None:
        lines: dict[str, int] = {}
        for entry, row in zip(entries, rows):
            first = lines.setdefault(entry.sample_id, row.line)
            if first != row.line:
                raise ValueError(
                    f"{self._table}: lines {first} and {row.line} have the same id, {entry.sample_id}: remove one, or "
                    "give each an id of its own in a column sample_id"
                )

    def _with_made_splits(self, entries: Sequence[ClipEntry]) -> list[ClipEntry]:
        shares = (self.config.validation_share, self.config.test_share, self.config.seed)
        signers = [entry.signer_id for entry in entries]
        if any(signers):
            splits = split_by_signer(signers, *shares)
            num_signers, num_unknown = len(set(signers) - {None}), signers.count(None)
            self.say(
                f"splits were made by signer ({num_signers} of them): nobody signs in two splits"
                + (f"; {num_unknown} clips without a signer are in train" if num_unknown else "")
                + ("; too few signers for three splits" if len(set(splits)) < 3 else "")
            )
        else:
            splits = split_by_clip([entry.sample_id for entry in entries], *shares)
            self.say(
                "splits were made by clip, because signers are not known: the same people may be in several splits, "
                "so expect worse results for new signers than on test"
            )
        return [replace(entry, split=split) for entry, split in zip(entries, splits)]

    def _say_shared_signers(self, entries: Sequence[ClipEntry]) -> None:
        splits: dict[str, set[str]] = {}
        for entry in entries:
            if entry.signer_id is not None:
                splits.setdefault(entry.signer_id, set()).add(entry.split)
        shared = sorted(signer for signer, of in splits.items() if len(of) > 1)
        if shared:
            self.say(f"{len(shared)} of {len(splits)} signers are in several splits: {', '.join(shared[:5])}")
        elif not splits:
            self.say("signers are not known: the same people may be in several splits")


def _annotation_files(
    folder: Path, metadata: str | None, annotations: str | None = None, tiers: str | None = None
) -> list[Path]:
    """The files of annotations that take the place of a table; none if there is one."""
    if annotations is not None and metadata is not None:
        raise ValueError("expected metadata= or annotations=, received both: leave one out")
    if metadata is not None or not folder.is_dir():
        return []
    has_table = any(path.suffix.lower() in _TABLES for path in folder.iterdir())
    return find_annotation_files(folder, annotations) if annotations or tiers or not has_table else []


def _find_table(folder: Path, metadata: str | None) -> Path:
    """The table in `folder` that `metadata` names, or the only one that is there.

    Raises:
        FileNotFoundError: if there is none, or several could be meant.
    """
    if metadata is not None:
        table = folder / metadata
        if not table.is_file():
            raise FileNotFoundError(f"{table}: no such file: give metadata, the table of your clips")
        return table
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in _TABLES)
    named = [path for path in tables if path.stem.lower() in ("metadata", "labels")]
    if len(named) == 1 or len(tables) == 1:
        return (named or tables)[0]
    found = ", ".join(path.name for path in tables) or "none"
    others = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _OTHER_TABLES)
    if others and not tables:
        found += f" (save {others[0]} as one of these)"
    raise FileNotFoundError(
        f"{folder}: expected one table (.csv, .tsv or .jsonl) with a line for each clip, received {found}: "
        "name it metadata.csv or give metadata=, or put a .eaf or .srt file beside each recording"
    )


def _place(path: str) -> str:
    """Where the clip of a path lies; that of a video's address is where `extract-poses` has put it."""
    return name_of_address(path) if is_address(path) else path


def _source(table: Path, name: str, estimator: object) -> str:
    """The clip that a cell names; a video's poses go before the video, unless somebody asks for an estimator."""
    return file_of_clip(os.fspath(table.parent), name, prefers_video=estimator is not None)
