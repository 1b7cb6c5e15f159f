"""A stack machine for pickles that can only build data.

`pickle.load` runs whatever a file asks for, and even an `Unpickler` with a strict `find_class` calls what it finds,
sets attributes (`BUILD`), consults the extension registry, and allocates what a hostile file tells it to. So nothing
here unpickles: `instructions` splits the file, and this machine carries out those that build plain data. Functions
that numpy and python name in honest pickles are keys of a table (`functions`), never the functions themselves.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Mapping
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
from modeling_sigma.io.reading_budget import check_size, check_time, take_bytes, take_objects


MAX_LEVELS = 100
# After so many instructions the budget is asked.
_TURN = 10_000

_LEAF_TYPES = frozenset({*KEY_TYPES, bytearray, np.ndarray})
_CONTAINERS = frozenset({list, tuple, dict})


class PickleMachine:
    """Builds the data of one pickle, within the `reading_budget`: a short file can name the same bytes many times.

    Args:
        data (`bytes`):
            The pickle.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._stack: list[Any] = []
        self._below_marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Carries out the instructions.

        Returns:
            The data.

        Raises:
            UnsafePickleError: if the pickle asks for anything but plain data.
            OverBudgetError: if it asks for too much of it.
            ValueError, LookupError, TypeError: if it is damaged.
        """
        data, place, size, code = self._data, 0, len(self._data), 0
        while code != _STOP:
            take_objects(_TURN)
            check_time()
            for _ in range(_TURN):
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
        result = self._stack.pop()
        _check_plain(result)
        return result

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def push_number(self, value: int) -> None:
        if value.bit_length() > 64:
            raise ValueError(f"an integer of {value.bit_length()} bits: at most 64 are allowed")
        self._stack.append(value)

    def push_set(self) -> None:
        take_bytes(256)  # for one byte of the file
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
        self._stack.append(function.make(arguments))

    def build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if type(target) is not Unbuilt or target.value is not None or type(state) is not tuple:
            raise refusal(f"a state for a {type(target).__name__}")
        self._stack[-1] = target.build(state)

    def _top(self, expected: type) -> Any:
        if type(self._stack[-1]) is not expected:
            raise refusal(f"items for a {type(self._stack[-1]).__name__}")
        return self._stack[-1]


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("a key without a value")
    return dict(zip(checked_keys(items[::2]), items[1::2], strict=True))


def _check_plain(data: Any) -> None:
    """Lets only plain data leave the machine: no tokens, no arrays without content, no absurd nesting, and nothing
    that is small only because it names the same parts again and again: whoever makes an array of it needs them all.
    """
    if type(data) not in _CONTAINERS:
        _leaf_size(data)
        return
    # Of each container: the objects and bytes in it and below it, every one as often as it is named; and its levels.
    known: dict[int, tuple[int, int, int]] = {}
    entered: set[int] = set()
    waiting = [data]
    while waiting:
        container = waiting[-1]
        items = container.values() if type(container) is dict else container
        if id(container) not in known:
            below = [item for item in items if type(item) in _CONTAINERS and id(item) not in known]
            if below:
                if id(container) in entered:
                    raise ValueError("a list or dictionary that holds itself")
                entered.add(id(container))
                waiting.extend(below)
                continue
            known[id(container)] = _expanded_size(items, known)
        waiting.pop()


def _expanded_size(items: Iterable[Any], known: Mapping[int, tuple[int, int, int]]) -> tuple[int, int, int]:
    num_objects, num_bytes, num_levels = 0, 0, 0
    for item in items:
        num_objects += 1
        if type(item) in _CONTAINERS:
            objects_below, bytes_below, levels_below = known[id(item)]
            num_objects += objects_below
            num_bytes += bytes_below
            num_levels = max(num_levels, levels_below)
        else:
            num_bytes += _leaf_size(item)
    if num_levels >= MAX_LEVELS:
        raise ValueError(f"nested more than {MAX_LEVELS} levels deep")
    check_size(num_bytes, num_objects)
    return num_objects, num_bytes, num_levels + 1


def _leaf_size(value: Any) -> int:
    kind = type(value)
    if kind is np.ndarray:
        return int(value.nbytes)
    if kind in (str, bytes, bytearray):
        return len(value)
    if kind not in _LEAF_TYPES and kind not in (set, frozenset) and not isinstance(value, np.generic):
        raise refusal(value.name if kind is Function else f"a bare {kind.__name__.lower()}")
    return 0


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
