"""Runs that leave a JSON file each, so that a benchmark of hours can stop, go on, and be shared by processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def run_missing(folder: Path, jobs: Mapping[str, Callable[[], dict[str, Any]]]) -> None:
    """Does each job (name -> what returns its result) whose file does not exist yet."""
    for name, job in jobs.items():
        path = folder / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(job(), indent=2) + "\n", encoding="utf-8")


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """All results in a folder, by name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
