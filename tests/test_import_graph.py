"""The house: few rooms, arrows that go down, no circles, and a door on every room that says what is inside."""

import ast
import re

import pytest

from tests.import_graph import FLOORS, PACKAGE, ROOT, UPWARD, cycles, imported_files, room_of, source_files


FILES = source_files()
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
ROOMS = sorted({room_of(name) for name in FILES})
ARROWS = [
    (name, target, at_once) for name, path in FILES.items() for target, at_once in imported_files(name, path, FILES)
]


def test_every_room_is_on_a_floor_and_there_are_few() -> None:
    assert sorted(FLOOR) == ROOMS
    assert len(ROOMS) <= 16


def test_arrows_go_down_but_for_those_with_a_reason() -> None:
    upward = set()
    wrong = []
    for name, target, at_once in ARROWS:
        room, other = room_of(name), room_of(target)
        if room == other or FLOOR[room] < FLOOR[other]:
            continue
        key = (FILES[name].relative_to(ROOT).as_posix(), other)
        if key in UPWARD and not at_once:
            upward.add(key)
        else:
            wrong.append(f"{name} -> {target}")
    assert wrong == []
    assert upward == set(UPWARD), "a reason without an arrow"


def test_no_circle_of_rooms_or_of_files() -> None:
    between_rooms: dict[str, set[str]] = {room: set() for room in ROOMS}
    between_files: dict[str, set[str]] = {name: set() for name in FILES}
    for name, target, at_once in ARROWS:
        key = (FILES[name].relative_to(ROOT).as_posix(), room_of(target))
        if room_of(name) != room_of(target) and key not in UPWARD:
            between_rooms[room_of(name)].add(room_of(target))
        if at_once:
            between_files[name].add(target)
    assert cycles(between_rooms) == []
    assert cycles(between_files) == []


def test_a_circle_would_be_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["b", "c"]]


def test_nothing_but_examples_imports_the_command_line() -> None:
    importers = {room_of(name) for name, target, _ in ARROWS if room_of(target) == "cli"}
    assert importers <= {"cli", "examples"}, "examples are the commands, as files for `accelerate launch`"


@pytest.mark.parametrize("name", [name for name, path in FILES.items() if path.name == "__init__.py"])
def test_every_door_says_what_is_inside(name: str) -> None:
    text = ast.get_docstring(ast.parse(FILES[name].read_text(encoding="utf-8"))) or ""
    assert len(text.split()) >= 8, f"{name}: a few lines on what is inside, and what is not"


def test_model_classes_are_named_in_one_place() -> None:
    """As strings; the class itself may be imported by whoever needs it."""
    names = re.compile(r"(\w+\.)?Sigma(Model|For[A-Z]\w*)")
    places: dict[str, list[str]] = {}
    for name, path in FILES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documentation = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
                if names.fullmatch(node.value):
                    places.setdefault(name, []).append(node.value)
    assert set(places) == {f"{PACKAGE}.model.model_kinds_sigma"}, places
