"""Output that nobody reads any more, as in `sigma-slu inspect FILES | head`."""

from __future__ import annotations

import os
import select
import sys


_STDOUT = 1  # the file descriptor


def reader_is_gone() -> bool:
    """Whether the program that read the standard output has ended: a broken pipe is then no error to tell."""
    if not hasattr(select, "poll"):  # Windows, where it does not come as a `BrokenPipeError`
        return False
    poll = select.poll()
    poll.register(_STDOUT, 0)  # errors alone
    return bool(poll.poll(0))


def flush_output() -> bool:
    """Writes what is left to print; False if nobody reads it. Python would do so at its end, and with a traceback."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
        return False
    return True
