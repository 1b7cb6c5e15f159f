"""Folders of several files that belong together, such as a model or an index: all of them are new, or none is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from modeling_sigma.jobs.atomic_files import lone_writer, sync_file


_STAGED = ".unfinished"


@contextmanager
def atomic_folder(folder: Path, key_file: str, replaced: Sequence[str] = ()) -> Iterator[Path]:
    """An empty folder whose files replace those of `folder` once the body has ended without an error. Until then, no
    other process may write there.

    Args:
        folder (`Path`):
            The folder to write; other files in it stay.
        key_file (`str`):
            The file without which nobody takes the folder for whole, such as `config.json`: it is removed first and
            comes last, so that old and new files are never read together. A kill in between leaves no such file.
        replaced (`Sequence[str]`, *optional*):
            Patterns of older files that are removed unless the body has written their like, such as
            `model*.safetensors`.

    Raises:
        ValueError: if another process writes there.
    """
    with lone_writer(folder), staged_files(folder, key_file, replaced) as staged:
        yield staged


@contextmanager
def staged_files(folder: Path, key_file: str, replaced: Sequence[str] = ()) -> Iterator[Path]:
    """As `atomic_folder`, for those who have locked `folder` already."""
    staged = folder / _STAGED
    shutil.rmtree(staged, ignore_errors=True)  # of a run that was killed
    staged.mkdir(parents=True)
    try:
        yield staged
        names = sorted(path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file())
        for name in names:
            sync_file(staged / name)
        (folder / key_file).unlink(missing_ok=True)
        for path in [path for pattern in replaced for path in folder.glob(pattern)]:
            path.unlink()
        for name in sorted(names, key=lambda name: name == key_file):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged / name, folder / name)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
