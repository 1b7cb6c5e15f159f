"""A folder of stored vectors and what they stand for: one safetensors file, one JSON file, and neither without the
other. The index of clips and texts and the sign dictionary are such folders."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
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
from modeling_sigma.jobs.atomic_files import atomic_file, write_text


VECTORS = "embeddings.safetensors"
# New vectors lie beside the old ones, under the name that the new JSON file asks for, until that is in its place.
_COMING = re.compile(r"embeddings-([0-9a-f]{16})\.safetensors")
_SCRATCH = ".unfinished"
# How often both files are read when another process replaces them between the two.
_ATTEMPTS = 10


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
    digest = _digest(vectors)
    save_file({"embeddings": vectors}, folder / VECTORS, {"vectors": digest})
    write_text(folder / key_file, _as_json(facts, digest), sync=False)


def replace_vectors(folder: Path, vectors: np.ndarray, facts: Mapping[str, Any], key_file: str) -> None:
    """As [`write_vectors`], for a folder that people read and that is precious: whenever this is killed, what
    [`read_vectors`] finds is all old or all new. Nobody else may write there meanwhile: see `lone_writer`.

    What a killed call has left, whole or in part, goes first, so that nothing old stays in any file.
    """
    finish_replacing(folder, key_file)
    vectors = np.ascontiguousarray(vectors)
    digest = _digest(vectors)
    coming, scratch = folder / f"embeddings-{digest}.safetensors", folder / _SCRATCH
    try:
        with atomic_file(coming, scratch) as temporary:
            save_file({"embeddings": vectors}, temporary, {"vectors": digest})
        write_text(folder / key_file, _as_json(facts, digest), scratch)  # from here on all is new
        os.replace(coming, folder / VECTORS)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def finish_replacing(folder: Path, key_file: str) -> None:
    """Does what a call of [`replace_vectors`] had left to do when it was killed, and removes its scraps.

    Raises:
        ValueError: if there are such scraps beside a damaged JSON file.
    """
    shutil.rmtree(folder / _SCRATCH, ignore_errors=True)
    coming = {path: found[1] for path in folder.iterdir() if (found := _COMING.fullmatch(path.name))}
    stated = _read_facts(folder, key_file).get("vectors") if coming and (folder / key_file).is_file() else None
    for path, digest in coming.items():
        if digest == stated:
            os.replace(path, folder / VECTORS)
        else:
            path.unlink()


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
        for _ in range(_ATTEMPTS):
            facts = _read_facts(folder, key_file)
            check_version(facts, folder)
            check_fields(facts, fields)
            vectors = _read_matching(folder, facts.get("vectors"))
            if vectors is not None:
                return vectors, {name: facts[name] for name in fields}
        raise ValueError(f"{VECTORS} and {key_file} do not belong together")  # copied at different times
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ValueError) and str(folder) in str(error):
            raise
        raise damaged(folder, error) from error


def _digest(vectors: np.ndarray) -> str:
    return hashlib.sha256(vectors.tobytes()).hexdigest()[:16]


def _as_json(facts: Mapping[str, Any], digest: str) -> str:
    content = {"sigma_slu_version": modeling_sigma.__version__, **facts, "vectors": digest}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _read_facts(folder: Path, key_file: str) -> dict[str, Any]:
    facts: dict[str, Any] = read_json(folder / key_file, f"the entries of {folder.name}", dict)
    return facts


def _read_matching(folder: Path, digest: Any) -> np.ndarray | None:
    """The vectors that a JSON file asks for, where they are: in their place, or on their way there."""
    for name in (VECTORS, f"embeddings-{digest}.safetensors"):
        if name == VECTORS or _COMING.fullmatch(name):
            with suppress(FileNotFoundError), safe_open(folder / name, framework="numpy") as file:
                if (file.metadata() or {}).get("vectors") == digest:
                    vectors: np.ndarray = file.get_tensor("embeddings")
                    return vectors
    return None


def damaged(folder: Path, error: Exception) -> ValueError:
    """The error for files that do not hold what they should."""
    return ValueError(f"{folder} is damaged ({one_line(error)}): copy it again, or build it again")
