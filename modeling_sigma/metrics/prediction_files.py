"""Files of predictions and references: plain text, JSON, JSON lines, and the dumps of the field's code.

| file | content |
|---|---|
| text | one sample per line; an empty line is an empty text |
| dump | `sample: ID, prediction: TEXT` (or `ground-truth:`) per line; other lines continue the text |
| `.json` | a list of texts, a list of objects, or an object ID -> text (or ID -> object) |
| `.jsonl` | one text or object per line |

An object may name its sample (`sample_id`, `id` or `name`). Where both files name their samples, the names decide
which texts belong together, else the order. A list instead of a text is a sentence's words, or the candidates for a
label.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_sigma.io.json_text import read_json, read_json_lines
from modeling_sigma.io.reading_budget import reading_budget, take_objects
from modeling_sigma.io.text_files import read_text


ID_FIELDS = ("sample_id", "id", "name")
PREDICTION_FIELDS = {
    "slt": ("prediction", "text", "translation"),
    "cslr": ("prediction", "gloss", "text"),
    "islr": ("prediction", "candidates", "label", "gloss", "text"),
}
REFERENCE_FIELDS = {
    "slt": ("reference", "text", "translation"),
    "cslr": ("reference", "gloss", "text"),
    "islr": ("reference", "label", "gloss", "text"),
}

_DUMP_LINE = re.compile(r"sample: (?P<id>.*?), (?:prediction|ground-truth|reference):(?: (?P<text>.*))?")


@dataclass(frozen=True)
class SampleTexts:
    """The content of a file.

    Args:
        path (`str`):
            Where it comes from, for messages.
        values (`list`):
            One entry for each sample, a string or what the JSON file holds instead.
        sample_ids (`list[str]`, *optional*):
            The names of the samples, where the file has them.
    """

    path: str
    values: list[Any]
    sample_ids: list[str] | None = None


def read_sample_texts(path: str | Path, fields: Sequence[str] = ("text",)) -> SampleTexts:
    """Reads a file of predictions or references; the formats are those of this module's table.

    Args:
        path (`str` or `Path`):
            The suffixes `.json` and `.jsonl` are JSON, every other file is text in UTF-8.
        fields (`Sequence[str]`, defaults to `("text",)`):
            Which field of an object holds the text, by preference.

    Returns:
        [`SampleTexts`]: the entries in the order of the file.

    Raises:
        ValueError: for text that is not UTF-8, broken JSON, or objects without any of the fields.
        OSError: for a file that cannot be read.
    """
    path = Path(path)
    what, suffix = "texts (plain, JSON or JSON lines)", path.suffix.lower()
    if suffix in (".json", ".jsonl"):
        return _from_json((read_json if suffix == ".json" else read_json_lines)(path, what), fields, path)
    with reading_budget(path):
        content = read_text(path, what)
        take_objects(content.count("\n"))
    lines = content.split("\n")  # not splitlines(), which also splits at characters that sentences may hold
    if lines[-1] == "":
        lines.pop()
    return _from_dump(lines, path) if lines and _DUMP_LINE.fullmatch(lines[0]) else SampleTexts(str(path), lines)


def pair_samples(predictions: SampleTexts, references: SampleTexts) -> tuple[list[Any], list[Any]]:
    """Puts predictions into the order of the references.

    Args:
        predictions, references ([`SampleTexts`]):
            With sample ids in both, these are matched; else the order counts.

    Returns:
        `tuple[list, list]`: predictions and references of equal length.

    Raises:
        ValueError: for unequal numbers of samples, or ids that do not match one to one.
    """
    if len(predictions.values) != len(references.values):
        raise ValueError(
            f"expected as many samples in {predictions.path} as in {references.path}, received "
            f"{len(predictions.values)} and {len(references.values)}: give one prediction for each reference"
        )
    ids, reference_ids = predictions.sample_ids, references.sample_ids
    if ids is None or reference_ids is None or ids == reference_ids:
        return predictions.values, references.values
    values = dict(zip(ids, predictions.values))
    missing = [sample_id for sample_id in reference_ids if sample_id not in values]
    if missing or len(values) < len(ids) or len(set(reference_ids)) < len(reference_ids):
        cause = f"{len(missing)} are missing, such as {missing[0]!r}" if missing else "some occur twice"
        raise ValueError(
            f"expected the sample ids of {references.path} in {predictions.path}, {cause}: "
            "predict on the same split, or leave the ids out to pair by order"
        )
    return [values[sample_id] for sample_id in reference_ids], references.values


def _from_dump(lines: list[str], path: Path) -> SampleTexts:
    sample_ids: list[str] = []
    texts: list[str] = []
    for line in lines:
        match = _DUMP_LINE.fullmatch(line)
        if match is not None:
            sample_ids.append(match["id"])
            texts.append(match["text"] or "")
        elif line.strip():
            texts[-1] += "\n" + line
    return SampleTexts(str(path), texts, sample_ids)


def _from_json(data: Any, fields: Sequence[str], path: Path) -> SampleTexts:
    if isinstance(data, dict):
        values = [_value(entry, fields, path) for entry in data.values()]
        return SampleTexts(str(path), values, list(data))
    if not isinstance(data, list):
        raise ValueError(
            f"expected a list or an object in {path}, received {type(data).__name__}: give one entry per sample"
        )
    ids = [_sample_id(entry) for entry in data]
    named = [sample_id for sample_id in ids if sample_id is not None]
    return SampleTexts(
        str(path), [_value(entry, fields, path) for entry in data], named if len(named) == len(ids) else None
    )


def _sample_id(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return None
    return next((str(entry[field]) for field in ID_FIELDS if field in entry), None)


def _value(entry: Any, fields: Sequence[str], path: Path) -> Any:
    if not isinstance(entry, dict):
        return entry
    for field in fields:
        if field in entry:
            return entry[field]
    raise ValueError(f"expected one of the fields {list(fields)} in {path}, received {list(entry)}: rename the field")
