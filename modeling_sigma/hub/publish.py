"""A checked bundle goes to the Hub: private first, in one commit, so that nobody ever sees half of it."""

from __future__ import annotations

import fnmatch
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelCard
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import validate_repo_id

from modeling_sigma.hub.bundle_checks import CheckedBundle, check_bundle
from modeling_sigma.hub.licences import choose_licence


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
        bundle ([`CheckedBundle`]): The folder and its files.
        repo_id (`str`): `ORG/NAME`.
        licence (`str`): A name of `modeling_sigma.hub.licences.LICENCES`.
        card (`str`): The model card, with the licence in its header.
        inherited_licence (`str`, *optional*): What the weights were made from is under this licence.
    """

    bundle: CheckedBundle
    repo_id: str
    licence: str
    card: str
    inherited_licence: str | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {**self.bundle.sizes, "README.md": len(self.card.encode())}

    def operations(self) -> list[CommitOperationAdd]:
        """One addition a file, made anew because the client changes them while it sends them."""
        folder = self.bundle.folder
        names = (path.as_posix() for path in self.bundle.files if path.name != "README.md")
        additions = [CommitOperationAdd(name, str(folder / name)) for name in names]
        return [CommitOperationAdd("README.md", self.card.encode()), *additions]


@dataclass(frozen=True)
class Published:
    """What is on the Hub now.

    Args:
        url (`str`): The repository.
        commit (`str`): Name of the commit.
        revision (`str`): Branch.
        is_private (`bool`): Who can see it.
        pull_request (`str`, *optional*): Address of the pull request.
        deleted (`list[str]`): Files of an earlier version that the commit removed.
    """

    url: str
    commit: str
    revision: str
    is_private: bool
    pull_request: str | None = None
    deleted: list[str] = field(default_factory=list)


def plan_publication(folder: str | Path, repo_id: str, licence: str | None = None) -> Publication:
    """Checks a folder and its card without any network.

    Args:
        folder (`str` or `Path`):
            A folder of `save_bundle`, or of a PEFT adapter.
        repo_id (`str`):
            `ORG/NAME` or `USER/NAME`.
        licence (`str`, *optional*):
            Where the card states none.

    Raises:
        ValueError: for a name that the Hub does not allow, a folder that is no complete bundle, a missing or damaged
            card, or no or a wrong licence.
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
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: the header between the `---` lines is no valid YAML ({error})") from error
    inherited = bundle.config.get("weights_licence")
    model_config = bundle.folder / "config.json"
    if inherited is None and model_config.is_file():  # an adapter's first configuration is PEFT's
        inherited = json.loads(model_config.read_text(encoding="utf-8")).get("weights_licence")
    data: Any = card.data
    stated = data.license
    try:
        chosen = choose_licence(inherited, None if stated is None else str(stated), licence)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if chosen != stated:
        data.license = chosen
    text = path.read_text(encoding="utf-8") if chosen == stated else str(card)
    return Publication(bundle, repo_id, chosen, text, inherited)


def publish(
    folder: str | Path,
    repo_id: str,
    *,
    licence: str | None = None,
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
    is tried again; after that, calling this again goes on where it stopped.

    Args:
        folder, repo_id, licence:
            See [`plan_publication`].
        is_public (`bool`, *optional*, defaults to `False`):
            Whether everybody may see it.
        revision (`str`, *optional*):
            Branch; made where there is none. `main` by default.
        create_pr (`bool`, *optional*, defaults to `False`):
            Open a pull request in an existing repository instead of changing it.
        exist_ok (`bool`, *optional*, defaults to `False`):
            Add a commit to a repository that holds files already.
        message (`str`, *optional*):
            Of the commit.
        api (`HfApi`, *optional*):
            With an endpoint or token of your own.
        wait (`Callable`, *optional*):
            Called with seconds between two tries.

    Returns:
        [`Published`].

    Raises:
        ValueError: as [`plan_publication`]; [`PublishError`] if the name is taken, the Hub refuses, or the network
            fails.
    """
    plan = plan_publication(folder, repo_id, licence)
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
