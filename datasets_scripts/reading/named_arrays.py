"""Reading the arrays of an `.npz` file that a corpus came in."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def read_named_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays `names` of a `.npz` file; others in it are left alone.

    Raises:
        ValueError: if one is missing, or the file is damaged or of another kind; it names the file.
    """
    try:
        with zipfile.ZipFile(path):
            pass  # numpy takes anything else for a pickle
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in names if name not in archive.files]
            if missing:
                raise ValueError(f"{path}: expected arrays {', '.join(names)}, missing are {', '.join(missing)}")
            return {name: archive[name] for name in names}
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f"{path}: expected a .npz archive, received a damaged or other file ({error})") from error
