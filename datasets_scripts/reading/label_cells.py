"""What the cells of label tables mean: glosses and sentences, also where a program printed a list into them."""

from __future__ import annotations

import re
from typing import Any

from modeling_sigma.io.reading_errors import shown


# What programs write where a number is not known.
UNKNOWN_CELLS = frozenset({"", "-", "nan", "none", "null", "na", "n/a", "nat", "<na>"})

# A cell with nothing else than what Python and pandas write for a text that is not there.
_NO_TEXT = frozenset({"nan", "NaN", "None", "<NA>"})

# `['A', 'B']`, `("A",)` and `{'A', 'B'}` of Python, `["A"]` of JSON, `['A' 'B']` of numpy, also as
# `array([...], dtype=object)`, `Index([...])` and the like.
_ARRAY = re.compile(r"[A-Za-z][\w.]*\(\s*(\[.*\])\s*(?:,\s*\w+=[^\]]*)?\)", re.DOTALL)
_PRINTED_LIST = re.compile(r"\[(.*)\]|\((.*)\)|\{(\s*['\"].*)\}", re.DOTALL)
_ITEM = re.compile(
    r"""\s*(?:(?:np\.str_\()?(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\)?|([^\s,'"\[\]{}][^\s,\[\]{}]*))\s*(,|(?=\s|$|['"]))""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}

# Between glosses of one cell: spaces, `;` and `|`, and commas that are not inside of a word or number ("3,5"). Bars in
# front of a gloss are part of it in some conventions.
_BETWEEN_GLOSSES = re.compile(r"\s*;\s*|(?<=[^\s|])\s*\|\s*(?=[^\s|])|,\s+|\s+,|,$|\s+")


def glosses_of(value: Any, where: str = "labels") -> tuple[str, ...]:
    """The glosses of a label: a list of them, a printed list, or text with spaces, commas, `;` or `|` in between.

    Args:
        value (`str`, `list` or None):
            The cell.
        where (`str`, *optional*):
            The file and line, for messages.

    Raises:
        ValueError: for a printed list that cannot be read.

    Example:

    ```python
    >>> from datasets_scripts.reading.label_cells import glosses_of
    >>> glosses_of("HELLO YOU"), glosses_of("['HELLO', 'YOU']"), glosses_of("HELLO|YOU")
    (('HELLO', 'YOU'), ('HELLO', 'YOU'), ('HELLO', 'YOU'))

    ```
    """
    if value is None:
        return ()
    if not isinstance(value, str):
        return tuple(map(str, value))
    items = printed_items(value, where)
    if items is not None:
        return tuple(items)
    text = " ".join(value.split())  # in long runs of spaces, the search for what is between glosses would take hours
    if text in _NO_TEXT:
        return ()
    if "," in text and not re.search(r"\s", text):
        text = re.sub(r",(?!\d)|(?<!\d),", " ", text)
    return tuple(gloss for gloss in _BETWEEN_GLOSSES.split(text) if gloss)


def sentence_of(value: str, where: str) -> str:
    """The text of a cell; of a printed list with one text, that text.

    Raises:
        ValueError: for a printed list of several.
    """
    items = printed_items(value, where) if re.match(r"""\s*\[\s*['"]""", value) else None
    if items is None:
        text = value.strip()
        return "" if text in _NO_TEXT else text
    if len(items) != 1:
        raise ValueError(
            f"{where}: expected a text, received a list of {len(items)}, {shown(value)}: write one text, or call the "
            "column gloss if it holds glosses"
        )
    return items[0].strip()


def printed_items(text: str, where: str) -> list[str] | None:
    """The items of a list that a program printed; None for any other text, such as the gloss `[UNKNOWN]`.

    Raises:
        ValueError: for a list of other things than words.
    """
    array = _ARRAY.fullmatch(text.strip())
    match = _PRINTED_LIST.fullmatch(array.group(1) if array else text.strip())
    if match is None:
        return None
    inside = (match.group(1) or match.group(2) or match.group(3) or "").strip()
    if not inside:
        return []
    if not re.search(r"""^['"]|\(['"]|[\s,]""", inside) or (match.group(2) and inside[0] not in "'\""):
        return None  # one word in brackets, or words in parentheses, are glosses
    items, position = [], 0
    while position < len(inside):
        found = _ITEM.match(inside, position)
        if found is None or (found.group(3) or "A").lower() in (*UNKNOWN_CELLS, "..."):
            if "][" in inside.replace(" ", ""):
                return None  # several glosses in brackets
            raise ValueError(
                f"{where}: expected glosses, received something like a list that cannot be read, {shown(text)}: "
                "separate them by spaces"
            )
        single, double, bare = found.group(1, 2, 3)
        items.append(bare if bare is not None else _ESCAPE.sub(_unescaped, single if single is not None else double))
        position = found.end()
    return items


def _unescaped(match: re.Match[str]) -> str:
    code = match.group(1)
    return chr(int(code[1:], 16)) if code[0] in "ux" and len(code) > 1 else _ESCAPED.get(code, code)
