"""A minute of `make fuzz`: spoilt files of every format, and some of the bombs, are read or refused in one line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from tests.fuzz import known_faults
from tests.fuzz.host import Host
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
    "eaf: one long chain",
    "eaf: deep",
    "vtt: cues",
    "predictions: deep",
    "yaml: deep",
    "card: deep",
)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host() as host:
        yield host


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_spoilt_files_are_read_or_refused(target: Target, host: Host) -> None:
    count = max(3, round(150 * target.weight))
    findings = host.spoilt(target.name, count)
    assert not findings.faults
    assert findings.num_read + findings.num_refused == count
    assert findings.num_refused > 0


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_files_that_are_not_spoilt_are_read(target: Target, host: Host) -> None:
    findings = host.samples(target.name)
    assert not findings.faults and findings.num_refused == 0
    assert findings.num_read == len(target.samples)


@pytest.mark.parametrize("name", _BOMBS)
def test_bombs_are_read_or_refused(name: str, host: Host) -> None:
    findings = host.explode(name)
    assert not findings.faults and findings.num_read + findings.num_refused == 1


def test_faults_are_found(host: Host) -> None:
    findings = host.known_faults()
    assert (findings.num_read, findings.num_refused) == (1, 1)
    assert list(findings.faults) == list(range(len(known_faults.MESSAGES)))
    for number, message in enumerate(known_faults.MESSAGES):
        assert re.search(message, findings.faults[number])
