"""The processes of the service behind one port; one that dies is replaced."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import threading
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from modeling_sigma.inference.model_config import saved_kind
from modeling_sigma.io.reading_errors import MissingExtraError, one_line
from modeling_sigma.jobs.torch_devices import usable_device
from modeling_sigma.serving.settings import ServiceSettings
from modeling_sigma.serving.upload_folder import open_upload_folder


# Of one process: idle connections, which cost next to nothing, included.
_MAX_CONNECTIONS = 1000
_PATIENCE_WITH_WORKERS = 120  # seconds: loading a large model keeps a process from saying that it is well


def serve(settings: ServiceSettings, host: str = "127.0.0.1", port: int = 8000, num_workers: int = 1) -> int:
    """Serves until it is told to end, by Ctrl-C or SIGTERM.

    Args:
        settings ([`ServiceSettings`]):
            The model, and the limits of each process.
        host (`str`, *optional*, defaults to `"127.0.0.1"`):
            The address to listen at: by default, this machine alone can ask.
        port (`int`, *optional*, defaults to 8000):
            The port; 0 takes any that is free.
        num_workers (`int`, *optional*, defaults to 1):
            The number of processes, each with a copy of the model.

    Returns:
        `int`: 0, or 1 if the processes could not start.

    Raises:
        ValueError: if there is no such model, device or index, or for fewer than one process.
        ImportError: if the extra `serve` is not installed.
    """
    try:
        from uvicorn.config import STARTUP_FAILURE, Config
        from uvicorn.supervisors import Multiprocess
    except ImportError as error:
        raise MissingExtraError(
            f'the service needs an extra ({one_line(error)}): pip install -e ".[serve]" in the folder of sigma-slu'
        ) from error
    if num_workers < 1:
        raise ValueError(f"expected at least 1 process, received {num_workers}")
    saved_kind(settings.model)  # tells what is wrong before any process starts
    usable_device(settings.device)
    folder = open_upload_folder("sigma-serve")
    counters = folder / "counters"
    counters.mkdir()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(counters)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_workers)))
    config = Config(
        partial(_make_app, settings, folder),
        host=host,
        port=port,
        workers=num_workers,
        factory=True,
        http="modeling_sigma.serving.patient_protocol:PatientProtocol",
        ws="none",
        log_level="info",
        access_log=False,
        server_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_worker_healthcheck=_PATIENCE_WITH_WORKERS,
        timeout_graceful_shutdown=settings.max_seconds,
    )
    supervisor = Multiprocess(config, sockets=[config.bind_socket()])
    supervisor.run()
    return int(any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes))


def _make_app(settings: ServiceSettings, folder: Path) -> Any:
    """The service, in a process of its own."""
    from transformers.utils import logging as transformers_logging
    from uvicorn.config import STARTUP_FAILURE

    from modeling_sigma.serving.app import make_app

    threading.Thread(target=_end_with_parent, daemon=True).start()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        return make_app(settings, folder)
    except (ValueError, OSError, ImportError) as error:
        logging.getLogger("uvicorn.error").error("%s", one_line(error))
        sys.exit(STARTUP_FAILURE)  # it would fail the same way again


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
