"""Whoever takes their signing back is in no file any more, and nobody is published who has not agreed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import factories
import huggingface_hub
import pytest
from hub_server import TOKEN, HubServer
from huggingface_hub import HfApi
from pyarrow import parquet

from datasets_scripts.building.build import build_dataset, push_dataset
from modeling_sigma.cli.main import main
from modeling_sigma.io import save_clip
from modeling_sigma.io.json_text import read_json


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six clips of three signers, two of whom agree to publication."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    clips = tmp_path / "clips"
    clips.mkdir()
    with open(clips / "metadata.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "signer", "split", "consent"])
        for number in range(6):
            save_clip(clips / f"{number}.npz", factories.random_clip(5, seed=number))
            signer = ("Ada", "Ben", "Eve")[number // 2]
            table.writerow(
                [f"{number}.npz", "ab"[number % 2], signer, "train", {"Ada": "yes", "Ben": "Yes ", "Eve": ""}[signer]]
            )
    return clips


def _rows(out: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((out / "data").glob("*.parquet")) for row in parquet.read_table(path).to_pylist()]


def test_a_signer_and_a_clip_are_taken_out_of_a_data_set_that_had_them(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = ["build-dataset", "folder", "--data-dir", str(folder), "--out", "built", "--num-proc", "1"]
    assert main(build) == 0
    assert [row["consent"] for row in _rows(Path("built"))] == ["yes", "yes", "Yes", "Yes", "", ""]
    Path("without.txt").write_text("Eve\n\n1\n")
    assert main([*build, "--without", "without.txt"]) == 0
    assert [row["sample_id"] for row in _rows(Path("built"))] == ["0", "2", "3"]
    everything = b"".join(path.read_bytes() for path in Path("built").rglob("*") if path.is_file())
    assert b"Eve" not in everything
    assert read_json(Path("built/build_report.json"), "a report", dict)["num_withdrawn"] == 3
    assert "3 clips were left out because their signers took them back" in Path("built/README.md").read_text()
    Path("without.txt").write_text("Eva\n")
    assert main([*build, "--without", "without.txt"]) == 1
    assert "received Eva: correct the name" in capsys.readouterr().err
    assert len(_rows(Path("built"))) == 3


def test_clips_without_consent_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    build_dataset("folder", tmp_path / "built", folder)
    with HubServer() as hub:
        api = HfApi(endpoint=hub.url, token=TOKEN)
        with pytest.raises(ValueError, match=r"for every clip, received none for 2: 4, 5: leave them out with"):
            push_dataset(tmp_path / "built", "tester/signs", api=api)
        assert not hub.repos
        (tmp_path / "without.txt").write_text("4\n5\n")
        build_dataset("folder", tmp_path / "built", folder, without=tmp_path / "without.txt")
        assert push_dataset(tmp_path / "built", "tester/signs", api=api).endswith("tester/signs")


def test_where_nobody_states_consent_the_owner_judges(folder: Path, tmp_path: Path) -> None:
    table = folder / "metadata.csv"
    table.write_text("\n".join(line.rpartition(",")[0] for line in table.read_text().split()))
    build_dataset("folder", tmp_path / "built", folder)
    assert {row["consent"] for row in _rows(tmp_path / "built")} == {None}
    with HubServer() as hub:
        push_dataset(tmp_path / "built", "tester/signs", api=HfApi(endpoint=hub.url, token=TOKEN))
