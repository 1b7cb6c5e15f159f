"""A folder for everything that a server writes: its uploads, and those of servers that were killed, do not stay."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout


def open_upload_folder(name: str) -> Path:
    """Makes the folder of this server and deletes those of servers of this name that have ended.

    Everything temporary goes there, of this process and of those that it starts. A killed server deletes nothing, but
    it does let go of its lock.
    """
    home = Path(tempfile.gettempdir()) / f"{name}-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    home.mkdir(mode=0o700, exist_ok=True)
    for path in home.glob("*.lock"):
        try:
            with FileLock(path, timeout=0):
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                path.unlink()
        except Timeout:
            continue  # that server is running
    folder = Path(tempfile.mkdtemp(dir=home))
    lock = FileLock(folder.with_suffix(".lock"))
    lock.acquire()
    atexit.register(_close, folder, lock)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    return folder


def _close(folder: Path, lock: Any) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()
