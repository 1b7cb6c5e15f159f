"""How the readers report problems: in one line that names the file and says what was received and what to do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any


_MOST_NAMES, _LONGEST_NAME, _LONGEST_LINE = 24, 60, 2000


class MissingExtraError(ImportError, ValueError):
    """An optional dependency is not installed; the message is one line that says which extra to install."""


class DeviceError(ValueError):
    """The machine cannot do it, whatever the file: it is out of memory, for example."""


class OverBudgetError(ValueError):
    """A file asks for more memory or time than the budget of `reading_budget` allows."""


@contextmanager
def naming_file(path: str | os.PathLike[str], kind: str) -> Iterator[None]:
    """Turns whatever goes wrong while a file's content is read into a one-line `ValueError` that names the file.

    Read the bytes outside of this context, so that a missing or unreadable file stays the `OSError` that it is.

    Args:
        path (`str` or `os.PathLike`):
            The file, as the user wrote it.
        kind (`str`):
            What the file should be, with its article: `"a .pose file"`.

    Raises:
        ValueError: in place of any exception of the body. A `ValueError` of ours keeps its text, and one that already
            names the file passes unchanged, as does `MissingExtraError`.
    """
    try:
        yield
    except MissingExtraError:
        raise
    except Exception as error:
        message = one_line(error)
        if isinstance(error, ValueError) and message.startswith((f"{os.fspath(path)}: ", f"{os.fspath(path)}, line ")):
            raise
        if type(error) in (ValueError, OverBudgetError) and message:
            raise type(error)(f"{os.fspath(path)}: {message}") from error
        raise ValueError(
            f"{os.fspath(path)}: cannot be read as {kind} ({type(error).__name__}: {message[:200]}): "
            "the file is damaged, cut short or something else"
        ) from error


def one_line(error: BaseException) -> str:
    """The text of an exception on one line, which is not absurdly long whatever a file holds."""
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]} ..."


def listed(names: Iterable[Any]) -> str:
    """Names from a file as they can stand in a message: not too many, and none too long."""
    texts = [" ".join(str(name)[:_LONGEST_NAME].split()) for name in islice(names, _MOST_NAMES + 1)]
    return ", ".join(texts[:_MOST_NAMES]) + (", ..." if len(texts) > _MOST_NAMES else "")


def shown(value: Any) -> str:
    """A value from a file as it can stand in a message: short, and in ASCII, so that it cannot upset a terminal."""
    if isinstance(value, (str, bytes)):
        return ascii(value[:60])
    return ascii(value)[:60] if isinstance(value, (int, float)) else type(value).__name__
