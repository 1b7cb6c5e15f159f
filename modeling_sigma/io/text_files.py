"""Reads users' text files: UTF-8 or UTF-16, with or without a byte order mark, and with any line endings."""

from __future__ import annotations

import os

from modeling_sigma.io.reading_budget import file_bytes


def read_text(path: str | os.PathLike[str], content: str) -> str:
    """The text of a file, with `\\n` for every line ending.

    UTF-8 is expected; UTF-16 (what Excel calls "Unicode text") is recognised.

    Args:
        path (`str` or `os.PathLike`):
            The file.
        content (`str`):
            What should be in it, for messages: `"labels, one per line"`.

    Raises:
        OSError: if there is no such file, it is a folder, or it cannot be read.
        ValueError: for another encoding; the message names the line.
    """
    name = os.fspath(path)
    if os.path.isdir(path):
        raise IsADirectoryError(f"{name}: expected a file of {content}, received a folder: name a file in it")
    try:
        raw = file_bytes(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name}: expected a file of {content}, found no such file: check the path") from error
    try:
        text = decoded(raw)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{name}, line {line}: expected {content} as UTF-8 text, received byte 0x{raw[error.start]:02x}: save the "
            "file as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: str | os.PathLike[str], content: str) -> list[str]:
    """The lines of a file without spaces around them; empty lines are skipped. See [`read_text`]."""
    # Not splitlines(), which also splits at characters that sentences and file names may hold.
    return [line.strip() for line in read_text(path, content).split("\n") if line.strip()]


def decoded(raw: bytes) -> str:
    """Text without its byte order mark, from UTF-8 or UTF-16.

    Raises:
        UnicodeDecodeError: for another encoding.
    """
    return raw.decode(_encoding(raw))


def _encoding(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if raw[1:2] == b"\0":  # without a mark: if the first character is ASCII, its second byte is zero
        return "utf-16-le"
    return "utf-16-be" if raw[:1] == b"\0" else "utf-8-sig"
