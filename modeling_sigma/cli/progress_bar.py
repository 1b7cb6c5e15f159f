"""A progress bar for commands that know how much there is to do: on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from typing import Any


class ProgressBar:
    """Shows `done` of `total`; made when both are known. A context manager.

    Args:
        unit (`str`):
            What is counted.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bar: Any = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, done: int, total: int) -> None:
        """Moves the bar; what is done at the first call was done before and says nothing about the speed."""
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, unit=self._unit, disable=not sys.stderr.isatty())
        else:
            self._bar.update(done - self._bar.n)
