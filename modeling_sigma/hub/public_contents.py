"""What the files of a bundle say once they are public: no secrets, no paths of the machine that made them."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from modeling_sigma.hub.bundle_checks import CheckedBundle, is_hub_name
from modeling_sigma.hub.private_facts import find_secrets, is_secret, without_paths
from modeling_sigma.io.json_text import parsed_json


# What loaders write into the header of a file of weights.
_HEADER_NOTES = frozenset({"format", "total_size", "total_parameters"})
_MODEL_NAMES = ("_name_or_path", "name_or_path")
# Signs, not facts about a machine: a label may look like a path.
_LABELS = ("id2label", "label2id")
_VOCABULARY = "tokenizer.json"
_PNG_START = b"\x89PNG\r\n\x1a\n"
# The parts of a PNG that make the picture; others hold texts, times and places.
_PNG_PARTS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"pHYs"})


def public_contents(bundle: CheckedBundle) -> dict[str, bytes]:
    """The content of every file that is sent, but for the weights, which are sent as they are.

    Paths of this machine are taken out of JSON files and the card, and all but the picture out of pictures. Labels,
    the vocabulary and code stay as they are.

    Args:
        bundle ([`CheckedBundle`]):
            The folder; nothing in it changes.

    Raises:
        ValueError: if a file holds a secret, or cannot be read. The message names every place, and no secret.
    """
    contents: dict[str, bytes] = {}
    problems: list[str] = []
    for path in bundle.files:
        if path.suffix == ".safetensors":
            problems += _foreign_notes(bundle.folder / path)
            continue
        content = (bundle.folder / path).read_bytes()
        try:
            contents[path.name] = public_content(path.name, content)
        except ValueError as error:
            problems.append(f"{path.name} cannot be read ({' '.join(str(error).split())})")
            continue
        problems += secret_problems(path.name, contents[path.name])
    if problems:
        raise ValueError(f"{bundle.folder} cannot be published: {'; '.join(problems)}")
    return contents


def secret_problems(name: str, content: bytes) -> Iterator[str]:
    """One sentence per secret in a file."""
    text = content.decode("utf-8", errors="replace")
    for line, start in find_secrets(text):
        yield f"{name}, line {line}: {start} looks like a secret: take it out, and replace it where it was valid"
    if name.endswith(".json") and name != _VOCABULARY:
        for field in _secret_fields(parsed_json(text)):
            yield f"{name}: the field {field} looks like a secret: take it out, and replace it where it was valid"


def public_json(content: bytes) -> bytes:
    """A JSON file without paths of this machine; the same bytes if it holds none."""
    fields = parsed_json(content)
    public = _without_paths(fields)
    return content if public == fields else (json.dumps(public, indent=2, ensure_ascii=False) + "\n").encode()


def public_content(name: str, content: bytes) -> bytes:
    """The content of a small file as others may see it.

    Raises:
        ValueError: if it is not what its name says.
    """
    if name.endswith(".json") and name != _VOCABULARY:
        return public_json(content)
    if name.endswith(".md"):
        return without_paths(_without_local_base(content.decode("utf-8"))).encode()
    return picture_alone(content) if name.endswith(".png") else content


def _without_local_base(card: str) -> str:
    """A card whose header names as base models only what others find."""
    header, end, body = card.partition("\n---")
    if not card.startswith("---"):
        return card
    local = r"(?m)^(base_model:[ \t]*|[ \t]*- )['\"]?([/~.\\]|[A-Za-z]:[\\/]).*\n"
    return re.sub(local, "", header + "\n").rstrip("\n") + end + body


def _without_paths(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {
            key: inner if key in _LABELS else _without_paths(inner, key)
            for key, inner in value.items()
            if key not in _MODEL_NAMES or is_hub_name(inner)
        }
    if isinstance(value, list):
        return [_without_paths(one, name) for one in value]
    return without_paths(value) if isinstance(value, str) else value


def _secret_fields(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if is_secret(str(name), inner):
                yield str(name)
            elif name not in _LABELS:
                yield from _secret_fields(inner)
    elif isinstance(value, list):
        for one in value:
            yield from _secret_fields(one)


def _foreign_notes(path: Path) -> Iterator[str]:
    with safe_open(path, framework="pt") as file:
        foreign = sorted(set(file.metadata() or {}) - _HEADER_NOTES)
    if foreign:
        yield f"{path.name} has notes in its header ({', '.join(foreign)[:80]}): save it again with save_bundle"


def picture_alone(content: bytes) -> bytes:
    """A PNG without texts, times, places and whatever follows its end.

    Raises:
        ValueError: if it is not a PNG.
    """
    if not content.startswith(_PNG_START):
        raise ValueError("expected a PNG")
    parts, place, kind = [_PNG_START], len(_PNG_START), b""
    while kind != b"IEND":
        if place + 12 > len(content):
            raise ValueError("expected a PNG with an end")
        size, kind = struct.unpack(">I4s", content[place : place + 8])
        if kind in _PNG_PARTS:
            parts.append(content[place : place + 12 + size])
        place += 12 + size
    return b"".join(parts)
