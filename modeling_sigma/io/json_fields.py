"""Whether the fields of a JSON object are what they should be: text, numbers, lists, objects."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from modeling_sigma.io.reading_errors import shown


_NAMES: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    NoneType: "null",
}


def check_fields(content: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Refuses fields of another type than they should have. Missing fields and further ones are left to others.

    Args:
        content (`dict`):
            The object.
        kinds (`dict`):
            Name -> type, such as `str`, `float | None`, `list[str]` or `dict[str, list[float]]`.

    Raises:
        ValueError: for the first such field, saying what was expected.

    Example:

    ```python
    >>> from modeling_sigma.io.json_fields import check_fields
    >>> check_fields({"tasks": ["slt"], "note": None}, {"tasks": list[str], "note": str | None})
    >>> check_fields({"tasks": "slt"}, {"tasks": list[str]})
    Traceback (most recent call last):
        ...
    ValueError: expected tasks as a list of text, received 'slt': correct it

    ```
    """
    for name, kind in kinds.items():
        if name in content and not _fits(content[name], kind):
            raise ValueError(f"expected {name} as {_described(kind)}, received {shown(content[name])}: correct it")


def _fits(value: Any, kind: Any) -> bool:
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is list:
        return isinstance(value, list) and all(_fits(item, parts[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(item, parts[1]) for item in value.values())
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _described(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(_described(part) for part in parts)
    if origin is list:
        return f"a list of {_described(parts[0])}"
    if origin is dict:
        return f"an object of {_described(parts[1])}"
    return _NAMES.get(kind, "an object")
