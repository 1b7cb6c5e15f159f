"""Work on many files in several processes, any of which may die or hang without harming the others.

Each worker has its own pipe: pools whose workers share one (pebble 5.2) wait forever if a worker is killed while it
sends its result.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from modeling_sigma.io.reading_errors import DeviceError, MissingExtraError, PassingError


Item = TypeVar("Item")
Result = TypeVar("Result")

# Makes the task that a worker does for each item; called once per worker, with the worker's number.
TaskMaker = Callable[[int], Callable[[Item], Result]]

# The exceptions that keep their type on the way from a worker to here, the most specific first.
_KINDS: tuple[type[Exception], ...] = (
    MissingExtraError,
    DeviceError,
    ValueError,
    FileNotFoundError,
    PassingError,
    OSError,
    MemoryError,
)


@dataclass(frozen=True)
class WorkerDeath:
    """Stands in for a result if the process died working on the item (in native code, out of memory) or was too slow.

    Args:
        reason (`str`):
            What happened, such as "the process died working on it (exit code -11)", which is a segmentation fault.
        is_passing (`bool`, *optional*, defaults to `False`):
            Whether somebody else has killed it, as systems do that run out of memory: trying again may help.
    """

    reason: str
    is_passing: bool = field(default=False, compare=False)


@dataclass
class _Worker(Generic[Item]):
    number: int
    process: Any
    items: list[Item]  # what it is working on: one item, or none while it starts
    is_ready: bool = False
    deadline: float = float("inf")


def run_in_processes(
    make_task: TaskMaker[Item, Result], items: Sequence[Item], num_proc: int, timeout: float | None = None
) -> Iterator[tuple[Item, Result | WorkerDeath]]:
    """Runs a task for every item, in any order.

    With one process and no `timeout`, the task runs in this process, and a crash ends everything.

    Args:
        make_task (`Callable`):
            Makes the task in each worker, from the worker's number: the place to load networks. It must be picklable,
            as must items and results.
        items (sequence):
            The items to work on.
        num_proc (`int`):
            The number of processes.
        timeout (`float`, *optional*):
            The number of seconds after which a process that is still working on an item is killed.

    Yields:
        `tuple`: an item with its result, or with a [`WorkerDeath`]; a new worker replaces a dead one.

    Raises:
        ValueError, OSError, MemoryError: what a task raises if the user can mend it. The workers end.
        RuntimeError: if a task fails otherwise. The workers end.
    """
    if num_proc < 1:
        raise ValueError(f"expected at least 1 process, received {num_proc}")
    if num_proc == 1 and timeout is None:
        task = make_task(0) if items else None
        for item in items:
            assert task is not None
            yield item, task(item)
        return
    waiting = deque(items)
    workers: dict[Connection, _Worker[Item]] = {}
    try:
        for number in range(min(num_proc, len(items))):
            _start(workers, make_task, number, num_proc)
        while workers:
            first_deadline = min(worker.deadline for worker in workers.values())
            seconds = max(first_deadline - time.monotonic(), 0) if timeout else None
            for connection in wait(list(workers), None if seconds == float("inf") else seconds):
                assert isinstance(connection, Connection)
                worker = workers[connection]
                try:
                    kind, value = connection.recv()
                except (EOFError, OSError):
                    yield from _bury(workers, connection, timeout)
                    if waiting:
                        _start(workers, make_task, worker.number, num_proc)
                    continue
                if kind == "failed":
                    raise_failure(*value)
                if kind == "done":
                    yield worker.items.pop(), value
                worker.is_ready = True
                if waiting:
                    worker.items.append(waiting.popleft())
                    worker.deadline = time.monotonic() + (timeout or float("inf"))
                    with suppress(OSError):  # if it has died meanwhile, `recv` will find out
                        connection.send(worker.items[0])
                else:
                    del workers[connection]
                    connection.close()  # the worker ends
                    worker.process.join()
            for worker in workers.values():
                if worker.deadline < time.monotonic():
                    worker.process.kill()  # `recv` finds out when it is gone
    finally:
        for connection, worker in workers.items():
            worker.process.terminate()
            worker.process.join()
            connection.close()


def _start(
    workers: dict[Connection, _Worker[Any]], make_task: TaskMaker[Any, Any], number: int, num_proc: int
) -> None:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads, such as torch's, may hang
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, make_task, number, num_proc), daemon=True)
    with _unnamed_main_module():
        process.start()
    theirs.close()  # otherwise the worker's death would go unnoticed
    workers[ours] = _Worker(number, process, [])


@contextmanager
def _unnamed_main_module() -> Iterator[None]:
    """Keeps a new process from running the user's script again, which no task needs: tasks are in packages."""
    main = sys.modules["__main__"]
    names: tuple[str, ...] = ("__file__", "__spec__")
    hidden = {name: vars(main)[name] for name in names if name in vars(main)}
    try:
        main.__spec__ = None
        vars(main).pop("__file__", None)
        yield
    finally:
        vars(main).update(hidden)


def _bury(
    workers: dict[Connection, _Worker[Any]], connection: Connection, timeout: float | None
) -> Iterator[tuple[Any, WorkerDeath]]:
    worker = workers.pop(connection)
    connection.close()
    worker.process.join()
    if not worker.is_ready:
        raise RuntimeError(f"a worker process died while it started (exit code {worker.process.exitcode})")
    reason = f"the process died working on it (exit code {worker.process.exitcode})"
    is_passing = worker.process.exitcode == -getattr(signal, "SIGKILL", 0)
    if worker.deadline < time.monotonic():
        reason = f"the process had not finished it after {timeout:g} seconds"
        is_passing = False
    for item in worker.items:
        yield item, WorkerDeath(reason, is_passing)


def _serve(connection: Connection, make_task: TaskMaker[Any, Any], number: int, num_proc: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Torch reads this when it is imported. Workers that each take all cores slow each other down.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_proc)))
    try:
        task = make_task(number)
        connection.send(("ready", None))
        while True:
            connection.send(("done", task(connection.recv())))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent has gone or needs nothing more
        pass
    except Exception as error:
        connection.send(("failed", described_failure(error)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def described_failure(error: Exception) -> tuple[int | None, str, str]:
    """What `raise_failure` needs to raise the like of an error in another process; JSON can hold it."""
    kind = next((number for number, kind in enumerate(_KINDS) if isinstance(error, kind)), None)
    return kind, str(error), "".join(traceback.format_exception(error))


def raise_failure(kind: int | None, message: str, trace: str) -> None:
    """Raises what another process has described.

    Raises:
        ValueError, OSError, MemoryError: if the user can mend it.
        RuntimeError: for all other errors.
    """
    if kind is None:
        raise RuntimeError(f"a worker process failed: {trace}")
    raise _KINDS[kind](message) from RuntimeError(f"in a worker process: {trace}")
