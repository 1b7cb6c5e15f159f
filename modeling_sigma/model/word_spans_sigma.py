"""Which words a text has, in scripts with and without spaces; names of several words count as one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np


# Words of one text, in order, e.g. `jieba.lcut` for Chinese.
WordSegmenter = Callable[[str], Sequence[str]]

# Characters of scripts without spaces between words, as the inside of a regular expression's class: Thai, Lao,
# Tibetan, Myanmar, Khmer, Kana and Han with their punctuation and wide forms. Korean writes spaces.
_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3001-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff01-\uff9f\U00020000-\U0003ffff"
)
UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
_SPACED_LETTER = rf"[^\W{_UNSPACED}]"
_LETTER = re.compile(r"\w")


def is_word_border(text: str, position: int) -> bool:
    """Whether a word may end before the character at `position` and another begin there.

    ```python
    >>> from modeling_sigma.model.word_spans_sigma import is_word_border
    >>> is_word_border("New York", 3), is_word_border("New York", 2), is_word_border("今天天气", 2)
    (True, False, True)

    ```
    """
    if position in (0, len(text)):
        return True
    before, after = text[position - 1], text[position]
    if _is_mark(after):
        return False
    return before.isspace() or after.isspace() or any(map(UNSPACED_CHARACTER.match, (before, after)))


def word_spans(text: str, word_segmenter: WordSegmenter | None) -> list[tuple[int, int]]:
    """Where each word begins and ends: between spaces, or as the segmenter says.

    Raises:
        ValueError: for words of the segmenter that do not follow in the text.
    """
    if word_segmenter is None:
        return [match.span() for match in re.finditer(r"\S+", text)]
    spans, position = [], 0
    for word in word_segmenter(text):
        if not word.strip():
            continue
        start = text.find(word, position)
        if start < 0:
            raise ValueError(f"the word segmenter returned {word!r}, which does not follow in {text!r:.80}")
        spans.append((start, start + len(word)))
        position = start + len(word)
    return spans


def joined_spans(text: str, spans: list[tuple[int, int]], entities: Sequence[str]) -> list[tuple[int, int]]:
    """Word spans in which those of one entity are joined; in scripts without spaces it is cut out of longer words."""
    if not entities:
        return spans
    for match in _entity_pattern(entities).finditer(text):
        start, stop = match.span()
        inside = [span for span in spans if span[0] < stop and start < span[1]]
        if not inside or (stop < len(text) and _is_mark(text[stop])):
            continue  # the segmenter skipped it, or the last letter goes on
        spans = [span for span in spans if span not in inside]
        first, last = inside[0][0], inside[-1][1]
        # Letters beside it are other words if a word may end there; punctuation stays with it.
        if _LETTER.search(text, first, start) and is_word_border(text, start):
            spans.append((first, start))
            first = start
        if _LETTER.search(text, stop, last) and is_word_border(text, stop):
            spans.append((stop, last))
            last = stop
        spans = sorted([*spans, (first, last)])
    return spans


def _entity_pattern(entities: Sequence[str]) -> re.Pattern[str]:
    """Finds the longest entity that is not part of a longer word; scripts without spaces do not show that."""
    alternatives = [
        ("" if UNSPACED_CHARACTER.match(entity[0]) else f"(?<!{_SPACED_LETTER})")
        + re.escape(entity)
        + ("" if UNSPACED_CHARACTER.match(entity[-1]) else f"(?!{_SPACED_LETTER})")
        for entity in sorted(entities, key=len, reverse=True)
    ]
    return re.compile("|".join(alternatives), re.IGNORECASE)


def _is_mark(character: str) -> bool:
    """Vowels and accents that belong to the letter before them."""
    return unicodedata.category(character).startswith("M")


def word_of_each_token(text_length: int, offsets: np.ndarray, spans: Sequence[tuple[int, int]]) -> np.ndarray:
    """Numbers, from 0 in the order of the text, of the words (`spans`) that tokens at `offsets` lie in."""
    word_of_character = np.full(text_length + 1, -1)
    for number, (start, stop) in enumerate(spans):
        word_of_character[start:stop] = number
    numbers = np.empty(len(offsets), np.int64)
    for row, (start, stop) in enumerate(offsets):
        inside = word_of_character[start:stop]
        found = inside[inside >= 0]
        # A token of white space alone opens the word after it.
        numbers[row] = found[0] if len(found) else word_of_character[stop]
    # Truncation may cut words off, never leave holes; a segmenter may skip characters: number what is there.
    present = np.unique(numbers[numbers >= 0])
    return np.where(numbers >= 0, np.searchsorted(present, numbers), -1)
