"""Sending many large files to the Hub so that a kill loses little, and nobody ever sees half of them.

The files go to a branch of their own, some at a time. One commit to `main` then takes them over from there, without
sending them again. Killed before, the branch holds what had arrived, `main` is as it was, and the same call goes on.

Not `huggingface_hub.upload_large_folder`, which version 2 no longer has, nor `upload_folder` of that version: both
commit to the branch that everybody loads, again and again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, HfApi
from huggingface_hub.hf_api import RepoFile


BRANCH = "sigma-slu-upload"
# What goes in one commit; a data set below it needs no branch.
PART_BYTES = 5_000_000_000


def send_in_parts(
    api: HfApi, repo_id: str, folder: Path, digests: Mapping[str, str], message: str
) -> list[CommitOperationCopy]:
    """Sends files to the branch [`BRANCH`], but for those that are there already.

    Args:
        api (`HfApi`), repo_id (`str`):
            The client, and the data set's repository.
        folder (`Path`), digests (`Mapping[str, str]`):
            The folder of the files, and the SHA-256 of each by its name in the folder and in the repository.
        message (`str`):
            The message of the commits.

    Returns:
        `list[CommitOperationCopy]`: what a commit to `main` has to hold to take the files over.
    """
    api.create_branch(repo_id, branch=BRANCH, repo_type="dataset", exist_ok=True)
    arrived = {
        entry.path
        for entry in api.list_repo_tree(repo_id, recursive=True, revision=BRANCH, repo_type="dataset")
        if isinstance(entry, RepoFile) and entry.lfs is not None and entry.lfs.sha256 == digests.get(entry.path)
    }
    waiting = [name for name in digests if name not in arrived]
    for part in _parts({name: (folder / name).stat().st_size for name in waiting}):
        added = [CommitOperationAdd(name, str(folder / name)) for name in part]
        api.create_commit(repo_id, added, repo_type="dataset", revision=BRANCH, commit_message=message)
    return [CommitOperationCopy(name, name, src_revision=BRANCH) for name in digests]


def remove_branch(api: HfApi, repo_id: str) -> None:
    """Removes the branch, once `main` has its files."""
    api.delete_branch(repo_id, branch=BRANCH, repo_type="dataset")


def _parts(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """The names in groups of at most `PART_BYTES`, or of one file that is larger."""
    part: list[str] = []
    total = 0
    for name, size in sizes.items():
        if part and total + size > PART_BYTES:
            yield part
            part, total = [], 0
        part.append(name)
        total += size
    if part:
        yield part
