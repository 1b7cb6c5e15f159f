"""The script that kills commands and races them, with few rounds; see benchmarks/RESULTS.md for many."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parents[1]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks processes"),
]


@pytest.mark.parametrize("kind", ["kill", "race"])
def test_results_are_those_of_a_quiet_run(kind: str) -> None:
    pytest.importorskip("av", reason="needs PyAV")
    script = str(ROOT / "benchmarks" / "kill_and_resume.py")
    command = [sys.executable, script, kind, "--rounds", "3", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert len([line for line in done.stdout.splitlines() if line.startswith(kind)]) >= 4
