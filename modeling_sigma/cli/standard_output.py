"""Standard output that nobody reads any more, as in `sigma-slu inspect FILES | head`, or that cannot show a name."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress


_STDOUT = 1  # the file descriptor


def reader_is_gone() -> bool:
    """Whether the program that read our standard output has ended: a broken pipe is then not worth reporting."""
    if not hasattr(select, "poll"):  # Windows, where a broken pipe is no `BrokenPipeError`
        return False
    poll = select.poll()
    poll.register(_STDOUT, 0)  # errors only
    return bool(poll.poll(0))


def escape_surrogates() -> None:
    """Names of files need not be UTF-8: such bytes are printed as `\\udc80`, in JSON the escape that is read back."""
    if hasattr(sys.stdout, "reconfigure"):
        with suppress(OSError, ValueError):  # it is closed, or has been exchanged
            sys.stdout.reconfigure(errors="backslashreplace")


def flush_output() -> bool:
    """Flushes standard output; False if nobody reads it. At exit, Python would report that with a traceback."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
        return False
    return True
