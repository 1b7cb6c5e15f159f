"""A folder that a long job fills, clip by clip or shard by shard: kill it anywhere, and the next run goes on.

1. `writing()` keeps other processes out.
2. For every item a worker writes its file (`write_result`) and then a note of what became of it (`write_note`). The
   next run takes what its notes tell and does the rest.
3. The job writes its summary of all notes, and `finish()` removes these.

Files appear whole or not at all, so a kill between any two steps changes nothing in what comes out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_sigma.jobs.atomic_files import atomic_file, lone_writer, write_json


Note = dict[str, Any]


@dataclass(frozen=True)
class ResultFolder:
    """The folder of one job; can be sent to other processes.

    Args:
        path (`Path`):
            The folder.
        work_name (`str`):
            Name of a hidden folder inside, for notes and temporary files: there as long as the job is not finished.
    """

    path: Path
    work_name: str

    @property
    def work(self) -> Path:
        """What an unfinished job has left."""
        return self.path / self.work_name

    @property
    def scratch(self) -> Path:
        """Where temporary files go."""
        return self.work / "temporary"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Makes the folder, and clears away what a killed run had begun to write.

        Raises:
            ValueError: if another process writes there.
        """
        with lone_writer(self.path):
            shutil.rmtree(self.scratch, ignore_errors=True)
            yield

    def write_result(self, path: Path, write: Callable[[Path], object]) -> tuple[int, str]:
        """Writes the file of an item.

        Args:
            path (`Path`):
                The file to be, in this folder.
            write (`Callable[[Path], object]`):
                Writes to a temporary file with the same extension.

        Returns:
            `tuple[int, str]`: the number of bytes and the SHA-256 for the note. It takes `sync_file` for the file to
            survive a power failure; until then, `is_whole` tells. Waiting for the disk after each would slow the work.
        """
        with atomic_file(path, self.scratch, sync=False) as temporary:
            write(temporary)
            content = temporary.read_bytes()
        return len(content), hashlib.sha256(content).hexdigest()

    def write_note(self, name: str, note: Note) -> None:
        """Notes what became of an item, once its file is there."""
        write_json(self._note_path(name), note, self.scratch, sync=False)

    def read_note(self, name: str) -> Note | None:
        """The note of an item, if there is one."""
        return _read(self._note_path(name))

    def notes(self) -> list[Note]:
        """All notes of the unfinished job."""
        found = (_read(path) for path in sorted(self._notes.rglob("*.json")))
        return [note for note in found if note is not None]

    def finish(self) -> None:
        """Removes notes and temporary files, once everything is in its place."""
        shutil.rmtree(self.work, ignore_errors=True)

    @property
    def _notes(self) -> Path:
        return self.work / "notes"

    def _note_path(self, name: str) -> Path:
        return self._notes / f"{name}.json"


def is_whole(path: Path, num_bytes: int, sha256: str) -> bool:
    """Whether a file is what `write_result` wrote."""
    if not path.is_file() or path.stat().st_size != num_bytes:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _read(path: Path) -> Note | None:
    try:
        note: Note = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # not there, or lost its content with the power
        return None
    return note
