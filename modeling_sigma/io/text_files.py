"""Text files of users: UTF-8 with or without a byte order mark, and lines that end where an editor shows it."""

from __future__ import annotations

import os
from pathlib import Path

from modeling_sigma.io.reading_errors import one_line


def read_text(path: str | os.PathLike[str], content: str) -> str:
    """The text of a file in UTF-8, with `\\n` for every line end.

    Args:
        path (`str` or `os.PathLike`):
            The file.
        content (`str`):
            What should be in it, for messages: `"labels, one a line"`.

    Raises:
        OSError: if there is no such file, it is a folder, or it cannot be read.
        ValueError: for another encoding.
    """
    name = os.fspath(path)
    if os.path.isdir(path):
        raise IsADirectoryError(f"{name}: expected a file of {content}, received a folder: name a file in it")
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name}: expected a file of {content}, found no such file: check the path") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}: expected {content} as UTF-8 text, received other bytes ({one_line(error)}): save it as UTF-8"
        ) from error


def read_lines(path: str | os.PathLike[str], content: str) -> list[str]:
    """The lines of a file without spaces around them; empty ones are passed over. See [`read_text`]."""
    # Not splitlines(), which also splits at characters that sentences and file names may hold.
    return [line.strip() for line in read_text(path, content).split("\n") if line.strip()]
