"""Transcribes many recordings into a folder of annotation files: resumable, files whole or not there, a report."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from modeling_sigma.inference.transcription import Transcriber
from modeling_sigma.io import load_clip
from modeling_sigma.io.annotations import ANNOTATION_SUFFIXES, AnnotatedRecording, Annotation, annotation_text
from modeling_sigma.io.json_text import read_json
from modeling_sigma.io.load_clip import VIDEO_SUFFIXES, load_recording
from modeling_sigma.io.many_clips import SEPARATOR, split_name
from modeling_sigma.io.reading_errors import is_passing, naming_file, one_line
from modeling_sigma.jobs.atomic_files import write_json
from modeling_sigma.jobs.progress import no_progress
from modeling_sigma.jobs.result_folder import ResultFolder, is_whole
from modeling_sigma.jobs.retrying import with_retries
from modeling_sigma.model.pose_clip import PoseClip


SUMMARY = "transcription.json"
# What can be written: files of annotations, a picture, and a page that moves.
FORMATS = (*(suffix[1:] for suffix in ANNOTATION_SUFFIXES), "png", "html")

Report = dict[str, Any]


@dataclass(frozen=True)
class Transcription:
    """What to transcribe, and into which files.

    Args:
        recordings (`tuple[str, ...]`):
            Files that `load_clip` reads.
        out_dir (`Path`):
            The folder to write to.
        formats (`tuple[str, ...]`):
            Some of [`FORMATS`].
        model (`str`):
            The name of the model, which files of ELAN and JSON keep.
        settings (`dict`):
            What else decides the result. A folder is resumed with the same settings only.
        person (`int`, *optional*, defaults to 0):
            The index of the person in each recording.
        people (`int`, *optional*, defaults to 1):
            How many people to transcribe, where so many are seen, each in a tier of their own; not in videos.
        fps (`float`, *optional*):
            The frame rate of recordings that do not state theirs.
        estimator ([`PoseEstimator`], *optional*):
            What finds the keypoints in videos; see [`load_clip`].
    """

    recordings: tuple[str, ...]
    out_dir: Path
    formats: tuple[str, ...]
    model: str
    settings: dict[str, Any]
    person: int = 0
    people: int = 1
    fps: float | None = None
    estimator: Any = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.formats if name not in FORMATS]
        if unknown or not self.formats:
            raise ValueError(f"expected formats among {', '.join(FORMATS)}, received {', '.join(unknown) or 'none'}")
        if self.people < 1 or (self.people > 1 and self.person):
            raise ValueError(
                f"expected at least one person, or one of several, received people {self.people} and person "
                f"{self.person}: several are counted from the first"
            )
        videos = [file for file in self.recordings if split_name(file)[0].suffix.lower() in VIDEO_SUFFIXES]
        if self.people > 1 and videos:
            raise ValueError(
                f"{videos[0]}: expected skeletons, to tell several people apart, received a video: use extract-poses "
                "with --person for each of them"
            )
        counts = Counter(map(output_name, self.recordings))
        for name, count in counts.items():
            if count > 1:
                same = ", ".join(file for file in self.recordings if output_name(file) == name)
                raise ValueError(f"{same} would all become {name}.{self.formats[0]}: transcribe them into two folders")


def output_name(recording: str) -> str:
    """The name of a recording's files, without extension."""
    file, clip = split_name(recording)
    return file.stem if clip is None else f"{file.stem}-{clip}".replace("/", "-").replace(SEPARATOR, "-")


