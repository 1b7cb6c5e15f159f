"""A process that reads files for the page: it may need too much memory or time, and die, without harming the page.

It reads requests and writes answers, one JSON object per line.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from answers import Answerer
from limits import WORK_MEMORY, check_clip, check_texts
from page_pieces import moving_skeleton

from modeling_sigma.io import load_clip


TOO_MUCH_MEMORY = "This file needs more memory than there is for one person: please cut it, or shorten the texts."
PARENT = os.getppid()


def main() -> None:
    """Answers until the page has gone."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # libraries print
    threading.Thread(target=_end_with_the_page, daemon=True).start()
    loaded: dict[str, Answerer] = {}
    with suppress(ValueError, OSError, ImportError):  # told to whoever asks for this model
        loaded[sys.argv[1]] = Answerer(sys.argv[1])
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = _answer(request, loaded, answers)
        except (ValueError, OSError, ImportError) as error:
            answer = {"error": str(error)}
        except (MemoryError, RuntimeError) as error:  # torch's allocator raises the latter
            if not isinstance(error, MemoryError) and "memory" not in str(error):
                raise
            answer = {"error": TOO_MUCH_MEMORY, "is_spent": True}
        _limit_memory(None)
        print(json.dumps(answer), file=answers, flush=True)


def _answer(request: dict[str, Any], loaded: dict[str, Answerer], answers: Any) -> dict[str, Any]:
    model = request["model"]
    if model not in loaded:
        loaded[model] = Answerer(model)
    print(json.dumps({"ready": True}), file=answers, flush=True)  # from here on, time and memory count
    _limit_memory(WORK_MEMORY)
    check_texts(request["texts"])
    clip = load_clip(request["file"])
    check_clip(clip)
    check_texts(request["texts"], clip)
    found = loaded[model].answer(clip, request["language"], request["texts"], request["dark"])
    skeleton = moving_skeleton(clip, found.captions, request["dark"])
    return {"result": found.result, "skeleton": skeleton, "picture": found.picture}


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


def _end_with_the_page() -> None:
    while os.getppid() == PARENT:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main()
