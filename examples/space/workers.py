"""The page's side of its workers: a free one for each request, and a new one for each that died."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from limits import VIDEO_SECONDS, WORK_SECONDS


LOADING_SECONDS = 600


class Workers:
    """Some processes that read files.

    Args:
        model (`str`):
            The folder or Hub name of the model that they load at once; others follow when they are asked for.
        num_workers (`int`, *optional*, defaults to 2):
            The number of processes: so many requests are worked on at a time.
    """

    def __init__(self, model: str, num_workers: int = 2) -> None:
        self._model, self._num_threads = model, max(1, (os.cpu_count() or 1) // num_workers)
        self._free: queue.Queue[_Worker] = queue.Queue()
        # One worker stays free of videos, which take minutes.
        self._videos = threading.Semaphore(max(1, num_workers - 1))
        for _ in range(num_workers):
            self._add()

    def ask(self, request: dict[str, Any], is_video: bool = False) -> dict[str, str]:
        """The answer to a request, which waits for a free worker first.

        Raises:
            ValueError: with a sentence for the person who asks.
        """
        if is_video:
            with self._videos:
                return self._ask(request, VIDEO_SECONDS)
        return self._ask(request, WORK_SECONDS)

    def _ask(self, request: dict[str, Any], seconds: float) -> dict[str, str]:
        worker = self._free.get()
        try:
            answer = worker.ask(request, seconds)
        finally:
            if worker.is_alive():
                self._free.put(worker)
            else:
                self._add()
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def _add(self) -> None:
        worker = _Worker(self._model, self._num_threads)

        def wait() -> None:  # others go on meanwhile, with the worker that is ready
            worker.start()
            self._free.put(worker)

        threading.Thread(target=wait, daemon=True).start()


class _Worker:
    def __init__(self, model: str, num_threads: int) -> None:
        command = [sys.executable, str(Path(__file__).with_name("worker.py")), model]
        environment = {**os.environ, "OMP_NUM_THREADS": str(num_threads)}
        self._process: Any = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, encoding="utf-8"
        )

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def start(self) -> None:
        """Waits until it has loaded its model."""
        self._line(LOADING_SECONDS)

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
        except OSError:  # it has died: there is no line either
            pass
        answer = self._line(LOADING_SECONDS)
        if "ready" in answer:
            answer = self._line(seconds)
        if "is_spent" in answer:  # a new process starts with all of its memory
            self._end()
        return answer

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()  # so that `is_alive` knows

    def _line(self, seconds: float) -> dict[str, Any]:
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if line.endswith("\n"):
            return json.loads(line)
        self._end()
        if late.is_set():
            return {"error": f"This took longer than {seconds:.0f} seconds: please cut the clip or shorten the texts."}
        return {"error": "The program that read this file has ended: the file may be damaged. Please try another one."}
