"""Recordings with files of annotations beside them: one clip for each annotation of the tiers that hold the labels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote

from datasets_scripts.reading.clip_entry import ClipEntry
from datasets_scripts.reading.pose_files import clip_exists, file_of_clip, files_of, unusable_path
from datasets_scripts.schema import SPLITS
from modeling_sigma.io.annotations import AnnotatedRecording, read_annotations
from modeling_sigma.io.load_clip import VIDEO_SUFFIXES
from modeling_sigma.io.reading_errors import shown


# Files with these extensions are looked for, the first kind that is there; others are named by a pattern.
_KINDS = ((".eaf",), (".srt", ".vtt"))
_AMBIGUOUS = (".json", ".csv")
_NUM_NAMED = 12


@dataclass(frozen=True)
class AnnotatedClips:
    """The clips of all annotations.

    Args:
        entries (`list[ClipEntry]`): One for each annotation with a value.
        places (`list[str]`): For each of them the file and the tier, for messages.
        notes (`list[str]`): What a user should know: annotations that are left out.
    """

    entries: list[ClipEntry]
    places: list[str]
    notes: list[str]


def find_annotation_files(folder: Path, pattern: str | None = None) -> list[Path]:
    """The files of annotations below a folder, in alphabetical order.

    Args:
        folder (`Path`):
            The folder.
        pattern (`str`, *optional*):
            Which files to take, such as `"*.txt"` for ELAN's tables; by default all `.eaf`, or all `.srt` and `.vtt`
            where there are none.

    Raises:
        FileNotFoundError: if a pattern is given and no file fits.
    """
    if pattern is not None:
        found = sorted(path for path in folder.rglob(pattern) if path.is_file())
        if not found:
            raise FileNotFoundError(
                f"{folder}: expected files of annotations like {pattern}, found none: correct annotations="
            )
        return found
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    for suffixes in _KINDS:
        if found := [path for path in paths if path.suffix.lower() in suffixes]:
            return found
    return []


def files_behind(path: Path, prefers_video: bool) -> list[str]:
    """A file of annotations and what its clips are read from, for fingerprints."""
    try:
        source = _recording_of(path, read_annotations(path), prefers_video)
        return [os.fspath(path), *files_of(source)]
    except (ValueError, OSError):  # for the build to say
        return [os.fspath(path)]


def annotated_clips(
    folder: Path, files: Sequence[Path], tiers: str | None = None, prefers_video: bool = False
) -> AnnotatedClips:
    """One clip for each annotation with a value.

    Args:
        folder (`Path`):
            The folder that names of clips are relative to.
        files (`Sequence[Path]`):
            The files of annotations. The recording of each lies beside it, with the same name or with that of the
            media that the file links.
        tiers (`str`, *optional*):
            The tiers that hold the labels, between commas, also patterns (`"*_RH"`); needed if several tiers have
            annotations.
        prefers_video (`bool`, *optional*, defaults to `False`):
            Whether a video goes before skeletons of the same name.

    Raises:
        ValueError, OSError: for files that cannot be read, or tiers that are not there or have to be chosen.
    """
    recordings = {path: read_annotations(path) for path in files}
    wanted = _chosen_tiers(recordings, tiers)
    entries, places = [], []
    num_empty = num_instant = 0
    seen: Counter[str] = Counter()
    for path, recording in recordings.items():
        name = path.relative_to(folder).with_suffix("").as_posix()
        source = _recording_of(path, recording, prefers_video)
        for tier in [tier.name for tier in recording.all_tiers() if tier.name in wanted]:
            for row in recording.in_tier(tier):
                if not row.value.strip() or row.duration <= 0:
                    num_empty += not row.value.strip()
                    num_instant += bool(row.value.strip())
                    continue
                sample_id = f"{name} {tier} {row.start:.3f}-{row.end:.3f}"
                seen[sample_id] += 1
                number = f" {seen[sample_id]}" if seen[sample_id] > 1 else ""
                text = " ".join(row.value.split())
                entry = ClipEntry(sample_id + number, SPLITS[0], source, text, signer_id=row.participant)
                entries.append(replace(entry, start=row.start, end=row.end))
                places.append(f"{path}, {tier}")
    notes = []
    if num_empty:
        notes.append(f"{num_empty} annotations without a value are left out")
    if num_instant:
        notes.append(f"{num_instant} annotations that end where they start are left out")
    return AnnotatedClips(entries, places, notes)


def _chosen_tiers(recordings: dict[Path, AnnotatedRecording], tiers: str | None) -> set[str]:
    counts = Counter(
        row.tier for recording in recordings.values() for row in recording.annotations if row.value.strip()
    )
    names = {tier.name for recording in recordings.values() for tier in recording.all_tiers()}
    if tiers is None:
        if len(counts) > 1:
            raise ValueError(
                "expected tiers=, the tiers that hold the labels, received none and several that could: "
                f"{_counted(counts)}: name them"
            )
        return set(counts)
    chosen = set()
    for pattern in filter(None, map(str.strip, tiers.split(","))):
        fitting = {name for name in names if fnmatchcase(name, pattern)}
        if not fitting:
            raise ValueError(f"expected tiers= among {_counted(counts)}, received {shown(pattern)}: correct it")
        chosen |= fitting
    if not chosen:
        raise ValueError(f"expected tiers= among {_counted(counts)}, received {shown(tiers)}: name one")
    return chosen


def _counted(counts: Counter[str]) -> str:
    named = [f"{ascii(name)[1:-1]} ({count})" for name, count in counts.most_common(_NUM_NAMED)]
    return ", ".join(named) + (", ..." if len(counts) > _NUM_NAMED else "") if named else "none with annotations"


def _recording_of(path: Path, recording: AnnotatedRecording, prefers_video: bool) -> str:
    """The clip that a file annotates; where it is not there, the name that it should have."""
    folder = os.fspath(path.parent)
    linked = [unquote(media).replace("\\", "/") for media in recording.media]
    beside = [media.rsplit("/", 1)[-1] for media in linked]
    below = [media for media in linked if "://" not in media and not media.startswith("/")]
    names = [name for name in (*below, *beside, path.stem) if name and unusable_path(name) is None]
    found = [file_of_clip(folder, name, prefers_video) for name in names]
    usable = [source for source in found if clip_exists(source) and Path(source) != path]
    # Skeletons, then videos, whose poses have to be estimated, then files that may be something else: annotations.
    rank = lambda source: 2 if source.lower().endswith(_AMBIGUOUS) else source.lower().endswith(VIDEO_SUFFIXES)
    return min(usable, key=rank) if usable else found[-1]
