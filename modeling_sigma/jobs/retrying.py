"""Trying again what failed for a reason that may pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from modeling_sigma.io.reading_errors import is_passing


Result = TypeVar("Result")

# Seconds before each further attempt: long enough for a busy disk, short enough for a thousand files.
_PAUSES = (0.1, 0.5)


def with_retries(work: Callable[[], Result], pauses: Sequence[float] = _PAUSES) -> Result:
    """The result of `work`, which is called again after each pause while it fails for a reason that may pass.

    Raises:
        OSError, MemoryError: what the last attempt has raised.
    """
    for pause in pauses:
        try:
            return work()
        except (OSError, MemoryError) as error:
            if not is_passing(error):
                raise
        time.sleep(pause)
    return work()
