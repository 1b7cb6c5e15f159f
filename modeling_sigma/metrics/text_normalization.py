"""Text normalisation by corpus: what the field does to predictions and references before it scores them.

`TRANSLATION_PRESETS` hold sentences, `GLOSS_PRESETS` glosses. A preset changes both sides of a pair and is named in
the signature of every score.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class TextPreset:
    """How the texts of one corpus are prepared for scoring.

    Args:
        name (`str`):
            The name in signatures and on the command line.
        prediction, reference (`Callable[[str], str]`):
            Applied to each prediction, and to each reference.
        summary (`str`):
            What it does, in one line.
    """

    name: str
    prediction: Callable[[str], str]
    reference: Callable[[str], str]
    summary: str


@dataclass(frozen=True)
class GlossRule:
    """One rule of a gloss clean-up.

    Args:
        name (`str`):
            What the rule does.
        apply (`Callable[[list[str]], list[str]]`):
            Takes the glosses of a sentence and returns the cleaned ones.
        certain (`bool`):
            True for a rule that the public description of the corpus's own evaluation script lists. False for one that
            we know from the field's practice alone.
    """

    name: str
    apply: Callable[[list[str]], list[str]]
    certain: bool


# --- sentences


def separate_characters(text: str) -> str:
    """Drops all white space and puts one space between any two characters: the "words" of CSL-Daily.

    ```python
    >>> from modeling_sigma.metrics.text_normalization import separate_characters
    >>> separate_characters("今天 星期五。")
    '今 天 星 期 五 。'

    ```
    """
    return " ".join("".join(text.split()))


# In the references alone, as the field does: the tokenizer of the models writes the ASCII signs.
_CSL_DAILY_PUNCTUATION = str.maketrans({"，": ",", "？": "?"})


def _csl_daily_reference(text: str) -> str:
    return separate_characters(text.translate(_CSL_DAILY_PUNCTUATION))


# UTF-8 bytes that were read as Windows-1252 or Latin-1: a lead byte, then its continuation bytes.
_BYTE_OF_CHARACTER = {chr(code): code for code in range(0x80, 0x100)}
_BYTE_OF_CHARACTER |= {
    bytes([code]).decode("cp1252"): code for code in range(0x80, 0x100) if code not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}
_CONTINUATION = "".join(re.escape(character) for character, code in _BYTE_OF_CHARACTER.items() if code < 0xC0)
_MOJIBAKE = re.compile(
    f"[\u00c2-\u00df][{_CONTINUATION}]|[\u00e0-\u00ef][{_CONTINUATION}]{{2}}|[\u00f0-\u00f4][{_CONTINUATION}]{{3}}"
)
_LOST_APOSTROPHE = re.compile(r"(?<=[A-Za-z])\?(?=(?:re|s|t|ll|ve|d|m)\b)")
_STRAIGHT_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})


def repair_mojibake(text: str) -> str:
    """Repairs the broken characters of the How2Sign transcripts.

    UTF-8 that was read as Latin-1 or Windows-1252 is read again (`youâ\\x80\\x99re`), an apostrophe that became a
    question mark inside a word comes back (`you?re`), and curly quotes become straight ones, as in the rest of the
    corpus.

    ```python
    >>> from modeling_sigma.metrics.text_normalization import repair_mojibake
    >>> repair_mojibake("itâ€™s where you?re going, isn't it?")
    "it's where you're going, isn't it?"

    ```
    """

    def decode(match: re.Match[str]) -> str:
        try:
            return bytes(_BYTE_OF_CHARACTER[character] for character in match.group()).decode("utf-8")
        except UnicodeDecodeError:  # letters that only look like it
            return match.group()

    return _LOST_APOSTROPHE.sub("'", _MOJIBAKE.sub(decode, text)).translate(_STRAIGHT_QUOTES)


# --- glosses: the clean-up of RWTH-PHOENIX-Weather 2014 and 2014 T

_MARKER = re.compile(r"__\S*__")
_PREFIXES = ("loc-", "cl-")
_ALL_PREFIXES = (*_PREFIXES, "qu-", "poss-", "lh-")
_CORRECTIONS = {"S0NNE": "SONNE", "HABEN2": "HABEN", "ZEIGEN": "ZEIGEN-BILDSCHIRM"}
_PLAIN_GLOSS = re.compile(r"[A-Z]+")
# How a finger-spelled piece may continue: two letters, and SCH or NN beside a letter.
_SPELLED_PAIR = re.compile(r"[A-Z] [A-Z]|SCH [A-Z]|NN [A-Z]|[A-Z] NN")


def drop_markers(glosses: list[str]) -> list[str]:
    """Drops what is no sign: `__ON__`, `__OFF__`, `__LEFTHAND__`, `__EPENTHESIS__`, `__EMOTION__`, `__PU__`."""
    return [gloss for gloss in glosses if not _MARKER.fullmatch(gloss)]


def strip_prefixes(glosses: list[str], prefixes: tuple[str, ...] = _PREFIXES) -> list[str]:
    """Strips prefixes, repeatedly and in every part of a compound: `loc-NORD` is `NORD`."""

    def strip(piece: str) -> str:
        while any(piece.startswith(prefix) for prefix in prefixes):
            piece = piece.split("-", 1)[1]
        return piece

    return _without_empty("+".join(strip(piece) for piece in gloss.split("+")) for gloss in glosses)


def strip_plusplus(glosses: list[str]) -> list[str]:
    """Strips `-PLUSPLUS`, the mark of a repeated movement: `WOLKE-PLUSPLUS` is `WOLKE`."""
    return _without_empty(gloss.replace("-PLUSPLUS", "") for gloss in glosses)


def strip_raum(glosses: list[str]) -> list[str]:
    """Strips `RAUM` (room) from the end of a gloss: `NORDRAUM` is `NORD`, `RAUM` stays."""
    return [re.sub(r"(?<=[A-Z][A-Z])RAUM$", "", gloss) for gloss in glosses]


def join_wie_aussehen(glosses: list[str]) -> list[str]:
    """Joins `WIE AUSSEHEN` (to look like) into one sign, `WIE-AUSSEHEN`."""
    return _joined(glosses, lambda left, right: (left, right) == ("WIE", "AUSSEHEN"), "-")


def join_spelled_letters(glosses: list[str]) -> list[str]:
    """Joins finger-spelled letters into one compound: `A S` is `A+S`, also beside `SCH` and `NN`."""
    return _joined(
        glosses,
        lambda left, right: bool(_SPELLED_PAIR.fullmatch(f"{left.rsplit('+', 1)[-1]} {right.split('+', 1)[0]}")),
        "+",
    )


def correct_spellings(glosses: list[str]) -> list[str]:
    """Merges spellings of one sign: `S0NNE` (a zero) is `SONNE`, `HABEN2` `HABEN`, `ZEIGEN` `ZEIGEN-BILDSCHIRM`."""
    return [_CORRECTIONS.get(gloss, gloss) for gloss in glosses]


def merge_repeated(glosses: list[str]) -> list[str]:
    """Merges a run of one gloss into a single one, where the gloss is of capital letters alone."""
    merged: list[str] = []
    for gloss, run in groupby(glosses):
        merged += [gloss] if _PLAIN_GLOSS.fullmatch(gloss) else list(run)
    return merged


def _without_empty(glosses: Iterable[str]) -> list[str]:
    return [gloss for gloss in glosses if gloss]


def _joined(glosses: list[str], belong_together: Callable[[str, str], bool], separator: str) -> list[str]:
    joined: list[str] = []
    for gloss in glosses:
        if joined and belong_together(joined[-1], gloss):
            joined[-1] += separator + gloss
        else:
            joined.append(gloss)
    return joined


_WORD_RULES = (
    GlossRule("drop __MARKERS__", drop_markers, certain=True),
    GlossRule("strip loc-, cl-", strip_prefixes, certain=True),
    GlossRule("strip qu-, poss-, lh-", lambda glosses: strip_prefixes(glosses, _ALL_PREFIXES), certain=False),
    GlossRule("strip -PLUSPLUS", strip_plusplus, certain=True),
    GlossRule("strip RAUM at the end", strip_raum, certain=True),
)
_SENTENCE_RULES = (
    GlossRule("join WIE AUSSEHEN", join_wie_aussehen, certain=False),
    GlossRule("join spelled letters", join_spelled_letters, certain=False),
    GlossRule("merge repeated glosses", merge_repeated, certain=False),
)

PHOENIX_2014_RULES = (*_WORD_RULES, *_SENTENCE_RULES)
"""The clean-up of PHOENIX-2014, in order. The certain rules are those that the comments of the corpus's own script
`evaluatePhoenix2014.sh` list, as quoted in github.com/neccam/SubUNets/issues/2."""

PHOENIX_2014_T_RULES = (
    *_WORD_RULES,
    GlossRule("correct spellings", correct_spellings, certain=False),
    *_SENTENCE_RULES,
)
"""The clean-up of PHOENIX-2014 T: that of 2014 and three merged spellings. `neg-` stays in both: `neg-HABEN` is a sign
of its own."""


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
    >>> from modeling_sigma.metrics.text_normalization import PHOENIX_2014_RULES, clean_glosses
    >>> clean_glosses("__ON__ loc-NORDRAUM WOLKE-PLUSPLUS WOLKE WIE AUSSEHEN __OFF__", PHOENIX_2014_RULES)
    'NORD WOLKE WIE-AUSSEHEN'

    ```
    """
    glosses = text.split()
    for rule in rules:
        glosses = rule.apply(glosses)
    return " ".join(glosses)


