"""Behind `push_to_hub` of models, processors and pipelines: the same checked bundle as `sigma-slu publish` sends.

A repository that is new is private. The license may be stated later, as long as it is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, HfApi
from transformers import FeatureExtractionMixin, Pipeline, PreTrainedModel, ProcessorMixin

from modeling_sigma.hub.bundle import remote_code, save_bundle
from modeling_sigma.hub.bundle_files import CARD, PROCESSOR_FILES
from modeling_sigma.hub.draft_card import build_draft_card
from modeling_sigma.hub.public_contents import public_json, secret_problems
from modeling_sigma.hub.publish import plan_publication, send_publication
from modeling_sigma.hub.sending import HubSender, full_name


def push_to_hub(
    what: Any,
    repo_id: str,
    *,
    processor: Any = None,
    license: str | None = None,
    commit_message: str | None = None,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    max_shard_size: int | str = "50GB",
    tags: Sequence[str] = (),
) -> CommitInfo:
    """Publishes a model with its processor, a pipeline, or the processor of a model that is on the Hub already.

    Args:
        what ([`SigmaPreTrainedModel`], [`SigmaPipeline`], [`SigmaProcessor`] or [`SigmaFeatureExtractor`]):
            What to publish. A processor alone goes only into a repository that holds a Sigma model.
        repo_id (`str`):
            The repository, as `ORG/NAME`, or as `NAME` for one of your own.
        processor ([`SigmaProcessor`] or [`SigmaFeatureExtractor`], *optional*):
            The processor of a model; by default the one that lies where the model was loaded from.
        license (`str`, *optional*):
            The license of the weights, a name in `modeling_sigma.hub.licenses.LICENSES`. It must be stated, here or in
            the card, before the repository is public.
        commit_message (`str`, *optional*):
            The commit message.
        private (`bool`, *optional*, defaults to `True`):
            `False` makes the repository public.
        token (`str`, *optional*):
            A token in place of that of `hf auth login`.
        revision (`str`, *optional*):
            The branch to commit to, created if needed; `main` by default.
        create_pr (`bool`, *optional*, defaults to `False`):
            Whether to open a pull request in an existing repository instead.
        max_shard_size (`int` or `str`, *optional*, defaults to `"50GB"`):
            The largest file of weights.
        tags (`Sequence[str]`, *optional*):
            Further tags of a card that is drafted.

    Returns:
        `huggingface_hub.CommitInfo`: the commit.

    Raises:
        ValueError: for an incomplete bundle (a model without a processor, a processor without a model, damaged
            weights), a wrong license, and if the Hub refuses or cannot be reached.
    """
    api = HfApi(token=token)
    repo_id = full_name(api, repo_id)
    options: dict[str, Any] = {"revision": revision, "create_pr": create_pr}
    if isinstance(what, ProcessorMixin | FeatureExtractionMixin):
        return _push_processor(what, HubSender(api, repo_id), commit_message, **options)
    if isinstance(what, Pipeline):
        model, processor = what.model, processor or what.processor or what.feature_extractor
    elif isinstance(what, PreTrainedModel):
        model, processor = what, processor or _own_processor(what)
    else:
        raise ValueError(
            f"{type(what).__name__}: nobody can load it alone: model.push_to_hub({repo_id!r}, processor=processor) "
            "publishes it with its model"
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = save_bundle(model, processor, Path(scratch) / "bundle", max_shard_size=max_shard_size)
        return push_folder(
            folder,
            repo_id,
            model,
            api=api,
            license=license,
            private=private,
            message=commit_message,
            tags=tags,
            **options,
        )


def push_folder(
    folder: Path,
    repo_id: str,
    model: Any,
    *,
    api: HfApi,
    license: str | None = None,
    private: bool | None = None,
    message: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    tags: Sequence[str] = (),
) -> CommitInfo:
    """Publishes a bundle that was saved for it; where it has no card, with that of the repository, or else a draft.

    Args:
        folder (`Path`):
            The bundle. A card is written into it.
        model ([`SigmaPreTrainedModel`]):
            The model in it, for the draft.
        repo_id, api, license, private, message, revision, create_pr, tags:
            As in [`push_to_hub`].
    """
    if not (folder / CARD).exists():
        sender = HubSender(api, repo_id)
        if CARD in sender.names(revision):
            with tempfile.TemporaryDirectory() as scratch:
                (folder / CARD).write_bytes(sender.read(CARD, revision, Path(scratch)))
        else:
            card = build_draft_card(model.config, type(model).__name__, repo_id, license, tags)
            card.save(folder / CARD)
    is_public = private is False
    try:
        plan = plan_publication(folder, repo_id, license, needs_license=is_public)
    except ValueError as error:  # users know nothing of this folder
        raise ValueError(str(error).replace(str(folder), repo_id)) from error
    _, info = send_publication(
        plan, is_public=is_public, exist_ok=True, revision=revision, create_pr=create_pr, message=message, api=api
    )
    return info


def _own_processor(model: Any) -> Any:
    """The processor that lies where a model was loaded from.

    Raises:
        ValueError: if there is none.
    """
    from transformers import AutoFeatureExtractor, AutoProcessor

    source = model.name_or_path
    reader = AutoProcessor if model.config.use_prompt else AutoFeatureExtractor
    try:
        if not source:
            raise ValueError("the model was not loaded from a folder")
        return reader.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            "expected a processor to publish with the model, which nobody can use without, found none: "
            f"model.push_to_hub(name, processor=processor) ({' '.join(str(error).split())[:120]})"
        ) from error


def _push_processor(
    processor: Any, sender: HubSender, message: str | None, revision: str | None, create_pr: bool
) -> CommitInfo:
    branch = revision or "main"
    if "config.json" not in sender.names(branch):
        raise ValueError(
            f"{sender.repo_id}: expected a repository with a Sigma model, found none: nobody can load a processor "
            f"alone. model.push_to_hub({sender.repo_id!r}, processor=processor) publishes both"
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "processor"
        processor.save_pretrained(folder)
        extractor = getattr(processor, "feature_extractor", processor)
        extractor.save_pretrained(folder)
        config = sender.read("config.json", branch, Path(scratch) / "hub")
        (folder / "config.json").write_bytes(config)
        named = {name: content for name, content in remote_code(folder).items() if name in PROCESSOR_FILES}
        plain = {name: (folder / name).read_bytes() for name in PROCESSOR_FILES if (folder / name).is_file()}
    contents = {
        name: public_json(content) if name.endswith("_config.json") else content
        for name, content in {**plain, **named}.items()
    }
    problems = [problem for name, content in contents.items() for problem in secret_problems(name, content)]
    if problems:
        raise ValueError(f"the processor cannot be published: {'; '.join(problems)}")
    message = message or "Publish the processor with sigma-slu"
    return sender.commit(contents, {}, branch=branch, message=message, create_pr=create_pr)[0]
