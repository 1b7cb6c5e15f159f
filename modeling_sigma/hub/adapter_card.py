"""The card of an adapter: what is known when it is saved, and what its maker still has to state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

import modeling_sigma
from modeling_sigma.hub.bundle_checks import is_hub_name
from modeling_sigma.hub.licenses import LICENSES


TEMPLATE = Path(__file__).with_name("adapter_card_template.md")
_NUM_SHOWN_LABELS = 30


def build_adapter_card(
    base: str,
    architecture: str,
    labels: Sequence[str] = (),
    license: str | None = None,
    sign_languages: Sequence[str] = (),
    spoken_languages: Sequence[str] = (),
) -> ModelCard:
    """Writes the card.

    Args:
        base (`str`):
            The base model: a name on the Hub, or a folder, of which the card only states the last part.
        architecture (`str`):
            The class of the adapted model.
        labels (`Sequence[str]`, *optional*):
            The labels that a label head chooses among.
        license (`str`, *optional*):
            The license of the base model (`weights_license` in its configuration), which binds the adapter.
        sign_languages, spoken_languages (`Sequence[str]`, *optional*):
            English names of the languages in the training data.

    Returns:
        `huggingface_hub.ModelCard`
    """
    on_hub = is_hub_name(base)
    data = ModelCardData(
        license=license,
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
        license_words=None if license is None else LICENSES.get(license, license),
        sign_languages=list(sign_languages),
        spoken_languages=list(spoken_languages),
        version=modeling_sigma.__version__,
    )
