"""The one progress bar: shown on standard error if that is a terminal, else nothing.

Long-running functions take a function `progress(done, total)`, by default `no_progress`; `ProgressBar(unit).show` is
such a function:

```python
with ProgressBar("clip") as bar:
    build_dataset(..., progress=bar.show)
```
"""

from __future__ import annotations

import sys
from typing import Any


# Work that takes no longer than this many seconds shows no bar.
_DELAY = 1.0


def no_progress(done: int, total: int) -> None:
    """Shows nothing."""


class ProgressBar:
    """A context manager that shows how many of a known total are done.

    Args:
        unit (`str`):
            What is counted, in the singular: `"clip"`.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bar: Any = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def show(self, done: int, total: int) -> None:
        """Moves the bar. A count that starts again, or another total, begins a new bar.

        What is already done at the first call does not count towards the speed.
        """
        if not sys.stderr.isatty():
            return
        if self._bar is None or total != self._bar.total or done < self._bar.n:
            from tqdm import tqdm

            self._close()
            self._bar = tqdm(total=total, initial=done, unit=self._unit, leave=False, delay=_DELAY)
        else:
            self._bar.update(done - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
