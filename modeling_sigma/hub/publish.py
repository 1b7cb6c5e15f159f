"""Publishes a checked bundle on the Hub: in one commit, and private first, so that nobody ever sees half of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import CommitInfo, HfApi, ModelCard
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from modeling_sigma.hub.bundle import remote_code
from modeling_sigma.hub.bundle_checks import CheckedBundle, check_bundle, has_code
from modeling_sigma.hub.bundle_files import CARD, file_stamps
from modeling_sigma.hub.card_facts import RESULTS_FILE, read_measurements
from modeling_sigma.hub.licenses import choose_license, inherited_license
from modeling_sigma.hub.model_card import eval_result_files
from modeling_sigma.hub.private_facts import without_paths, without_secrets
from modeling_sigma.hub.public_contents import public_contents, public_json
from modeling_sigma.hub.sending import NUM_TRIES, HubSender, PublishError
from modeling_sigma.io.json_text import parsed_json


__all__ = ["NUM_TRIES", "Publication", "PublishError", "Published", "plan_publication", "publish"]

# Files of an older version that would be loaded in place of the new ones, or beside them.
REPLACED = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*", "*.py")


@dataclass(frozen=True)
class Publication:
    """What is about to be sent.

    Args:
        bundle ([`CheckedBundle`]): The folder and the files that are sent.
        repo_id (`str`): The repository, as `ORG/NAME`.
        license (`str`, *optional*): The license, a name in `modeling_sigma.hub.licenses.LICENSES`; None only for a
            private repository of a model whose license is not stated yet.
        written (`dict[str, bytes]`): The content of all files but the weights, as it is sent: without paths of this
            machine, the license in the header of the card, and for a folder without code all that loads it without
            this package.
        stamps (`dict[str, tuple]`): What tells whether the folder changes meanwhile.
        inherited_license (`str`, *optional*): The license that the weights inherited.
    """

    bundle: CheckedBundle
    repo_id: str
    license: str | None
    written: dict[str, bytes]
    stamps: dict[str, tuple[int, ...]]
    inherited_license: str | None = None

    @property
    def weights(self) -> dict[str, Path]:
        """Name -> path of the files that are sent as they are."""
        return {path.name: self.bundle.folder / path for path in self.bundle.files if path.name not in self.written}

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {**self.bundle.sizes, **{name: len(content) for name, content in self.written.items()}}

    @property
    def left_out(self) -> list[str]:
        """The files and folders that stay at home."""
        return [path.name for path in self.bundle.left_out if path.name not in self.written]

    def check_unchanged(self) -> None:
        """Refuses a folder whose files were changed or replaced since they were checked.

        Raises:
            ValueError: if one was.
        """
        folder = self.bundle.folder
        try:
            found = file_stamps(folder)
        except OSError:
            found = {}
        if any(found.get(name) != stamp for name, stamp in self.stamps.items()):
            raise ValueError(f"{folder} changed while it was being published: publish it once nothing writes there")


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
        left_out (`list[str]`): Files and folders that stayed at home.
    """

    url: str
    commit: str
    revision: str
    is_private: bool
    pull_request: str | None = None
    deleted: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def plan_publication(
    folder: str | Path, repo_id: str, license: str | None = None, *, needs_license: bool = True
) -> Publication:
    """Checks a folder and its card without any network.

    Args:
        folder (`str` or `Path`):
            The folder of a model, or of a PEFT adapter.
        repo_id (`str`):
            The repository, as `ORG/NAME` or `USER/NAME`.
        license (`str`, *optional*):
            The license of the weights, if the card states none.
        needs_license (`bool`, *optional*, defaults to `True`):
            Whether a license must be stated.

    Raises:
        ValueError: for a name that the Hub does not allow, a folder that is no complete bundle, a missing or damaged
            card, a missing or wrong license, or a file that holds a secret.
    """
    _check_repo_id(repo_id)
    found = file_stamps(Path(folder))
    bundle = check_bundle(folder)
    stamps = {path.name: found.get(path.name, ()) for path in bundle.files}
    path = bundle.folder / CARD
    if not path.is_file():
        raise ValueError(
            f"{folder}: expected a model card README.md, found none: fill one in with `sigma-slu card {folder}`"
        )
    contents = public_contents(bundle)
    text = contents[CARD].decode("utf-8")
    try:
        card: Any = ModelCard(text, ignore_metadata_errors=False)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: the header between the `---` lines is not valid YAML ({error})") from error
    inherited = inherited_license(bundle.config)
    if inherited is None and "config.json" in contents:  # an adapter's first configuration is PEFT's
        inherited = inherited_license(parsed_json(contents["config.json"]))
    stated = card.data.license
    chosen: str | None = None
    if needs_license or stated or license or inherited:
        try:
            chosen = choose_license(inherited, None if stated is None else str(stated), license)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    if chosen != stated:
        card.data.license = chosen
        contents[CARD] = str(card).encode()
    if not bundle.is_adapter and not has_code(bundle.config):
        code = remote_code(bundle.folder)
        contents.update({name: public_json(code[name]) if name.endswith(".json") else code[name] for name in code})
    if RESULTS_FILE in contents:
        contents.update(eval_result_files(read_measurements(bundle.folder / RESULTS_FILE)))
    return Publication(bundle, repo_id, chosen, contents, stamps, inherited)


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
    return send_publication(
        plan_publication(folder, repo_id, license),
        is_public=is_public,
        revision=revision,
        create_pr=create_pr,
        exist_ok=exist_ok,
        message=message,
        api=api,
        wait=wait,
    )[0]


def send_publication(
    plan: Publication,
    *,
    is_public: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    exist_ok: bool = False,
    message: str | None = None,
    api: HfApi | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> tuple[Published, CommitInfo]:
    """Sends what [`plan_publication`] has planned; arguments and errors as in [`publish`].

    Returns:
        `tuple[Published, CommitInfo]`: what is on the Hub now, and its last commit as `huggingface_hub` describes it.
    """
    branch = revision or "main"
    if create_pr and branch != "main":
        raise ValueError(f"expected a pull request to main, received revision {branch!r}: leave one of them out")
    sender = HubSender(api or HfApi(), plan.repo_id, wait)
    if create_pr:
        sender.need_repo()
    else:
        sender.make_repo(exist_ok)
        if branch != "main":
            sender.make_branch(branch)
    info, deleted = sender.commit(
        plan.written,
        plan.weights,
        branch=branch,
        message=without_paths(without_secrets(message or f"Publish {plan.repo_id.split('/')[1]} with sigma-slu")),
        create_pr=create_pr,
        replaced=REPLACED,
        check=plan.check_unchanged,
    )
    if is_public and not create_pr:
        sender.open_to_everybody()
    published = Published(
        url=f"{sender.api.endpoint}/{plan.repo_id}",
        commit=str(info.oid),
        revision=branch,
        is_private=sender.is_private(),
        pull_request=info.pr_url if create_pr else None,
        deleted=deleted,
        left_out=plan.left_out,
    )
    return published, info


def _check_repo_id(repo_id: str) -> None:
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ValueError(f"expected a name such as my-lab/sigma-slu, received {repo_id!r} ({error})") from error
    if repo_id.count("/") != 1:
        raise ValueError(f"expected ORG/NAME, such as my-lab/{repo_id}, received {repo_id!r}")
