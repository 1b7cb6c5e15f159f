"""Finds checkpoints that were completely written, and says clearly when one cannot be."""

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
    """Whether a checkpoint was completely written: its last file, the trainer's state, can be read."""
    try:
        state = read_json(checkpoint / TRAINER_STATE_NAME, "the state of a trainer", is_finite=False)
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and checkpoint.name == f"checkpoint-{state.get('global_step')}"


def last_complete_checkpoint(folder: str | Path) -> Path | None:
    """The latest complete checkpoint; None if there is none."""
    return next((path for path in reversed(list_checkpoints(folder)) if is_complete(path)), None)


def remove_incomplete_checkpoints(folder: str | Path) -> list[Path]:
    """Deletes checkpoints that were only partly written, so that nothing takes them for complete ones."""
    removed = [path for path in list_checkpoints(folder) if not is_complete(path)]
    for path in removed:
        shutil.rmtree(path, ignore_errors=True)
    return removed


def saving_failed(checkpoint: Path, error: Exception) -> OSError:
    """The error to raise when `checkpoint` could not be written; deletes what was written of it."""
    if not is_complete(checkpoint):
        shutil.rmtree(checkpoint, ignore_errors=True)
    last = last_complete_checkpoint(checkpoint.parent)
    state = "there is no earlier one" if last is None else f"{last} is complete"
    return OSError(
        f"{checkpoint} could not be written ({_reason(error)}); {state}: make room and continue with --resume"
    )


def saving_model_failed(folder: Path, error: Exception) -> OSError:
    """The error to raise when the trained model could not be written into the output folder."""
    last = last_complete_checkpoint(folder)
    state = "there is no checkpoint" if last is None else f"{last} is complete: make room and continue with --resume"
    return OSError(f"{folder}: the trained model could not be written ({_reason(error)}); {state}")


def num_processes_of(checkpoint: Path) -> int:
    """The number of processes that wrote a checkpoint: each keeps its own random state there."""
    return max(1, len(list(checkpoint.glob("rng_state_*.pth"))))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
