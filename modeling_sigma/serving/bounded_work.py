"""The side of a worker that may need too much memory or time, and die, without harming whoever asks it.

It reads requests and writes answers, one JSON object per line. `bounded_workers` is the other side.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


TOO_MUCH_MEMORY = "This needs more memory than there is for one request: please send a shorter clip or fewer texts."

Request = dict[str, Any]


class RequestChannel:
    """The requests of the parent process. Standard output carries the answers: what libraries print goes elsewhere."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        sys.stdout = sys.stderr
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes, and the parent decides
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()

    def serve(
        self, work: Callable[[Request], dict[str, Any]], memory: int, prepare: Callable[[Request], Any] | None = None
    ) -> None:
        """Answers until the parent has gone.

        Args:
            work (`Callable`):
                Answers a request. Time and memory are bounded meanwhile. What it raises as `ValueError`, `OSError` or
                `ImportError` is told to whoever asks.
            memory (`int`):
                The number of bytes that `work` may take on top of what the process has.
            prepare (`Callable`, *optional*):
                What comes before and does not count, such as loading a model.
        """
        self._write({"ready": True})
        for line in sys.stdin:
            request = json.loads(line)
            try:
                if prepare is not None:
                    prepare(request)
                self._write({"ready": True})  # from here on, time and memory count
                _limit_memory(memory)
                answer = work(request)
            except (ValueError, OSError, ImportError) as error:
                answer = {"error": str(error)}
            except (MemoryError, RuntimeError) as error:  # torch's allocator raises the latter
                if not isinstance(error, MemoryError) and "memory" not in str(error):
                    raise
                answer = {"error": TOO_MUCH_MEMORY, "is_spent": True}
            _limit_memory(None)
            self._write(answer)

    def _write(self, message: dict[str, Any]) -> None:
        self._answers.write(json.dumps(message) + "\n")
        self._answers.flush()


def _limit_memory(more: int | None) -> None:
    """Lets this process take so many bytes more than it has, or any number. Linux alone can tell what it has."""
    status = Path("/proc/self/status")
    if not status.exists():
        return
    import resource

    taken = re.search(r"VmData:\s+(\d+) kB", status.read_text())
    assert taken is not None
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    soft = hard if more is None else int(taken[1]) * 1024 + more
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
