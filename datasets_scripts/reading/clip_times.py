"""When a clip starts and ends in a longer recording: the times of labels, their units, and cutting the clip out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from datasets_scripts.reading.clip_entry import ClipEntry
from datasets_scripts.reading.label_cells import UNKNOWN_CELLS
from datasets_scripts.reading.label_tables import plain_name
from modeling_sigma.io.reading_errors import shown
from modeling_sigma.model.pose_clip import PoseClip


TIME_UNITS = ("seconds", "milliseconds", "frames")

# A word in a column's name that states the unit of its numbers.
_UNIT_WORDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "seconds"),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), "milliseconds"),
    **dict.fromkeys(("frame", "frames"), "frames"),
}

# Labels may end this much after a recording whose last frames are missing: a second, or a tenth of it.
_TOLERANCE_SECONDS, _TOLERANCE_SHARE = 1.0, 0.1
# Numbers are read in another unit than seconds only if the recording's labels then last this long.
_MIN_SECONDS = 0.4

# No recording has as many frames.
_FAR = 1e12

_CLOCK = re.compile(r"(?:(\d+) days? )?(?:(\d+):)?(\d+):(\d+(?:[.,]\d*)?)")
_NUMBER = re.compile(r"([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?) ?(s|sec|seconds|ms|msec|milliseconds)?", re.I)
_UNSET = (None, 0.0, -1.0)


@dataclass(frozen=True)
class TimeColumn:
    """A column of times.

    Args:
        name (`str`):
            Its name in the table.
        unit (`str`, *optional*):
            The unit of its numbers, one of [`TIME_UNITS`]; None if it is not stated.
    """

    name: str
    unit: str | None


def find_time_column(columns: Iterable[str], names: Sequence[str]) -> TimeColumn | None:
    """The first of `names` among `columns`; a column may add its unit: `start_ms`, `Start (frames)`, `frame_start`."""
    found: dict[str, TimeColumn] = {}
    for column in columns:
        time_column = as_time_column(column)
        words = [word for word in plain_name(column).split("_") if word not in _UNIT_WORDS]
        found.setdefault("_".join(words), time_column)
    return next((found[name] for name in map(plain_name, names) if name in found), None)


def as_time_column(column: str) -> TimeColumn:
    """A column with the unit that its name states, if it does."""
    units = [_UNIT_WORDS[word] for word in plain_name(column).split("_") if word in _UNIT_WORDS]
    return TimeColumn(column, units[0] if units else None)


def time_of(value: str, unit: str | None, where: str) -> tuple[float | None, str | None]:
    """A time and its unit; (None, unit) for a cell that states none (empty, "nan", "none", ...).

    `00:01:02.5` and `2.5 s` are seconds and `2500 ms` milliseconds, whatever the column; milliseconds become seconds.
    A decimal comma is one. A negative number is a time: some labels have -1 where a clip is a file of its own.

    Raises:
        ValueError: for anything else.
    """
    text = value.strip()
    if text.lower() in UNKNOWN_CELLS:
        return None, "seconds" if unit == "milliseconds" else unit
    clock, number = _CLOCK.fullmatch(text), _NUMBER.fullmatch(text)
    if clock is not None:
        days, hours, minutes = (float(part or 0) for part in clock.group(1, 2, 3))
        time = float(clock.group(4).replace(",", ".")) + 60 * (minutes + 60 * (hours + 24 * days))
        unit = "seconds"
    elif number is not None:
        time = float(number.group(1).replace(",", "."))
        unit = _UNIT_WORDS[number.group(2).lower()] if number.group(2) else unit
    else:
        time = math.nan
    if not math.isfinite(time):
        raise ValueError(
            f"{where}: expected seconds or hh:mm:ss, received {shown(value)}: correct it, or leave it empty for a "
            "whole recording"
        )
    return (time / 1000, "seconds") if unit == "milliseconds" else (time, unit)


def frame_rate_of(value: str, where: str) -> float | None:
    """Frames per second, from a number or a fraction (`30000/1001`); None for a cell that states none.

    Raises:
        ValueError: for anything else.
    """
    text = value.strip().lower().removesuffix("fps").strip()
    if text in (*UNKNOWN_CELLS, "0", "0.0", "0/0"):
        return None
    try:
        rate, _, divisor = text.replace(",", ".").partition("/")
        fps = float(rate) / float(divisor or 1)
    except (ValueError, ZeroDivisionError):
        fps = math.nan
    if not 0 < fps < math.inf:
        raise ValueError(
            f"{where}: expected frames per second, received {shown(value)}: correct it, or leave it empty"
        )
    return fps


def with_span(
    entry: ClipEntry, start: tuple[float | None, str | None], end: tuple[float | None, str | None], where: str = ""
) -> ClipEntry:
    """A clip with its times, as [`time_of`] gives them. 0 to 0, and -1 to -1, mean the whole recording.

    Raises:
        ValueError: for times in two units; `where` says in which file and line.
    """
    (first, start_unit), (last, end_unit) = start, end
    if first in _UNSET and last in _UNSET:
        return replace(entry, start=None, end=None)
    if first is not None and last is not None and start_unit != end_unit:
        raise ValueError(
            f"{where or entry.sample_id}: expected start and end in one unit, received {start_unit or 'no unit'} and "
            f"{end_unit or 'no unit'}: write both in seconds, or give time_unit="
        )
    return replace(entry, start=first, end=last, time_unit=start_unit if first is not None else end_unit)


def with_last_times(entries: Sequence[ClipEntry]) -> list[ClipEntry]:
    """Gives clips whose times have no unit the latest time in their recording's labels, which [`cut_out`] needs."""
    last: dict[str, float] = {}
    for entry in entries:
        if entry.time_unit is None:
            last[entry.source] = max(last.get(entry.source, 0.0), entry.start or 0.0, entry.end or 0.0)
    return [replace(entry, last_time=last[entry.source]) if entry.time_unit is None else entry for entry in entries]


