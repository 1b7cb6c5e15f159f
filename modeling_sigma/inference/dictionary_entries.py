"""What a sign dictionary knows about each clip, beside its vector."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modeling_sigma.io.reading_errors import shown


# Name -> type, of what is stored: one list each, with one value per clip.
COLUMNS: Mapping[str, Any] = {
    "label": list[str],
    "sample_id": list[str],
    "sign_language": list[str | None],
    "variant": list[int],
    "layout": list[str],
    "facts": list[dict[str, str | float | bool | None]],
}
_LONGEST_TEXT = 1000


@dataclass(frozen=True)
class DictionaryEntry:
    """One clip of a sign dictionary.

    Args:
        label (`str`):
            What is signed.
        sample_id (`str`):
            The name of the clip; no other clip of the dictionary has it.
        sign_language (`str`, *optional*):
            The English name of the sign language. The same label in two languages is two signs.
        variant (`int`, *optional*, defaults to 1):
            Which of the ways in which people sign this: clips that do not resemble those of variant 1 are variant 2.
        layout (`str`, *optional*):
            The keypoint layout of the clip, which tells the estimators apart.
        facts (`dict`, *optional*):
            What else you want to know about the clip: texts, numbers, true or false.
    """

    label: str
    sample_id: str
    sign_language: str | None = None
    variant: int = 1
    layout: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def sign(self) -> tuple[str | None, str]:
        """What makes it a sign of its own: the language and the label."""
        return (self.sign_language, self.label)


def checked_text(text: Any, name: str) -> str:
    """A label, a clip's name or a language: without spaces around it, and composed, so that an é typed as one
    character equals one typed as two.

    Raises:
        ValueError: for anything that is not a short text on one line.
    """
    if not isinstance(text, str):
        raise ValueError(f"expected {name} as text, received {shown(text)}: write it in words")
    text = unicodedata.normalize("NFC", text.strip())
    bad = [character for character in text if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")]
    if not text or bad or len(text) > _LONGEST_TEXT:
        raise ValueError(
            f"expected {name} as text on one line of 1 to {_LONGEST_TEXT} characters, received {shown(text)}: "
            "write it again"
        )
    return text


def checked_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts that JSON can hold, and that say something in a line.

    Raises:
        ValueError: for values that are no text, finite number, true, false or None.
    """
    for name, value in facts.items():
        is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
        if not (value is None or is_number or (isinstance(value, str) and value.isprintable())):
            raise ValueError(f"expected the fact {name} as a text or number, received {shown(value)}: describe it")
    return dict(facts)


def as_columns(entries: Sequence[DictionaryEntry]) -> dict[str, list[Any]]:
    """The entries as they are stored."""
    return {name: [getattr(entry, name) for entry in entries] for name in COLUMNS}


def from_columns(columns: Mapping[str, Sequence[Any]], num_vectors: int) -> list[DictionaryEntry]:
    """The entries that were stored.

    Raises:
        ValueError: if they are not what [`as_columns`] wrote for so many vectors.
    """
    for name in COLUMNS:
        if len(columns[name]) != num_vectors:
            raise ValueError(f"expected {num_vectors} values of {name}, one per vector, found {len(columns[name])}")
    entries = [
        DictionaryEntry(
            checked_text(label, "a label"),
            checked_text(sample_id, "a sample_id"),
            None if language is None else checked_text(language, "a sign language"),
            variant,
            layout,
            checked_facts(facts),
        )
        for label, sample_id, language, variant, layout, facts in zip(*(columns[name] for name in COLUMNS))
    ]
    if any(entry.variant < 1 for entry in entries):
        raise ValueError("expected variants from 1 on, found a smaller number")
    return entries
