"""The one progress bar: on a terminal's standard error, nothing elsewhere.

Long work takes a function `progress(done, total)`, by default `no_progress`; `ProgressBar(unit).show` is one:

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
    """Shows that `done` of `total` are done, for work that knows how much there is to do. A context manager.

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
        """Moves the bar. A count that starts again, or another total, begins a new one.

        What is done at the first call was done before: it says nothing about the speed.
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
