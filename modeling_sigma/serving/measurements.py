"""What a service measures of itself, for Prometheus. Several processes of one service are added up.

`PROMETHEUS_MULTIPROC_DIR` has to be set before this is imported, where there is more than one.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from modeling_sigma.io.reading_errors import MissingExtraError


try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
except ImportError as error:
    raise MissingExtraError(
        'the service needs its own extra: pip install -e ".[serve]" in the folder of sigma-slu'
    ) from error


FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Measurements:
    """The counters of one process."""

    def __init__(self) -> None:
        _forget_dead_processes()
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("sigma_requests", "Requests answered", ["route", "status"], registry=registry)
        self.seconds = Histogram(
            "sigma_request_seconds", "Time to the answer", ["route"], buckets=_SECONDS, registry=registry
        )
        self.waiting = Gauge(
            "sigma_requests_waiting",
            "Requests that wait or are worked on",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.batches = Histogram("sigma_batch_clips", "Clips in a batch", buckets=_SIZES, registry=registry)
        self.dead_readers = Counter(
            "sigma_dead_readers", "Processes that an upload ended, and that were replaced", registry=registry
        )

    def text(self) -> bytes:
        """All counters in the text format of Prometheus, those of the service's other processes included."""
        registry = self._registry
        if FOLDER_VARIABLE in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry)


def _forget_dead_processes() -> None:
    """What waited in processes that were killed waits no more."""
    if FOLDER_VARIABLE not in os.environ:
        return
    for path in Path(os.environ[FOLDER_VARIABLE]).glob("gauge_live*_*.db"):
        number = int(path.stem.rpartition("_")[2])
        if not _is_running(number):
            with suppress(FileNotFoundError):  # another process was faster
                mark_process_dead(number)


def _is_running(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
