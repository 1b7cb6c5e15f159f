"""What short benchmarks share: a report in one line of JSON, which names the machine and the versions."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any


def machine_facts(*packages: str) -> dict[str, Any]:
    """The versions of Python and of these packages, and the hardware."""
    hardware = {
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "num_cores": os.cpu_count(),
        "num_threads": os.environ.get("OMP_NUM_THREADS"),
        "system": platform.system(),
    }
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "hardware": hardware,
    }


def cpu_name() -> str:
    """The name of the CPU, if the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def print_report(report: dict[str, Any], output: Path | None) -> None:
    """Prints a report as one line of JSON, and writes it to a file if there is one to write."""
    print(json.dumps(report))
    if output is not None:
        output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
