"""One budget for all readers: what a file may unpack, how many objects it may make, and how long that may take.

A small file can ask for any amount of memory and time. Whoever opens a file states so with `reading_budget(path)`, and
readers say what they are about to use, with `take_bytes`, `take_objects` and `check_time`, before they use it. Outside
of a budget these three do nothing.

A file of up to ten megabytes may take `SMALL_BYTES`, `SMALL_OBJECTS` and `SMALL_SECONDS`, a larger one in proportion,
up to `MOST_...`. Two hours of MediaPipe Holistic at 30 frames per second are 216,000 frames of 543 landmarks: 1.4 GB
as float32 with x, y and a score, 1.9 GB with z; in a pickle they are some 11 million objects. All of that fits.
"""

from __future__ import annotations

import math
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from modeling_sigma.io.reading_errors import OverBudgetError


# Multiplies the budget: SIGMA_READING_BUDGET=4 allows four times as much of everything.
VARIABLE = "SIGMA_READING_BUDGET"

SMALL_FILE = 10_000_000
SMALL_BYTES, SMALL_OBJECTS, SMALL_SECONDS = 600_000_000, 3_000_000, 6.0
MOST_BYTES, MOST_OBJECTS, MOST_SECONDS = 20_000_000_000, 50_000_000, 1200.0

_CHUNK = 1 << 20


class ReadingBudget:
    """What is left for reading one file.

    Args:
        file_size (`int`):
            The size of the file in bytes.

    Raises:
        ValueError: if the environment variable holds something other than a positive number.
    """

    def __init__(self, file_size: int) -> None:
        self.file_size = file_size
        share, factor = max(1.0, file_size / SMALL_FILE), _factor()
        self.bytes_limit = self.bytes_left = int(factor * min(share * SMALL_BYTES, MOST_BYTES))
        self.objects_limit = self.objects_left = int(factor * min(share * SMALL_OBJECTS, MOST_OBJECTS))
        self.seconds_limit = factor * min(share * SMALL_SECONDS, MOST_SECONDS)
        # Work, not waiting: a busy machine or a slow disk takes nothing from it.
        self.start = time.thread_time()

    def refusal(self, limit: str) -> OverBudgetError:
        """The error for a file that needs more than `limit`."""
        return OverBudgetError(
            f"expected a file of {_megabytes(self.file_size)} to take at most {limit}, received one that takes more: "
            f"it is damaged or made to do harm; if you trust it, set the environment variable {VARIABLE}=4 for four "
            "times as much"
        )


_budget: ContextVar[ReadingBudget | None] = ContextVar("reading_budget", default=None)


@contextmanager
def reading_budget(path: str | os.PathLike[str]) -> Iterator[None]:
    """Whatever is read in this context comes from the budget of one file, or folder of frames.

    Within another budget that one goes on: a file beside a file, or a part of one, gets none of its own.

    Raises:
        OverBudgetError: by way of `take_bytes`, `take_objects` and `check_time`.
    """
    if _budget.get() is not None:
        yield
        return
    with budget_of(_size(Path(path))):
        yield


@contextmanager
def budget_of(file_size: int) -> Iterator[None]:
    """Like `reading_budget`, for content of that size which is no file."""
    token = _budget.set(_budget.get() or ReadingBudget(file_size))
    try:
        yield
    finally:
        _budget.reset(token)


def take_bytes(num_bytes: int) -> None:
    """Says that so many bytes of memory will be needed.

    Raises:
        OverBudgetError: if the budget does not have them.
    """
    budget = _budget.get()
    if budget is not None:
        budget.bytes_left -= num_bytes
        if budget.bytes_left < 0:
            raise budget.refusal(f"{_megabytes(budget.bytes_limit)} of memory")


def take_objects(num_objects: int) -> None:
    """Says that so many lists, numbers, texts, ... will be made.

    Raises:
        OverBudgetError: if the budget does not have them.
    """
    budget = _budget.get()
    if budget is not None:
        budget.objects_left -= num_objects
        if budget.objects_left < 0:
            raise budget.refusal(f"{budget.objects_limit:,} objects")


def check_size(num_bytes: int, num_objects: int) -> None:
    """Refuses what the whole budget could not hold: data that name the same parts again and again.

    Raises:
        OverBudgetError: if either number is above its limit.
    """
    budget = _budget.get()
    if budget is not None and num_bytes > budget.bytes_limit:
        raise budget.refusal(f"{_megabytes(budget.bytes_limit)} of memory")
    if budget is not None and num_objects > budget.objects_limit:
        raise budget.refusal(f"{budget.objects_limit:,} objects")


def check_time() -> None:
    """Stops a reader that has worked too long: a call for each frame, or for each thousand of anything smaller.

    Raises:
        OverBudgetError: if the budget's time is over.
    """
    budget = _budget.get()
    if budget is not None and time.thread_time() - budget.start > budget.seconds_limit:
        raise budget.refusal(f"{budget.seconds_limit:.0f} seconds of work")


def file_bytes(path: str | os.PathLike[str]) -> bytes:
    """The content of a file. Its size is no part of the budget, but must not exceed it.

    Raises:
        OverBudgetError: for a file that is larger than the whole budget, or never ends.
        OSError: if there is no such file or it cannot be read.
    """
    budget = _budget.get() or ReadingBudget(_size(Path(path)))
    with Path(path).open("rb") as file:
        if budget.file_size > budget.bytes_limit:
            raise _too_large(path, budget)
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file.read()
        pieces, size = [], 0  # a pipe or a device, whose end is not known
        while piece := file.read(_CHUNK):
            pieces.append(piece)
            size += len(piece)
            if size > budget.bytes_limit:
                raise _too_large(path, budget)
        return b"".join(pieces)


def _too_large(path: str | os.PathLike[str], budget: ReadingBudget) -> OverBudgetError:
    return OverBudgetError(f"{os.fspath(path)}: {budget.refusal(f'{_megabytes(budget.bytes_limit)} of memory')}")


def _size(path: Path) -> int:
    """The size of a file, or of the files in a folder; 0 of what is not there, or has no size of its own."""
    try:
        files = list(path.iterdir()) if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files)
    except (OSError, ValueError):  # whoever opens it says what is wrong with it
        return 0


def _factor() -> float:
    text = os.environ.get(VARIABLE, "1")
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 0 < factor < math.inf:
        raise ValueError(f"expected {VARIABLE} as a positive number, received {text!r}: unset it, or set it to 4")
    return factor


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB" if num_bytes < 100_000_000 else f"{num_bytes / 1e6:,.0f} MB"
