"""Readers with one fault each, and two without: what the fuzzer must find, and what it must not."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import NoReturn

from tests.fuzz import run
from tests.fuzz.targets import Target


# What is said of the input of each number.
MESSAGES = (
    *("KeyError", "without the file", "more than a line", "the process died", "MB; read", r"s and \d+ MB"),
    "Ran: .*pickle.find_class",
)


def fuzz_them() -> run.Findings:
    """Reads one file with each reader, within lower limits than usual."""
    usual = run.MAX_BYTES, run.MAX_SECONDS
    run.MAX_BYTES, run.MAX_SECONDS = 50_000_000, 0.2
    try:
        target = Target("any", "file.bin", [], lambda raw, rng: raw, _read)
        return run.fuzz(target, range(len(_READERS)), lambda number: bytes([number]))
    finally:
        run.MAX_BYTES, run.MAX_SECONDS = usual


def _read(folder: Path) -> object:
    path = folder / "file.bin"
    return _READERS[path.read_bytes()[0]](path)


def _refuse(message: str) -> NoReturn:
    raise ValueError(message)


def _work() -> None:
    start = time.process_time()
    while time.process_time() - start < 0.4:
        pass


_READERS = (
    lambda path: {}["x"],
    lambda path: _refuse("no name"),
    lambda path: _refuse(f"{path}: " + "x" * 5000),
    lambda path: os._exit(7),
    lambda path: b"x" * 200_000_000,
    lambda path: _work(),
    lambda path: pickle.loads(b"cos\ngetpid\n(tR."),
    lambda path: _refuse(f"{path}: expected something else"),
    lambda path: None,
)