# --- the tables


def _both(name: str, normalize: Callable[[str], str], summary: str) -> TextPreset:
    return TextPreset(name, normalize, normalize, summary)


def _by_name(*presets: TextPreset) -> Mapping[str, TextPreset]:
    return {preset.name: preset for preset in presets}


def _unchanged(text: str) -> str:
    return text


TRANSLATION_PRESETS = _by_name(
    _both("none", _unchanged, "text as it is"),
    TextPreset(
        "csl_daily",
        separate_characters,
        _csl_daily_reference,
        "characters between spaces; in references also ，to , and ？ to ?",
    ),
    _both(
        "how2sign",
        _unchanged,
        "text as it is, with the mojibake of the stored references, as published numbers have it",
    ),
    _both("how2sign_repaired", repair_mojibake, "mojibake repaired: not comparable with published numbers"),
    _both("openasl", _unchanged, "text as it is"),
    _both("phoenix2014t", _unchanged, "text as it is: the corpus is lower-cased and tokenised"),
)
"""Presets for sentences (task `slt`). Source: for `csl_daily`, the Sigma / Uni-Sign line's protocol."""

GLOSS_PRESETS = _by_name(
    _both("none", _unchanged, "glosses as they are"),
    _both("csl_daily", _unchanged, "glosses as they are: the field cleans nothing here"),
    _both("how2sign", _unchanged, "words as they are: the corpus has no glosses, a score is a proxy"),
    _both("openasl", _unchanged, "words as they are: the corpus has no glosses, a score is a proxy"),
    _both("phoenix2014", lambda text: clean_glosses(text, PHOENIX_2014_RULES), "PHOENIX-2014 clean-up"),
    _both("phoenix2014t", lambda text: clean_glosses(text, PHOENIX_2014_T_RULES), "PHOENIX-2014 T clean-up"),
)
"""Presets for glosses (task `cslr`)."""

LABEL_PRESETS = _by_name(_both("none", str.strip, "labels as they are, without white space around them"))
"""Presets for labels (task `islr`)."""

PRESETS: Mapping[str, Mapping[str, TextPreset]] = {
    "slt": TRANSLATION_PRESETS,
    "cslr": GLOSS_PRESETS,
    "islr": LABEL_PRESETS,
}


def get_preset(name: str, task: str = "slt") -> TextPreset:
    """Looks up a preset.

    Args:
        name (`str`):
            Its name.
        task (`str`, defaults to `"slt"`):
            `"slt"` (sentences), `"cslr"` (glosses) or `"islr"` (labels): one corpus has a preset for each.

    Raises:
        ValueError: for an unknown task, or a name that the task does not have.
    """
    if task not in PRESETS:
        raise ValueError(f"expected a task of {sorted(PRESETS)}, received {task!r}: choose one of them")
    presets = PRESETS[task]
    if name not in presets:
        others = [other for other, table in PRESETS.items() if name in table]
        hint = f"{name!r} belongs to the task {' and '.join(others)}" if others else "use 'none' for another corpus"
        raise ValueError(f"expected a preset of {sorted(presets)} for the task {task}, received {name!r}: {hint}")
    return presets[name]
