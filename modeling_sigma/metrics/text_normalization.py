"""Text normalisation by corpus: what the field does to predictions and references before it scores them.

`TRANSLATION_PRESETS` hold sentences, `GLOSS_PRESETS` glosses. A preset changes both sides of a pair and is named in
the signature of every score.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modeling_sigma.metrics.gloss_cleanup import PHOENIX_2014_RULES, PHOENIX_2014_T_RULES, clean_glosses


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


# In the references only, as the field does: the models' tokenizer writes the ASCII signs.
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
