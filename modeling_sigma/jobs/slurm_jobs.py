"""The Slurm job that fills a folder: whether it still runs, and its end. Needs Slurm's own commands alone."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path


_JOB = "slurm_job"


def note_slurm_job(folder: Path, name: str) -> None:
    """Notes in a folder that a job of this name is about to write there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _JOB).write_text(name)


def end_slurm_job(folder: Path, name: str) -> None:
    """Ends a job, if it still runs, and its note."""
    with suppress(FileNotFoundError):  # no Slurm here: nothing was started
        subprocess.run(["scancel", "-n", name], capture_output=True)
    (folder / _JOB).unlink(missing_ok=True)


def check_no_slurm_job(folder: Path) -> None:
    """Refuses to go on while the job of an earlier run, which was killed, still writes.

    Raises:
        ValueError: if it does.
    """
    with suppress(FileNotFoundError):
        name = (folder / _JOB).read_text()
        if is_in_queue(name):
            raise ValueError(
                f"Slurm still runs the job {name}, which writes here: wait for it, or end it with `scancel -n {name}`"
            )


def is_in_queue(name: str) -> bool:
    """Whether Slurm has a job of this name that has not ended, or cannot tell for the moment."""
    try:
        asked = subprocess.run(["squeue", "-h", "-n", name, "-o", "%i"], capture_output=True, text=True)
    except FileNotFoundError:
        return False
    return asked.returncode != 0 or bool(asked.stdout.strip())
