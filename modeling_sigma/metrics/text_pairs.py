"""Predictions paired with their references: checked, normalised, and empty ones counted."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modeling_sigma.metrics.text_normalization import get_preset
from modeling_sigma.model.word_spans_sigma import UNSPACED_CHARACTER


@dataclass(frozen=True)
class TextPairs:
    """Normalised predictions and references of equal number.

    Args:
        predictions, references (`list[str]`):
            The texts to compare, pair by pair.
        preset (`str`):
            The name of the normalisation that they went through.
    """

    predictions: list[str]
    references: list[str]
    preset: str

    def __len__(self) -> int:
        return len(self.references)

    @property
    def num_empty_predictions(self) -> int:
        """Predictions without any character but white space."""
        return _num_empty(self.predictions)

    @property
    def num_empty_references(self) -> int:
        """References without any character but white space."""
        return _num_empty(self.references)

    def counts(self) -> dict[str, int]:
        """The counts that every score reports."""
        return {
            "num_sentences": len(self),
            "num_empty_predictions": self.num_empty_predictions,
            "num_empty_references": self.num_empty_references,
        }


def check_texts(texts: Iterable[Any], name: str) -> list[str]:
    """Returns texts as a list after checking that each is a string.

    Args:
        texts (`Iterable[str]`):
            One text for each sample.
        name (`str`):
            What to call them in messages.

    Raises:
        ValueError: for one string instead of many, a mapping, no text at all, or an entry that is no string.
    """
    if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable):
        raise ValueError(
            f"expected {name} to be a list of strings, received a {type(texts).__name__}: put it in a list"
        )
    items = list(texts)
    for index, item in enumerate(items):
        if not isinstance(item, str):
            fix = "decode the token ids, or leave the sample out"
            if isinstance(item, list | tuple):
                fix = "give one text for each sample"
            raise ValueError(
                f"expected {name}[{index}] to be a string, received {item!r:.60} ({type(item).__name__}): {fix}"
            )
    if not items:
        raise ValueError(f"expected at least one text in {name}, received none: check the file or the data set")
    return items


def check_lengths(num_predictions: int, num_references: int) -> None:
    """Raises a ValueError unless there are as many predictions as references."""
    if num_predictions != num_references:
        raise ValueError(
            f"expected as many predictions as references, received {num_predictions} and {num_references}: "
            "give one prediction for each reference, in the same order"
        )


def make_text_pairs(
    predictions: Iterable[str], references: Iterable[str], preset: str = "none", task: str = "slt"
) -> TextPairs:
    """Checks and normalises predictions and references.

    Args:
        predictions, references (`Iterable[str]`):
            One text for each sample, in the same order.
        preset (`str`, defaults to `"none"`):
            The normalisation of a corpus, see [`get_preset`].
        task (`str`, defaults to `"slt"`):
            `"slt"`, `"cslr"` or `"islr"`.

    Raises:
        ValueError: for unequal numbers, no pair at all, entries that are no strings, or references that are all empty.

    Warns:
        `UserWarning`: once, for empty predictions or references, which score zero.

    Example:

    ```python
    >>> from modeling_sigma.metrics.text_pairs import make_text_pairs
    >>> make_text_pairs(["你好。"], ["你 好 ！"], preset="csl_daily")
    TextPairs(predictions=['你 好 。'], references=['你 好 ！'], preset='csl_daily')

    ```
    """
    normalization = get_preset(preset, task)
    raw_predictions, raw_references = check_texts(predictions, "predictions"), check_texts(references, "references")
    check_lengths(len(raw_predictions), len(raw_references))
    pairs = TextPairs(
        [normalization.prediction(text) for text in raw_predictions],
        [normalization.reference(text) for text in raw_references],
        preset,
    )
    if pairs.num_empty_references == len(pairs):
        raise ValueError(
            f"expected references with text, received {len(pairs)} empty ones (after the preset {preset!r}): "
            "check the column or file they come from"
        )
    empty = {"predictions": pairs.num_empty_predictions, "references": pairs.num_empty_references}
    told = [f"{count} of {len(pairs)} {side} are empty" for side, count in empty.items() if count]
    if told:
        warnings.warn(f"{' and '.join(told)}: they are kept and score zero", stacklevel=4)
    return pairs


def warn_if_unsegmented(pairs: TextPairs, fix: str) -> None:
    """Warns if most references are in a script without spaces: each sentence would be scored as a single word."""
    if sum(map(_is_unsegmented, pairs.references)) > len(pairs) / 2:
        warnings.warn(
            "most references are in a script without spaces, so that each sentence counts as a single word: " + fix,
            stacklevel=4,
        )


def _num_empty(texts: list[str]) -> int:
    return sum(not text.strip() for text in texts)


def _is_unsegmented(text: str) -> bool:
    return len(text.split()) == 1 and len(UNSPACED_CHARACTER.findall(text)) > 3
