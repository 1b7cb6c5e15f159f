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
_FRAMES = re.compile(r"\d{1,6}:\d\d:\d\d[:;]\d\d")
_ROUNDING = 0.0015  # the formats of one time differ by this much at most

# ELAN translates "Begin Time" into the user's language, not the format that follows it.
_TIME_HEADING = re.compile(r"(.+) - (hh:mm:ss\.ms|ss\.msec|msec|hh:mm:ss:ff.*)", re.IGNORECASE)
# "Duration" as ELAN's translations have it: a column that stands for the end where there is none.
_DURATIONS = (
    "duration",
    "dauer",
    "durée",
    "duración",
    "duração",
    "durada",
    "duur",
    "varaktighet",
    "длительность",
    "时长",
)
# Columns of exports of several files, which are no tiers.
_OF_FILES = ("file name", "file path", "file")
_SCORE = re.compile(r"(.*) ([01](?:\.\d+)?)", re.DOTALL)


@dataclass(frozen=True)
class _Columns:
    """Which column holds what; `values` are the columns of annotations, with their titles if these name tiers.

    `end` holds durations if `has_durations`.
    """

    start: int
    end: int
    tier: int | None
    participant: int | None
    values: tuple[tuple[int, str | None], ...]
    scores: int | None = None
    unit: str = ""
    has_durations: bool = False


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
    delimiter = ";" if header.count(";") > header.count(",") else ","  # spreadsheets, where numbers have commas
    return ((number, next(csv.reader(io.StringIO(line), delimiter=delimiter), [])) for number, line in lines)


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
        if any(headings):
            raise ValueError("expected times as hh:mm:ss.ms, received frames alone (hh:mm:ss:ff): export both")
        return None
    if len(times) < 2:
        raise ValueError(f"expected begin and end times, received {listed(names)}: export both, as hh:mm:ss.ms")
    (start, *_), (end, *_) = list(times.values())[:2]
    heading = headings[start]
    unit = "milliseconds" if heading is not None and heading[2].lower() == "msec" else "seconds"
    has_durations = list(times)[1].lower() in _DURATIONS
    others = [
        place
        for place, heading in enumerate(headings)
        if heading is None and names[place] and names[place].lower() not in _OF_FILES
    ]
    # Tier and participant stand before the times, whatever they are called.
    before, after = ([place for place in others if (place < start) is flag] for flag in (True, False))
    value = places.get("annotation")
    if value is None and not after:
        raise ValueError(f"expected a column for each tier, received {listed(names)}: export the tiers, too")
    tier, participant = places.get("tier"), places.get("participant")
    values: tuple[tuple[int, str | None], ...]
    if value is not None or (before and len(after) == 1):
        tier = tier if tier is not None else next((place for place in before if place != participant), None)
        if participant is None:
            participant = next((place for place in before if place != tier), None)
        values = ((after[0], names[after[0]]),) if value is None else ((value, None),)
    else:
        tier, values = None, tuple((place, names[place]) for place in after)
    return _Columns(start, end, tier, participant, values, None, unit, has_durations)


def _columns_by_content(cells: Sequence[str]) -> _Columns:
    """The columns of ELAN's export without names: tier, participant, begin, end and duration, annotation.

    Each time may be there in several formats, begin in all of them first. Names and annotations may be numbers, too:
    times are told from them by durations that fit and formats that agree.
    """
    for first in (2, 1, 0):
        is_time = [
            any(p.fullmatch(cell) for p in (_CLOCK, _SECONDS, _MILLISECONDS, _FRAMES)) for cell in cells[first:]
        ]
        num_times = is_time.index(False) if False in is_time else len(is_time)
        for count in (3, 2):
            for num_formats in range(min(num_times, len(is_time) - 1) // count, 0, -1):
                kinds = [cells[first + kind * num_formats :][:num_formats] for kind in range(count)]
                seconds = [{_time_of(cell, "") for cell in kind if not _FRAMES.fullmatch(cell)} for kind in kinds]
                if not all(seconds) or any(max(values) - min(values) > _ROUNDING for values in seconds):
                    continue
                begin, end, *length = (next(iter(values)) for values in seconds)
                if begin <= end and all(abs(end - begin - one) < _ROUNDING for one in length):
                    place = next(place for place, cell in enumerate(kinds[0], first) if not _FRAMES.fullmatch(cell))
                    tier, participant = (0 if first else None), (1 if first == 2 else None)
                    value = first + count * num_formats
                    return _Columns(place, place + num_formats, tier, participant, ((value, None),))
    raise ValueError(
        "expected a table with a row of names or ELAN's tab-delimited export with times as hh:mm:ss.ms, seconds or "
        f"milliseconds, received {shown(' | '.join(cells))}: export it with column titles"
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
        end += start if columns.has_durations else 0.0
        return [
            Annotation(
                start,
                end,
                cell(place),
                cell(columns.tier) or tier or DEFAULT_TIER,
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
