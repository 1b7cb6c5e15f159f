"""Writes `.eaf` files as ELAN 6 does: format 3.0, attributes in alphabetical order, times in whole milliseconds."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, SubElement, indent, tostring
from xml.sax.saxutils import escape

from modeling_sigma.io.annotations.annotation import AnnotatedRecording, Annotation, Tier
from modeling_sigma.io.annotations.eaf_reading import GUESS_TYPE, MODEL_PROPERTY
from modeling_sigma.io.reading_errors import shown


_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
_ROOT = (
    '<ANNOTATION_DOCUMENT AUTHOR="" DATE="{date}" FORMAT="3.0" VERSION="3.0" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">'
)
_TYPE, _VOCABULARY, _LANGUAGE = "default-lt", "signs", "und"
_GUESS_SUFFIX = " guesses"
# ELAN writes all four, with these words, whichever a file uses.
_CONSTRAINTS = (
    (
        "Time_Subdivision",
        "Time subdivision of parent annotation's time interval, no time gaps allowed within this interval",
    ),
    (
        "Symbolic_Subdivision",
        "Symbolic subdivision of a parent annotation. Annotations refering to the same parent are ordered",
    ),
    ("Symbolic_Association", "1-1 association with a parent annotation"),
    ("Included_In", "Time alignable annotations within the parent annotation's time interval, gaps are allowed"),
)
_VIDEO_TYPES = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".mpg": "video/mpeg", ".mpeg": "video/mpeg",
    ".avi": "video/x-msvideo", ".mkv": "video/x-matroska", ".webm": "video/webm",
}  # fmt: skip
# What XML 1.0 has no way to write.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_OUR_IDS = uuid.UUID("5a1e0c3e-7a53-5d0c-9f53-16f2a1c1d2e4")  # any constant: the same file gets the same ids


def eaf_text(recording: AnnotatedRecording) -> str:
    """The content of a `.eaf` file.

    Annotations of one tier cannot overlap in ELAN: those that do go into further tiers of the same name and a number.
    What a model took a sign for hangs on the sign, in a tier `<name> guesses`. Tiers that hung on others in the file
    that the annotations come from stand by themselves, with their times.

    Raises:
        ValueError: for text that XML cannot hold, such as a zero byte.
    """
    _check_writable(recording)
    tiers = list(_tiers_without_overlaps(recording))
    entries = {value: f"cveid_{uuid.uuid5(_OUR_IDS, value)}" for value in recording.vocabulary if value}
    order, references = _time_slots([row for _, rows in tiers for row in rows])
    elements: list[Element] = []
    number = 0
    for tier, rows in tiers:
        signs = _tier_element(tier.name, _TYPE, tier.participant)
        guesses = _tier_element(tier.name + _GUESS_SUFFIX, GUESS_TYPE, tier.participant, tier.name)
        for row in rows:
            number += 1
            parent, (start, end) = f"a{number}", next(references)
            reference = {"CVE_REF": entries[row.value]} if row.value in entries else {}
            times = {"TIME_SLOT_REF1": start, "TIME_SLOT_REF2": end}
            _add(signs, "ALIGNABLE_ANNOTATION", row.value, {"ANNOTATION_ID": parent, **reference, **times})
            for place, (label, score) in enumerate(row.scores):
                number += 1
                previous = {"PREVIOUS_ANNOTATION": f"a{number - 1}"} if place else {}
                attributes = {"ANNOTATION_ID": f"a{number}", "ANNOTATION_REF": parent, **previous}
                _add(guesses, "REF_ANNOTATION", f"{label} {score:.3f}", attributes)
        elements += [signs, guesses] if len(guesses) else [signs]
    has_guesses = any(row.scores for _, rows in tiers for row in rows)
    elements += [*_types(bool(entries), has_guesses), *_vocabulary(entries)]
    body = [_serialized(element) for element in (order, *elements)]
    first = [_serialized(element) for element in (_license(), _header(recording, number, "".join(body)))]
    date = recording.date or datetime.now().astimezone().isoformat(timespec="seconds")
    root = _ROOT.format(date=escape(date, {'"': "&quot;"}))
    return "\n".join([_DECLARATION, root, *first, *body, "</ANNOTATION_DOCUMENT>", ""])


def _check_writable(recording: AnnotatedRecording) -> None:
    texts = [recording.model or "", recording.date or "", *recording.media, *recording.vocabulary]
    texts += [f"{tier.name}{tier.participant or ''}" for tier in recording.all_tiers()]
    texts += [text for row in recording.annotations for text in (row.value, *(label for label, _ in row.scores))]
    for text in texts:
        if found := _UNWRITABLE.search(text):
            raise ValueError(f"expected text that XML can hold, received the character {shown(found[0])}: remove it")


def _tiers_without_overlaps(recording: AnnotatedRecording) -> Iterator[tuple[Tier, list[Annotation]]]:
    names = {tier.name for tier in recording.all_tiers()}
    for tier in recording.all_tiers():
        layers: list[list[Annotation]] = [[]]
        for annotation in recording.in_tier(tier.name):
            free = [rows for rows in layers if not rows or rows[-1].end <= annotation.start]
            if not free:
                layers.append([])
            (free or layers[-1:])[0].append(annotation)
        yield tier, layers[0]
        number = 2
        for rows in layers[1:]:
            while f"{tier.name} {number}" in names:
                number += 1
            names.add(f"{tier.name} {number}")
            yield Tier(f"{tier.name} {number}", tier.participant), rows


def _time_slots(rows: list[Annotation]) -> tuple[Element, Iterator[tuple[str, str]]]:
    """The time order, and for each annotation two slots of its own: who moves one in ELAN moves none of the others."""
    times = [round(1000 * seconds) for row in rows for seconds in (row.start, row.end)]
    order, names = Element("TIME_ORDER"), [""] * len(times)
    for number, index in enumerate(sorted(range(len(times)), key=times.__getitem__), 1):
        names[index] = f"ts{number}"
        SubElement(order, "TIME_SLOT", TIME_SLOT_ID=names[index], TIME_VALUE=str(times[index]))
    return order, zip(names[::2], names[1::2])


def _license() -> Element:
    return Element("LICENSE", LICENSE_URL="")


def _header(recording: AnnotatedRecording, last_id: int, content: str) -> Element:
    header = Element("HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    others = []
    for media in recording.media:
        url = media if "://" in media or media.startswith(("/", "../")) else f"./{media}"
        kind = _VIDEO_TYPES.get(PurePosixPath(media).suffix.lower())
        if kind is None:
            others.append(url)
        else:
            SubElement(header, "MEDIA_DESCRIPTOR", MEDIA_URL=url, MIME_TYPE=kind, RELATIVE_MEDIA_URL=url)
    for url in others:
        SubElement(header, "LINKED_FILE_DESCRIPTOR", LINK_URL=url, MIME_TYPE="unknown", RELATIVE_LINK_URL=url)
    properties = {
        "URN": f"urn:nl-mpi-tools-elan-eaf:{uuid.uuid5(_OUR_IDS, content)}",
        **({MODEL_PROPERTY: recording.model} if recording.model else {}),
        "lastUsedAnnotationId": str(last_id),
    }
    for name, value in properties.items():
        SubElement(header, "PROPERTY", NAME=name).text = value
    return header


def _tier_element(name: str, kind: str, participant: str | None, parent: str | None = None) -> Element:
    attributes = {"LINGUISTIC_TYPE_REF": kind, "PARENT_REF": parent, "PARTICIPANT": participant, "TIER_ID": name}
    return Element("TIER", {key: value for key, value in attributes.items() if value})


def _add(tier: Element, kind: str, value: str, attributes: dict[str, str]) -> None:
    element = SubElement(SubElement(tier, "ANNOTATION"), kind, attributes)
    SubElement(element, "ANNOTATION_VALUE").text = value.replace("\r\n", "\n").replace("\r", "\n")


def _types(has_vocabulary: bool, has_guesses: bool) -> Iterator[Element]:
    vocabulary = {"CONTROLLED_VOCABULARY_REF": _VOCABULARY} if has_vocabulary else {}
    common = {"GRAPHIC_REFERENCES": "false"}
    yield Element("LINGUISTIC_TYPE", vocabulary | common, LINGUISTIC_TYPE_ID=_TYPE, TIME_ALIGNABLE="true")
    if has_guesses:
        constraint = {"CONSTRAINTS": "Symbolic_Subdivision"}
        yield Element("LINGUISTIC_TYPE", constraint | common, LINGUISTIC_TYPE_ID=GUESS_TYPE, TIME_ALIGNABLE="false")
    if has_vocabulary:
        # How ELAN writes a vocabulary whose language nobody has stated.
        definition = "http://cdb.iso.org/lg/CDB-00130975-001"
        yield Element("LANGUAGE", LANG_DEF=definition, LANG_ID=_LANGUAGE, LANG_LABEL="undetermined (und)")
    for name, description in _CONSTRAINTS:
        yield Element("CONSTRAINT", DESCRIPTION=description, STEREOTYPE=name)


def _vocabulary(entries: dict[str, str]) -> Iterator[Element]:
    if entries:
        vocabulary = Element("CONTROLLED_VOCABULARY", CV_ID=_VOCABULARY)
        SubElement(vocabulary, "DESCRIPTION", LANG_REF=_LANGUAGE)
        for value, name in entries.items():
            entry = SubElement(vocabulary, "CV_ENTRY_ML", CVE_ID=name)
            SubElement(entry, "CVE_VALUE", DESCRIPTION="", LANG_REF=_LANGUAGE).text = value
        yield vocabulary


def _serialized(element: Element) -> str:
    indent(element, "    ", 1)
    # ElementTree puts a space before "/>", ELAN does not. Within text and attributes, ">" is written "&gt;".
    return "    " + tostring(element, encoding="unicode").replace(" />", "/>").rstrip()
