"""Tables of labels: csv, tsv and jsonl as people save them, with errors that name the line."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_sigma.io.reading_errors import shown


# What the field calls the splits.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}

_DELIMITERS = (",", "\t", ";", "|")


@dataclass(frozen=True)
class TableRow:
    """One row: its line in the file, from 1, and its cells by column."""

    line: int
    cells: dict[str, str]


def read_text(path: str | os.PathLike[str]) -> str:
    """A text file in UTF-8, or in UTF-16 with a byte order mark (Excel's "Unicode text").

    Raises:
        ValueError: for another encoding; the message names the line.
        OSError: if the file cannot be read.
    """
    raw = Path(path).read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{os.fspath(path)}, line {line}: expected UTF-8, received byte 0x{raw[error.start]:02x}: save the file "
            "as UTF-8"
        ) from None


def read_table(path: str | os.PathLike[str], delimiter: str | None = None, quoted: bool = True) -> list[TableRow]:
    """The rows of a csv, tsv or jsonl file, with Unix or Windows line ends; empty lines are passed over.

    Args:
        path (`str` or `os.PathLike`):
            The file. `.jsonl` holds one object a line; anything else has a line of column names first.
        delimiter (`str`, *optional*):
            Between cells; by default the commonest of comma, tab, semicolon and `|` in the first line.
        quoted (`bool`, *optional*, defaults to `True`):
            Whether cells may stand in double quotes.

    Raises:
        ValueError: for another encoding, two columns of one name, a row with more or fewer cells than columns, or a
            line that is no JSON object. The message names the line.
        OSError: if the file cannot be read.
    """
    text = read_text(path)
    if Path(path).suffix.lower() in (".jsonl", ".ndjson"):
        return _json_lines(path, text)
    header = text.split("\n", 1)[0]
    delimiter = delimiter or max(_DELIMITERS, key=header.count)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    rows, columns, line = [], None, 0
    try:
        for cells in reader:
            line, previous = reader.line_num, line
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = [cell.strip() for cell in cells]
                _check_columns(path, columns)
                continue
            if len(cells) != len(columns):
                raise ValueError(
                    f"{os.fspath(path)}, line {previous + 1}: expected {len(columns)} cells ({', '.join(columns)}), "
                    f"received {len(cells)}: put text with {delimiter!r} into double quotes"
                )
            rows.append(TableRow(previous + 1, dict(zip(columns, cells))))
    except csv.Error as error:
        raise ValueError(f"{os.fspath(path)}, line {reader.line_num}: {error}: is a double quote left open?") from None
    return rows


def find_column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of `names` among `columns`, whatever the case, spaces and hyphens."""

    def plain(name: str) -> str:
        return re.sub(r"[\s_-]+", "_", name.strip().lower())

    by_name = {plain(column): column for column in columns}
    return next((by_name[plain(name)] for name in names if plain(name) in by_name), None)


def split_of(value: str, where: str) -> str:
    """`train`, `validation` or `test` for any of the field's names.

    Raises:
        ValueError: for another word; `where` says where it stands.
    """
    try:
        return SPLIT_NAMES[value.strip().lower()]
    except KeyError:
        raise ValueError(f"{where}: expected a split (train, validation or test), received {shown(value)}") from None


def seconds_of(value: str, where: str) -> float | None:
    """Seconds of `12.5` or `00:01:02.5`; None for an empty cell.

    A negative number is one: some labels have -1 where a clip is a file of its own. `cut_out` refuses it.

    Raises:
        ValueError: for anything else.
    """
    if not value.strip():
        return None
    try:
        parts = [float(part) for part in value.strip().split(":")]
    except ValueError:
        parts = [math.nan]
    seconds = 0.0
    for part in parts:
        seconds = 60 * seconds + part
    if not math.isfinite(seconds) or min(parts[1:], default=0.0) < 0:
        raise ValueError(f"{where}: expected seconds or hh:mm:ss, received {shown(value)}")
    return seconds


def _json_lines(path: str | os.PathLike[str], text: str) -> list[TableRow]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{os.fspath(path)}, line {number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{where}: expected a JSON object, received {shown(line)} ({error})") from None
        if not isinstance(value, dict):
            raise ValueError(f"{where}: expected a JSON object, received {type(value).__name__}")
        rows.append(TableRow(number, {name: _as_text(cell) for name, cell in value.items()}))
    return rows


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)


def _check_columns(path: str | os.PathLike[str], columns: list[str]) -> None:
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise ValueError(f"{os.fspath(path)}, line 1: two columns are called {shown(twice)}: rename one")
