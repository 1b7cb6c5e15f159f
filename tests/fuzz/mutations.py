"""How valid files are spoilt: bytes, words, cells, nodes of JSON, objects of pickles, members of archives."""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


Mutation = Callable[[bytes, random.Random], bytes]

_NUMBERS = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 64) - 1)
# What stands in tables and texts where nobody expects it.
_WORDS = (
    *(
        "",
        " ",
        "nan",
        "inf",
        "-inf",
        "Infinity",
        "1e999",
        "-1e308",
        "1e308",
        "-1",
        "0",
        "1/0",
        "0/0",
        "9" * 30,
        "9" * 5000,
    ),
    *(
        "\0",
        "\x1b[2J",
        "\u202e",
        "\ufeff",
        "é",
        "😀",
        "x" * 300,
        "y/" * 300,
        "../..",
        "/",
        "\\",
        "::",
        "a.npz::b",
        ".",
    ),
    *(
        "['A', 'B']",
        "['A' 'B'",
        "array(['A'",
        "[nan]",
        "(",
        "{",
        "[" * 200,
        "[" * 3000,
        "]",
        '"',
        '""',
        "'",
        ",",
        ";",
        "|",
    ),
    *(
        "\t",
        "\n",
        "\r",
        "00:00:01.5",
        "99:99:99",
        "9" * 400 + ":00",
        "1 days 00:00:01",
        "3 ms",
        "1e5 s",
        "train",
        "test",
    ),
    *(
        "=1+1",
        "None",
        "<NA>",
        "true",
        "&a [*a]",
        "*a",
        "!!python/object/apply:os.mkdir [harm]",
        "2001-99-99",
        "? :",
        "---",
    ),
    *(" " * 2000, "; " * 1000, "é" * 200, "sample: 1, prediction: x", "\u2028", "-0.0", "1_000", "0x10", "1,5", "١"),
)
_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        1e308,
        -1e308,
        10**30,
        -(10**400),
        float("nan"),
        float("inf"),
        "",
        "x",
        "x" * 300,
    ),
    *(
        "\ud800",
        "\0",
        "1.5",
        "nan",
        [],
        {},
        [[]],
        [None],
        [1, 2],
        ["a"],
        {"a": {}},
        {"": None},
        [[0.5, 0.5]] * 21,
        [0] * 999,
    ),
    *(
        {"people": []},
        {"people": [{}] * 300},
        {"keypoints": []},
        {"x": 1, "y": "a"},
        {"x": None},
        [[[[]]]],
        "../../x",
        "::",
    ),
)


class Payload:
    """Unpickled carelessly, it makes a folder."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def spoil_bytes(raw: bytes, rng: random.Random) -> bytes:
    """Changes, cuts, repeats and moves bytes."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        place = rng.randrange(len(data) + 1)
        what = rng.randrange(8)
        if what == 0:
            del data[place:]
        elif what == 1:
            del data[place : place + rng.randrange(1, 40)]
        elif what == 2:
            data[place:place] = rng.randbytes(rng.randrange(1, 20))
        elif what == 3:
            data[place:place] = data[place : place + rng.randrange(1, 200)] * rng.choice((1, 1, 2, 30))
        elif what == 4:
            size = rng.choice((1, 2, 4, 8))
            number = rng.choice(_NUMBERS) & ((1 << 8 * size) - 1)
            data[place : place + size] = number.to_bytes(size, rng.choice(("little", "big")))
        elif what == 5 and data:
            data[min(place, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif what == 6:
            other = rng.randrange(len(data) + 1)
            data[place : place + 16] = data[other : other + 16]
        elif data:
            data[min(place, len(data) - 1)] = rng.randrange(256)
    return bytes(data)


def spoil_text(raw: bytes, rng: random.Random) -> bytes:
    """Puts odd words between, or in place of, the words and numbers of a text."""
    text = raw.decode("utf-8")
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.randrange(len(text) + 1)
        end = start
        if rng.random() < 0.6:
            while end < len(text) and text[end] not in ",;|\t\n:\"' []{}":
                end += 1
        text = text[:start] + rng.choice(_WORDS) + text[end:]
    if rng.random() < 0.1:
        return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "latin-1")), "replace")
    return text.encode("utf-8")


