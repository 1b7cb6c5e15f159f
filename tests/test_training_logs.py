"""Where a run's numbers go besides its own folder."""

import importlib
import json
import sqlite3
from pathlib import Path

import pytest
from training_factories import tiny_trainer


@pytest.mark.slow
def test_trackio_gets_the_numbers_of_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine alone, and with what our trainer adds: how much of a batch is padding."""
    pytest.importorskip("trackio", reason="needs trackio")
    folder = tmp_path / "trackio"
    monkeypatch.setenv("TRACKIO_DIR", str(folder))
    monkeypatch.setattr(importlib.import_module("trackio.utils"), "TRACKIO_DIR", folder)
    monkeypatch.setattr(importlib.import_module("trackio.sqlite_storage"), "TRACKIO_DIR", folder)
    trainer = tiny_trainer(tmp_path / "run", report_to=["trackio"], max_steps=3)
    trainer.train()
    (database,) = folder.glob("*.db")
    with sqlite3.connect(database) as connection:
        logged = [json.loads(row) for (row,) in connection.execute("select metrics from metrics order by step")]
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert [row["train/loss"] for row in logged if "train/loss" in row] == losses and len(losses) == 3
    assert all(0 <= row["train/padding"] < 1 for row in logged if "train/loss" in row)
