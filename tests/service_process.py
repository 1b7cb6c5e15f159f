"""`sigma-slu serve` as processes of its own, as people run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def service_process(
    log: Path, *arguments: str, **variables: str
) -> Iterator[tuple[tuple[str, int], subprocess.Popen[bytes]]]:
    """Its address and first process; what it prints goes to `log`, and what it writes beside it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(log.parent), **variables}
    command = [sys.executable, "-m", "modeling_sigma.cli.main", "serve", "--port", "0", *arguments]
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield ("127.0.0.1", _port(process, log)), process
    finally:
        process.terminate()
        process.wait(timeout=60)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 240
    while True:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
        found = re.search(r"running on http://127\.0\.0\.1:(\d+)", log.read_text())
        if found is not None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/health", timeout=30)
                return int(found[1])
            except OSError:
                pass
        time.sleep(0.3)