def spoil_json(raw: bytes, rng: random.Random) -> bytes:
    """Replaces, removes, repeats and moves nodes."""
    content = json.loads(raw)
    for _ in range(rng.choice((1, 1, 2, 4))):
        node, key = _node_of(content, rng)
        if node is None:
            content = rng.choice(_VALUES)
            continue
        what = rng.randrange(6)
        if what == 0:
            del node[key]
        elif what == 1:
            other, other_key = _node_of(content, rng)
            if other is not None:
                node[key] = copy.deepcopy(other[other_key])
        elif what == 2 and isinstance(node, list):
            node[:] = node * rng.choice((2, 3, 40))
        elif what == 3 and isinstance(node, dict):
            node[rng.choice(("", "x" * 300, "keypoints", "people", "frames", "fps", "id", "\ud800", "0"))] = node[key]
        else:
            node[key] = copy.deepcopy(rng.choice(_VALUES))
    text = json.dumps(content, ensure_ascii=rng.random() < 0.8)
    if rng.random() < 0.05:
        place = rng.randrange(len(text) + 1)
        text = text[:place] + rng.choice("[{") * rng.choice((70, 1500, 100_000)) + text[place:]
    return text.encode("utf-8", "surrogatepass")


def spoil_pickle(raw: bytes, rng: random.Random) -> bytes:
    """Spoils the objects of a pickle, which is one of our own, or its bytes."""
    if rng.random() < 0.5:
        return spoil_bytes(raw, rng)
    content = pickle.loads(raw)
    for _ in range(rng.choice((1, 1, 2, 3))):
        node, key = _node_of(content, rng)
        if node is None:
            content = rng.choice(_VALUES)
            continue
        value = node[key]
        what = rng.randrange(5)
        if what == 0 and isinstance(value, np.ndarray):
            node[key] = _spoilt_array(value, rng)
        elif what == 1:
            node[key] = node if rng.random() < 0.3 else [node[key]] * rng.choice((2, 100))
        elif what == 2 and isinstance(node, dict):
            node[rng.choice((1, None, b"x", (1, 2), "x" * 300, "keypoints", "start"))] = value
        elif what == 3:
            node[key] = rng.choice((Payload(), print, np.float32, object(), 1j, {1, 2}, bytearray(b"x"), b"\xff"))
        else:
            node[key] = copy.deepcopy(rng.choice(_VALUES))
    try:
        return pickle.dumps(content, rng.randrange(6))
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
        return spoil_bytes(raw, rng)


def spoil_archive(raw: bytes, rng: random.Random) -> bytes:
    """Spoils a member of a zip archive of arrays, or the bytes of the archive."""
    if rng.random() < 0.4:
        return spoil_bytes(raw, rng)
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    if rng.random() < 0.5:
        members[name] = spoil_bytes(members[name], rng)
    elif rng.random() < 0.8:
        spoilt = io.BytesIO()
        whole = np.load(io.BytesIO(members[name]), allow_pickle=True)
        np.save(spoilt, _spoilt_array(whole, rng), allow_pickle=True)
        members[name] = spoilt.getvalue()
    else:
        members[rng.choice(("x", "keypoints.npy", "../x.npy", "a" * 300, "start.npy", "fps.npy"))] = members.pop(name)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return whole.getvalue()


def within_gzip(mutation: Mutation) -> Mutation:
    """Spoils what is compressed, or the compressed file."""

    def spoil(raw: bytes, rng: random.Random) -> bytes:
        if rng.random() < 0.3:
            return spoil_bytes(raw, rng)
        return gzip.compress(mutation(gzip.decompress(raw), rng), 1)

    return spoil


def one_of(*mutations: Mutation) -> Mutation:
    """Any of these."""
    return lambda raw, rng: rng.choice(mutations)(raw, rng)


def _node_of(content: Any, rng: random.Random) -> tuple[Any, Any]:
    """A random container and a key in it; (None, None) for the content itself."""
    node, key = None, None
    while isinstance(content, (list, dict)) and content and (node is None or rng.random() < 0.75):
        node, key = content, rng.choice(list(content) if isinstance(content, dict) else range(len(content)))
        content = node[key]
    return node, key


def _spoilt_array(array: np.ndarray, rng: random.Random) -> Any:
    shapes: Sequence[Callable[[], Any]] = (
        lambda: array.astype(rng.choice(("f2", "f4", "f8", "i1", "u1", "i8", "u8", "?", "S3", "U3", "O", "c8"))),
        lambda: array.ravel(),
        lambda: array[None],
        lambda: array[..., None],
        lambda: array[:0],
        lambda: array[..., :1],
        lambda: np.swapaxes(array, 0, -1),
        lambda: np.repeat(array, rng.choice((0, 2, 5)), axis=rng.randrange(max(array.ndim, 1))),
        lambda: np.where(np.ones(array.shape, bool), rng.choice((np.nan, np.inf, 1e300, -5.0, 1e-300)), 0.0),
        lambda: np.zeros((rng.choice((0, 1, 3)), *array.shape), np.float32),
        lambda: np.array(rng.choice((1.0, np.nan, -1, 10**18, "x", b"x"))),
        lambda: np.asfortranarray(array).astype(array.dtype.newbyteorder()),
    )
    try:
        return rng.choice(shapes)()
    except (ValueError, TypeError, LookupError, AttributeError):  # not every array can be spoilt in every way
        return array.ravel()
