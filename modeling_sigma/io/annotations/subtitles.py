"""Subtitles, SRT and WebVTT: sentences with times, and in WebVTT with the name of the one who speaks."""

from __future__ import annotations

import html
import io
import os
import re
from typing import Any

from modeling_sigma.io.annotations.annotation import AnnotatedRecording, Annotation
from modeling_sigma.io.reading_budget import check_time, reading_budget, take_objects
from modeling_sigma.io.reading_errors import MissingExtraError, naming_file
from modeling_sigma.io.text_files import read_text


SUBTITLE_TIER = "subtitles"

_SRT_TAG = re.compile(r"</?(?:[bius]|font)(?:\s[^<>]*)?>|\{\\an\d\}", re.IGNORECASE)
# A line of times with text below it: without text there is nothing to read.
_CUE = re.compile(r"-->[^\n]*\n[^\S\n]*\S")
_OBJECTS_PER_CUE = 12  # the parser's lists, texts and timestamps


def read_subtitles(path: str | os.PathLike[str]) -> AnnotatedRecording:
    """The subtitles of a `.srt` or `.vtt` file, in the tier `subtitles`; voices of WebVTT are the participants.

    Raises:
        ImportError: if `webvtt-py` is not installed.
        ValueError: for anything else than subtitles.
        OSError: if the file cannot be read.
    """
    try:
        import webvtt
    except ImportError as error:
        raise MissingExtraError(
            f'{os.fspath(path)}: reading subtitles needs webvtt-py: pip install -e ".[transcribe]"'
        ) from error
    kind = os.path.splitext(path)[1].lower().removeprefix(".")
    with reading_budget(path):
        text = read_text(path, "subtitles")
        with naming_file(path, "subtitles"):
            take_objects(_OBJECTS_PER_CUE * (1 + text.count("-->")) + text.count("\n"))
            if not text.strip():
                raise ValueError("expected subtitles, received an empty file: write it again")
            try:
                captions = webvtt.from_buffer(io.StringIO(text), format=kind).captions
            except webvtt.errors.MalformedFileError as error:
                raise ValueError(
                    f"expected {kind.upper()} subtitles, received something else: check the file"
                ) from error
            check_time()
            annotations = tuple(_annotation_of(caption, kind) for caption in captions)
            num_cues = len(_CUE.findall(text))
            if len(annotations) < num_cues:
                raise ValueError(
                    f"expected {num_cues} subtitles, as many as there are lines with --> and text below, received "
                    f"{len(annotations)} that can be read: correct the times of the others"
                )
            return AnnotatedRecording(annotations)


def _annotation_of(caption: Any, kind: str) -> Annotation:
    start, end = caption.start_time.in_milliseconds() / 1000, caption.end_time.in_milliseconds() / 1000
    if end < start:
        raise ValueError(f"expected a subtitle to end after its start, received {start:g} to {end:g} s: correct it")
    if kind == "srt":  # has no way to write "<", so only what players take for a tag is one
        return Annotation(start, end, _SRT_TAG.sub("", caption.raw_text).strip(), SUBTITLE_TIER)
    voice = html.unescape(caption.voice) if caption.voice else None
    return Annotation(start, end, html.unescape(caption.text).strip(), SUBTITLE_TIER, voice)


def srt_text(recording: AnnotatedRecording) -> str:
    """The content of a `.srt` file: all tiers in the order of time. It has no place for tiers, signers and scores."""
    cues = [
        f"{number}\n{_clock(row.start, ',')} --> {_clock(row.end, ',')}\n{_plain(row.value)}\n"
        for number, row in enumerate(_in_order(recording), 1)
    ]
    return "\n".join(cues)


def vtt_text(recording: AnnotatedRecording) -> str:
    """The content of a WebVTT file: all tiers in the order of time, the signer's name as the voice."""
    cues = ["WEBVTT\n"]
    for row in _in_order(recording):
        value = html.escape(_plain(row.value), quote=False)
        voice = f"<v {html.escape(_plain(row.participant), quote=False)}>" if row.participant else ""
        cues.append(f"{_clock(row.start, '.')} --> {_clock(row.end, '.')}\n{voice}{value}\n")
    return "\n".join(cues)


def _in_order(recording: AnnotatedRecording) -> list[Annotation]:
    rows = [row for row in recording.annotations if row.value.strip()]  # a subtitle of nothing ends a file for players
    return sorted(rows, key=lambda row: (row.start, row.end))


def _clock(seconds: float, point: str) -> str:
    whole, milliseconds = divmod(round(1000 * seconds), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{point}{milliseconds:03d}"


def _plain(text: str) -> str:
    """Lines that are not empty and cannot be taken for times: an empty line ends a subtitle."""
    return "\n".join(line for line in map(str.strip, text.splitlines()) if line).replace("-->", "→")
