"""Reading pickles as data: containers, numbers, strings and numpy arrays, and nothing that could run."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path
from typing import Any, BinaryIO

from modeling_sigma.io.pickles.functions import UnsafePickleError
from modeling_sigma.io.pickles.machine import PickleMachine
from modeling_sigma.io.reading_errors import naming_file, one_line, shown


MAX_BYTES = 1 << 30
MAX_LABEL_BYTES = 1 << 28

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20


def load_restricted_pickle(path_or_file: str | os.PathLike[str] | BinaryIO, *, max_bytes: int = MAX_BYTES) -> Any:
    """Loads a pickle, plain or gzip-compressed, that holds only plain data.

    Dicts, lists, tuples, sets, numbers, strings, bytes, numpy arrays and numpy scalars load, as written by any pickle
    protocol (0 to 5) with numpy 1 or 2. An `OrderedDict` becomes a dict. Arrays are writable copies.

    Args:
        path_or_file (`str`, `os.PathLike` or binary file):
            The pickle.
        max_bytes (`int`, *optional*, defaults to 1 GiB):
            The largest size of the pickle after decompression, and of all its arrays together.

    Returns:
        The data.

    Raises:
        UnsafePickleError: if the pickle asks for anything else; the message names it. Nothing was run.
        ValueError: if the pickle is damaged, cut short or too large.
        OSError: if there is no such file or it cannot be read.

    Example:

    ```python
    >>> import io, pickle
    >>> from modeling_sigma.io.pickles import load_restricted_pickle
    >>> load_restricted_pickle(io.BytesIO(pickle.dumps({"scores": [1.0, 0.5]})))
    {'scores': [1.0, 0.5]}
    >>> load_restricted_pickle(io.BytesIO(pickle.dumps(print)))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    modeling_sigma.io.pickles.functions.UnsafePickleError: pickle: refused to load builtins.print: a skeleton ...

    ```
    """
    if isinstance(path_or_file, (str, os.PathLike)):
        with Path(path_or_file).open("rb") as file:
            return _load(file, os.fspath(path_or_file), max_bytes)
    return _load(path_or_file, str(getattr(path_or_file, "name", "pickle")), max_bytes)


def load_label_file(path: str | os.PathLike[str], *, max_bytes: int = MAX_LABEL_BYTES) -> dict[str, dict[str, Any]]:
    """Loads one of the field's label files: a gzip-compressed (or plain) pickle of a dict of samples.

    Args:
        path (`str` or `os.PathLike`):
            The file, for example `labels.test`.
        max_bytes (`int`, *optional*, defaults to 256 MiB):
            The largest size after decompression.

    Returns:
        `dict[str, dict]`: the fields of each sample by its id; as a rule `name`, `gloss` (a string or a list of
        strings), `text` and `video_path`.

    Raises:
        UnsafePickleError: if the pickle asks for anything but plain data.
        ValueError: if it is damaged, too large, or something other than such a dict.
        OSError: if there is no such file or it cannot be read.
    """
    labels = load_restricted_pickle(path, max_bytes=max_bytes)
    with naming_file(path, "a label file"):
        _check_labels(labels)
    return dict(labels)


def _load(file: BinaryIO, name: str, max_bytes: int) -> Any:
    with naming_file(name, "a pickle"):
        raw = _read(file, max_bytes)
        if raw.startswith(_GZIP_MAGIC):
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as unzipped:
                raw = _read(unzipped, max_bytes)
        try:
            return PickleMachine(raw, max_bytes).run()
        except UnsafePickleError as error:
            raise UnsafePickleError(f"{name}: {error}") from None
        except (ValueError, LookupError, TypeError, OverflowError, MemoryError, RecursionError) as error:
            reason = one_line(error)[:200] if isinstance(error, ValueError) else "its instructions do not fit together"
            raise ValueError(f"expected a whole pickle of plain data, received a damaged one: {reason}") from error


def _read(file: Any, max_bytes: int) -> bytes:
    """All bytes of `file`, read in chunks, so that a small file that decompresses to a huge one is stopped in time."""
    pieces, size = [], 0
    while piece := file.read(_CHUNK):
        pieces.append(piece)
        size += len(piece)
        if size > max_bytes:
            raise ValueError(f"expected at most {max_bytes:,} bytes, received more: raise max_bytes if you trust it")
    return b"".join(pieces)


def _check_labels(labels: Any) -> None:
    expected = "expected a dict of sample id -> {name, gloss, text, video_path}"
    if type(labels) is not dict:
        raise ValueError(f"{expected}, received {type(labels).__name__}: this is no label file")
    checked: set[int] = set()  # lists may be shared between samples; each is walked once
    for sample_id, sample in labels.items():
        if type(sample_id) is not str or type(sample) is not dict:
            raise ValueError(
                f"{expected}, received {type(sample_id).__name__} -> {type(sample).__name__}: this is no label file"
            )
        if id(sample) in checked:
            continue
        checked.add(id(sample))
        for name, value in sample.items():
            if type(name) is not str or not (_is_text_or_number(value) or _is_list_of_text(value, checked)):
                raise ValueError(
                    f"expected text, a number or a list of text in every field of a sample, received "
                    f"{type(value).__name__} in sample {shown(sample_id)}: this is no label file"
                )


def _is_text_or_number(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _is_list_of_text(value: Any, checked: set[int]) -> bool:
    if type(value) not in (list, tuple):
        return False
    if id(value) not in checked:
        if not all(isinstance(item, str) for item in value):
            return False
        checked.add(id(value))
    return True
