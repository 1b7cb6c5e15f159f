"""How the readers report problems: in one line that names the file and says what was received and what to do."""

from __future__ import annotations

import errno
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


class PassingError(OSError):
    """A file could not be read now, although it may be whole: the disk, the network or the memory failed."""


# What lies with the file, by type and by number: it fails the next time too.
_LASTING_TYPES = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
_LASTING_NUMBERS = frozenset(
    {errno.EINVAL, errno.ENAMETOOLONG, errno.ELOOP, errno.EILSEQ, errno.EFBIG, errno.EOVERFLOW, errno.ENXIO}
)


def is_passing(error: BaseException) -> bool:
    """Whether an error says something about the moment and not about the file, so that trying again may help.

    True of a `MemoryError`, and of an `OSError` unless the file is missing, forbidden or no file.
    """
    if isinstance(error, OSError):
        return not isinstance(error, _LASTING_TYPES) and error.errno not in _LASTING_NUMBERS
    return isinstance(error, MemoryError)


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
        PassingError: in place of what says nothing about the file: no memory, or a failing disk.
    """
    try:
        yield
    except (MissingExtraError, PassingError):
        raise
    except Exception as error:
        message = one_line(error)
        # Libraries have kinds of OSError of their own, or give no number, for files that are damaged.
        is_systems = type(error).__module__ == "builtins" and getattr(error, "errno", None) is not None
        if isinstance(error, MemoryError) or (is_systems and is_passing(error)):
            raise PassingError(
                f"{os.fspath(path)}: could not be read now ({type(error).__name__}: {message[:200]}): try again"
            ) from error
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
