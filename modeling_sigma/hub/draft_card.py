"""The card of a model whose maker has not written one: what is known without asking, and what is not stated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

import modeling_sigma
from modeling_sigma.hub.licenses import LICENSES
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS, served_pipelines


TEMPLATE = Path(__file__).with_name("draft_card_template.md")
_NUM_SHOWN_LABELS = 30


def build_draft_card(
    config: Any, architecture: str, repo_id: str, license: str | None = None, tags: Sequence[str] = ()
) -> ModelCard:
    """Writes the card.

    Args:
        config ([`SigmaConfig`]):
            The model's.
        architecture (`str`):
            The class of the model.
        repo_id (`str`):
            Where users will find it.
        license (`str`, *optional*):
            The license of the weights; by default the one that they inherited, if any.
        tags (`Sequence[str]`, *optional*):
            Further tags.

    Returns:
        `huggingface_hub.ModelCard`
    """
    kind = MODEL_KINDS[architecture]
    license = license or config.weights_license
    tags = list(dict.fromkeys(["sigma-slu", "sign-language", "pose", *tags]))
    return ModelCard.from_template(
        ModelCardData(license=license, library_name="transformers", tags=tags),
        template_path=str(TEMPLATE),
        name=repo_id.split("/")[-1],
        repo_id=repo_id,
        architecture=architecture,
        task=next(iter(served_pipelines(kind))),
        labels=list(config.id2label.values()) if kind.has_labels else [],
        num_shown=_NUM_SHOWN_LABELS,
        license_words=None if license is None else LICENSES.get(license, license),
        version=modeling_sigma.__version__,
    )
