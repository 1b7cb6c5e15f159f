"""A stack machine for pickles that can only build data.

`pickle.load` runs whatever a file asks for, and even an `Unpickler` with a strict `find_class` calls what it finds,
sets attributes (`BUILD`), consults the extension registry, and allocates what a hostile file tells it to. So nothing
here unpickles: `instructions` splits the file, and this machine carries out those that build plain data. Functions
that numpy and python name in honest pickles are keys of a table (`functions`), never the functions themselves.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

from modeling_sigma.io.pickles.functions import (
    FUNCTIONS,
    KEY_TYPES,
    Function,
    Unbuilt,
    checked_keys,
    dotted,
    refusal,
)
from modeling_sigma.io.pickles.instructions import Reader, argument_reader


# Bounds on how far a small file can expand. A label file of 600,000 samples has 9 million instructions.
MAX_OPERATIONS = 20_000_000
MAX_LEVELS = 100

_LEAF_TYPES = frozenset({*KEY_TYPES, bytearray, np.ndarray})


class PickleMachine:
    """Builds the data of one pickle.

    Args:
        data (`bytes`):
            The pickle.
        max_bytes (`int`):
            The largest size of all arrays and converted strings together: a short file can name the same bytes many
            times.
    """

    def __init__(self, data: bytes, max_bytes: int) -> None:
        self._data = data
        self._max_bytes = self._bytes_left = max_bytes
        self._stack: list[Any] = []
        self._below_marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Carries out the instructions.

        Returns:
            The data.

        Raises:
            UnsafePickleError: if the pickle asks for anything but plain data.
            ValueError, LookupError, TypeError: if it is damaged.
        """
        data, place, size = self._data, 0, len(self._data)
        for _ in range(MAX_OPERATIONS):
            if place >= size:
                raise ValueError("it ends before its last instruction")
            code = data[place]
            operation, read_argument = _BY_CODE[code]
            place += 1
            if read_argument is None:
                operation(self, None)
            else:
                argument, place = read_argument(data, place)
                operation(self, argument)
            if code == _STOP:
                break
        else:
            raise ValueError(f"more than {MAX_OPERATIONS:,} instructions")
        result = self._stack.pop()
        _check_plain(result)
        return result

    def spend(self, num_bytes: int) -> None:
        """Counts bytes that the pickle makes us copy."""
        self._bytes_left -= num_bytes
        if self._bytes_left < 0:
            raise ValueError(f"its arrays hold more than {self._max_bytes:,} bytes: raise max_bytes if you trust it")

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def push_number(self, value: int) -> None:
        if value.bit_length() > 64:
            raise ValueError(f"an integer of {value.bit_length()} bits: at most 64 are allowed")
        self._stack.append(value)

    def push_set(self) -> None:
        self.spend(256)  # for one byte of the file
        self._stack.append(set())

    def pop(self) -> Any:
        return self._stack.pop()

    def drop(self) -> None:
        """Forgets the topmost value, or the mark if that is on top."""
        if self._stack:
            self._stack.pop()
        else:
            self.pop_mark()

    def pop_tuple(self, size: int) -> None:
        stack = self._stack
        if size > len(stack):
            raise ValueError("a tuple with too few items")
        stack[-size:] = (tuple(stack[-size:]),)

    def pop_mark(self) -> list[Any]:
        """All values above the topmost mark."""
        items, self._stack = self._stack, self._below_marks.pop()
        return items

    def drop_mark(self) -> None:
        self.pop_mark()

    def remember(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def recall(self, index: int) -> None:
        value = self._memo[index]
        self._stack.append(value if type(value) is not Unbuilt or value.value is None else value.value)

    def append(self, items: list[Any]) -> None:
        self._top(list).extend(items)

    def add(self, items: list[Any]) -> None:
        self._top(set).update(checked_keys(items))

    def set_items(self, items: list[Any]) -> None:
        self._top(dict).update(_pairs(items))

    def name_function(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str or (module, name) not in FUNCTIONS:
            raise refusal(f"{dotted(module)}.{dotted(name)}")
        self._stack.append(FUNCTIONS[module, name])

    def reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if type(function) is not Function or type(arguments) is not tuple:
            raise refusal(f"the result of calling a {type(function).__name__}")
        self._stack.append(function.make(self.spend, arguments))

    def build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if type(target) is not Unbuilt or target.value is not None or type(state) is not tuple:
            raise refusal(f"a state for a {type(target).__name__}")
        self._stack[-1] = target.build(self.spend, state)

    def _top(self, expected: type) -> Any:
        if type(self._stack[-1]) is not expected:
            raise refusal(f"items for a {type(self._stack[-1]).__name__}")
        return self._stack[-1]


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("a key without a value")
    return dict(zip(checked_keys(items[::2]), items[1::2], strict=True))


def _check_plain(data: Any) -> None:
    """Lets only plain data leave the machine: no tokens, no arrays without content, no absurd nesting."""
    seen: set[int] = set()
    level: list[Any] = [data]
    for _ in range(MAX_LEVELS):
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind in (list, tuple, dict):
                if id(value) not in seen:
                    seen.add(id(value))
                    below.extend(value.values() if kind is dict else value)
            elif kind not in _LEAF_TYPES and kind not in (set, frozenset) and not isinstance(value, np.generic):
                raise refusal(value.name if kind is Function else f"a bare {kind.__name__.lower()}")
        if not below:
            return
        level = below
    raise ValueError(f"nested more than {MAX_LEVELS} levels deep")


_REFUSED = {
    "PERSID": "the persistent id {}",
    "BINPERSID": "a persistent id",
    "EXT1": "an extension code",
    "EXT2": "an extension code",
    "EXT4": "an extension code",
    "INST": "{}",
    "OBJ": "an instance of a class",
    "NEWOBJ": "an instance of a class",
    "NEWOBJ_EX": "an instance of a class",
    "NEXT_BUFFER": "a buffer outside of the file",
    "READONLY_BUFFER": "a buffer outside of the file",
}

_Operation = Callable[[PickleMachine, Any], None]


def _check_protocol(machine: PickleMachine, protocol: int) -> None:
    if protocol > 5:
        raise ValueError(f"expected pickle protocol 0 to 5, received {protocol}")


def _append_one(machine: PickleMachine, argument: None) -> None:
    machine.append([machine.pop()])


def _set_one(machine: PickleMachine, argument: None) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _name_on_stack(machine: PickleMachine, argument: None) -> None:
    name, module = machine.pop(), machine.pop()
    machine.name_function(module, name)


def _remember_next(machine: PickleMachine, argument: None) -> None:
    machine._memo[len(machine._memo)] = machine._stack[-1]


def _mark(machine: PickleMachine, argument: None) -> None:
    machine._below_marks.append(machine._stack)
    machine._stack = []


def _tuple_of_one(machine: PickleMachine, argument: None) -> None:
    machine._stack[-1] = (machine._stack[-1],)


def _ignore(machine: PickleMachine, argument: Any) -> None:
    pass


def _duplicate(machine: PickleMachine, argument: None) -> None:
    value = machine.pop()
    machine.push(value)
    machine.push(value)


_OPERATIONS: dict[str, _Operation] = {
    "PROTO": _check_protocol,
    "FRAME": _ignore,
    "STOP": _ignore,
    # constants
    "NONE": lambda machine, argument: machine.push(None),
    "NEWTRUE": lambda machine, argument: machine.push(True),
    "NEWFALSE": lambda machine, argument: machine.push(False),
    **dict.fromkeys(("INT", "LONG", "LONG1", "LONG4"), PickleMachine.push_number),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"), PickleMachine.push),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), PickleMachine.push),
    **dict.fromkeys(("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), PickleMachine.push),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"), PickleMachine.push),
    # containers
    "EMPTY_TUPLE": lambda machine, argument: machine.push(()),
    "EMPTY_LIST": lambda machine, argument: machine.push([]),
    "EMPTY_DICT": lambda machine, argument: machine.push({}),
    "EMPTY_SET": lambda machine, argument: machine.push_set(),
    "TUPLE1": _tuple_of_one,
    "TUPLE2": lambda machine, argument: machine.pop_tuple(2),
    "TUPLE3": lambda machine, argument: machine.pop_tuple(3),
    "TUPLE": lambda machine, argument: machine.push(tuple(machine.pop_mark())),
    "LIST": lambda machine, argument: machine.push(machine.pop_mark()),
    "DICT": lambda machine, argument: machine.push(_pairs(machine.pop_mark())),
    "FROZENSET": lambda machine, argument: machine.push(frozenset(checked_keys(machine.pop_mark()))),
    "APPEND": _append_one,
    "APPENDS": lambda machine, argument: machine.append(machine.pop_mark()),
    "SETITEM": _set_one,
    "SETITEMS": lambda machine, argument: machine.set_items(machine.pop_mark()),
    "ADDITEMS": lambda machine, argument: machine.add(machine.pop_mark()),
    # stack and memo
    "MARK": _mark,
    "POP": lambda machine, argument: machine.drop(),
    "POP_MARK": lambda machine, argument: machine.drop_mark(),
    "DUP": _duplicate,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), PickleMachine.remember),
    "MEMOIZE": _remember_next,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), PickleMachine.recall),
    # names, calls and states
    "GLOBAL": lambda machine, argument: machine.name_function(*argument.split(" ", 1)),
    "STACK_GLOBAL": _name_on_stack,
    "REDUCE": lambda machine, argument: machine.reduce(),
    "BUILD": lambda machine, argument: machine.build(),
}


def _refuse(what: str) -> _Operation:
    def operation(machine: PickleMachine, argument: Any) -> None:
        raise refusal(what.format(dotted(argument)))

    return operation


def _unknown(machine: PickleMachine, argument: None) -> None:
    raise ValueError("an unknown instruction")


def _instructions() -> list[tuple[_Operation, Reader | None]]:
    """What to do, and how to read the argument, for each code."""
    table: list[tuple[_Operation, Reader | None]] = [(_unknown, None)] * 256
    for opcode in pickletools.opcodes:
        operation = _refuse(_REFUSED[opcode.name]) if opcode.name in _REFUSED else _OPERATIONS[opcode.name]
        table[ord(opcode.code)] = (operation, argument_reader(opcode))
    return table


_BY_CODE = _instructions()
_STOP = ord(".")
