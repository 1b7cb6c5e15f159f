"""Reading the arrays of an `.npz` file that a corpus came in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modeling_sigma.io.numpy_archive import read_arrays
from modeling_sigma.io.reading_budget import file_bytes, reading_budget
from modeling_sigma.io.reading_errors import naming_file


def read_named_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays `names` of a `.npz` file; others in it are left alone.

    Raises:
        ValueError: if one is missing, or the file is damaged or of another kind; it names the file.
        OSError: if there is no such file or it cannot be read.
    """
    with reading_budget(path):
        raw = file_bytes(path)
        with naming_file(path, "a .npz archive"):
            arrays = read_arrays(raw, names)
            missing = [name for name in names if name not in arrays]
            if missing:
                raise ValueError(f"expected arrays {', '.join(names)}, missing are {', '.join(missing)}")
            return arrays
