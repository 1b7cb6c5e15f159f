"""Our splitter of pickles gives what the standard library's does, on honest and on damaged files."""

import pickle
import pickletools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_sigma.io.pickles.instructions import argument_reader


READERS = {ord(opcode.code): (opcode, argument_reader(opcode)) for opcode in pickletools.opcodes}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


def split(data: bytes) -> list[tuple[str, object]]:
    found, place = [], 0
    while place < len(data):
        opcode, read = READERS[data[place]]
        place += 1
        argument = None
        if read is not None:
            argument, place = read(data, place)
        found.append((opcode.name, argument))
        if opcode.name == "STOP":
            return found
    raise ValueError("no STOP")


def expected(data: bytes) -> list[tuple[str, object]]:
    return [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(data)]


@settings(max_examples=60, deadline=None)
@given(VALUES, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values(value, protocol):
    data = pickle.dumps(value, protocol)
    assert split(data) == expected(data)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_long_texts_and_many_objects(protocol):
    value = [np.arange(6, dtype=np.float32).reshape(2, 3), "x" * 300, b"y" * 70_000, 2**70, -1, 70_000, 1.5]
    data = pickle.dumps([value, [str(number) for number in range(400)], value], protocol)
    assert split(data) == expected(data)


def test_what_is_cut_short_is_an_error_in_both():
    data = pickle.dumps({"text": "a" * 300, "raw": b"b" * 300, "number": 70_000, "float": 1.5, "more": 2**40}, 4)
    for end in range(len(data)):
        for splitter in (split, expected):
            with pytest.raises((ValueError, IndexError)):
                splitter(data[:end])
