"""The card of an adapter: what can be known when it is saved, and what its maker still has to say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

import modeling_sigma
from modeling_sigma.hub.bundle_checks import is_hub_name
from modeling_sigma.hub.licences import LICENCES


TEMPLATE = Path(__file__).with_name("adapter_card_template.md")
_NUM_SHOWN_LABELS = 30


def build_adapter_card(
    base: str,
    architecture: str,
    labels: Sequence[str] = (),
    licence: str | None = None,
    sign_languages: Sequence[str] = (),
    spoken_languages: Sequence[str] = (),
) -> ModelCard:
    """Writes the card.

    Args:
        base (`str`):
            The base model: a name on the Hub, or a folder, of which the card tells the last part alone.
        architecture (`str`):
            Class of the adapted model.
        labels (`Sequence[str]`, *optional*):
            Names of what a head chooses from.
        licence (`str`, *optional*):
            That of the base model (`weights_licence` of its configuration), which binds what is made from it.
        sign_languages, spoken_languages (`Sequence[str]`, *optional*):
            English names.

    Returns:
        `huggingface_hub.ModelCard`
    """
    on_hub = is_hub_name(base)
    data = ModelCardData(
        license=licence,
        library_name="peft",
        base_model=base if on_hub else None,
        tags=["lora", "pose", "sigma-slu", "sign-language"],
    )
    return ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        base=base if on_hub else Path(base).name,
        is_on_hub=on_hub,
        architecture=architecture,
        labels=list(labels),
        num_shown=_NUM_SHOWN_LABELS,
        licence_words=None if licence is None else LICENCES.get(licence, licence),
        sign_languages=list(sign_languages),
        spoken_languages=list(spoken_languages),
        version=modeling_sigma.__version__,
    )
