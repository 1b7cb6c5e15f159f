"""Requests to the Hub, each tried again while the network fails, and what to say when one is refused.

All files arrive in one commit: whoever is killed at any moment leaves the repository as it was, or as it was to be.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError


T = TypeVar("T")

NUM_TRIES = 5
# Seconds before the second try; each later one waits twice as long.
FIRST_WAIT = 1.0
_RETRIED_STATUS = (408, 429, 500, 502, 503, 504)


class PublishError(ValueError):
    """The Hub refused, or could not be reached. The message says what is there now and what to do."""


class HubSender:
    """Sends files to one repository of models.

    Args:
        api (`HfApi`):
            The client.
        repo_id (`str`):
            The repository, as `ORG/NAME`.
        wait (`Callable`, *optional*):
            Called with the seconds to wait between two tries.
    """

    def __init__(self, api: HfApi, repo_id: str, wait: Callable[[float], None] = time.sleep) -> None:
        self.api, self.repo_id, self.wait = api, repo_id, wait
        self._state: Any = None  # of the branch, when it was looked at to see whether it is empty

    def user_name(self) -> str:
        """The name of the user who is logged in."""
        return str(self._try(self.api.whoami)["name"])

    def need_repo(self) -> None:
        """Refuses a repository that does not exist."""
        try:
            self._try(lambda: self.api.model_info(self.repo_id))
        except RepositoryNotFoundError as error:
            raise PublishError(
                f"{self.repo_id}: expected an existing repository for a pull request, found none that you can see: "
                "publish without --create-pr"
            ) from error

    def make_repo(self, exist_ok: bool) -> None:
        """Creates a private repository; one that is there must be empty, or `exist_ok` be true."""
        try:
            self._try(lambda: self.api.create_repo(self.repo_id, private=True))
        except PublishError as error:
            if _status(error.__cause__) != 409:
                raise
        if exist_ok:
            return
        # Empty: an earlier call made it and got no further.
        self._state = self._try(lambda: self.api.model_info(self.repo_id))
        if set(_names(self._state)) - {".gitattributes"}:
            raise PublishError(
                f"{self.repo_id} is taken: it holds files already. Choose another name, add a commit to it with "
                "--exist-ok, or offer a pull request with --create-pr"
            )

    def make_branch(self, branch: str) -> None:
        """Creates a branch, unless it is there."""
        self._try(lambda: self.api.create_branch(self.repo_id, branch=branch, exist_ok=True))

    def names(self, revision: str | None = None) -> list[str]:
        """The files of a branch; none where the repository, or the branch, does not exist."""
        try:
            return _names(self._try(lambda: self.api.model_info(self.repo_id, revision=revision)))
        except (RepositoryNotFoundError, RevisionNotFoundError):
            return []

    def read(self, name: str, revision: str | None, folder: Path) -> bytes:
        """The content of a file of the repository, which is downloaded into `folder`."""
        path = self._try(lambda: self.api.hf_hub_download(self.repo_id, name, revision=revision, local_dir=folder))
        return Path(path).read_bytes()

    def commit(
        self,
        contents: Mapping[str, bytes],
        paths: Mapping[str, Path],
        *,
        branch: str,
        message: str,
        create_pr: bool = False,
        replaced: Iterable[str] = (),
        check: Callable[[], None] = lambda: None,
    ) -> tuple[CommitInfo, list[str]]:
        """One commit. Tried again after a lost answer, it finds its own files there and changes nothing.

        Args:
            contents (`Mapping[str, bytes]`):
                Name -> content of the small files.
            paths (`Mapping[str, Path]`):
                Name -> path of the files of weights.
            branch, message, create_pr:
                As in [`publish`].
            replaced (`Iterable[str]`, *optional*):
                Patterns of names: files of an older version that the commit removes, unless it brings them anew.
            check (`Callable`, *optional*):
                Called after the files were read, and before they are sent; may refuse.

        Returns:
            `tuple[CommitInfo, list[str]]`: the commit, and the files that it removed.

        Raises:
            PublishError: if the Hub refuses, the network fails, or somebody else has committed meanwhile.
        """
        deleted: list[str] = []

        def send() -> CommitInfo:
            # Where the branch had to be empty, it has to be so still: its commit is the first try's parent.
            state = (branch == "main" and self._state) or self.api.model_info(self.repo_id, revision=branch)
            self._state = None
            stale = list(_stale(_names(state), {*contents, *paths}, replaced))
            deleted.extend(name for name in stale if name not in deleted)
            # Created anew for each try, because the client changes them.
            added = [CommitOperationAdd(name, content) for name, content in contents.items()]
            added += [CommitOperationAdd(name, str(path)) for name, path in paths.items()]
            check()
            return self.api.create_commit(
                self.repo_id,
                [*added, *(CommitOperationDelete(name) for name in stale)],
                commit_message=message,
                revision=branch,
                create_pr=create_pr,
                parent_commit=None if create_pr else state.sha,
            )

        return self._try(send, is_repeatable=not create_pr), deleted

    def open_to_everybody(self) -> None:
        """Makes the repository public."""
        self._try(lambda: self.api.update_repo_settings(self.repo_id, private=False))

    def is_private(self) -> bool:
        """Whether the repository is private."""
        return bool(self._try(lambda: self.api.model_info(self.repo_id)).private)

    def _try(self, request: Callable[[], T], is_repeatable: bool = True) -> T:
        pause = FIRST_WAIT
        for number in range(1, NUM_TRIES + 1):
            try:
                return request()
            except (RepositoryNotFoundError, RevisionNotFoundError) as error:
                if _status(error) == 404:
                    raise
                raise PublishError(self._refusal(error)) from error
            except Exception as error:  # of the client, its transport and its threads: many kinds
                failure = _network_failure(error)
                if failure is None:
                    if _status(error) is None:
                        raise
                    raise PublishError(self._refusal(error)) from error
                is_unclear = _status(failure) is None and not is_repeatable
                if number == NUM_TRIES or is_unclear:
                    raise PublishError(self._give_up(failure, number, is_unclear)) from error
            self.wait(pause)
            pause *= 2
        raise AssertionError("the last try returns or raises")

    def _give_up(self, error: BaseException, num_tries: int, is_unclear: bool) -> str:
        what = f"{type(error).__name__}: {error}".split("\n")[0][:120]
        if is_unclear:
            where = f"{self.api.endpoint}/{self.repo_id}/discussions"
            return f"the connection broke before an answer came ({what}): see whether {where} shows the request"
        return (
            f"the network failed {num_tries} times ({what}). Nothing of this version is visible in {self.repo_id}, "
            "and your folder is unchanged: run the same command again later"
        )

    def _refusal(self, error: BaseException) -> str:
        status, reason = _status(error), str(error).strip().split("\n")[-1].strip()[:160]
        advice = {
            401: "log in with `hf auth login`, or set HF_TOKEN to a token that may write",
            403: f"your token may not write to {self.repo_id}: choose a name of your own, or ask its owner",
            404: "see that the name is right and that you may read it",
            409: "it exists already",
            412: "somebody else committed at the same time: look at their commit, then run this again",
        }.get(status or 0, "see the Hub's answer")
        return f"{self.repo_id}: the Hub refused ({status}, {reason}): {advice}"


def full_name(api: HfApi, repo_id: str) -> str:
    """`ORG/NAME`; a name alone is one of the user who is logged in.

    Raises:
        PublishError: if the Hub does not say who that is.
    """
    if "/" in repo_id:
        return repo_id
    return f"{HubSender(api, repo_id).user_name()}/{repo_id}"


def _names(state: Any) -> list[str]:
    return [file.rfilename for file in state.siblings or []]


def _stale(there: list[str], new: set[str], replaced: Iterable[str]) -> Iterator[str]:
    for name in there:
        is_ours = "/" not in name and any(fnmatch.fnmatch(name, pattern) for pattern in replaced)
        if is_ours and name not in new:
            yield name


def _status(error: BaseException | None) -> int | None:
    """The HTTP status behind an error."""
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None)


def _network_failure(error: BaseException) -> BaseException | None:
    """The passing failure behind an error, if there is one: a broken connection, or an overloaded server."""
    cause: BaseException | None = error
    while cause is not None:
        # By name: huggingface_hub has changed its HTTP library, and we need not know which it has now.
        is_transport = any(kind.__name__ == "TransportError" for kind in type(cause).__mro__)
        if is_transport or _status(cause) in _RETRIED_STATUS:
            return cause
        cause = cause.__cause__ or cause.__context__
    return None
