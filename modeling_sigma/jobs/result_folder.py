"""A folder that a long job fills, clip by clip or shard by shard. Kill the job anywhere, and the next run resumes it.

1. `writing()` keeps other processes out.
2. For every item, a worker writes its file (`write_result`) and a note of what became of it (`write_note`). The next
   run keeps what the notes describe and does the rest.
3. The job writes its summary of all notes, and `finish()` removes the notes.

Files appear whole or not at all, so a kill between any two steps does not change the result.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_sigma.io.json_text import read_json
from modeling_sigma.jobs.atomic_files import atomic_file, fitting_name, lone_writer, write_json


Note = dict[str, Any]


@dataclass(frozen=True)
class ResultFolder:
    """The folder of one job; can be sent to other processes.

    Args:
        path (`Path`):
            The folder.
        work_name (`str`):
            The name of a hidden folder inside it, for notes and temporary files: it exists until the job is finished.
    """

    path: Path
    work_name: str

    @property
    def work(self) -> Path:
        """The folder of notes and temporary files of an unfinished job."""
        return self.path / self.work_name

    @property
    def scratch(self) -> Path:
        """Where temporary files go."""
        return self.work / "temporary"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Creates and locks the folder, and removes files that a killed run had begun to write.

        Raises:
            ValueError: if another process writes there.
        """
        with lone_writer(self.path):
            shutil.rmtree(self.scratch, ignore_errors=True)
            yield

    def write_result(
        self, path: Path, write: Callable[[Path], object], note: Callable[[int, str], None] | None = None
    ) -> tuple[int, str]:
        """Writes the file of an item.

        Args:
            path (`Path`):
                The file to write, in this folder.
            write (`Callable[[Path], object]`):
                A function that writes to the path that it is given: a temporary file with the same extension.
            note (`Callable[[int, str], None]`, *optional*):
                A function that is given what is returned here, and writes the note just before the file gets its name.
                Then every file that this job has written has a note, and one without is somebody else's.

        Returns:
            `tuple[int, str]`: the number of bytes and the SHA-256, for the note. Only after `sync_file` does the file
            survive a power failure; until then, `is_whole` checks it. Waiting for the disk after each file would slow
            the work.
        """
        with atomic_file(path, self.scratch, sync=False) as temporary:
            write(temporary)
            content = temporary.read_bytes()
            facts = len(content), hashlib.sha256(content).hexdigest()
            if note is not None:
                note(*facts)
        return facts

    def write_note(self, name: str, note: Note) -> None:
        """Writes the note of what became of an item, once its file is there."""
        write_json(self._note_path(name), note, self.scratch, sync=False)

    def read_note(self, name: str) -> Note | None:
        """The note of an item, if there is one."""
        return _read(self._note_path(name))

    def has_note(self, name: str) -> bool:
        """Whether there is a note of an item, even one that lost its content in a power failure."""
        return self._note_path(name).is_file()

    def notes(self) -> list[Note]:
        """All notes of the unfinished job."""
        found = (_read(path) for path in sorted(self._notes.rglob("*.json")))
        return [note for note in found if note is not None]

    def finish(self) -> None:
        """Removes notes and temporary files, once all results are in place."""
        shutil.rmtree(self.work, ignore_errors=True)

    @property
    def _notes(self) -> Path:
        return self.work / "notes"

    def _note_path(self, name: str) -> Path:
        path = self._notes / f"{name}.json"
        return path.with_name(fitting_name(path.name))


def is_whole(path: Path, num_bytes: int, sha256: str) -> bool:
    """Whether a file is what `write_result` wrote."""
    if not path.is_file() or path.stat().st_size != num_bytes:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _read(path: Path) -> Note | None:
    try:
        note: Note = read_json(path, "a note", dict, has_file_names=True)
    except (FileNotFoundError, ValueError):  # not there, or lost its content in a power failure
        return None
    return note
