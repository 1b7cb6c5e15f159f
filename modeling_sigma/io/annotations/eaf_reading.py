"""Reads ELAN's `.eaf` files, with tiers that hang on other tiers: their annotations have their parents' times."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element

from modeling_sigma.io.annotations.annotation import AnnotatedRecording, Annotation, Tier
from modeling_sigma.io.annotations.safe_xml import parsed_xml
from modeling_sigma.io.reading_budget import check_time, file_bytes, reading_budget
from modeling_sigma.io.reading_errors import naming_file, shown


# Tiers of this linguistic type hold what a model took a sign for: `book 0.271`. `eaf_writing` makes them.
GUESS_TYPE = "guess"
MODEL_PROPERTY = "model"

_GUESS = re.compile(r"(.*) ([01]\.\d+)", re.DOTALL)
_ALIGNABLE, _REFERRING = "ALIGNABLE_ANNOTATION", "REF_ANNOTATION"
_Span = tuple[float, float]


@dataclass(frozen=True)
class _Row:
    """An annotation as the file has it: with two time slots, or with the annotation that it hangs on."""

    tier: str
    value: str
    slots: tuple[str, str] | None = None
    parent: str | None = None
    previous: str | None = None


def read_eaf(path: str | os.PathLike[str]) -> AnnotatedRecording:
    """The annotations of an ELAN file.

    An annotation without times of its own has those of the annotation that it hangs on; several that divide one share
    its time evenly, in their order. Times that ELAN has left open lie evenly between the nearest that are known.

    Args:
        path (`str` or `os.PathLike`):
            A `.eaf` file of any version.

    Raises:
        ValueError: for anything else, or for annotations that refer to what is not there.
        OSError: if the file cannot be read.
    """
    with reading_budget(path):
        raw = file_bytes(Path(path))
        with naming_file(path, "an ELAN file"):
            return _recording_of(parsed_xml(raw))


def _recording_of(root: Element) -> AnnotatedRecording:
    if root.tag != "ANNOTATION_DOCUMENT":
        raise ValueError(f"expected ANNOTATION_DOCUMENT as its root, received {shown(root.tag)}: is it a .eaf file?")
    header = root.find("HEADER")
    units = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if units != "milliseconds":
        raise ValueError(f"expected times in milliseconds, received {shown(units)}: save it with ELAN 6")
    tiers: list[Tier] = []
    rows: dict[str, _Row] = {}
    types: dict[str, str] = {}
    for element in root.findall("TIER"):
        tier = Tier(_needed(element, "TIER_ID"), element.get("PARTICIPANT") or None, element.get("PARENT_REF"))
        tiers.append(tier)
        types[tier.name] = element.get("LINGUISTIC_TYPE_REF", "")
        for identifier, row in _rows_of(element, tier.name):
            if identifier in rows:
                raise ValueError(
                    f"expected every ANNOTATION_ID once, received {shown(identifier)} in the tiers "
                    f"{shown(rows[identifier].tier)} and {shown(tier.name)}: number one of them anew"
                )
            rows[identifier] = row
    known = {tier.name: tier for tier in tiers}
    if len(known) < len(tiers):
        raise ValueError(f"expected every TIER_ID once among {len(tiers)} tiers: rename those that are alike")
    spans = _spans_of(rows, _slot_times(root, rows))
    annotations = {
        identifier: Annotation(*spans[identifier], row.value, row.tier, known[row.tier].participant)
        for identifier, row in rows.items()
    }
    guessing = {name for name, kind in types.items() if kind == GUESS_TYPE and known[name].parent is not None}
    _take_guesses(annotations, rows, guessing)
    media = [] if header is None else _media_of(header)
    model = None if header is None else _model_of(header)
    return AnnotatedRecording(
        tuple(annotations.values()),
        tuple(tier for tier in tiers if tier.name not in guessing),
        tuple(media),
        model,
        tuple(_vocabulary_of(root)),
        root.get("DATE") or None,
    )


def _rows_of(tier: Element, name: str) -> Iterable[tuple[str, _Row]]:
    for element in tier.iterfind("ANNOTATION/*"):
        value = element.findtext("ANNOTATION_VALUE") or ""
        identifier = _needed(element, "ANNOTATION_ID")
        if element.tag == _ALIGNABLE:
            slots = _needed(element, "TIME_SLOT_REF1"), _needed(element, "TIME_SLOT_REF2")
            yield identifier, _Row(name, value, slots)
        elif element.tag == _REFERRING:
            parent, previous = _needed(element, "ANNOTATION_REF"), element.get("PREVIOUS_ANNOTATION")
            yield identifier, _Row(name, value, None, parent, previous)


def _needed(element: Element, name: str) -> str:
    value = element.get(name)
    if not value:
        raise ValueError(f"expected {element.tag} with {name}, received none: save the file with ELAN again")
    return value


def _slot_times(root: Element, rows: dict[str, _Row]) -> dict[str, float]:
    """Seconds of every time slot."""
    times: dict[str, float | None] = {}
    for slot in root.iterfind("TIME_ORDER/TIME_SLOT"):
        text = slot.get("TIME_VALUE")
        if text is not None and not re.fullmatch(r"\d{1,15}", text.strip()):
            raise ValueError(f"expected whole milliseconds in TIME_VALUE, received {shown(text)}: correct it")
        times[_needed(slot, "TIME_SLOT_ID")] = None if text is None else int(text) / 1000
    _fill_open_times(times, rows)
    return {name: time for name, time in times.items() if time is not None}


def _fill_open_times(times: dict[str, float | None], rows: dict[str, _Row]) -> None:
    """Annotations of a tier that follow one another without a gap share their slots: a chain from one known time to
    the next. Several tiers may divide the same time, from the same slot on.
    """
    following: dict[tuple[str, str], str] = {}
    for row in rows.values():
        if row.slots is not None and row.slots[0] in times and row.slots[1] in times:
            following[row.tier, row.slots[0]] = row.slots[1]
    starts = [key for key, stop in following.items() if times[key[1]] is not None and times[stop] is None]
    for tier, start in starts:
        chain = [start]
        while times[chain[-1]] is None or len(chain) == 1:
            if (tier, chain[-1]) not in following or len(chain) > len(times):
                raise ValueError(
                    f"expected a time after the time slot {shown(start)}, received none: give its annotation an end"
                )
            chain.append(following[tier, chain[-1]])
        first, last = times[start], times[chain[-1]]
        assert first is not None and last is not None
        for place, slot in enumerate(chain[1:-1], 1):
            times[slot] = first + (last - first) * place / (len(chain) - 1)


def _spans_of(rows: dict[str, _Row], times: dict[str, float]) -> dict[str, _Span]:
    """Start and end of every annotation, in seconds."""
    children: dict[tuple[str, str], list[str]] = {}  # tier and parent -> annotations
    for identifier, row in rows.items():
        if row.parent is not None:
            children.setdefault((row.tier, row.parent), []).append(identifier)
    spans: dict[str, _Span] = {}
    for identifier, row in rows.items():
        if row.slots is not None:
            if missing := [slot for slot in row.slots if slot not in times]:
                raise ValueError(
                    f"annotation {shown(identifier)} refers to the time slot {shown(missing[0])}, which has no time"
                )
            start, end = (times[slot] for slot in row.slots)
            if end < start:
                raise ValueError(
                    f"expected annotation {shown(identifier)} to end after its start, received {start:g} to {end:g} s"
                )
            spans[identifier] = start, end
    by_parent: dict[str, list[list[str]]] = {}
    for (_, parent), siblings in children.items():
        if parent not in rows:
            raise ValueError(f"annotation {shown(siblings[0])} hangs on {shown(parent)}, which is not there")
        by_parent.setdefault(parent, []).append(_in_order(siblings, rows))
    waiting = list(spans)
    while waiting:  # from the annotations with times down to those that hang on them, however deeply
        check_time()
        parent = waiting.pop()
        start, end = spans[parent]
        for siblings in by_parent.get(parent, ()):
            bounds = [start + (end - start) * place / len(siblings) for place in range(len(siblings))] + [end]
            for place, identifier in enumerate(siblings):
                spans[identifier] = bounds[place], bounds[place + 1]
                waiting.append(identifier)
    if circular := [identifier for identifier in rows if identifier not in spans]:
        raise ValueError(f"annotation {shown(circular[0])} hangs on itself in the end: correct its ANNOTATION_REF")
    return spans


def _in_order(siblings: list[str], rows: dict[str, _Row]) -> list[str]:
    """Annotations that divide one: each names the one before."""
    following = {rows[identifier].previous: identifier for identifier in siblings}
    ordered: list[str] = []
    current = following.get(None)
    while current is not None and len(ordered) < len(siblings):
        ordered.append(current)
        current = following.get(current)
    return ordered if len(ordered) == len(siblings) else siblings  # the order of the file, where the chain is broken


def _take_guesses(annotations: dict[str, Annotation], rows: dict[str, _Row], guessing: set[str]) -> None:
    """Moves what our own guess tiers hold into the annotations that they hang on."""
    guesses: dict[str, list[str]] = {}
    for identifier, row in rows.items():
        if row.tier in guessing and row.parent is not None:
            guesses.setdefault(row.parent, []).append(identifier)
            del annotations[identifier]
    for parent, identifiers in guesses.items():
        found = [_GUESS.fullmatch(rows[identifier].value) for identifier in _in_order(identifiers, rows)]
        scores = tuple((guess[1], float(guess[2])) for guess in found if guess is not None)
        annotations[parent] = replace(annotations[parent], scores=scores)


def _media_of(header: Element) -> list[str]:
    found = [
        element.get(relative) or element.get(absolute) or ""
        for name, relative, absolute in (
            ("MEDIA_DESCRIPTOR", "RELATIVE_MEDIA_URL", "MEDIA_URL"),
            ("LINKED_FILE_DESCRIPTOR", "RELATIVE_LINK_URL", "LINK_URL"),
        )
        for element in header.findall(name)
    ]
    found.append(header.get("MEDIA_FILE") or "")  # of ELAN 1
    return [media.removeprefix("./") for media in found if media]


def _model_of(header: Element) -> str | None:
    for element in header.findall("PROPERTY"):
        if element.get("NAME") == MODEL_PROPERTY:
            return element.text or None
    return None


def _vocabulary_of(root: Element) -> list[str]:
    """The values of the first controlled vocabulary whose entries are in the file; those of other languages than the
    first are left out.
    """
    for vocabulary in root.findall("CONTROLLED_VOCABULARY"):
        values = [
            entry.findtext("CVE_VALUE") if entry.tag == "CV_ENTRY_ML" else entry.text
            for entry in vocabulary
            if entry.tag in ("CV_ENTRY_ML", "CV_ENTRY")
        ]
        if values:
            return [value for value in values if value]
    return []
