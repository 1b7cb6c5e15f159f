"""Clips to try a model with: only such as it can know."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


MAX_EXAMPLES = 6
SUFFIXES = (".npz", ".pose")
# What `sigma-slu demo` writes beside the model of its invented language.
DEMO_CLIP = "unseen_clip.npz"


def example_files(name: str, path: str, folder: Path) -> list[str]:
    """Copies of a model's example clips; none if nobody has given any.

    They are those of a folder that the variable SIGMA_EXAMPLES names for the model (`Name=folder`, separated by
    commas), of a folder `examples` beside its weights, or the clip that `sigma-slu demo` leaves there. Clips of
    another language, or of an invented one, would be answered too, and mislead.
    """
    given = dict(entry.split("=", 1) for entry in os.environ.get("SIGMA_EXAMPLES", "").split(",") if "=" in entry)
    chosen = {key.strip(): Path(value.strip()) for key, value in given.items()}.get(name, Path(path) / "examples")
    found = sorted(file for file in chosen.glob("*") if file.suffix.lower() in SUFFIXES) if chosen.is_dir() else []
    if not found and (Path(path) / DEMO_CLIP).is_file():
        found = [Path(path) / DEMO_CLIP]
    target = folder / name.replace("/", "_")
    target.mkdir(exist_ok=True)
    return [str(shutil.copy(file, target / file.name)) for file in found[:MAX_EXAMPLES]]
