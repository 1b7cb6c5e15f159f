"""Publishes a checked bundle on the Hub: private first, in one commit, so that nobody ever sees half of it."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelCard
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import validate_repo_id

from modeling_sigma.hub.bundle import remote_code
from modeling_sigma.hub.bundle_checks import CheckedBundle, check_bundle, has_code, read_config
from modeling_sigma.hub.licenses import choose_license, inherited_license


T = TypeVar("T")

NUM_TRIES = 5
# Seconds before the second try; each later one waits twice as long.
FIRST_WAIT = 1.0
_RETRIED_STATUS = (408, 429, 500, 502, 503, 504)
# Files of an older version that would be loaded in place of the new ones, or beside them.
_REPLACED = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*", "*.py")


class PublishError(ValueError):
    """The Hub refused, or could not be reached. The message says what is there now and what to do."""


@dataclass(frozen=True)
class Publication:
    """What is about to be sent.

    Args:
        bundle ([`CheckedBundle`]): The folder and the files that are sent.
        repo_id (`str`): The repository, as `ORG/NAME`.
        license (`str`): The license, a name in `modeling_sigma.hub.licenses.LICENSES`.
        written (`dict[str, bytes]`): What is sent beside the files of the folder, or in place of them: the card with
            the license in its header, and for a folder without code all that loads it without this package.
        inherited_license (`str`, *optional*): The license that the weights inherited.
    """

    bundle: CheckedBundle
    repo_id: str
    license: str
    written: dict[str, bytes]
    inherited_license: str | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {**self.bundle.sizes, **{name: len(content) for name, content in self.written.items()}}

    def operations(self) -> list[CommitOperationAdd]:
        """One addition per file, created anew for each try because the client changes them."""
        names = [path.as_posix() for path in self.bundle.files if path.as_posix() not in self.written]
        written = [CommitOperationAdd(name, content) for name, content in self.written.items()]
        return [*written, *(CommitOperationAdd(name, str(self.bundle.folder / name)) for name in names)]


@dataclass(frozen=True)
class Published:
    """What is on the Hub now.

    Args:
        url (`str`): The address of the repository.
        commit (`str`): The hash of the commit.
        revision (`str`): The branch.
        is_private (`bool`): Whether the repository is private.
        pull_request (`str`, *optional*): The address of the pull request.
        deleted (`list[str]`): Files of an earlier version that the commit removed.
    """

    url: str
    commit: str
    revision: str
    is_private: bool
    pull_request: str | None = None
    deleted: list[str] = field(default_factory=list)


def plan_publication(folder: str | Path, repo_id: str, license: str | None = None) -> Publication:
    """Checks a folder and its card without any network.

    Args:
        folder (`str` or `Path`):
            The folder of a model, or of a PEFT adapter.
        repo_id (`str`):
            The repository, as `ORG/NAME` or `USER/NAME`.
        license (`str`, *optional*):
            The license of the weights, if the card states none.

    Raises:
        ValueError: for a name that the Hub does not allow, a folder that is no complete bundle, a missing or damaged
            card, or no or a wrong license.
    """
    _check_repo_id(repo_id)
    bundle = check_bundle(folder)
    path = bundle.folder / "README.md"
    if not path.is_file():
        raise ValueError(
            f"{folder}: expected a model card README.md, found none: fill one in with `sigma-slu card {folder}`"
        )
    try:
        card: Any = ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=False)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: the header between the `---` lines is no valid YAML ({error})") from error
    inherited = inherited_license(bundle.config)
    model_config = bundle.folder / "config.json"
    if inherited is None and model_config.is_file():  # an adapter's first configuration is PEFT's
        inherited = inherited_license(read_config(bundle.folder, "config.json"))
    data: Any = card.data
    stated = data.license
    try:
        chosen = choose_license(inherited, None if stated is None else str(stated), license)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if chosen != stated:
        data.license = chosen
    text = path.read_text(encoding="utf-8") if chosen == stated else str(card)
    code = {} if bundle.is_adapter or has_code(bundle.config) else remote_code(bundle.folder)
    return Publication(bundle, repo_id, chosen, {"README.md": text.encode(), **code}, inherited)


def publish(
    folder: str | Path,
    repo_id: str,
    *,
    license: str | None = None,
    is_public: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    exist_ok: bool = False,
    message: str | None = None,
    api: HfApi | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Published:
    """Sends a bundle to the Hub.

    A new repository is private; with `is_public` it is opened after the commit has arrived. All files arrive in one
    commit, which also removes weights and code of an earlier version that the bundle does not have. A failing network
    is tried again; if it stays away, a later call resumes.

    Args:
        folder, repo_id, license:
            As in [`plan_publication`].
        is_public (`bool`, *optional*, defaults to `False`):
            Whether the repository is made public.
        revision (`str`, *optional*):
            The branch to commit to, created if needed; `main` by default.
        create_pr (`bool`, *optional*, defaults to `False`):
            Whether to open a pull request in an existing repository instead.
        exist_ok (`bool`, *optional*, defaults to `False`):
            Whether the repository may already hold files.
        message (`str`, *optional*):
            The commit message.
        api (`HfApi`, *optional*):
            A client with an endpoint or token of your own.
        wait (`Callable`, *optional*):
            Called with the seconds to wait between two tries.

    Returns:
        [`Published`].

    Raises:
        ValueError: as [`plan_publication`]; [`PublishError`] if the name is taken, the Hub refuses, or the network
            fails.
    """
    plan = plan_publication(folder, repo_id, license)
    branch = revision or "main"
    if create_pr and branch != "main":
        raise ValueError(f"expected a pull request to main, received revision {branch!r}: leave one of them out")
    sender = _Sender(api or HfApi(), plan, wait)
    if create_pr:
        sender.need_repo()
    else:
        sender.make_repo(exist_ok)
        if branch != "main":
            sender.make_branch(branch)
    info, deleted = sender.commit(branch, message or f"Publish {repo_id.split('/')[1]} with sigma-slu", create_pr)
    if is_public and not create_pr:
        sender.open_to_everybody()
    return Published(
        url=f"{sender.api.endpoint}/{repo_id}",
        commit=str(info.oid),
        revision=branch,
        is_private=sender.is_private(),
        pull_request=info.pr_url if create_pr else None,
        deleted=deleted,
    )


class _Sender:
    """The requests, each tried again while the network fails, and what to say when one is refused."""

    def __init__(self, api: HfApi, plan: Publication, wait: Callable[[float], None]) -> None:
        self.api, self.plan, self.wait = api, plan, wait
        self.repo_id = plan.repo_id

    def need_repo(self) -> None:
        try:
            self._try(lambda: self.api.model_info(self.repo_id))
        except RepositoryNotFoundError as error:
            raise PublishError(
                f"{self.repo_id}: expected an existing repository for a pull request, found none that you can see: "
                "publish without --create-pr"
            ) from error

    def make_repo(self, exist_ok: bool) -> None:
        try:
            self._try(lambda: self.api.create_repo(self.repo_id, private=True))
        except PublishError as error:
            if _status(error.__cause__) != 409:
                raise
            # Empty: an earlier call made it and got no further.
            if not exist_ok and not self._is_empty():
                raise PublishError(
                    f"{self.repo_id} is taken: it holds files already. Choose another name, add a commit to it with "
                    "--exist-ok, or offer a pull request with --create-pr"
                ) from error

    def make_branch(self, branch: str) -> None:
        self._try(lambda: self.api.create_branch(self.repo_id, branch=branch, exist_ok=True))

    def commit(self, branch: str, message: str, create_pr: bool) -> tuple[Any, list[str]]:
        """One commit. Tried again after a lost answer, it finds its own files there and changes nothing."""
        deleted: list[str] = []

        def send() -> Any:
            state = self.api.model_info(self.repo_id, revision=branch)
            there = [file.rfilename for file in state.siblings or []]
            stale = list(_stale(there, set(self.plan.sizes)))
            deleted.extend(name for name in stale if name not in deleted)
            return self.api.create_commit(
                self.repo_id,
                [*self.plan.operations(), *(CommitOperationDelete(name) for name in stale)],
                commit_message=message,
                revision=branch,
                create_pr=create_pr,
                parent_commit=None if create_pr else state.sha,
            )

        return self._try(send, is_repeatable=not create_pr), deleted

    def open_to_everybody(self) -> None:
        self._try(lambda: self.api.update_repo_settings(self.repo_id, private=False))

    def is_private(self) -> bool:
        return bool(self._try(lambda: self.api.model_info(self.repo_id)).private)

    def _is_empty(self) -> bool:
        return set(self._try(lambda: self.api.list_repo_files(self.repo_id))) <= {".gitattributes"}

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


def _check_repo_id(repo_id: str) -> None:
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ValueError(f"expected a name such as my-lab/sigma-slu, received {repo_id!r} ({error})") from error
    if repo_id.count("/") != 1:
        raise ValueError(f"expected ORG/NAME, such as my-lab/{repo_id}, received {repo_id!r}")


def _stale(there: list[str], new: set[str]) -> Iterator[str]:
    for name in there:
        is_ours = "/" not in name and any(fnmatch.fnmatch(name, pattern) for pattern in _REPLACED)
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
