"""The license that weights are published under: inherited, stated in their card, or chosen by their owner."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


# Names as the Hub writes them -> in words.
LICENSES: Mapping[str, str] = MappingProxyType(
    {
        "apache-2.0": "Apache License 2.0",
        "mit": "MIT License",
        "bsd-3-clause": "BSD 3-Clause License",
        "cc0-1.0": "Creative Commons Zero 1.0",
        "cc-by-4.0": "Creative Commons Attribution 4.0",
        "cc-by-sa-4.0": "Creative Commons Attribution-ShareAlike 4.0",
        "cc-by-nc-4.0": "Creative Commons Attribution-NonCommercial 4.0",
        "cc-by-nc-sa-4.0": "Creative Commons Attribution-NonCommercial-ShareAlike 4.0",
        "cc-by-nc-nd-4.0": "Creative Commons Attribution-NonCommercial-NoDerivatives 4.0",
        "openrail": "OpenRAIL",
        "gpl-3.0": "GNU General Public License 3.0",
        "agpl-3.0": "GNU Affero General Public License 3.0",
        "other": "another license, described in the card",
    }
)


def inherited_license(config: Mapping[str, Any]) -> str | None:
    """The license that a `config.json` says its weights inherited; version 0.1.0 spelt the key another way."""
    return config.get("weights_license") or config.get("weights_licence")


def choose_license(inherited: str | None, card: str | None, asked: str | None) -> str:
    """The license of a publication.

    Args:
        inherited (`str`, *optional*):
            The license that the weights inherited (`weights_license` in the configuration).
        card (`str`, *optional*):
            The license in the model card.
        asked (`str`, *optional*):
            The license that the publisher asks for.

    Returns:
        `str`: a name of `LICENSES`.

    Raises:
        ValueError: if no license is stated, if card and publisher contradict each other, if the name is unknown, or if
            weights for non-commercial use only would be published for any use.
    """
    for name in (card, asked):
        if name is not None and name not in LICENSES:
            raise ValueError(f"expected a license such as {', '.join(LICENSES)}, received {name!r}")
    if card is not None and asked is not None and card != asked:
        raise ValueError(f"the card says license: {card}, but you ask for {asked}: change one of them")
    license = asked or card or inherited
    if license is None:
        raise ValueError(
            "no license is stated: write `license:` into the card's header, or pass --license NAME "
            f"({', '.join(LICENSES)})"
        )
    if inherited is not None and license != inherited:
        _check_inheritance(inherited, license)
    return license


def _check_inheritance(inherited: str, license: str) -> None:
    if is_non_commercial(inherited) and not is_non_commercial(license):
        raise ValueError(
            f"these weights were derived from others under {inherited}, which forbids commercial use: expected a "
            f"license such as {inherited}, received {license}"
        )
    if inherited == "other" and not is_non_commercial(license):
        raise ValueError(
            f"these weights were derived from others that carry their authors' own terms: expected license: other, "
            f"described in the card, received {license}"
        )


def is_non_commercial(license: str | None) -> bool:
    """Whether a license forbids commercial use."""
    return license is not None and "-nc" in license
