"""The progress bar: on a terminal alone, and with the right numbers."""

from __future__ import annotations

import sys
from io import StringIO

import pytest

from modeling_sigma.jobs import progress
from modeling_sigma.jobs.progress import ProgressBar


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_shown_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressBar("clip") as bar:
        bar.show(0, 2)
        bar.show(2, 2)
    assert stream.getvalue() == ""


def test_counts_are_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_DELAY", 0.0)
    monkeypatch.setattr(sys, "stderr", stream := _Terminal())
    with ProgressBar("clip") as bar:
        bar.show(3, 10)  # three were done in an earlier run
        bar.show(1, 20)  # the next round
    assert "3/10" in stream.getvalue()
    assert "1/20" in stream.getvalue()
    assert "clip" in stream.getvalue()
