"""A folder of stored vectors and what they stand for: one safetensors file, one JSON file, and neither without the
other. The index of clips and texts and the sign dictionary are such folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

import modeling_sigma
from modeling_sigma.hub.bundle_config import check_version
from modeling_sigma.io.json_fields import check_fields
from modeling_sigma.io.json_text import read_json
from modeling_sigma.io.reading_errors import one_line
from modeling_sigma.jobs.atomic_files import write_text


VECTORS = "embeddings.safetensors"


def write_vectors(folder: Path, vectors: np.ndarray, facts: Mapping[str, Any], key_file: str) -> None:
    """Writes both files into a folder, such as the empty one of `atomic_folder`.

    Args:
        folder (`Path`):
            The folder.
        vectors (`np.ndarray` of shape `(N, hidden_size)`):
            The vectors, float32.
        facts (`Mapping[str, Any]`):
            What goes into the JSON file.
        key_file (`str`):
            The name of the JSON file.
    """
    vectors = np.ascontiguousarray(vectors)
    digest = hashlib.sha256(vectors.tobytes()).hexdigest()[:16]
    content = {"sigma_slu_version": modeling_sigma.__version__, **facts, "vectors": digest}
    save_file({"embeddings": vectors}, folder / VECTORS, {"vectors": digest})
    write_text(folder / key_file, json.dumps(content, ensure_ascii=False, indent=1) + "\n", sync=False)


def read_vectors(folder: Path, key_file: str, fields: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    """The vectors and the fields of the JSON file that [`write_vectors`] wrote.

    Args:
        folder (`Path`):
            The folder.
        key_file (`str`):
            The name of the JSON file.
        fields (`Mapping[str, Any]`):
            Name -> type of the fields that must be in it.

    Raises:
        ValueError: if a file is damaged, both are not of one time, or a newer version wrote them.
    """
    try:
        facts: dict[str, Any] = read_json(folder / key_file, f"the entries of {folder.name}", dict)
        check_version(facts, folder)
        check_fields(facts, fields)
        with safe_open(folder / VECTORS, framework="numpy") as file:
            stated = (file.metadata() or {}).get("vectors")
            vectors = file.get_tensor("embeddings")
        if facts.get("vectors") != stated:  # copied or read while another process replaced them
            raise ValueError(f"{VECTORS} and {key_file} do not belong together")
        return vectors, {name: facts[name] for name in fields}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ValueError) and str(folder) in str(error):
            raise
        raise damaged(folder, error) from error


def damaged(folder: Path, error: Exception) -> ValueError:
    """The error for files that do not hold what they should."""
    return ValueError(f"{folder} is damaged ({one_line(error)}): copy it again, or build it again")
