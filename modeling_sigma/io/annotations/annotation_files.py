"""One reader and one writer for all files of annotations, by their extension."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType

from modeling_sigma.io.annotations.annotation import AnnotatedRecording
from modeling_sigma.io.annotations.annotation_json import json_text, read_annotation_json
from modeling_sigma.io.annotations.annotation_table import read_annotation_table, tsv_text
from modeling_sigma.io.annotations.eaf_reading import read_eaf
from modeling_sigma.io.annotations.eaf_writing import eaf_text
from modeling_sigma.io.annotations.subtitles import read_subtitles, srt_text, vtt_text


_READERS: Mapping[str, Callable[[str | os.PathLike[str]], AnnotatedRecording]] = MappingProxyType(
    {
        ".eaf": read_eaf,
        ".srt": read_subtitles,
        ".vtt": read_subtitles,
        ".json": read_annotation_json,
        ".tsv": read_annotation_table,
        ".txt": read_annotation_table,
        ".csv": read_annotation_table,
    }
)
_WRITERS: Mapping[str, Callable[[AnnotatedRecording], str]] = MappingProxyType(
    {".eaf": eaf_text, ".srt": srt_text, ".vtt": vtt_text, ".json": json_text, ".tsv": tsv_text}
)
# What can be written; `.txt` and `.csv`, which ELAN exports, are read as well.
ANNOTATION_SUFFIXES = tuple(_WRITERS)


def read_annotations(path: str | os.PathLike[str]) -> AnnotatedRecording:
    """The annotations of a recording, from ELAN (`.eaf`, or a table that it exports), subtitles, JSON or a table.

    Args:
        path (`str` or `os.PathLike`):
            A file with one of the extensions `.eaf`, `.srt`, `.vtt`, `.json`, `.tsv`, `.txt` and `.csv`.

    Raises:
        ValueError: for another extension, or a file that does not hold what its extension says.
        OSError: if the file cannot be read.

    Example:

    ```python
    >>> import tempfile
    >>> from pathlib import Path
    >>> from modeling_sigma.io.annotations import AnnotatedRecording, Annotation, annotation_text, read_annotations
    >>> signs = AnnotatedRecording((Annotation(0.5, 1.25, "HELLO", "signs", "Ada"),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "talk.eaf")
    ...     _ = path.write_text(annotation_text(signs, ".eaf"), encoding="utf-8")
    ...     read_annotations(path).annotations[0]
    Annotation(start=0.5, end=1.25, value='HELLO', tier='signs', participant='Ada', scores=())

    ```
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in _READERS:
        raise ValueError(
            f"{os.fspath(path)}: expected a file of annotations ({', '.join(_READERS)}), received one of type "
            f"{suffix or 'unknown'}: export it from ELAN, or rename it"
        )
    return _READERS[suffix](path)


def annotation_text(recording: AnnotatedRecording, suffix: str) -> str:
    """The content of a file of annotations, to be written as UTF-8.

    Args:
        recording ([`AnnotatedRecording`]):
            What to write. Subtitles have no place for tiers and scores.
        suffix (`str`):
            The extension: `".eaf"`, `".srt"`, `".vtt"`, `".json"` or `".tsv"`.

    Raises:
        ValueError: for another extension, or for text that such a file cannot hold.
    """
    if suffix not in _WRITERS:
        raise ValueError(f"expected one of {', '.join(_WRITERS)} to write, received {suffix!r}: choose one of them")
    return _WRITERS[suffix](recording)
