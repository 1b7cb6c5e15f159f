"""Which licence weights are published under: what they inherited, what their card says, what their owner says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


# Names as the Hub writes them -> in words.
LICENCES: Mapping[str, str] = MappingProxyType(
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
        "other": "another licence, described in the card",
    }
)


def choose_licence(inherited: str | None, card: str | None, asked: str | None) -> str:
    """The licence of a publication.

    Args:
        inherited (`str`, *optional*):
            What the weights were made from is under this licence (`weights_licence` of the configuration).
        card (`str`, *optional*):
            What the model card says.
        asked (`str`, *optional*):
            What the publisher says.

    Returns:
        `str`: a name of `LICENCES`.

    Raises:
        ValueError: if nobody says anything, if card and publisher contradict each other, if the name is unknown, or if
            weights for non-commercial use only would be given away for any use.
    """
    for name in (card, asked):
        if name is not None and name not in LICENCES:
            raise ValueError(f"expected a licence such as {', '.join(LICENCES)}, received {name!r}")
    if card is not None and asked is not None and card != asked:
        raise ValueError(f"the card says license: {card}, and you say {asked}: change one of them")
    licence = asked or card or inherited
    if licence is None:
        raise ValueError(
            "no licence is stated: write `license:` into the card's header, or pass --license NAME "
            f"({', '.join(LICENCES)})"
        )
    if inherited is not None and licence != inherited:
        _check_inheritance(inherited, licence)
    return licence


def _check_inheritance(inherited: str, licence: str) -> None:
    if is_non_commercial(inherited) and not is_non_commercial(licence):
        raise ValueError(
            f"these weights were made from others under {inherited}, which forbids commercial use: expected a licence "
            f"such as {inherited}, received {licence}"
        )
    if inherited == "other" and not is_non_commercial(licence):
        raise ValueError(
            f"these weights were made from others that carry their authors' own terms: expected license: other, "
            f"described in the card, received {licence}"
        )


def is_non_commercial(licence: str | None) -> bool:
    """Whether a licence forbids commercial use."""
    return licence is not None and "-nc" in licence
