"""The instructions of a pickle, split by a table of readers: what `pickletools.genops` does, several times faster.

A clip of 150 frames has some 7,000 instructions, nearly all of a few kinds. These have their own readers here; the
others are left to `pickletools`.
"""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Callable
from typing import Any

from modeling_sigma.io.reading_budget import take_bytes


# Takes the bytes and the position after the instruction's code; returns its argument and the position after that.
Reader = Callable[[bytes, int], tuple[Any, int]]

_FLOAT = struct.Struct(">d")
_LONG_TEXT = 1 << 16


def _number(size: int, signed: bool = False) -> Reader:
    def read(data: bytes, place: int) -> tuple[int, int]:
        end = place + size
        if end > len(data):
            raise ValueError("a number that is cut short")
        return int.from_bytes(data[place:end], "little", signed=signed), end

    return read


def _one_byte(data: bytes, place: int) -> tuple[int, int]:
    return data[place], place + 1


def _float(data: bytes, place: int) -> tuple[float, int]:
    if place + 8 > len(data):
        raise ValueError("a number that is cut short")
    return _FLOAT.unpack_from(data, place)[0], place + 8


def _bytes(size_of_length: int) -> Reader:
    def read(data: bytes, place: int) -> tuple[bytes, int]:
        start = place + size_of_length
        end = start + int.from_bytes(data[place:start], "little")
        if end > len(data):
            raise ValueError("text or bytes that are cut short")
        return data[start:end], end

    return read


def _text(size_of_length: int) -> Reader:
    read_bytes = _bytes(size_of_length)

    def read(data: bytes, place: int) -> tuple[str, int]:
        raw, end = read_bytes(data, place)
        if len(raw) > _LONG_TEXT:
            take_bytes(4 * len(raw))  # a single emoji makes every character take four bytes
        return raw.decode("utf-8", "surrogatepass"), end

    return read


def _by_pickletools(opcode: pickletools.OpcodeInfo) -> Reader:
    assert opcode.arg is not None
    read_argument = opcode.arg.reader

    def read(data: bytes, place: int) -> tuple[Any, int]:
        rest = _Rest(data, place)
        return read_argument(rest), rest.tell()  # type: ignore[arg-type]

    return read


class _Rest(io.RawIOBase):
    """The bytes from a position on, as a file, without a copy: a hostile file may need them in every instruction."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._place + size
        piece = self._data[self._place : end]
        self._place += len(piece)
        return piece

    def readline(self, size: int | None = -1) -> bytes:
        return self.read(self._data.find(b"\n", self._place) + 1 - self._place)

    def tell(self) -> int:
        return self._place


_FAST: dict[str, Reader] = {
    **dict.fromkeys(("PROTO", "BININT1", "BINPUT", "BINGET"), _one_byte),
    "BININT2": _number(2),
    "BININT": _number(4, signed=True),
    **dict.fromkeys(("LONG_BINPUT", "LONG_BINGET"), _number(4)),
    "FRAME": _number(8),
    "BINFLOAT": _float,
    "SHORT_BINBYTES": _bytes(1),
    "BINBYTES": _bytes(4),
    "BINBYTES8": _bytes(8),
    "SHORT_BINUNICODE": _text(1),
    "BINUNICODE": _text(4),
    "BINUNICODE8": _text(8),
}


def argument_reader(opcode: pickletools.OpcodeInfo) -> Reader | None:
    """The reader of an instruction's argument; None if it has no argument."""
    if opcode.arg is None:
        return None
    return _FAST.get(opcode.name) or _by_pickletools(opcode)