def transcribe_files(
    transcription: Transcription,
    transcriber: Callable[[], Transcriber],
    progress: Callable[[int, int], None] = no_progress,
    progress_within: Callable[[int, int], None] = no_progress,
) -> dict[str, Any]:
    """Transcribes every recording that is not done yet.

    Files appear whole, and a killed run is resumed by the next one with the same settings. `transcription.json` says
    what became of each recording. A recording that has changed is transcribed again. A file that somebody has changed,
    or that is not ours, is never replaced: its recording gets an error.

    Args:
        transcription ([`Transcription`]):
            What to do.
        transcriber (`Callable[[], Transcriber]`):
            Loads the model; called once, if there is anything to do.
        progress, progress_within (*optional*):
            Called with recordings done and in all, and with pieces of one recording.

    Returns:
        `dict`: the content of `transcription.json`: `settings` and `recordings`, a report of each: `files` and
        `num_annotations`, or `error`.

    Raises:
        ValueError: for a folder that was made with other settings, or that another process writes to.
        OSError: if the folder cannot be written.
    """
    results = ResultFolder(transcription.out_dir, ".transcription")
    with results.writing():
        known = _known_reports(transcription, results)
        reports: dict[str, Report] = {}
        model: Transcriber | None = None
        for number, recording in enumerate(transcription.recordings):
            progress(number, len(transcription.recordings))
            report = known.get(recording)
            if report is None or not _is_done(report, recording, transcription):
                report = _foreign_file(report, recording, transcription)
                if report is None:
                    model = model or transcriber()
                    report = _transcribed(recording, transcription, model, results, progress_within)
            reports[recording] = report
        progress(len(reports), len(transcription.recordings))
        others = {name: report for name, report in known.items() if name not in reports}
        summary = {"settings": _settings(transcription), "recordings": [*others.values(), *reports.values()]}
        write_json(transcription.out_dir / SUMMARY, summary, results.scratch)
        results.finish()
    return {**summary, "recordings": list(reports.values())}


def _note_name(recording: str) -> str:
    """Unlike the names of results: `talk.json` may be one, and the temporary files of both lie in one folder."""
    return hashlib.sha256(os.fsencode(recording)).hexdigest()[:32]


def _settings(transcription: Transcription) -> dict[str, Any]:
    people = {"people": transcription.people} if transcription.people > 1 else {}
    return {"model": transcription.model, "person": transcription.person, **people, **transcription.settings}


def _known_reports(transcription: Transcription, results: ResultFolder) -> dict[str, Report]:
    settings, begun = _settings(transcription), results.work / "settings.json"
    found: list[Report] = []
    for path in (transcription.out_dir / SUMMARY, begun):
        if path.is_file():
            content = read_json(path, "what was transcribed", dict, has_file_names=True)
            earlier = content.get("settings")
            if earlier != settings:
                raise ValueError(
                    f"{transcription.out_dir}: was transcribed with {earlier}, now {settings} are asked for: choose "
                    "another folder"
                )
            found += content.get("recordings", [])
    write_json(begun, {"settings": settings}, results.scratch)
    return {report["recording"]: report for report in [*found, *results.notes()] if "recording" in report}


def _state(recording: str) -> list[int]:
    status = split_name(recording)[0].stat()
    return [status.st_size, status.st_mtime_ns]


def _is_done(report: Report, recording: str, transcription: Transcription) -> bool:
    try:
        if "error" in report or report.get("state") != _state(recording):
            return False
    except OSError:
        return False
    files = {file["name"]: file for file in report.get("files", [])}
    wanted = [f"{output_name(recording)}.{name}" for name in transcription.formats]
    out = transcription.out_dir
    return all(name in files and is_whole(out / name, files[name]["bytes"], files[name]["sha256"]) for name in wanted)


def _foreign_file(report: Report | None, recording: str, transcription: Transcription) -> Report | None:
    """A report that says which file would be replaced although it is not as we have written it; None if there is none.

    People correct transcripts in ELAN and save them where they are.
    """
    ours = {file["name"]: file for file in (report or {}).get("files", [])}
    for name in transcription.formats:
        path = transcription.out_dir / f"{output_name(recording)}.{name}"
        file = ours.get(path.name)
        if path.exists() and (file is None or not is_whole(path, file["bytes"], file["sha256"])):
            error = (
                f"{path}: somebody has changed this file, or it is not ours, and it would be replaced: move it "
                "away, or choose another folder"
            )
            return {**(report or {"recording": recording}), "error": error}
    return None


