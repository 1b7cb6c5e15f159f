"""Labels that are probably not what their authors meant: two spellings of one gloss, and damaged text."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations


# Only words of at least this many letters are compared: shorter words one letter apart are mostly different words.
_MIN_LETTERS = 5
# A word counts as a misspelling of another if it is used at most so often, and the other this many times as often.
_MAX_RARE, _MIN_RATIO = 2, 5

# `['HELLO',` and `'WORLD']`: a list that a program wrote into a table.
_PRINTED_LIST = re.compile(r"""^\[['"]|['"]\]$""")


def spelling_variants(counts: Mapping[str, int]) -> list[list[str]]:
    """Labels that differ only in case, spaces, hyphens, other punctuation, or the way a character is composed.

    Args:
        counts (`dict[str, int]`):
            Label to its number of uses.

    Returns:
        `list[list[str]]`: groups of such labels, the most frequent spelling first.

    Example:

    ```python
    >>> from datasets_scripts.auditing.label_checks import spelling_variants
    >>> spelling_variants({"ICE-CREAM": 9, "ice cream": 1, "WATER": 3})
    [['ICE-CREAM', 'ice cream']]

    ```
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        groups[_letters(label) or label].append(label)
    found = [sorted(group, key=lambda label: (-counts[label], label)) for group in groups.values() if len(group) > 1]
    return sorted(found)


def one_letter_apart(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Rare labels that are one letter away from a frequent one: missing, extra, wrong or swapped with its neighbour.

    Differences in a digit ("PERSON1", "PERSON2") or in a final "s" do not count.

    Args:
        counts (`dict[str, int]`):
            Label to its number of uses.

    Returns:
        `list[tuple[str, str]]`: the rare label, and the frequent one.

    Example:

    ```python
    >>> from datasets_scripts.auditing.label_checks import one_letter_apart
    >>> one_letter_apart({"TOMORROW": 40, "TOMOROW": 1, "TODAY": 30})
    [('TOMOROW', 'TOMORROW')]

    ```
    """
    words: dict[str, str] = {}
    for label in sorted(counts, key=lambda label: (counts[label], label)):
        words[_letters(label)] = label  # the most frequent spelling
    buckets: dict[str, list[str]] = defaultdict(list)
    for word in words:
        if len(word) >= _MIN_LETTERS:
            for variant in {word, *(word[:place] + word[place + 1 :] for place in range(len(word)))}:
                buckets[variant].append(word)
    pairs = set()
    for bucket in buckets.values():
        for one, other in combinations(sorted(bucket, key=lambda word: counts[words[word]]), 2):
            rare, frequent = counts[words[one]], counts[words[other]]
            if rare <= _MAX_RARE and frequent >= _MIN_RATIO * rare and _are_one_letter_apart(one, other):
                pairs.add((words[one], words[other]))
    return sorted(pairs)


def text_problems(text: str) -> Iterator[str]:
    """Yields what is wrong with the characters of a text, each problem in a few words.

    Example:

    ```python
    >>> from datasets_scripts.auditing.label_checks import text_problems
    >>> list(text_problems("donâ€™t  go"))
    ['bytes read in the wrong encoding', 'spaces at the ends or several in a row']

    ```
    """
    if not text.strip():
        yield "empty"
        return
    if is_mojibake(text):
        yield "bytes read in the wrong encoding"
    if "\ufffd" in text:
        yield "replacement characters"
    if any(unicodedata.category(character) == "Cc" for character in text):
        yield "control characters or line ends"
    if html.unescape(text) != text and re.search(r"&#?\w+;", text):
        yield "HTML entities"
    if text != text.strip(" ") or "  " in text:
        yield "spaces at the ends or several in a row"
    if _PRINTED_LIST.search(text):
        yield "a piece of a printed list"


def is_mojibake(text: str) -> bool:
    """Whether a text is UTF-8 that was read as Windows-1252 or Latin-1: "donâ€™t" for "don’t"."""
    for part in re.findall(r"[^\x00-\x7f]+", text):
        for encoding in ("cp1252", "latin-1"):
            try:
                repaired = part.encode(encoding).decode("utf-8")
            except UnicodeError:
                continue
            if len(repaired) < len(part):
                return True
    return False


def count_labels(labels: Iterable[str]) -> Counter[str]:
    """How often each label is used; empty ones are not counted."""
    return Counter(label for label in labels if label.strip())


def _letters(label: str) -> str:
    """The letters and digits of a label, without case."""
    folded = unicodedata.normalize("NFKC", label).casefold()
    return "".join(character for character in folded if character.isalnum() or unicodedata.category(character) == "Mn")


def _are_one_letter_apart(rare: str, frequent: str) -> bool:
    if len(rare) > len(frequent):
        longer, shorter = rare, frequent
    else:
        longer, shorter = frequent, rare
    start = 0
    while start < len(shorter) and longer[start] == shorter[start]:
        start += 1
    if len(longer) == len(shorter):
        rest, other_rest = longer[start:], shorter[start:]
        is_swapped = len(rest) > 1 and rest[:2] == other_rest[1::-1] and rest[2:] == other_rest[2:]
        changed = rest[:1] + other_rest[:1]
        return is_swapped or (rest[1:] == other_rest[1:] and not any(character.isdigit() for character in changed))
    if len(longer) - len(shorter) != 1 or longer[start + 1 :] != shorter[start:]:
        return False
    is_plural = start == len(shorter) and longer[start] == "s"
    return not is_plural and not longer[start].isdigit()
