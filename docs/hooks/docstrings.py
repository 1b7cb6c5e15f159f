"""The public names of `modeling_sigma` as Markdown, from their docstrings, which are in Hugging Face's style."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any


_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example|Source):[ ]*(.*)$")
_NAMED = re.compile(r"^([\w, *]+?) \((.*)\):[ ]*(.*)$")
_ERROR = re.compile(r"^([\w, ]+):[ ]*(.*)$")


def reference() -> str:
    """One chapter per public class and function."""
    import modeling_sigma

    names = sorted(modeling_sigma.__all__, key=str.lower)
    values = {name: getattr(modeling_sigma, name) for name in names}
    documented = {name: v for name, v in values.items() if inspect.isclass(v) or inspect.isfunction(v)}
    text = "\n".join("\n".join(_chapter(name, value)) for name, value in documented.items())
    # [`Name`] leads to its chapter, if it has one.
    return re.sub(r"\[`(\w+)`\](?!\()", lambda m: _link(m[1], documented), text)


def _link(name: str, documented: dict[str, Any]) -> str:
    return f"[`{name}`](#{name.lower()})" if name in documented else f"`{name}`"


def _chapter(name: str, value: Any) -> Iterator[str]:
    yield f"## {name}\n".replace("_", r"\_")  # no emphasis
    yield _signature(name, value)
    yield markdown(inspect.getdoc(value) or "")
    if inspect.isclass(value):
        for method_name, member in vars(value).items():
            method = getattr(member, "__func__", member)
            if inspect.isfunction(method) and method.__doc__ and (method_name[0] != "_" or method_name == "__call__"):
                yield f"### {name}.{method_name}\n".replace("_", r"\_")  # no emphasis
                yield _signature(method_name, method)
                yield markdown(inspect.getdoc(method) or "")


def _signature(name: str, value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    shown = [
        parameter.replace(annotation=parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    line = f"{name}{signature.replace(parameters=shown, return_annotation=signature.empty)}"
    return "```python\n" + "\n".join(textwrap.wrap(line, 100, subsequent_indent="    ")) + "\n```\n"


def markdown(docstring: str) -> str:
    """A docstring whose sections become headings in bold, and whose arguments become lists."""
    parts, section, lines = [], "", []
    for line in [*docstring.splitlines(), "Args:"]:
        if found := _SECTION.match(line):
            parts.append(_section(section, "\n".join(lines)))
            section, lines = found[1], [found[2]] if found[2] else []
        else:
            lines.append(line)
    return "\n".join(parts)


def _section(name: str, text: str) -> str:
    text = textwrap.dedent(text).strip("\n")
    if not text:
        return ""
    if name in ("Args", "Attributes"):
        return f"**{name}**\n\n" + "\n".join(_items(text, _NAMED, "- **`{0}`** ({1}): {2}")) + "\n"
    if name == "Raises":
        return "**Raises**\n\n" + "\n".join(_items(text, _ERROR, "- `{0}`: {1}")) + "\n"
    return f"**{name}**\n\n{text}\n" if name else text + "\n"


def _items(text: str, pattern: re.Pattern[str], form: str) -> Iterator[str]:
    """Whatever begins at the margin is an item; what is indented goes on with it."""
    for block in re.split(r"\n(?=\S)", text):
        first, *rest = block.splitlines()
        found = pattern.match(first)
        body = " ".join(line.strip() for line in rest)
        if found is None:
            yield f"- {first} {body}"
            continue
        *heads, begin = found.groups()
        yield form.format(*heads, f"{begin} {body}".strip())
