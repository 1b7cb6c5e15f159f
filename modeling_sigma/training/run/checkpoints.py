"""Checkpoints that were written to the end, and a clear word when one cannot be."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from transformers.trainer import TRAINER_STATE_NAME

from modeling_sigma.io.json_text import read_json


_NAME = re.compile(r"^checkpoint-(\d+)$")


def list_checkpoints(folder: str | Path) -> list[Path]:
    """Checkpoint folders from the earliest to the latest step, complete or not."""
    folder = Path(folder)
    found = [path for path in folder.glob("checkpoint-*") if path.is_dir() and _NAME.match(path.name)]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def is_complete(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to the end: the trainer's state, its last file, is there and can be read."""
    try:
        state = read_json(checkpoint / TRAINER_STATE_NAME, "the state of a trainer", is_finite=False)
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and checkpoint.name == f"checkpoint-{state.get('global_step')}"


def last_complete_checkpoint(folder: str | Path) -> Path | None:
    """The latest checkpoint that was written to the end; None where there is none."""
    return next((path for path in reversed(list_checkpoints(folder)) if is_complete(path)), None)


def remove_incomplete_checkpoints(folder: str | Path) -> list[Path]:
    """Deletes what is left of checkpoints that were interrupted, so that nothing takes them for whole ones."""
    removed = [path for path in list_checkpoints(folder) if not is_complete(path)]
    for path in removed:
        shutil.rmtree(path, ignore_errors=True)
    return removed


def saving_failed(checkpoint: Path, error: Exception) -> OSError:
    """The error to raise when `checkpoint` could not be written; what was written of it is deleted."""
    if not is_complete(checkpoint):
        shutil.rmtree(checkpoint, ignore_errors=True)
    last = last_complete_checkpoint(checkpoint.parent)
    state = "there is no earlier one" if last is None else f"{last} is complete"
    reason = " ".join(str(error).split()) or type(error).__name__
    return OSError(f"{checkpoint} could not be written ({reason}); {state}: make room and go on with --resume")
