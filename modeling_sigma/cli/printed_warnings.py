"""Warnings of a command: each once, in one line, on standard error."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def printed_warnings(command: str) -> Iterator[None]:
    """Prints each warning of the body once, at its end."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        finally:
            for message in dict.fromkeys(str(warning.message) for warning in caught):
                print(f"sigma-slu {command}: warning: {message}", file=sys.stderr)
