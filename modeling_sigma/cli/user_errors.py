"""Errors whose message is for users: the command line prints it on one line, without a traceback."""

from __future__ import annotations

import sys


def user_errors() -> tuple[type[Exception], ...]:
    """The types of these errors. Those of a library are added only once it is imported: importing it is slow."""
    if "huggingface_hub" not in sys.modules:
        return (ValueError, OSError, ImportError, MemoryError)
    from huggingface_hub.errors import StrictDataclassError  # a configuration with a field of the wrong type

    return (ValueError, OSError, ImportError, MemoryError, StrictDataclassError)
