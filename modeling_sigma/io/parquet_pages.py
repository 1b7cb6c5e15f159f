"""How much memory the pages of a parquet file unpack to, by their own headers.

A page of some kilobytes may unpack to gigabytes. What the end of the file says about that need not be true, and Arrow
unpacks a page before anybody can object, so the headers are looked at first. They, and the end of the file, are
structures of Thrift's compact protocol; Arrow's own view of the end of a damaged file can abort the interpreter.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from modeling_sigma.io.reading_budget import check_time, take_objects


_MAX_LEVELS = 16
# Numbers of the fields that are looked at. Of a page's header:
_UNPACKED_SIZE, _SIZE = 2, 3
# Of the end of the file, its elements of the schema, its groups of rows, and their columns:
_SCHEMA, _ROW_GROUPS = 2, 4
_REPETITION, _NAME, _REPEATED = 3, 4, 2
_COLUMNS = 1
_COLUMN_FACTS = 3
_PATH, _CHUNK_SIZE, _DATA_OFFSET, _DICTIONARY_OFFSET = 3, 7, 9, 11


def unpacked_bytes(raw: Any, columns: Collection[str]) -> int:
    """The sum of the unpacked sizes of all pages of these columns.

    Args:
        raw (`bytes` or `mmap`):
            The content of the file.
        columns (`list[str]`):
            The columns that will be read.

    Raises:
        ValueError: if the pages are not where the file says, or a column holds lists.
    """
    length = int.from_bytes(raw[-8:-4], "little")
    if raw[-4:] != b"PAR1" or length + 8 > len(raw):
        raise ValueError("expected the end of a parquet file, received something else: the file is cut short")
    facts = _Structure(raw, len(raw) - 8 - length, len(raw) - 8).read()
    names = [name.encode() for name in columns]
    for element in _structures(facts.get(_SCHEMA)):
        if element.get(_NAME) in names and element.get(_REPETITION) == _REPEATED:
            raise ValueError(f"expected one value in each cell, received lists in {element[_NAME][:60]!a}: split them")
    total = 0
    for group in _structures(facts.get(_ROW_GROUPS)):
        for column in _structures(group.get(_COLUMNS)):
            (chunk,) = _structures([column.get(_COLUMN_FACTS)]) or [{}]
            path = chunk.get(_PATH)
            if not isinstance(path, list) or not path:
                raise ValueError("expected the name of every column, received none: the file is damaged")
            if path[0] in names and len(path) > 1:
                raise ValueError(f"expected one value in each cell, received more in {path[0][:60]!a}: split them")
            if path[0] in names:
                total += _unpacked_bytes_of(raw, chunk)
    return total


def _unpacked_bytes_of(raw: Any, chunk: dict[int, Any]) -> int:
    place, dictionary, size = (_number(chunk, field) for field in (_DATA_OFFSET, _DICTIONARY_OFFSET, _CHUNK_SIZE))
    if dictionary:  # some writers state 0 where there is none
        place = min(place, dictionary)
    end, total = place + size, 0
    if place < 0 or end > len(raw):
        raise ValueError("expected the pages of the table within the file, received other places: it is cut short")
    while place < end:
        header = _Structure(raw, place, end)
        fields = header.read()
        unpacked, size = _number(fields, _UNPACKED_SIZE, -1), _number(fields, _SIZE, -1)
        if unpacked < 0 or size < 0:
            raise ValueError("expected the size of every page, received none: the file is damaged")
        total += unpacked
        place = header.place + size
    return total


def _structures(value: Any) -> list[dict[int, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _number(fields: dict[int, Any], field: int, otherwise: int = 0) -> int:
    value = fields.get(field, otherwise)
    return value if isinstance(value, int) else otherwise


class _Structure:
    """A structure; after `read`, `place` is the one after it."""

    def __init__(self, raw: Any, place: int, end: int) -> None:
        self.raw, self.place, self.end = raw, place, end

    def read(self, level: int = 0) -> dict[int, Any]:
        """The fields by their numbers: integers, bytes, lists and structures; None for all else."""
        if level > _MAX_LEVELS:
            raise ValueError("expected the structures of a table, received something nested deeply: it is damaged")
        check_time()
        found: dict[int, Any] = {}
        field = 0
        while code := self._byte():
            field = field + (code >> 4) if code >> 4 else self._integer()
            # The value of a boolean field is its type.
            found[field] = None if code & 15 in (1, 2) else self._value(code & 15, level + 1)
        return found

    def _value(self, kind: int, level: int) -> Any:
        take_objects(1)
        if kind in (1, 2, 3):  # booleans in lists, and bytes
            self._byte()
        elif kind in (4, 5, 6):
            return self._integer()
        elif kind == 7:
            self._pass(8)
        elif kind == 8:
            size = self._varint()
            self._pass(size)
            return self.raw[self.place - size : self.place]
        elif kind in (9, 10):
            code = self._byte()
            size = code >> 4 if code >> 4 < 15 else self._varint()
            return [self._value(code & 15, level + 1) for _ in range(size)]
        elif kind == 11:
            size = self._varint()
            kinds = self._byte() if size else 0
            for _ in range(size):
                self._value(kinds >> 4, level + 1)
                self._value(kinds & 15, level + 1)
        elif kind == 12:
            return self.read(level)
        else:
            raise ValueError("expected the structures of a table, received something else: the file is damaged")
        return None

    def _integer(self) -> int:
        number = self._varint()
        return number >> 1 if not number & 1 else -(number >> 1) - 1

    def _varint(self) -> int:
        number = shift = 0
        while shift < 70:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
        raise ValueError("expected the structures of a table, received an endless number: the file is damaged")

    def _byte(self) -> int:
        self._pass(1)
        return int(self.raw[self.place - 1])

    def _pass(self, num_bytes: int) -> None:
        self.place += num_bytes
        if self.place > self.end:
            raise ValueError("expected the structures of a table, received the end of them: the file is cut short")
