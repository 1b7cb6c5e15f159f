"""Runs that each write a JSON file, so that a long benchmark can stop, resume, and be shared by processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def run_missing(folder: Path, jobs: Mapping[str, Callable[[], dict[str, Any]]]) -> None:
    """Runs each job (name -> function that returns its result) whose file does not exist yet."""
    for name, job in jobs.items():
        path = folder / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(job(), indent=2) + "\n", encoding="utf-8")


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """All results in a folder, by job name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def mean_and_spread(values: Sequence[float], digits: int = 1) -> str:
    """The mean, and the standard deviation where there are several."""
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"
