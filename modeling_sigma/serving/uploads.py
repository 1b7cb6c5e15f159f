"""From an upload to a clip: written to a folder of its own, read by a bounded worker, deleted whatever happens."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from modeling_sigma.io.load_clip import VIDEO_SUFFIXES
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.serving.bounded_workers import BoundedWorkers
from modeling_sigma.serving.reading_worker import CLIP_FACTS


_READ_SECONDS, _NUM_READERS = 10, 2
_LONGEST_NAME = 100
_SUFFIXES = re.compile(r"(\.[A-Za-z0-9]{1,10}){1,2}$")


class UploadReader:
    """Processes that read uploads, and the folder that these pass through.

    Args:
        folder (`Path`):
            A folder that nobody else can look into.
        max_frames (`int`):
            The frames of a clip.
        on_death (`Callable`):
            Called for each process that an upload has ended.
    """

    def __init__(self, folder: Path, max_frames: int, on_death: Callable[[], None]) -> None:
        self._folder, self._max_frames = folder, max_frames
        command = [sys.executable, "-m", "modeling_sigma.serving.reading_worker"]
        self._workers = BoundedWorkers(command, _NUM_READERS, on_death)
        self._turns = asyncio.Semaphore(_NUM_READERS)  # who waits for a worker holds no thread

    async def read(self, file: IO[bytes], name: str, person: int) -> PoseClip:
        """The clip in an upload.

        Args:
            file (`IO[bytes]`):
                Its content.
            name (`str`):
                What the client calls it: the extension decides how it is read.
            person (`int`):
                The index of the person to read.

        Raises:
            ValueError: for anything that is no clip of bearable size, in one line that names the upload.
        """
        if Path(name).suffix.lower() in VIDEO_SUFFIXES:
            raise ValueError(
                f"{name}: expected a file of keypoints, received a video: extract them first with `sigma-slu "
                "extract-poses`"
            )
        async with self._turns:
            return await asyncio.to_thread(self._read, file, name, person)

    def close(self) -> None:
        """Ends the processes."""
        self._workers.close()

    def _read(self, file: IO[bytes], name: str, person: int) -> PoseClip:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            suffixes = _SUFFIXES.search(name)
            path = folder / f"clip{suffixes[0] if suffixes else ''}"
            with path.open("wb") as copy:
                shutil.copyfileobj(file, copy)
            request = {"file": str(path), "person": person, "max_frames": self._max_frames}
            try:
                facts = self._workers.ask(request, _READ_SECONDS)
            except ValueError as error:
                raise ValueError(_naming(name, str(error), path)) from error
            return _clip(path, facts)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def upload_name(name: str | None) -> str:
    """What a client calls a file, without folders, on one line and not absurdly long."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(letter if letter.isprintable() else "_" for letter in last)[-_LONGEST_NAME:] or "clip"


def _naming(name: str, message: str, path: Path) -> str:
    """A message about a file of ours as one about the upload, without paths of the server."""
    said = " ".join(message.replace(os.fspath(path), name).replace(path.name, name).split())
    return said if name in said else f"{name}: {said}"


def _clip(path: Path, facts: dict[str, Any]) -> PoseClip:
    arrays = {
        part: np.load(f"{path}.{part}.npy", allow_pickle=False)  # written by our own worker
        for part in ("keypoints", "scores")
    }
    return PoseClip(**arrays, **{fact: facts[fact] for fact in CLIP_FACTS})