def _transcribed(
    recording: str,
    transcription: Transcription,
    model: Transcriber,
    results: ResultFolder,
    progress: Callable[[int, int], None],
) -> Report:
    report: Report = {"recording": recording}
    try:
        report["state"] = _state(recording)
        clips = with_retries(partial(_people_in, recording, transcription))
        with naming_file(recording, "a recording"):
            annotations = _annotations(clips, model, progress)
    except (ValueError, OSError, ImportError, MemoryError) as error:
        passing = {"is_passing": True} if is_passing(error) else {}
        return {**report, "error": one_line(error) or type(error).__name__, **passing}
    annotated = AnnotatedRecording(
        annotations, media=_media(recording, transcription.out_dir), model=transcription.model,
        vocabulary=model.vocabulary,
    )  # fmt: skip
    files: list[Report] = []
    clip = clips[0]
    report |= {"seconds": clip.duration, "num_annotations": len(annotations), "files": files}
    for name in transcription.formats:
        path = transcription.out_dir / f"{output_name(recording)}.{name}"

        def note(size: int, digest: str, path: Path = path) -> None:
            files.append({"name": path.name, "bytes": size, "sha256": digest})
            results.write_note(_note_name(recording), report)

        results.write_result(path, partial(_write, name, clip, annotated, output_name(recording)), note)
    return report


def _people_in(recording: str, transcription: Transcription) -> list[PoseClip]:
    if transcription.people == 1:
        clips = [load_clip(recording, person=transcription.person, estimator=transcription.estimator)]
    else:
        found = load_recording(recording)
        clips = [found.clip(person) for person in range(max(1, min(transcription.people, len(found.people()))))]
    return [replace(clip, fps=clip.fps or transcription.fps) for clip in clips]


def _annotations(
    clips: list[PoseClip], model: Transcriber, progress: Callable[[int, int], None]
) -> tuple[Annotation, ...]:
    """Of one person, or of several with a tier for each. Somebody whose hands are never seen has none."""
    if len(clips) == 1:
        return model(clips[0], progress)
    found: list[Annotation] = []
    reasons = []
    for number, clip in enumerate(clips, 1):
        try:
            of_one = model(clip, progress)
        except ValueError as error:
            reasons.append(error)
            continue
        name = f"person {number}"
        found += [replace(one, tier=f"{one.tier}, {name}", participant=name) for one in of_one]
    if len(reasons) == len(clips):
        raise reasons[0]
    return tuple(sorted(found, key=lambda one: (one.start, one.end)))


def _write(name: str, clip: PoseClip, annotated: AnnotatedRecording, title: str, path: Path) -> None:
    if name == "png":
        from modeling_sigma.viz.sign_timeline import draw_sign_timeline

        draw_sign_timeline(annotated.annotations, clip.duration or 0.0, title=title).save(path)
    elif name == "html":
        from modeling_sigma.viz.transcript_page import transcript_page

        path.write_text(transcript_page(clip, annotated.annotations, title=title), encoding="utf-8")
    else:
        path.write_bytes(annotation_text(annotated, f".{name}").encode())


def _media(recording: str, out_dir: Path) -> tuple[str, ...]:
    """The recording and a video of its name beside it, as paths from the folder of the annotations."""
    file, _ = split_name(recording)
    beside = [file.with_suffix(suffix) for suffix in VIDEO_SUFFIXES]
    found = [path for path in beside if path.is_file() and path != file]
    try:
        return tuple(Path(os.path.relpath(path.absolute(), out_dir.absolute())).as_posix() for path in [*found, file])
    except ValueError:  # another drive of Windows
        return tuple(path.name for path in [*found, file])
