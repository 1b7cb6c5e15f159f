"""Errors whose message is for users: the command line prints it on one line, without a traceback."""

from __future__ import annotations

import sys


def user_errors() -> tuple[type[Exception], ...]:
    """The types of these errors. Those of a library are added only once it is imported: importing it is slow."""
    found: list[type[Exception]] = [ValueError, OSError, ImportError, MemoryError]
    if "huggingface_hub" in sys.modules:
        from huggingface_hub.errors import StrictDataclassError  # a configuration with a field of the wrong type

        found.append(StrictDataclassError)
    if "safetensors" in sys.modules:
        from safetensors import SafetensorError  # damaged weights, or a full disk while they are written

        found.append(SafetensorError)
    return tuple(found)


def tell_error(command: str, error: Exception) -> int:
    """Prints the message of an error on one line; returns the exit code."""
    from modeling_sigma.io.reading_errors import one_line  # imports numpy: not before it is needed

    print(f"sigma-slu {command}: error: {one_line(error) or type(error).__name__}", file=sys.stderr)
    return int(getattr(error, "exit_code", 1))
