"""A minute of `make fuzz`: spoilt files of every format, and some of the bombs, are read or refused in one line."""

from __future__ import annotations

import os
import pickle
import re
import sys
import time
from pathlib import Path

import pytest

from tests.fuzz import run
from tests.fuzz.bombs import Bomb, bombs
from tests.fuzz.run import content_of, explode, fuzz
from tests.fuzz.targets import Target, targets


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, and their memory is bounded")

# Some of each kind, all of which take less than two seconds; `make fuzz` reads all of them.
_BOMBS = (
    "pickle: lists of the same lists",
    "pickle: lists of two of the same",
    "pickle: one long text among numbers",
    "pickle: a crowd in one frame",
    "pickle: long numbers",
    "npz: one array of zeros",
    "npz: text of great width",
    "npy: a long header",
    "pose 0.0: people of nothing",
    "pose 0.2: a crowd",
    "json: brackets in brackets",
    "json: OpenPose people of nothing",
    "json: hands in the first frame",
    "parquet: lists in cells",
    "csv: clips that take turns",
    "table: many columns",
    "table: spaces",
    "predictions: deep",
    "yaml: deep",
    "card: deep",
)


@pytest.fixture(scope="module")
def known_bombs() -> dict[str, Bomb]:
    return {bomb.target.name: bomb for bomb in bombs()}


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_spoilt_files_are_read_or_refused(target: Target) -> None:
    count = max(3, round(150 * target.weight))
    findings = fuzz(target, range(count), lambda number: content_of(target, number, seed=0))
    assert not findings.faults
    assert findings.num_read + findings.num_refused == count
    assert findings.num_refused > 0


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_files_that_are_not_spoilt_are_read(target: Target) -> None:
    findings = fuzz(target, range(len(target.samples)), lambda number: target.samples[number])
    assert not findings.faults and findings.num_refused == 0


@pytest.mark.parametrize("name", _BOMBS)
def test_bombs_are_read_or_refused(name: str, known_bombs: dict[str, Bomb]) -> None:
    findings = explode(known_bombs[name])
    assert not findings.faults and findings.num_read + findings.num_refused == 1


def test_faults_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MAX_BYTES", 50_000_000)
    monkeypatch.setattr(run, "MAX_SECONDS", 0.2)

    def refuse(message: str) -> None:
        raise ValueError(message)

    def work() -> None:
        start = time.process_time()
        while time.process_time() - start < 0.4:
            pass

    readers = (
        lambda path: {}["x"],
        lambda path: refuse("no name"),
        lambda path: refuse(f"{path}: " + "x" * 5000),
        lambda path: os._exit(7),
        lambda path: b"x" * 200_000_000,
        lambda path: work(),
        lambda path: pickle.loads(b"cos\ngetpid\n(tR."),
        lambda path: refuse(f"{path}: expected something else"),
        lambda path: None,
    )

    def read(folder: Path) -> object:
        path = folder / "file.bin"
        return readers[path.read_bytes()[0]](path)

    target = Target("any", "file.bin", [], lambda raw, rng: raw, read)
    findings = fuzz(target, range(len(readers)), lambda number: bytes([number]))
    assert (findings.num_read, findings.num_refused) == (1, 1)
    messages = (
        *("KeyError", "without the file", "more than a line", "the process died", "MB; read", r"s and \d+ MB"),
        "Ran: .*pickle.find_class",
    )
    assert list(findings.faults) == list(range(len(messages)))
    for number, message in enumerate(messages):
        assert re.search(message, findings.faults[number])
