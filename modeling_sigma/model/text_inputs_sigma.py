"""Texts that a tokenizer can read: strings of whole characters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def check_texts(texts: Any, name: str) -> list[str]:
    """The texts as a list.

    Args:
        texts (`Sequence[str]`):
            A list, tuple or array of strings.
        name (`str`):
            What they are, for error messages: `"labels"`.

    Raises:
        ValueError: for a single string, anything else that is no sequence of strings, or a text with half a character.
    """
    is_sequence = hasattr(texts, "__len__") and hasattr(texts, "__getitem__")
    if isinstance(texts, (str, bytes, Mapping)) or not is_sequence:
        raise ValueError(f"expected {name} as a list of strings, received {texts!r:.60}: write [...]")
    return [check_text(text, name) for text in texts]


def check_text(text: Any, name: str) -> str:
    """The text, if it is a string of whole characters.

    Raises:
        ValueError: for anything else: broken files leave lone surrogates behind, which no tokenizer can read.
    """
    if not isinstance(text, str):
        raise ValueError(f"expected strings for {name}, received {text!r:.60} of type {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"expected whole characters in {name}, received half of one (a lone surrogate) at position {error.start} "
            f"of {text!r:.60}: read the text as UTF-8 again"
        ) from error
    return text
