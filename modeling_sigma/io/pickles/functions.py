"""The few functions that honest pickles of skeletons name, as entries of a table that check their arguments.

None of numpy's own functions runs: every array is made from its checked bytes with `np.frombuffer`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from modeling_sigma.io.reading_budget import take_bytes


_ALLOWED = "a skeleton file may contain only dicts, lists, numbers, strings and numpy arrays"

_INSTEAD = {
    "numpy.ma.": ": save masked arrays as array.filled(numpy.nan)",
    "torch.": ": save tensors as tensor.numpy()",
}

# Booleans, integers, floats, and text or bytes of a fixed width. No objects, records, dates or nested types.
_DTYPE_CODE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[US][1-9]\d{0,6})")
_MAX_DIMENSIONS = 32

KEY_TYPES = (type(None), bool, int, float, str, bytes)


class UnsafePickleError(ValueError):
    """A pickle asks for something other than plain data. Nothing of it was run."""


class Function:
    """Stands in for a function that a pickle names: a token that only the machine's REDUCE understands."""

    __slots__ = ("make", "name")

    def __init__(self, name: str, make: Callable[[tuple[Any, ...]], Any]) -> None:
        self.name, self.make = name, make


class Unbuilt:
    """An array or dtype that numpy's pickles announce first (REDUCE) and describe afterwards (BUILD)."""

    __slots__ = ("code", "value")

    def __init__(self, code: str | None = None) -> None:
        self.code = code  # of the dtype; None for an array
        self.value: np.ndarray | np.dtype[Any] | None = None

    def build(self, state: tuple[Any, ...]) -> np.ndarray | np.dtype[Any]:
        """Makes the array or dtype that `state` describes."""
        self.value = _array_of_state(state) if self.code is None else _dtype_of_state(self.code, state)
        return self.value


def refusal(what: str) -> UnsafePickleError:
    """The error for a pickle that asks for `what`."""
    advice = next((advice for start, advice in _INSTEAD.items() if what.startswith(start)), "")
    return UnsafePickleError(f"refused to load {what}: {_ALLOWED}{advice}")


def dotted(text: Any) -> str:
    """A name from the file, short, dotted and in ASCII, so that it cannot upset a terminal."""
    return ascii(text[:80])[1:-1].replace(" ", ".") if isinstance(text, str) else type(text).__name__


def checked_keys(keys: list[Any]) -> list[Any]:
    """`keys`, all of them text or numbers."""
    # Hashing a tuple of a million nested tuples overflows the interpreter's stack: no tuples as keys.
    for key in keys:
        if type(key) not in KEY_TYPES and not isinstance(key, np.generic):
            raise ValueError(f"expected text or numbers as keys, received {type(key).__name__}")
    return keys


# --- numpy ---


def _array(raw: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    if not isinstance(dtype, np.dtype) or type(shape) is not tuple or len(shape) > _MAX_DIMENSIONS:
        raise ValueError("a numpy array without a usable dtype or shape")
    for size in shape:
        if type(size) is not int or size < 0:
            raise ValueError("a numpy array with a negative or fractional size")
    if type(raw) is str:  # written by python 2
        take_bytes(len(raw))
        raw = raw.encode("latin-1")
    if type(raw) not in (bytes, bytearray):
        raise refusal("a numpy array of objects")
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"a numpy array of shape {shape} and dtype {dtype} with {len(raw):,} bytes"[:200])
    take_bytes(len(raw))
    flat = np.frombuffer(raw, dtype).copy() if raw else np.empty(0, dtype)
    if dtype.kind == "U" and flat.size and flat.view(f"{dtype.byteorder}u4").max() > 0x10FFFF:
        raise ValueError("a numpy array of text with invalid characters")
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _array_of_state(state: tuple[Any, ...]) -> np.ndarray:
    _, shape, dtype, is_fortran, raw = state
    return _array(raw, dtype, shape, "F" if is_fortran else "C")


