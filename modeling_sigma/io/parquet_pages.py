"""How much memory the pages of a parquet file unpack to, by their own headers.

A page of some kilobytes may unpack to gigabytes. What the end of the file says about that need not be true, and Arrow
unpacks a page before anybody can object, so the headers are looked at first. They are structures of Thrift's compact
protocol.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modeling_sigma.io.reading_budget import check_time


# Types of Thrift's compact protocol.
_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _MAP, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 11, 12
# Fields of a page's header.
_UNPACKED_SIZE, _SIZE = 2, 3
_MAX_LEVELS = 8


def unpacked_bytes(raw: Any, metadata: Any, columns: Iterable[str]) -> int:
    """The sum of the unpacked sizes of all pages of these columns.

    Args:
        raw (`bytes` or `mmap`):
            The content of the file.
        metadata (`pyarrow.parquet.FileMetaData`):
            What the end of the file says.
        columns (iterable of `str`):
            The columns that will be read.

    Raises:
        ValueError: if the pages are not where the file says, or a column holds lists.
    """
    wanted, total = set(columns), 0
    for number in range(metadata.num_columns):
        column = metadata.schema.column(number)
        if column.path.split(".")[0] not in wanted:
            continue
        if column.max_repetition_level:
            raise ValueError(f"expected one value in each cell, received lists in {column.path[:60]!a}: split them")
        for group in range(metadata.num_row_groups):
            total += _unpacked_bytes_of(raw, metadata.row_group(group).column(number))
    return total


def _unpacked_bytes_of(raw: Any, chunk: Any) -> int:
    place = chunk.data_page_offset
    if chunk.dictionary_page_offset:  # some writers state 0 where there is none
        place = min(place, chunk.dictionary_page_offset)
    end, total = place + chunk.total_compressed_size, 0
    if place < 0 or end > len(raw):
        raise ValueError("expected the pages of the table within the file, received other places: it is cut short")
    while place < end:
        check_time()
        header = _Header(raw, place, end)
        fields = header.read_struct()
        unpacked, size = fields.get(_UNPACKED_SIZE, -1), fields.get(_SIZE, -1)
        if unpacked < 0 or size < 0:
            raise ValueError("expected the size of every page, received none: the file is damaged")
        total += unpacked
        place = header.place + size
    return total


class _Header:
    """The header of a page; after `read_struct`, `place` is the one after it."""

    def __init__(self, raw: Any, place: int, end: int) -> None:
        self.raw, self.place, self.end = raw, place, end

    def read_struct(self, level: int = 0) -> dict[int, int]:
        """The integers among the fields of a structure, by the number of the field."""
        if level > _MAX_LEVELS:
            raise ValueError("expected a page of a table, received something nested deeply: the file is damaged")
        found, field = {}, 0
        while code := self._byte():
            kind = code & 15
            field = field + (code >> 4) if code >> 4 else self._integer()
            if kind in _INTEGERS:
                found[field] = self._integer()
            elif kind not in _BOOLEANS:  # their value is their type
                self._skip(kind, level + 1)
        return found

    def _skip(self, kind: int, level: int) -> None:
        if kind in (*_BOOLEANS, _BYTE):
            self._byte()
        elif kind in _INTEGERS:
            self._varint()
        elif kind == _DOUBLE:
            self._pass(8)
        elif kind == _BINARY:
            self._pass(self._varint())
        elif kind == _STRUCT:
            self.read_struct(level)
        elif kind in _LISTS:
            code = self._byte()
            for _ in range(code >> 4 if code >> 4 < 15 else self._varint()):
                self._skip(code & 15, level + 1)
        elif kind == _MAP and (size := self._varint()):
            kinds = self._byte()
            for _ in range(size):
                self._skip(kinds >> 4, level + 1)
                self._skip(kinds & 15, level + 1)
        elif kind != _MAP:
            raise ValueError("expected a page of a table, received something else: the file is damaged")

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
        raise ValueError("expected a page of a table, received an endless number: the file is damaged")

    def _byte(self) -> int:
        self._pass(1)
        return int(self.raw[self.place - 1])

    def _pass(self, num_bytes: int) -> None:
        self.place += num_bytes
        if self.place > self.end:
            raise ValueError("expected a page of a table, received the end of it: the file is cut short")
