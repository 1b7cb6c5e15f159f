"""Commands print nothing but their results: transformers' bars and warnings would come between the lines."""

from __future__ import annotations


def silence_transformers() -> None:
    """Turns off progress bars and everything below errors: for a command's own process, never for library users."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
