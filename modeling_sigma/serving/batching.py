"""Concurrent requests answered together: while one batch is computed, the next one gathers.

Nobody waits for a batch to fill, but for requests that are about to come, and for those not long: a lone request is as
fast as without batches.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


# How long a batch waits for requests that are being read: a fraction of what it saves to compute them together.
_LINGER_SECONDS = 0.02

# Answers for a batch of items, in their order.
Run = Callable[[list[Any]], Sequence[Any]]


@dataclass(frozen=True)
class _Entry:
    key: Hashable
    run: Run
    item: Any
    answer: Future[Any] = field(default_factory=Future)


class Batcher:
    """A thread that does all the computing, on what waits, in batches.

    Args:
        max_batch (`int`):
            The largest number of items in a batch.
        on_batch (`Callable`):
            Called with the size of each batch, from the thread.
    """

    def __init__(self, max_batch: int, on_batch: Callable[[int], None]) -> None:
        self._max_batch, self._on_batch = max_batch, on_batch
        self._waiting: deque[_Entry] = deque()
        self._num_coming = 0
        self._condition, self._is_closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive()

    @contextmanager
    def coming(self) -> Iterator[None]:
        """A while after which an item will be asked for: batches wait a little for it."""
        with self._condition:
            self._num_coming += 1
        try:
            yield
        finally:
            with self._condition:
                self._num_coming -= 1
                self._condition.notify()

    async def ask(self, key: Hashable, run: Run, item: Any) -> Any:
        """The answer to one item. Items with the same `key` may be answered by one call of `run`.

        Whoever stops waiting, such as by a timeout, takes the item back unless it is being computed.

        Raises:
            Exception: what `run` raises for this item alone.
        """
        entry = _Entry(key, run, item)
        with self._condition:
            if self._is_closed:
                raise RuntimeError("the service is closing")
            self._waiting.append(entry)
            self._condition.notify()
        return await asyncio.wrap_future(entry.answer)

    def close(self) -> None:
        """Ends the thread after the batch at hand; what waits is cancelled."""
        with self._condition:
            self._is_closed = True
            for entry in self._waiting:
                entry.answer.cancel()
            self._waiting.clear()
            self._condition.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._is_closed)
                self._condition.wait_for(self._need_not_linger, timeout=_LINGER_SECONDS)
                if self._is_closed:
                    return
                batch = self._next_batch()
            batch = [entry for entry in batch if entry.answer.set_running_or_notify_cancel()]
            if batch:
                self._on_batch(len(batch))
                _answer(batch)

    def _need_not_linger(self) -> bool:
        return self._is_closed or not self._num_coming or len(self._waiting) >= self._max_batch

    def _next_batch(self) -> list[_Entry]:
        """The entry that has waited longest, and others like it; what is left keeps its order."""
        key = self._waiting[0].key
        batch: list[_Entry] = []
        left: deque[_Entry] = deque()
        for entry in self._waiting:
            (batch if entry.key == key and len(batch) < self._max_batch else left).append(entry)
        self._waiting = left
        return batch


def _answer(batch: list[_Entry]) -> None:
    try:
        answers = batch[0].run([entry.item for entry in batch])
    except Exception as error:
        if len(batch) == 1:
            batch[0].answer.set_exception(error)
            return
        for entry in batch:  # one item's fault is not the others'
            _answer([entry])
        return
    for entry, answer in zip(batch, answers, strict=True):
        entry.answer.set_result(answer)
