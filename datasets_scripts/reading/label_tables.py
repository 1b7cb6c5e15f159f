"""Tables of labels: csv, tsv and jsonl as people save them, with errors that name the line."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_sigma.io.json_text import parsed_json
from modeling_sigma.io.reading_budget import reading_budget, take_objects
from modeling_sigma.io.reading_errors import listed, naming_file, one_line, shown
from modeling_sigma.io.text_files import read_text


# What the field calls the splits.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}

# Cells between tabs and bars hardly ever need quotes, so many programs write none.
_UNQUOTED_DELIMITERS = ("\t", "|")
DELIMITERS = (",", ";", *_UNQUOTED_DELIMITERS)

_QUOTED_CELL = re.compile('"(?:[^"]|"")*"', re.DOTALL)

# The row, its dictionary, and what a corpus makes of it.
_OBJECTS_PER_ROW = 5

# The number of the line that a row begins in, and its cells.
_Line = tuple[int, list[str]]


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its line in the file, from 1, and its cells by column."""

    line: int
    cells: dict[str, str]


def read_table(
    path: str | os.PathLike[str], delimiter: str | None = None, quoted: bool | None = None
) -> list[TableRow]:
    """The rows of a csv, tsv or jsonl file in any encoding of `read_text`; empty lines are passed over.

    Args:
        path (`str` or `os.PathLike`):
            The file. `.jsonl` holds one object per line; anything else has a line of column names first.
        delimiter (`str`, *optional*):
            The character between cells; by default the most frequent of comma, tab, semicolon and `|` in the line of
            names.
        quoted (`bool`, *optional*):
            Whether double quotes around a cell are removed. By default they are, unless cells are separated by tabs or
            `|` and some quotes are plainly part of the text: `"Hi" she said`.

    Raises:
        ValueError: for another encoding, two columns of one name, a row with more or fewer cells than columns, or a
            line that is no JSON object. The message names the line.
        OSError: if the file cannot be read.
    """
    with reading_budget(path):
        text = read_text(path, "labels")
        with naming_file(path, "labels"):
            return _table_of(os.fspath(path), text, delimiter, quoted)


def _table_of(name: str, text: str, delimiter: str | None, quoted: bool | None) -> list[TableRow]:
    marked = re.match(r"sep=(.)\n", text)  # which spreadsheets write for one another
    if marked:
        text, delimiter = "\n" + text[marked.end() :], delimiter or marked.group(1)
    if Path(name).suffix.lower() in (".jsonl", ".ndjson"):
        return _json_lines(name, text)
    header = next((line for line in text.split("\n") if line.strip()), "")
    if delimiter is None:
        delimiter = max(DELIMITERS, key=header.count)
    elif len(delimiter) != 1:
        raise ValueError(f"expected delimiter to be one character, received {delimiter!r}: give one of , ; | or a tab")
    if quoted is None and delimiter in _UNQUOTED_DELIMITERS:
        plain = _plain_lines(text, delimiter)
        cells_with_quotes = [cell for _, cells in plain for cell in cells if '"' in cell]
        # Other lengths come of a tab or a line end within quotes, or are a fault for the other reader to name.
        is_even = len({len(cells) for _, cells in plain}) <= 1
        quoted = not is_even or all(map(_QUOTED_CELL.fullmatch, cells_with_quotes))
    if quoted is False:
        return _rows(name, _plain_lines(text, delimiter), delimiter)
    return _rows(name, _quoted_lines(name, text, delimiter), delimiter)


def find_column(columns: Iterable[str], names: Sequence[str]) -> str | None:
    """The first of `names` among `columns`, whatever the case, spaces, hyphens and dots."""
    by_name = {plain_name(column): column for column in columns}
    return next((by_name[plain_name(name)] for name in names if plain_name(name) in by_name), None)


def needed_columns(path: str | os.PathLike[str], rows: Sequence[TableRow], *names: str) -> list[str]:
    """The columns of a known table that have these names, as [`find_column`] compares them.

    Raises:
        ValueError: if one is missing, or the table is empty.
    """
    columns = column_names(rows)
    found = [find_column(columns, (name,)) for name in names]
    if None in found:
        received = listed(columns) or "an empty table"
        raise ValueError(f"{os.fspath(path)}: expected the columns {listed(names)}, received {received}")
    return [column for column in found if column is not None]


def column_names(rows: Iterable[TableRow]) -> list[str]:
    """The columns of all rows: lines of JSON may differ in theirs."""
    return list(dict.fromkeys(name for row in rows for name in row.cells))


def plain_name(name: str) -> str:
    """A column's name as `find_column` compares it: `signer_id` for `Signer-ID` and `signerId`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^\w]+|_+", "_", spaced.lower()).strip("_")


def split_of(value: str, where: str) -> str:
    """`train`, `validation` or `test` for any of the field's names.

    Raises:
        ValueError: for another word; `where` says where it stands.
    """
    try:
        return SPLIT_NAMES[value.strip().lower()]
    except KeyError:
        raise ValueError(f"{where}: expected a split (train, validation or test), received {shown(value)}") from None


def _rows(name: str, lines: Iterable[_Line], delimiter: str) -> list[TableRow]:
    rows: list[TableRow] = []
    columns: list[str] | None = None
    for line, cells in lines:
        if columns is None:
            columns = [cell.strip() for cell in cells]
            _check_columns(name, line, columns)
        elif len(cells) != len(columns) and any(cell.strip() for cell in cells[len(columns) :] or ["short"]):
            raise ValueError(
                f"{name}, line {line}: expected {len(columns)} cells ({listed(columns)}), received {len(cells)}: "
                f"put text with {delimiter!r} into double quotes"
            )
        else:
            take_objects(2 * len(cells) + _OBJECTS_PER_ROW)
            rows.append(TableRow(line, {column: cell for column, cell in zip(columns, cells) if column}))
    return rows


def _plain_lines(text: str, delimiter: str) -> list[_Line]:
    """Lines with anything in them, cut at each delimiter."""
    lines = ((number, line.split(delimiter)) for number, line in enumerate(text.split("\n"), 1))
    return [(number, cells) for number, cells in lines if any(cell.strip() for cell in cells)]


def _quoted_lines(name: str, text: str, delimiter: str) -> Iterator[_Line]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    previous = 0
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield previous + 1, cells
            previous = reader.line_num
    except csv.Error as error:
        raise ValueError(
            f"{name}, line {reader.line_num}: {error}: is a double quote left open? Write quotes inside of a cell "
            "twice; if they are part of the text throughout, give quoted=False"
        ) from None


def _json_lines(name: str, text: str) -> list[TableRow]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            value = parsed_json(line)
        except ValueError as error:
            raise ValueError(f"{where}: expected a JSON object, received {shown(line)} ({one_line(error)})") from None
        if not isinstance(value, dict):
            raise ValueError(f"{where}: expected a JSON object, received {type(value).__name__}")
        rows.append(TableRow(number, {column: cell_text(cell) for column, cell in value.items()}))
    return rows


def cell_text(value: Any) -> str:
    """A value of a JSON file as a table would write it: nothing for null, and lists as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _check_columns(name: str, line: int, columns: list[str]) -> None:
    twice = next((column for column, count in Counter(columns).items() if column and count > 1), None)
    if twice is not None:
        raise ValueError(f"{name}, line {line}: two columns are called {shown(twice)}: rename one")
