"""One labelled clip of a corpus, before its keypoints are read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClipEntry:
    """One labelled clip that exists. Plain data: it can be sent to another process.

    Args:
        sample_id (`str`):
            Unique within the corpus.
        split (`str`):
            `train`, `validation` or `test`.
        source (`str`):
            The path of the clip, or whatever else the corpus finds it by.
        text (`str`), gloss (`tuple[str, ...]`), signer_id (`str`, *optional*):
            See `datasets_scripts.schema.features`.
        fps (`float`, *optional*):
            Frame rate that the labels state; used where the file states none.
        start, end (`float`, *optional*):
            The part of a longer recording that is the clip, in `time_unit`.
        time_unit (`str`, *optional*, defaults to `"seconds"`):
            Unit of `start` and `end`, one of `datasets_scripts.reading.clip_times.TIME_UNITS`; None where the labels
            do not say.
        last_time (`float`, *optional*, defaults to 0):
            The latest time in the recording's labels, by which `cut_out` recognises a unit that they do not state.
        consent (`str`, *optional*):
            What the signer has agreed to, as the labels say; None where they do not say.
    """

    sample_id: str
    split: str
    source: str
    text: str = ""
    gloss: tuple[str, ...] = ()
    signer_id: str | None = None
    fps: float | None = None
    start: float | None = None
    end: float | None = None
    time_unit: str | None = "seconds"
    last_time: float = 0.0
    consent: str | None = None
