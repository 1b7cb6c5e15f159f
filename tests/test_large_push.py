"""A data set that is too large for one commit arrives in parts, appears at once, and goes on after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import huggingface_hub
import pytest
from hub_server import TOKEN, HubServer
from huggingface_hub import HfApi

from datasets_scripts.building import large_push
from datasets_scripts.building.build import build_dataset, push_dataset


ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of eight files, of which two go in a commit."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    counts = {"num_train": 12, "num_validation": 2, "num_test": 2}
    build_dataset("synthetic", tmp_path / "built", config_name="isolated", clips_per_shard=2, **counts)
    largest = max(path.stat().st_size for path in (tmp_path / "built" / "data").iterdir())
    monkeypatch.setattr(large_push, "PART_BYTES", 2 * largest)
    return tmp_path / "built"


def _shards(folder: Path) -> dict[str, bytes]:
    return {f"data/{path.name}": path.read_bytes() for path in (folder / "data").iterdir()}


def _sent(hub: HubServer) -> Counter[str]:
    return Counter(request for request in hub.requests if request.startswith("PUT /lfs/"))


def test_parts_arrive_on_a_branch_and_appear_in_one_commit(built: Path) -> None:
    with HubServer() as hub:
        api = HfApi(endpoint=hub.url, token=TOKEN)
        push_dataset(built, "tester/signs", api=api)
        repo = hub.repos["dataset", "tester/signs"]
        assert [len(commits) for commits in repo.refs.values()] == [2] and set(repo.refs) == {"main"}
        assert {name: content for name, content in repo.files().items() if name.startswith("data/")} == _shards(built)
        assert {"README.md", "build_report.json", "lengths.png"} < set(repo.files())
        assert len(_sent(hub)) == 8 and set(_sent(hub).values()) == {1}  # nothing is sent twice
        push_dataset(built, "tester/signs", api=api)
        assert len(_sent(hub)) == 8 and set(repo.refs) == {"main"}


@pytest.mark.parametrize("num_commits", [1, 2, 4])
def test_a_broken_connection_loses_a_part_at_most(built: Path, num_commits: int) -> None:
    """The fourth commit to the branch is the last; the next is the one to main."""
    with HubServer() as hub:
        api = HfApi(endpoint=hub.url, token=TOKEN)
        hub.fail("POST", "/commit/", how="404", skip=num_commits, times=99)
        with pytest.raises(ValueError, match="tester/signs: the Hub refused"):
            push_dataset(built, "tester/signs", api=api)
        repo = hub.repos["dataset", "tester/signs"]
        assert set(repo.files()) == {".gitattributes"}
        arrived = {name for name in repo.files(large_push.BRANCH) if name.startswith("data/")}
        assert len(arrived) == 2 * num_commits
        hub.failures.clear()
        push_dataset(built, "tester/signs", api=api)
        assert {name: content for name, content in repo.files().items() if name.startswith("data/")} == _shards(built)
        assert len(_sent(hub)) == 8 and set(_sent(hub).values()) == {1} and set(repo.refs) == {"main"}


def test_files_of_an_older_build_go(built: Path, tmp_path: Path) -> None:
    with HubServer() as hub:
        api = HfApi(endpoint=hub.url, token=TOKEN)
        push_dataset(built, "tester/signs", api=api)
        counts = {"num_train": 12, "num_validation": 2, "num_test": 2}
        build_dataset("synthetic", tmp_path / "new", config_name="isolated", clips_per_shard=3, **counts)
        push_dataset(tmp_path / "new", "tester/signs", api=api)
        files = hub.repos["dataset", "tester/signs"].files()
        assert {name for name in files if name.startswith("data/")} == set(_shards(tmp_path / "new"))


@pytest.mark.slow
def test_a_kill_leaves_the_branch_and_nothing_on_main(built: Path, tmp_path: Path) -> None:
    code = f"""
from datasets_scripts.building import large_push
from datasets_scripts.building.build import push_dataset
large_push.PART_BYTES = {large_push.PART_BYTES}
push_dataset({str(built)!r}, "tester/signs")
"""
    with HubServer() as hub:
        environment = {**os.environ, **hub.environment(tmp_path / "home")}
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
        deadline = time.monotonic() + 60
        while sum("/commit/" in request for request in hub.requests) < 2 and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        repo = hub.repos["dataset", "tester/signs"]
        assert set(repo.files()) == {".gitattributes"}
        branch = {name for name in repo.files(large_push.BRANCH) if name.startswith("data/")}
        assert 2 <= len(branch) < 8
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
        assert {name: content for name, content in repo.files().items() if name.startswith("data/")} == _shards(built)
        assert set(repo.refs) == {"main"} and sum(_sent(hub).values()) <= 10
