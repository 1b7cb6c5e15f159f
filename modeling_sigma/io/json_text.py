"""The one door for JSON: whatever is read as JSON comes through here, bounded in depth and size, and free of traps."""

from __future__ import annotations

import json
import math
import os
import re
from typing import Any

import numpy as np

from modeling_sigma.io.reading_budget import reading_budget, take_objects
from modeling_sigma.io.reading_errors import naming_file, one_line
from modeling_sigma.io.text_files import decoded, read_text


# Honest files have about ten. Code that walks through the content may call itself for every level.
MAX_LEVELS = 64

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TYPES: dict[type, str] = {dict: "an object", list: "a list"}


def read_json(
    path: str | os.PathLike[str],
    content: str,
    kind: type = object,
    *,
    is_finite: bool = True,
    has_file_names: bool = False,
) -> Any:
    """What a JSON file holds.

    Args:
        path (`str` or `os.PathLike`):
            The file: UTF-8 or UTF-16.
        content (`str`):
            What should be in it, for messages: `"the facts of a model card"`.
        kind (`type`, *optional*):
            `dict` or `list`, where only one of them makes sense.
        is_finite (`bool`, *optional*, defaults to `True`):
            Refuse numbers that are infinite or NaN, which other programs do not take for JSON.
        has_file_names (`bool`, *optional*, defaults to `False`):
            Take bytes that are not UTF-8 as Python holds them in names of files: U+DC80 to U+DCFF.

    Raises:
        ValueError: for anything else than such JSON, in one line that names the file.
        OSError: if there is no such file or it cannot be read.
    """
    with reading_budget(path):
        text = read_text(path, content)
        with naming_file(path, content):
            value = parsed_json(text, is_finite=is_finite, has_file_names=has_file_names)
            if not isinstance(value, kind):
                received = _TYPES.get(type(value), f"a {type(value).__name__}")
                raise ValueError(f"expected {content} as {_TYPES[kind]} in JSON, received {received}: check the file")
            return value


def read_json_lines(path: str | os.PathLike[str], content: str, *, has_file_names: bool = False) -> list[Any]:
    """What the lines of a file hold, each JSON of its own. See [`read_json`]."""
    with reading_budget(path):
        text = read_text(path, content)
        with naming_file(path, content):
            return _lines_of(text, has_file_names)


def parsed_json(
    source: str | bytes, *, may_have_lines: bool = False, is_finite: bool = False, has_file_names: bool = False
) -> Any:
    """The content of a text in JSON.

    Args:
        source (`str` or `bytes`):
            The text.
        may_have_lines (`bool`, *optional*, defaults to `False`):
            Whether every line may hold JSON of its own: then the result is a list.
        is_finite (`bool`, *optional*, defaults to `False`):
            Refuse numbers that are infinite or NaN.
        has_file_names (`bool`, *optional*, defaults to `False`):
            See [`read_json`].

    Raises:
        ValueError: for anything that is not JSON, is nested absurdly deeply, or holds text that no file could hold.
    """
    text = decoded(source) if isinstance(source, bytes) else source
    num_containers = text.count("[") + text.count("{")
    take_objects(1 + text.count(",") + num_containers)
    if num_containers > MAX_LEVELS and _num_levels(text) > MAX_LEVELS:
        raise ValueError(f"expected JSON of at most {MAX_LEVELS} levels, received more: check how the file was made")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if may_have_lines and error.msg.startswith("Extra data"):
            return _lines_of(text, has_file_names)
        raise ValueError(f"expected JSON, received something else ({one_line(error)}): check the file") from error
    except ValueError as error:  # of a number with thousands of digits
        raise ValueError(f"expected numbers of ordinary length, received a longer one ({one_line(error)})") from error
    if _SURROGATE.search(text):
        _check_text(value, has_file_names)
    if is_finite:
        _check_finite(value)
    return value


def _lines_of(text: str, has_file_names: bool) -> list[Any]:
    values = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                values.append(parsed_json(line, has_file_names=has_file_names))
            except ValueError as error:
                raise type(error)(f"line {number}: {one_line(error)}") from error
    return values


def _num_levels(text: str) -> int:
    raw = text.encode("utf-8", "surrogatepass")
    levels = _deepest(raw)
    return levels if levels <= MAX_LEVELS else _deepest(_STRING.sub(b"", raw))  # brackets within text open nothing


def _deepest(raw: bytes) -> int:
    codes = np.frombuffer(raw, np.uint8) | 0x20  # makes [ a {, and ] a }
    steps = (codes == ord("{")).astype(np.int8) - (codes == ord("}"))
    return int(np.cumsum(steps, dtype=np.int32).max(initial=0))


def _check_text(value: Any, has_file_names: bool) -> None:
    """Refuses lone surrogates, halves of a character, which cannot be printed or stored."""
    try:
        json.dumps(value, ensure_ascii=False).encode(errors="surrogateescape" if has_file_names else "strict")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"expected whole characters, received half of one, {error.object[error.start]!a}: write the text again as "
            "UTF-8"
        ) from error


def _check_finite(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected finite numbers, received {value}: write null where a number is not known")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_finite(item)