def _dtype_of_state(code: str, state: tuple[Any, ...]) -> np.dtype[Any]:
    if len(state) != 8 or any(nested is not None for nested in state[2:5]):
        raise refusal("a numpy dtype with fields or metadata")
    byte_order = state[1]
    if type(byte_order) is not str or byte_order not in ("<", ">", "|", "="):
        raise ValueError("a numpy dtype of unknown byte order")
    return np.dtype(code if byte_order == "|" else byte_order + code.lstrip("<>|="))


def _announce_array(arguments: tuple[Any, ...]) -> Unbuilt:
    if len(arguments) != 3 or arguments[0] is not _NDARRAY:
        raise refusal("numpy.core.multiarray._reconstruct of something other than numpy.ndarray")
    return Unbuilt()


def _announce_dtype(arguments: tuple[Any, ...]) -> Unbuilt:
    code = arguments[0] if arguments else None
    if type(code) is not str or len(arguments) > 3 or not _DTYPE_CODE.fullmatch(code):
        raise refusal(f"numpy.dtype({dotted(code)})")
    return Unbuilt(code)


def _array_of_buffer(arguments: tuple[Any, ...]) -> np.ndarray:
    raw, dtype, shape, order, *axes = arguments
    if type(order) is not str or order not in ("C", "F", "K") or len(axes) > 1:
        raise ValueError("a numpy array of unknown order")
    array = _array(raw, dtype, shape, order)
    if order != "K" or not axes or axes[0] is None:
        return array
    if type(axes[0]) is not tuple or any(type(axis) is not int for axis in axes[0]):
        raise ValueError("a numpy array with unusable axes")
    return array.transpose(axes[0])


def _scalar(arguments: tuple[Any, ...]) -> Any:
    dtype, raw = arguments
    return _array(raw, dtype, (1,), "C")[0]


def _call_ndarray(arguments: tuple[Any, ...]) -> Any:
    raise refusal("numpy.ndarray called with arguments")


# --- python ---


def _encode(arguments: tuple[Any, ...]) -> bytes:
    text, encoding = arguments
    if type(text) is not str or type(encoding) is not str or encoding not in ("latin1", "latin-1"):
        raise refusal(f"_codecs.encode with {dotted(encoding)}")
    take_bytes(len(text))
    return text.encode("latin-1")


def _empty_bytes(arguments: tuple[Any, ...]) -> bytes:
    if arguments:
        raise refusal("builtins.bytes called with arguments")
    return b""


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    if arguments:
        raise refusal("collections.OrderedDict called with arguments")
    return {}


def _set_items(arguments: tuple[Any, ...]) -> set[Any]:
    (items,) = arguments
    if type(items) is not list:
        raise refusal("a set of something other than a list")
    take_bytes(64 * len(items))  # the same list can be named many times
    return set(checked_keys(items))


def _frozen_items(arguments: tuple[Any, ...]) -> frozenset[Any]:
    return frozenset(_set_items(arguments))


_NDARRAY = Function("numpy.ndarray", _call_ndarray)

FUNCTIONS: dict[tuple[str, str], Function] = {
    (module, name): function
    for modules, name, function in (
        (("numpy",), "ndarray", _NDARRAY),
        (("numpy",), "dtype", Function("numpy.dtype", _announce_dtype)),
        (
            ("numpy.core.multiarray", "numpy._core.multiarray"),
            "_reconstruct",
            Function("numpy.core.multiarray._reconstruct", _announce_array),
        ),
        (
            ("numpy.core.multiarray", "numpy._core.multiarray"),
            "scalar",
            Function("numpy.core.multiarray.scalar", _scalar),
        ),
        (
            ("numpy.core.numeric", "numpy._core.numeric"),
            "_frombuffer",
            Function("numpy.core.numeric._frombuffer", _array_of_buffer),
        ),
        (("_codecs",), "encode", Function("_codecs.encode", _encode)),
        (("collections",), "OrderedDict", Function("collections.OrderedDict", _ordered_dict)),
        (("builtins", "__builtin__"), "bytes", Function("builtins.bytes", _empty_bytes)),
        (("builtins", "__builtin__"), "set", Function("builtins.set", _set_items)),
        (("builtins", "__builtin__"), "frozenset", Function("builtins.frozenset", _frozen_items)),
    )
    for module in modules
}
