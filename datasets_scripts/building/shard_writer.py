"""One Parquet file of a data set: which clips it will hold, writing it at once or not at all, and a note of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow
from datasets import Features
from pyarrow import parquet

from datasets_scripts.building.clip_statistics import count_clips
from datasets_scripts.corpora import CORPORA
from datasets_scripts.reading.corpus_builder import ClipEntry, CorpusBuilder
from modeling_sigma import __version__
from modeling_sigma.io.reading_errors import is_passing, one_line
from modeling_sigma.jobs.result_folder import Note, ResultFolder, is_whole


# Readers of streams load one row group at a time.
_ROWS_IN_GROUP = 100


@dataclass(frozen=True)
class Shard:
    """The clips of one file, in order.

    Args:
        name (`str`):
            Name of the file without its extension: `train-00000-of-00002`.
        entries (`tuple[ClipEntry, ...]`):
            The clips in the file.
        fingerprint (`str`):
            A hash that is equal for equal clips from unchanged sources.
    """

    name: str
    entries: tuple[ClipEntry, ...]
    fingerprint: str


@dataclass(frozen=True)
class ShardWriter:
    """Writes shards of a corpus; can be sent to other processes.

    Args:
        corpus (`str`):
            A name of `datasets_scripts.corpora.CORPORA`.
        builder_options (`dict`):
            Arguments of the corpus's builder.
        results ([`ResultFolder`]):
            The folder of the results; `data/NAME.parquet` goes into its hidden folder.
    """

    corpus: str
    builder_options: Mapping[str, Any]
    results: ResultFolder

    @property
    def staged(self) -> Path:
        """Where files are until all are done."""
        return self.results.work / "data"

    def make_builder(self) -> CorpusBuilder:
        """A builder of the corpus, whose cache nobody else uses."""
        return CORPORA[self.corpus](cache_dir=self.results.work / "cache", **self.builder_options)

    def make_task(self, number: int) -> Callable[[Shard], Note]:
        """What a worker does with a shard."""
        return partial(self._write, self.make_builder())

    def finished(self, shard: Shard, final_dir: Path) -> Note | None:
        """The note of a shard that is there already, from the same sources and whole: staged, or in `final_dir`."""
        note = self.results.read_note(shard.name)
        if note is None or note["fingerprint"] != shard.fingerprint or note.get("postponed"):
            return None
        paths = [folder / f"{shard.name}.parquet" for folder in (self.staged, final_dir)]
        is_there = note["num_bytes"] == 0 or any(is_whole(path, note["num_bytes"], note["sha256"]) for path in paths)
        return note if is_there else None

    def _write(self, builder: CorpusBuilder, shard: Shard) -> Note:
        rows: list[dict[str, Any]] = []
        set_aside: list[dict[str, str]] = []
        postponed: list[dict[str, str]] = []
        for entry in shard.entries:
            try:
                rows.append(builder.encode(entry))
            except (ValueError, OSError, MemoryError) as error:
                reason = one_line(error).replace(f"{builder.config.data_dir}{os.sep}", "") or type(error).__name__
                builder.report(entry.split, entry.sample_id, reason)
                problem = {"split": entry.split, "sample_id": entry.sample_id, "reason": reason}
                (postponed if is_passing(error) else set_aside).append(problem)
        path = self.staged / f"{shard.name}.parquet"
        path.unlink(missing_ok=True)  # of other sources
        size, digest = (
            self.results.write_result(path, partial(_write_table, rows, builder.info.features)) if rows else (0, "")
        )
        note = {
            "fingerprint": shard.fingerprint,
            "name": shard.name,
            "num_bytes": size,
            "sha256": digest,
            "set_aside": set_aside,
            "postponed": postponed,
            "statistics": count_clips(rows),
        }
        self.results.write_note(shard.name, note)
        return note


def plan_shards(builder: CorpusBuilder, clips: Mapping[str, Sequence[ClipEntry]], clips_per_shard: int) -> list[Shard]:
    """Divides the clips of each split among files, in order and evenly.

    Args:
        builder ([`CorpusBuilder`]):
            The builder of the corpus that the clips belong to.
        clips (`dict[str, list[ClipEntry]]`):
            Split to its clips.
        clips_per_shard (`int`):
            Largest number of clips in a file.

    Raises:
        ValueError: for fewer than 1 clip in a file.
    """
    if clips_per_shard < 1:
        raise ValueError(f"expected at least 1 clip in a shard, received {clips_per_shard}")
    shards = []
    for split, entries in clips.items():
        num_shards = -(-len(entries) // clips_per_shard)
        for number in range(num_shards):
            start, stop = (len(entries) * end // num_shards for end in (number, number + 1))
            chosen = tuple(entries[start:stop])
            name = f"{split}-{number:05d}-of-{num_shards:05d}"
            shards.append(Shard(name, chosen, _fingerprint(builder, chosen)))
    return shards


def as_table(rows: Sequence[Mapping[str, Any]], columns: Features) -> pyarrow.Table:
    """Rows as a table that `datasets` reads with these columns: those of the schema, and what a corpus adds."""
    schema = columns.arrow_schema
    return pyarrow.table(
        {field.name: pyarrow.array([row[field.name] for row in rows], field.type) for field in schema}, schema=schema
    )


def _write_table(rows: Sequence[Mapping[str, Any]], columns: Features, path: Path) -> None:
    parquet.write_table(as_table(rows, columns), path, compression="zstd", row_group_size=_ROWS_IN_GROUP)


def _fingerprint(builder: CorpusBuilder, entries: Sequence[ClipEntry]) -> str:
    digest = hashlib.sha256()
    for part in _parts(builder, entries):
        digest.update(json.dumps(part, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _parts(builder: CorpusBuilder, entries: Sequence[ClipEntry]) -> Iterator[Any]:
    yield (
        __version__,
        type(builder).__name__,
        str(builder.VERSION),
        asdict(builder.config),
        builder.info.features.to_dict(),
    )
    for entry in entries:
        yield asdict(entry)
        try:
            status = os.stat(entry.source)
        except (OSError, ValueError):  # no path, but what else the corpus finds its clips by
            continue
        yield status.st_size, status.st_mtime_ns
