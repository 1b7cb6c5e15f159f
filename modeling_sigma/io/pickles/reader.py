"""Reading pickles as data: containers, numbers, strings and numpy arrays, and nothing that could run."""

from __future__ import annotations

import gzip
import io
import os
from typing import Any, BinaryIO

from modeling_sigma.io.pickles.functions import UnsafePickleError
from modeling_sigma.io.pickles.machine import PickleMachine
from modeling_sigma.io.reading_budget import budget_of, file_bytes, reading_budget, take_bytes
from modeling_sigma.io.reading_errors import OverBudgetError, naming_file, one_line, shown


_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20


def load_restricted_pickle(path_or_file: str | os.PathLike[str] | BinaryIO) -> Any:
    """Loads a pickle, plain or gzip-compressed, that holds only plain data.

    Dicts, lists, tuples, sets, numbers, strings, bytes, numpy arrays and numpy scalars load, as written by any pickle
    protocol (0 to 5) with numpy 1 or 2. An `OrderedDict` becomes a dict. Arrays are writable copies. What the file may
    take is bounded by the `reading_budget`.

    Args:
        path_or_file (`str`, `os.PathLike` or binary file):
            The pickle.

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
        name = os.fspath(path_or_file)
        with reading_budget(path_or_file):
            return _load(file_bytes(path_or_file), name)
    raw = path_or_file.read()
    with budget_of(len(raw)):
        return _load(raw, str(getattr(path_or_file, "name", "pickle")))


def load_label_file(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """Loads one of the field's label files: a gzip-compressed (or plain) pickle of a dict of samples.

    Args:
        path (`str` or `os.PathLike`):
            The file, for example `labels.test`.

    Returns:
        `dict[str, dict]`: the fields of each sample by its id; as a rule `name`, `gloss` (a string or a list of
        strings), `text` and `video_path`.

    Raises:
        UnsafePickleError: if the pickle asks for anything but plain data.
        ValueError: if it is damaged, too large, or something other than such a dict.
        OSError: if there is no such file or it cannot be read.
    """
    labels = load_restricted_pickle(path)
    with naming_file(path, "a label file"):
        _check_labels(labels)
    return dict(labels)


def _load(raw: bytes, name: str) -> Any:
    with naming_file(name, "a pickle"):
        if raw.startswith(_GZIP_MAGIC):
            raw = _unzipped(raw)
        try:
            return PickleMachine(raw).run()
        except OverBudgetError:
            raise
        except UnsafePickleError as error:
            raise UnsafePickleError(f"{name}: {error}") from None
        except (ValueError, LookupError, TypeError, OverflowError, MemoryError, RecursionError) as error:
            reason = one_line(error)[:200] if isinstance(error, ValueError) else "its instructions do not fit together"
            raise ValueError(f"expected a whole pickle of plain data, received a damaged one: {reason}") from error


def _unzipped(raw: bytes) -> bytes:
    """The content of a gzip file, piece by piece: a small file may hold a huge one."""
    pieces = []
    with gzip.GzipFile(fileobj=io.BytesIO(raw)) as unzipped:
        while piece := unzipped.read(_CHUNK):
            take_bytes(2 * len(piece))  # in pieces, and joined
            pieces.append(piece)
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
