"""The test hub answers as the Hub does, seen through `huggingface_hub`; and it fails when it is told to."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub_server import TOKEN, HubServer


ROOT = Path(__file__).resolve().parents[1]
REPO = "tester/things"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    with HubServer() as server:
        yield server


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.url, token=TOKEN)


def _add(**files: bytes) -> list[CommitOperationAdd]:
    return [CommitOperationAdd(name.replace("_", "."), content) for name, content in files.items()]


def test_what_goes_up_comes_down(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    api.create_repo(REPO)
    small, large = b"some text", os.urandom(100_000)
    done = api.create_commit(REPO, _add(notes_txt=small, model_safetensors=large), commit_message="first")
    assert set(api.list_repo_files(REPO)) == {".gitattributes", "notes.txt", "model.safetensors"}
    assert api.model_info(REPO).sha == done.oid
    assert "PUT /lfs/" in " ".join(hub.requests), "weights go as large files"
    folder = Path(snapshot_download(REPO, endpoint=hub.url, token=TOKEN, cache_dir=tmp_path))
    assert (folder / "notes.txt").read_bytes() == small and (folder / "model.safetensors").read_bytes() == large
    assert folder.name == done.oid


def test_commits_branches_and_pull_requests(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    api.create_repo(REPO)
    first = api.create_commit(REPO, _add(a_txt=b"1"), commit_message="first")
    api.create_branch(REPO, branch="new/idea")
    api.create_commit(REPO, _add(a_txt=b"2"), commit_message="second", revision="new/idea")
    request = api.create_commit(REPO, _add(a_txt=b"3"), commit_message="third", create_pr=True)
    assert request.pr_url == f"{hub.url}/{REPO}/discussions/1"
    for revision, content in (("main", b"1"), ("new/idea", b"2"), ("refs/pr/1", b"3"), (first.oid, b"1")):
        options: dict[str, Any] = {"endpoint": hub.url, "token": TOKEN, "cache_dir": tmp_path}
        assert Path(hf_hub_download(REPO, "a.txt", revision=revision, **options)).read_bytes() == content
    with pytest.raises(HfHubHTTPError, match="412"):
        parent = hub.repos[("model", REPO)].refs["main"][0].oid
        api.create_commit(REPO, _add(a_txt=b"4"), commit_message="late", parent_commit=parent)
    api.create_commit(REPO, [CommitOperationDelete("a.txt")], commit_message="gone")
    assert api.list_repo_files(REPO) == [".gitattributes"]


def test_what_is_not_there(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    api.create_repo(REPO, private=True)
    options: dict[str, Any] = {"endpoint": hub.url, "cache_dir": tmp_path}
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(REPO, "nothing.txt", token=TOKEN, **options)
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download(REPO, "nothing.txt", revision="nowhere", token=TOKEN, **options)
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("tester/other", "nothing.txt", token=TOKEN, **options)
    with pytest.raises(RepositoryNotFoundError):
        HfApi(endpoint=hub.url, token=False).model_info(REPO)
    api.update_repo_settings(REPO, private=False)
    assert HfApi(endpoint=hub.url, token=False).model_info(REPO).private is False
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(REPO)
    assert api.create_repo(REPO, exist_ok=True).repo_id == REPO
    with pytest.raises(HfHubHTTPError, match="403"):
        api.create_repo("stranger/things")
    with pytest.raises(ValueError, match=r"Invalid metadata in README\.md"):
        api.create_commit(REPO, [CommitOperationAdd("README.md", b"---\na: [\n---\n")], commit_message="bad card")


def test_failures_on_demand(hub: HubServer, api: HfApi) -> None:
    api.create_repo(REPO)
    for how, lands in (("503", False), ("drop", False), ("late", True)):
        hub.fail("POST", "/commit/", how=how)
        before = len(hub.repos[("model", REPO)].refs["main"])
        with pytest.raises(Exception, match="503|disconnected|closed"):
            api.create_commit(REPO, _add(a_txt=how.encode()), commit_message=how)
        assert len(hub.repos[("model", REPO)].refs["main"]) == before + lands
    api.create_commit(REPO, _add(a_txt=b"steady"), commit_message="again")
    assert hub.repos[("model", REPO)].files()["a.txt"] == b"steady"


SCRIPT = """
import numpy as np
from datasets import Dataset, load_dataset
from huggingface_hub import list_repo_files

rows = {"text": ["rain", "snow"], "keypoints": [np.ones((3, 2)).tolist(), np.zeros((2, 2)).tolist()]}
Dataset.from_dict(rows).push_to_hub("tester/clips", config_name="words", split="train")
Dataset.from_dict(rows).select([1]).push_to_hub("tester/clips", config_name="words", split="test")
loaded = load_dataset("tester/clips", "words")
assert loaded["train"]["text"][:] == ["rain", "snow"] and loaded["test"]["text"][:] == ["snow"]
streamed = list(load_dataset("tester/clips", "words", split="train", streaming=True))
assert streamed[0]["keypoints"] == rows["keypoints"][0]
print(sorted(name for name in list_repo_files("tester/clips", repo_type="dataset") if name.endswith(".parquet")))
"""


@pytest.mark.slow
def test_data_sets_in_a_fresh_interpreter(tmp_path: Path) -> None:
    with HubServer() as hub:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **hub.environment(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.strip() == str([f"words/{split}-00000-of-00001.parquet" for split in ("test", "train")]), (
            done.stdout
        )
        assert ("dataset", "tester/clips") in hub.repos
