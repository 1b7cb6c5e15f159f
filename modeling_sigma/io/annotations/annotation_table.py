"""Tables of annotations: ELAN's tab-delimited export in its shapes, and our own `.tsv`."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modeling_sigma.io.annotations.annotation import DEFAULT_TIER, AnnotatedRecording, Annotation
from modeling_sigma.io.reading_budget import check_time, reading_budget, take_objects
from modeling_sigma.io.reading_errors import listed, naming_file, shown
from modeling_sigma.io.text_files import read_text


_COLUMNS = ("tier", "participant", "start", "end", "value", "scores")
_OUR_TIMES = ("start", "end")

_CLOCK = re.compile(r"(\d{1,6}):([0-5]?\d):([0-5]?\d(?:[.,]\d+)?)")
_SECONDS = re.compile(r"\d{1,12}[.,]\d+")
_MILLISECONDS = re.compile(r"\d{1,15}")
_FRAMES = re.compile(r"\d{1,6}:\d\d:\d\d:\d\d")

# ELAN translates "Begin Time" into the user's language, not the format that follows it.
_TIME_HEADING = re.compile(r"(.+) - (hh:mm:ss\.ms|ss\.msec|msec|hh:mm:ss:ff.*)", re.IGNORECASE)
_UNTRANSLATED = {"tier": "tier", "participant": "participant", "annotation": "value", "value": "value"}
_SCORE = re.compile(r"(.*) ([01](?:\.\d+)?)", re.DOTALL)


@dataclass(frozen=True)
class _Columns:
    """Which column holds what; `values` are the columns of annotations, with the tier of each, or None to read it."""

    start: int
    end: int
    tier: int | None
    participant: int | None
    values: tuple[tuple[int, str | None], ...]
    scores: int | None = None
    unit: str = ""


def read_annotation_table(path: str | os.PathLike[str]) -> AnnotatedRecording:
    """The annotations of a table: what ELAN exports as tab-delimited text (or csv), or what we write as `.tsv`.

    ELAN writes a row for each annotation, with or without a row of names, or a column for each tier. Times may be in
    any of its formats but SMPTE codes alone, whose frame rate the table does not state.

    Raises:
        ValueError: for another table; the message names the line.
        OSError: if the file cannot be read.
    """
    with reading_budget(path):
        text = read_text(path, "annotations")
        with naming_file(path, "annotations"):
            take_objects(2 * text.count("\t") + text.count(",") + text.count("\n"))
            rows = [(number, cells) for number, cells in _rows_of(text) if any(cell.strip() for cell in cells)]
            if not rows:
                raise ValueError("expected a table of annotations, received an empty file: export it again")
            first = [cell.strip() for cell in rows[0][1]]
            columns = _named_columns(first)
            rows = rows[1:] if columns else rows
            if columns is None:
                columns = _columns_by_content(first)
            annotations: list[Annotation] = []
            for number, cells in rows:
                check_time()
                annotations += _annotations_of(cells, columns, f"{os.fspath(path)}, line {number}")
            return AnnotatedRecording(tuple(annotations))


def tsv_text(recording: AnnotatedRecording) -> str:
    """The content of a `.tsv` file: seconds with three decimals, and scores as `book 0.271; able 0.130`."""
    lines = ["\t".join(_COLUMNS)]
    for row in recording.annotations:
        scores = "; ".join(f"{label} {score:.3f}" for label, score in row.scores)
        cells = (row.tier, row.participant or "", f"{row.start:.3f}", f"{row.end:.3f}", row.value, scores)
        lines.append("\t".join(re.sub(r"[\t\r\n]+", " ", cell) for cell in cells))
    return "\n".join(lines) + "\n"


def _rows_of(text: str) -> Iterable[tuple[int, list[str]]]:
    """Lines with their numbers; ELAN puts `"#file:///...` above its table where it was asked to."""
    lines = [line for line in enumerate(text.split("\n"), 1) if not line[1].startswith(("#", '"#'))]
    header = next((line for _, line in lines if line.strip()), "")
    if "\t" in header:
        return ((number, line.split("\t")) for number, line in lines)
    return ((number, next(csv.reader(io.StringIO(line)), [])) for number, line in lines)


def _named_columns(names: Sequence[str]) -> _Columns | None:
    """The columns of a table whose first row names them; None if it does not."""
    places = {name.lower(): place for place, name in reversed(list(enumerate(names)))}
    if all(name in places for name in _OUR_TIMES):
        value = places.get("value", places.get("annotation"))
        if value is None:
            raise ValueError(f"expected a column value beside start and end, received {listed(names)}: add it")
        start, end = (places[name] for name in _OUR_TIMES)
        tier, participant, scores = (places.get(name) for name in ("tier", "participant", "scores"))
        return _Columns(start, end, tier, participant, ((value, None),), scores, "seconds")
    headings = [_TIME_HEADING.fullmatch(name) for name in names]
    times: dict[str, list[int]] = {}
    for place, heading in enumerate(headings):
        if heading is not None and not heading[2].lower().startswith("hh:mm:ss:ff"):
            times.setdefault(heading[1], []).append(place)
    if not times:
        return None
    if len(times) < 2:
        raise ValueError(f"expected begin and end times, received {listed(names)}: export both, as hh:mm:ss.ms")
    (start, *_), (end, *_) = list(times.values())[:2]
    heading = headings[start]
    unit = "milliseconds" if heading is not None and heading[2].lower() == "msec" else "seconds"
    others = [place for place, heading in enumerate(headings) if heading is None]
    if "annotation" in places:
        value = places["annotation"]
        return _Columns(start, end, places.get("tier"), places.get("participant"), ((value, None),), None, unit)
    columns = tuple((place, names[place]) for place in others if names[place])
    if not columns:
        raise ValueError(f"expected a column for each tier, received {listed(names)}: export the tiers, too")
    return _Columns(start, end, None, None, columns, None, unit)


def _columns_by_content(cells: Sequence[str]) -> _Columns:
    """The columns of ELAN's export without names: tier, participant, begin, end and duration, annotation.

    Each time may be there in several formats, begin in all of them first.
    """
    is_time = [any(p.fullmatch(cell) for p in (_CLOCK, _SECONDS, _MILLISECONDS, _FRAMES)) for cell in cells]
    first = next((place for place, flag in enumerate(is_time) if flag and place >= 1), None)
    if first is None or len(cells) < 4:
        raise ValueError(
            "expected a table with a row of names or ELAN's tab-delimited export, received "
            f"{shown(' | '.join(cells))}: export it with column titles"
        )
    last = first
    while last < len(cells) and is_time[last]:
        last += 1
    for num_formats in range((last - first) // 2, 0, -1):
        readable = [place for place in range(first, first + num_formats) if not _FRAMES.fullmatch(cells[place])]
        for place in readable:
            end, length = place + num_formats, place + 2 * num_formats
            if end >= last:
                continue
            begin_time, end_time = (_time_of(cells[at], "") for at in (place, end))
            has_durations = length < last and abs(_time_of(cells[length], "") - (end_time - begin_time)) < 0.0015
            count = 3 if has_durations else 2
            if first + count * num_formats == last and last < len(cells) and begin_time <= end_time:
                return _Columns(place, end, 0, 1 if first > 1 else None, ((last, None),))
    raise ValueError(
        f"expected begin and end times in the same formats, received {shown(' | '.join(cells))}: export it with "
        "column titles"
    )


def _time_of(cell: str, unit: str) -> float:
    """Seconds; a whole number is milliseconds unless the column says otherwise."""
    text = cell.strip()
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        return 3600 * int(clock[1]) + 60 * int(clock[2]) + float(clock[3].replace(",", "."))
    if unit == "seconds" and (_SECONDS.fullmatch(text) or _MILLISECONDS.fullmatch(text)):
        return float(text.replace(",", "."))
    if _MILLISECONDS.fullmatch(text):
        return int(text) / 1000
    if _SECONDS.fullmatch(text):
        return float(text.replace(",", "."))
    raise ValueError(f"expected a time as hh:mm:ss.ms, seconds or milliseconds, received {shown(cell)}: correct it")


def _annotations_of(cells: list[str], columns: _Columns, where: str) -> list[Annotation]:
    def cell(place: int | None) -> str:
        return cells[place].strip() if place is not None and place < len(cells) else ""

    last = max(columns.start, columns.end)
    if len(cells) <= last:
        raise ValueError(f"{where}: expected at least {last + 1} cells, received {len(cells)}: is the file cut short?")
    try:
        start, end = (_time_of(cell(place), columns.unit) for place in (columns.start, columns.end))
        return [
            Annotation(
                start,
                end,
                cell(place),
                tier or cell(columns.tier) or DEFAULT_TIER,
                cell(columns.participant) or None,
                _scores_of(cell(columns.scores)),
            )
            for place, tier in columns.values
            if tier is None or cell(place)
        ]
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _scores_of(text: str) -> tuple[tuple[str, float], ...]:
    found = [_SCORE.fullmatch(part) for part in text.split("; ") if part]
    return tuple((match[1], float(match[2])) for match in found if match is not None)
