"""Files that are either complete or not there, and folders that one process writes at a time.

The output of long-running commands survives a kill at any moment: a file appears under its name only once all of it is
on the disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def atomic_file(path: Path, scratch: Path | None = None, sync: bool = True) -> Iterator[Path]:
    """The path of a temporary file that replaces `path` once the body has ended without an error.

    Args:
        path (`Path`):
            The file to write. Its folder is created; an older file is replaced in one step.
        scratch (`Path`, *optional*):
            A folder on the same file system for the temporary file, which has the same extension; by default the
            folder of `path`. A killed process leaves the temporary file there.
        sync (`bool`, *optional*, defaults to `True`):
            Whether to wait until the file is on the disk, so that it survives a power failure too. If not, call
            `sync_file`, or check the file's checksum, before anything relies on it.
    """
    folder = path.parent if scratch is None else scratch
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{os.getpid()}-{path.name}"
    try:
        yield temporary
        if sync:
            sync_file(temporary)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, path)
        if sync:
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Waits until a file is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str, scratch: Path | None = None, sync: bool = True) -> None:
    """Writes a UTF-8 file with `\\n` line endings, complete or not at all; see `atomic_file`."""
    with atomic_file(path, scratch, sync) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def write_json(path: Path, value: Any, scratch: Path | None = None, sync: bool = True) -> None:
    """Writes `value` as readable JSON, complete or not at all: equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", scratch, sync)


@contextmanager
def lone_writer(folder: Path) -> Iterator[None]:
    """Creates `folder` and locks it against other processes that call this. A kill releases the lock.

    Raises:
        ValueError: if another process writes there.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(
            f"{folder}: another process is writing here: wait for it, or choose another folder"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows does not delete open files
            (folder / ".lock").unlink(missing_ok=True)
        lock.release()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows has no way to do this, and renames are journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
