"""The web demo as a process of its own, as people run it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def space_server(
    models: Mapping[str, Path], log: Path, **variables: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Its address and process; what it prints goes to `log`, and what it writes beside it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(log.parent),
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "SIGMA_VIDEOS": "0",  # nothing is downloaded
        **variables,
        "SIGMA_MODELS": ",".join(f"{name}={path}" for name, path in models.items()),
    }
    command = [sys.executable, str(ROOT / "examples" / "space" / "app.py")]
    with log.open("w") as out:
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}/"
    try:
        deadline = time.monotonic() + 600
        while True:
            try:
                urllib.request.urlopen(address, timeout=5)
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
                time.sleep(0.3)
        yield address, server
    finally:
        server.terminate()
        server.wait(timeout=30)
