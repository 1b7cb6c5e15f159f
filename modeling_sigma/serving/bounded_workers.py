"""Processes that do what may fail badly: a free one for each request, and a new one for each that died."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


_LOADING_SECONDS, _WATCH_SECONDS = 600, 0.1


class BoundedWorkers:
    """Some processes that answer requests; see `bounded_work` for what they run.

    Args:
        command (`Sequence[str]`):
            The program of a worker and its arguments.
        num_workers (`int`):
            The number of processes: so many requests are worked on at a time.
        on_death (`Callable`, *optional*):
            Called for each worker that died or was killed, from another thread.
    """

    def __init__(self, command: Sequence[str], num_workers: int, on_death: Callable[[], None] | None = None) -> None:
        self._command, self._on_death = list(command), on_death
        self._num_threads = max(1, (os.cpu_count() or 1) // num_workers)
        self._free: queue.Queue[_Worker | None] = queue.Queue()
        self._all: set[_Worker] = set()
        self._lock, self._is_closed = threading.Lock(), False
        for _ in range(num_workers):
            self._add()

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a request, which waits for a free worker first and may then take so many seconds.

        Raises:
            ValueError: with a sentence for the person who asks.
        """
        (answer,) = self.ask_each([request], seconds)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def ask_each(self, requests: Sequence[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
        """The answers to several requests, one after the other, each of which may take so many seconds.

        Where a request ends the worker, the next worker goes on with those after it. An answer with the field `error`
        is a sentence for the person who asks.
        """
        answers: list[dict[str, Any]] = []
        while len(answers) < len(requests):
            worker = self._next_free()
            while not worker.is_alive():  # somebody has killed it while it waited
                self._replace(worker)
                worker = self._next_free()
            try:
                answers += worker.ask_each(requests[len(answers) :], seconds)
            finally:
                if worker.is_alive():
                    self._free.put(worker)
                else:
                    self._replace(worker)
        return answers

    def close(self) -> None:
        """Ends all processes; who waits for one is told."""
        with self._lock:
            self._is_closed = True
            for worker in self._all:
                worker.end()
            self._all.clear()
        self._free.put(None)

    def _next_free(self) -> _Worker:
        worker = self._free.get()
        if worker is None:
            self._free.put(None)  # for the next one who waits
            raise RuntimeError("the workers have been closed")
        return worker

    def _replace(self, worker: _Worker) -> None:
        with self._lock:
            self._all.discard(worker)
        if self._on_death is not None:
            self._on_death()
        self._add()

    def _add(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            worker = _Worker(self._command, self._num_threads)
            self._all.add(worker)

        def wait() -> None:  # others go on meanwhile, with the worker that is ready
            worker.start()
            self._free.put(worker)

        threading.Thread(target=wait, daemon=True).start()


class _Worker:
    def __init__(self, command: Sequence[str], num_threads: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(num_threads)}
        self._process: Any = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, encoding="utf-8"
        )

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def start(self) -> None:
        """Waits until it is ready for requests."""
        with self._limited():
            self._line(_LOADING_SECONDS)

    def ask_each(self, requests: Sequence[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
        """The answers to requests, up to the first one that ends the worker."""
        answers: list[dict[str, Any]] = []
        with self._limited():
            for request in requests:
                try:
                    self._process.stdin.write(json.dumps(request) + "\n")
                    self._process.stdin.flush()
                except OSError:  # it has died: there is no line either
                    pass
                answer = self._line(_LOADING_SECONDS)
                if "ready" in answer:
                    answer = self._line(seconds)
                answers.append(answer)
                if "is_spent" in answer:  # a new process starts with all of its memory
                    self.end()
                if not self.is_alive():
                    break
        return answers

    def end(self) -> None:
        self._process.kill()
        self._process.wait()  # so that `is_alive` knows

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """A while in which a thread watches over the time of each line."""
        is_over = threading.Event()

        def watch() -> None:
            while not is_over.wait(_WATCH_SECONDS):
                if time.monotonic() > self._deadline:
                    self._is_late = True
                    self._process.kill()
                    return

        self._deadline, self._is_late = float("inf"), False
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            is_over.set()

    def _line(self, seconds: float) -> dict[str, Any]:
        self._deadline = time.monotonic() + seconds
        line = self._process.stdout.readline()
        self._deadline = float("inf")
        if line.endswith("\n"):
            found: dict[str, Any] = json.loads(line)
            return found
        self.end()
        if self._is_late:
            return {
                "error": f"This took longer than {seconds:.0f} seconds: please send a shorter clip or fewer texts."
            }
        return {"error": "The program that read this file has ended: the file may be damaged. Please try another one."}