def cut_out(clip: PoseClip, entry: ClipEntry, say: Callable[[str], None]) -> PoseClip:
    """The frames from `start` to `end` of a recording.

    Times without a unit are seconds, unless the recording is much too short for that: then they are frames or
    milliseconds, whichever it is long enough for.

    Args:
        clip ([`PoseClip`]):
            The recording.
        entry ([`ClipEntry`]):
            The clip to cut out of it. Its frame rate is used where the recording's file states none.
        say (`Callable[[str], None]`):
            Called with what was assumed: a unit, or that the clip ends with the recording.

    Raises:
        ValueError: if the times are impossible, there is no frame rate, or the recording is shorter.
    """
    if clip.fps is None and entry.fps is not None:
        clip = replace(clip, fps=entry.fps)
    if entry.start is None and entry.end is None:
        return clip
    unit = entry.time_unit or _likely_unit(clip, entry.last_time, say)
    if unit != "frames" and clip.fps is None:
        raise ValueError(
            f"{entry.source}: expected a frame rate, to cut {entry.sample_id} out of it: neither the file nor the "
            "labels state one: give fps="
        )
    rate = 1.0 if unit == "frames" else float(clip.fps or 1) / (1000 if unit == "milliseconds" else 1)
    first, last = entry.start or 0.0, math.inf if entry.end is None else entry.end
    if not 0 <= first < last or entry.end == math.inf:  # NaN compares false with everything
        raise ValueError(
            f"{entry.source}: expected {entry.sample_id} to start at 0 s or later and to end after that, "
            f"received {first:g} to {last:g} {'s' if unit == 'seconds' else unit}: correct its times"
        )
    start = round(min(first * rate, _FAR))
    stop = len(clip) if entry.end is None else round(min(entry.end * rate, _FAR))
    if start >= min(stop, len(clip)):
        until = "the end" if entry.end is None else f"{entry.end:g}"
        raise ValueError(
            f"{entry.source}: expected {entry.sample_id} at {first:g} to {until} {'s' if unit == 'seconds' else unit},"
            f" received a recording of {_length(clip)}: is it another version, or another unit? Give time_unit= "
            f"({', '.join(TIME_UNITS)})"
        )
    if stop > (1 + _TOLERANCE_SHARE) * len(clip) + _TOLERANCE_SECONDS * (clip.fps or 25):
        say(
            "some clips end well after their recordings and were cut at their ends: are the labels of another version?"
        )
    return clip.frames(slice(start, stop))


def _likely_unit(clip: PoseClip, last_time: float, say: Callable[[str], None]) -> str:
    """The unit of labels that state none, the latest of which is `last_time`."""
    frames_fit = last_time <= (1 + _TOLERANCE_SHARE) * len(clip)
    if clip.fps is None or clip.duration is None:
        return "seconds"
    longest = (1 + _TOLERANCE_SHARE) * clip.duration + _TOLERANCE_SECONDS
    if last_time <= longest:
        return "seconds"
    for unit, fits, seconds in (
        ("frames", frames_fit and last_time == round(last_time), last_time / clip.fps),
        ("milliseconds", last_time / 1000 <= longest, last_time / 1000),
    ):
        if fits and seconds >= _MIN_SECONDS:
            say(f"start and end are read as {unit}: the recordings are too short for seconds; else give time_unit=")
            return unit
    return "seconds"


def _length(clip: PoseClip) -> str:
    return f"{len(clip)} frames" if clip.duration is None else f"{clip.duration:.1f} s ({len(clip)} frames)"
