"""Clean-up of glosses before scoring: RWTH-PHOENIX-Weather 2014, and 2014 T.

Both corpora came with a script that merges variants of one sign. Papers score with re-implementations of these
scripts, whose behaviour, with its peculiarities, is reproduced here rule by rule.

| rule | 2014 | 2014 T |
|---|---|---|
| markers such as `__LEFTHAND__` | dropped | dropped |
| prefixes | `loc-`, `cl-`, `qu-`, `poss-`, `lh-` anywhere | `loc-`, `cl-` at the start of a word |
| `S0NNE`, `HABEN2`, `ZEIGEN` | corrected | kept |
| `WIE AUSSEHEN` | joined by a hyphen | joined by a hyphen |
| spelled letters | joined by a plus | joined by a plus |
| `RAUM` | stripped after two capitals, inside a word too | stripped at the end of a word |
| `-PLUSPLUS` | stripped | stripped |
| repeated glosses | merged | merged |
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class GlossRule:
    """One rule of a gloss clean-up.

    Args:
        name (`str`):
            What the rule does.
        apply (`Callable[[str], str]`):
            Takes a sentence of glosses between single spaces and returns the cleaned one. It may leave spaces behind.
    """

    name: str
    apply: Callable[[str], str]


def clean_glosses(text: str, rules: tuple[GlossRule, ...]) -> str:
    """Applies rules to a sentence of glosses.

    Args:
        text (`str`):
            Glosses between white space.
        rules (`tuple[GlossRule]`):
            Applied in order.

    Returns:
        `str`: the cleaned glosses between single spaces.

    ```python
    >>> from modeling_sigma.metrics.gloss_cleanup import PHOENIX_2014_T_RULES, clean_glosses
    >>> clean_glosses("__ON__ loc-NORDRAUM WOLKE-PLUSPLUS WOLKE WIE AUSSEHEN __OFF__", PHOENIX_2014_T_RULES)
    'NORD WOLKE WIE-AUSSEHEN'

    ```
    """
    text = " ".join(text.split())
    for rule in rules:
        text = rule.apply(text)
    return " ".join(text.split())


def replace(pattern: str, replacement: str = "") -> Callable[[str], str]:
    """A rule that replaces all matches of a regular expression."""
    compiled = re.compile(pattern)
    return lambda text: compiled.sub(replacement, text)


def correct_spellings(text: str) -> str:
    """Merges spellings of one sign: `S0NNE` (with a zero), `HABEN2`, and `ZEIGEN` at the end of a gloss."""
    text = text.replace("S0NNE", "SONNE").replace("HABEN2", "HABEN")
    return re.sub(r"ZEIGEN(?= |$)", "ZEIGEN-BILDSCHIRM", text)


def join_spelled_letters(text: str) -> str:
    """Joins finger-spelled letters, and `SCH` and `NN` among them, into one compound: `A S` becomes `A+S`.

    The scripts do it in passes over the sentence, from left to right and without overlap. One of them starts a new
    compound before the pair that it joins: `S T U R M` becomes `S T+U+R+M`.
    """
    text = re.sub(r"^([A-Z]) (?=[A-Z][+ ])", r"\1+", text)
    text = re.sub(r"[+ ]([A-Z]) ([A-Z]) ", r" \1+\2 ", text)
    for left, right, end in _SPELLING_PASSES:
        text = re.sub(rf"([+ ]{left}) ({right}{end})", r"\1+\2", text)
    return text


_SPELLING_PASSES = (
    *(3 * [("[A-Z]", "[A-Z]", "[+ ]")]),
    ("SCH", "[A-Z]", "[+ ]"),
    ("NN", "[A-Z]", "[+ ]"),
    ("[A-Z]", "NN", "[+ ]"),
    ("[A-Z]", "[A-Z]", "$"),
)


def strip_prefix(prefix: str) -> Callable[[str], str]:
    """A rule that strips the first `prefix` of each gloss, where a part of it begins so: `NORD+loc-WEST`."""
    pattern = re.compile(rf"\b{prefix}(?=\S*\w)")
    return lambda text: " ".join(pattern.sub("", gloss, count=1) for gloss in text.split(" "))


def strip_last_plusplus(text: str) -> str:
    """Strips `-PLUSPLUS`, the mark of a repeated movement; in a compound, only the last one."""
    return re.sub(r"(?<=\w)-PLUSPLUS\b(?!\S*-PLUSPLUS\b)", "", text)


def strip_raum(text: str) -> str:
    """Strips `RAUM` (room) from the end of a word of capital letters: `NORDRAUM` is `NORD`, `RAUM` stays."""
    return re.sub(r"\w+", lambda word: re.sub(r"^([A-Z]+)RAUM$", r"\1", word[0]), text)


def merge_repeated(text: str) -> str:
    """Merges a run of one gloss into a single one; in capitals also at the edge of a compound, as in `A+B B`."""
    text = " ".join(text.split())
    for _ in range(4):  # a pass halves a run
        text = re.sub(r"(?<![\w-])([A-Z]+) \1(?![\w-])", r"\1", text)
    return " ".join(gloss for gloss, _ in groupby(text.split()))


_DROP_MARKERS = GlossRule("drop __MARKERS__", replace(r"(?<!\S)__[^_ ]*__(?!\S)"))
_JOIN_WIE_AUSSEHEN = GlossRule("join WIE AUSSEHEN", replace("WIE AUSSEHEN", "WIE-AUSSEHEN"))
_JOIN_LETTERS = GlossRule("join spelled letters", join_spelled_letters)
_MERGE_REPEATED = GlossRule("merge repeated glosses", merge_repeated)

PHOENIX_2014_RULES = (
    GlossRule("strip loc-, cl-, qu-, poss-, lh-", replace("loc-|cl-|qu-|poss-|lh-")),
    GlossRule("correct spellings", correct_spellings),
    _DROP_MARKERS,
    _JOIN_WIE_AUSSEHEN,
    _JOIN_LETTERS,
    GlossRule("strip RAUM", replace("(?<=[A-Z][A-Z])RAUM")),
    GlossRule("strip -PLUSPLUS", replace("-PLUSPLUS")),
    _MERGE_REPEATED,
)
"""The clean-up of PHOENIX-2014, in order. Departure: all markers are dropped, as the comments of the corpus's own
script say (github.com/neccam/SubUNets/issues/2). The field drops three; `__ON__` and `__OFF__` count there."""

PHOENIX_2014_T_RULES = (
    _DROP_MARKERS,
    GlossRule("strip loc-", strip_prefix("loc-")),
    GlossRule("strip cl-", strip_prefix("cl-")),
    GlossRule("strip -PLUSPLUS", strip_last_plusplus),
    GlossRule("strip RAUM", strip_raum),
    _JOIN_WIE_AUSSEHEN,
    _JOIN_LETTERS,
    _MERGE_REPEATED,
)
"""The clean-up of PHOENIX-2014 T, in order."""
