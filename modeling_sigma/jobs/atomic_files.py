"""Files that are either complete or not there, and folders that one process writes at a time.

The output of long-running commands survives a kill at any moment: a file appears under its name only once all of it is
on the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


# The longest name of a file, in bytes, that the usual file systems take; and the longest extension worth keeping.
_LONGEST_NAME, _LONGEST_SUFFIX = 255, 16


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

    A link stays a link, and what it leads to is replaced. Into what is no file, such as `/dev/stdout`, the body writes
    itself.

    Raises:
        OSError: for a folder in place of the file, and for whatever cannot be written.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path}: expected the name of a file to write, found a folder: give another name")
    if path.parts[1:2] == ("dev",) or (path.exists() and not path.is_file()):
        yield path
        return
    path = Path(os.path.realpath(path))
    folder = path.parent if scratch is None else scratch
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / fitting_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        if sync:
            sync_file(temporary)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, path)
        if sync:
            _sync_folder(path.parent)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from error  # a full disk names no file
    finally:
        temporary.unlink(missing_ok=True)


def fitting_name(name: str) -> str:
    """`name`, or a hash with the same extension if `name` is longer than file systems allow."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST_NAME:
        return name
    suffix = Path(name).suffix
    kept = suffix if len(os.fsencode(suffix)) <= _LONGEST_SUFFIX else ""
    return f".{hashlib.sha256(encoded).hexdigest()[:32]}{kept}"


def sync_file(path: Path) -> None:
    """Waits until a file is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str, scratch: Path | None = None, sync: bool = True) -> None:
    """Writes a UTF-8 file with `\\n` line endings, complete or not at all; see `atomic_file`.

    A lone surrogate, which stands for a byte in a file name that is not UTF-8, becomes `\\udc80`: in JSON the escape
    that is read back as that surrogate.
    """
    with atomic_file(path, scratch, sync) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any, scratch: Path | None = None, sync: bool = True) -> None:
    """Writes `value` as readable JSON, complete or not at all: equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", scratch, sync)


@contextmanager
def lone_writer(folder: Path, patience: float = 0) -> Iterator[None]:
    """Creates `folder` and locks it against other processes that call this. A kill releases the lock.

    Args:
        folder (`Path`):
            The folder to write to. If it is new and the body fails before it has written anything, it is removed.
        patience (`float`, *optional*, defaults to 0):
            The number of seconds to wait for another process to finish.

    Raises:
        ValueError: if another process writes there.
    """
    from filelock import FileLock, Timeout

    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=patience)
    except Timeout as error:
        raise ValueError(
            f"{folder}: another process is writing here: wait for it, or choose another folder"
        ) from error
    is_done = False
    try:
        yield
        is_done = True
    finally:
        with suppress(OSError):  # Windows does not delete open files
            (folder / ".lock").unlink(missing_ok=True)
        lock.release()
        if is_new and not is_done:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows has no way to do this, and renames are journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
