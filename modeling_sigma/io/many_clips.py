"""Files that hold many clips: which ones, and how one of them is named (`annotations.pkl::clip_01`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from modeling_sigma.io.reading_budget import reading_budget
from modeling_sigma.io.recording import Recording


# Separates a file from the name of a clip in it.
SEPARATOR = "::"
_MAX_CLIPS = 1_000_000
_NUM_NAMES_SHOWN = 5


class ManyClips(Mapping[str, Recording]):
    """The clips of one file by name; each becomes a recording only when it is asked for.

    Args:
        path (`str` or `os.PathLike`):
            The name of the file, for messages.
        contents (iterable of `(name, content)`):
            The name of each clip and its content in the file. A repeated name gets its position added: `a#7`.
        make (`Callable`):
            A function that turns such content into a recording.

    Raises:
        ValueError: for no clips or absurdly many.
    """

    def __init__(
        self, path: str | os.PathLike[str], contents: Iterable[tuple[Any, Any]], make: Callable[[Any], Recording]
    ) -> None:
        self.path = os.fspath(path)
        self._make = make
        self._contents: dict[str, Any] = {}
        for name, content in contents:
            # The name as it comes back from a path.
            self._contents[_unused(str(PurePosixPath(str(name))), self._contents)] = content
            if len(self._contents) > _MAX_CLIPS:
                raise ValueError(f"expected at most {_MAX_CLIPS:,} clips in one file, received more: split the file")
        if not self._contents:
            raise ValueError("expected clips, received a file without any: nothing was written into it")

    def __getitem__(self, name: str) -> Recording:
        with reading_budget(self.path):
            return self._make(self._contents[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._contents)

    def __len__(self) -> int:
        return len(self._contents)

    def choose(self, name: str | None) -> Recording:
        """The clip of that name, or the only one.

        Raises:
            ValueError: if there are several clips and no name, or no clip of that name. The message lists some names.
        """
        if name is None and len(self) == 1:
            return self[next(iter(self))]
        if name in self._contents:
            return self[name]
        names = list(self)
        listed = ", ".join(ascii(each[:60]) for each in names[:_NUM_NAMES_SHOWN])
        more = f" and {len(names) - _NUM_NAMES_SHOWN:,} more" if len(names) > _NUM_NAMES_SHOWN else ""
        came = "expected the name of one clip" if name is None else f"there is no clip {ascii(name[:60])}"
        raise ValueError(
            f"{came}: this file holds {len(names):,} clips: {listed}{more}: "
            f"choose one as {ascii(f'{Path(self.path).name}{SEPARATOR}{names[0][:60]}')}"
        )


def split_name(path: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """The file, and the name of the clip in it: `a.pkl::x` -> `a.pkl`, `x`. A file of exactly that name wins."""
    text = os.fspath(path)
    if SEPARATOR not in text or Path(text).exists():
        return Path(text), None
    file, name = text.split(SEPARATOR, 1)
    return Path(file), name


def _unused(name: str, names: Mapping[str, Any]) -> str:
    candidate = name
    while candidate in names:
        candidate = f"{candidate}#{len(names)}"
    return candidate
