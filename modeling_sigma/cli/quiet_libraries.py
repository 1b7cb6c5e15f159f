"""Commands print their results alone: transformers' bars and warnings would stand between the lines."""

from __future__ import annotations


def silence_transformers() -> None:
    """No progress bars, and errors alone: for the process of a command, never for users of the library."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
