"""From an upload to a clip: written to a private folder, read by a bounded worker, deleted whatever happens."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from modeling_sigma.io.load_clip import VIDEO_SUFFIXES
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.serving.bounded_workers import BoundedWorkers
from modeling_sigma.serving.reading_worker import CLIP_FACTS, points_path


_READ_SECONDS, _NUM_READERS = 10, 2
# So many uploads go to a process at once: each hand-over costs as much as reading a short clip.
_MOST_TOGETHER = 8
_LONGEST_NAME = 100
_SUFFIXES = re.compile(r"(\.[A-Za-z0-9]{1,10}){1,2}$")


@dataclass(frozen=True, eq=False)
class _Upload:
    file: IO[bytes]
    name: str
    person: int
    clip: asyncio.Future[PoseClip]


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
        self._waiting: deque[_Upload] = deque()
        self._numbers, self._num_free = itertools.count(), _NUM_READERS
        self._reading: set[asyncio.Task[None]] = set()

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
        upload = _Upload(file, name, person, asyncio.get_running_loop().create_future())
        self._waiting.append(upload)
        if self._num_free:
            self._num_free -= 1
            self._reading.add(reading := asyncio.create_task(self._read_all()))
            reading.add_done_callback(self._reading.discard)
        return await upload.clip

    def close(self) -> None:
        """Ends the processes."""
        self._workers.close()

    async def _read_all(self) -> None:
        """Reads what waits, some uploads at a time, until nothing does."""
        try:
            while self._waiting:
                number = min(_MOST_TOGETHER, -(-len(self._waiting) // _NUM_READERS))
                uploads = [self._waiting.popleft() for _ in range(number)]
                uploads = [upload for upload in uploads if not upload.clip.done()]  # whose client still waits
                clips = await asyncio.to_thread(self._read, uploads)
                for upload, clip in zip(uploads, clips, strict=True):
                    if upload.clip.done():
                        continue
                    if isinstance(clip, Exception):
                        upload.clip.set_exception(clip)
                    else:
                        upload.clip.set_result(clip)
        finally:
            self._num_free += 1

    def _read(self, uploads: Sequence[_Upload]) -> list[PoseClip | Exception]:
        paths: list[Path] = []
        try:
            for upload in uploads:
                suffixes = _SUFFIXES.search(upload.name)
                name = f"{os.getpid()}-{next(self._numbers)}-clip{suffixes[0] if suffixes else ''}"
                paths.append(self._folder / name)
                with paths[-1].open("wb") as copy:
                    shutil.copyfileobj(upload.file, copy)
            requests = [
                {"file": str(path), "person": upload.person, "max_frames": self._max_frames}
                for path, upload in zip(paths, uploads, strict=True)
            ]
            answers = self._workers.ask_each(requests, _READ_SECONDS)
            return [_clip_or_error(*each) for each in zip(paths, answers, uploads, strict=True)]
        except Exception as error:  # such as a full disk: whoever waits is told
            return [error] * len(uploads)
        finally:
            for path in paths:
                path.unlink(missing_ok=True)
                points_path(path).unlink(missing_ok=True)


def upload_name(name: str | None) -> str:
    """What a client calls a file, without folders, on one line and not absurdly long."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(letter if letter.isprintable() else "_" for letter in last)[-_LONGEST_NAME:] or "clip"


def _naming(name: str, message: str, path: Path) -> str:
    """A message about a file of ours as one about the upload, without paths of the server."""
    said = " ".join(message.replace(os.fspath(path), name).replace(path.name, name).split())
    return said if name in said else f"{name}: {said}"


def _clip_or_error(path: Path, answer: dict[str, Any], upload: _Upload) -> PoseClip | Exception:
    if "error" in answer:
        return ValueError(_naming(upload.name, answer["error"], path))
    points = np.load(points_path(path), allow_pickle=False)  # written by our own worker
    return PoseClip(points[..., :2], points[..., 2], **{fact: answer[fact] for fact in CLIP_FACTS})
