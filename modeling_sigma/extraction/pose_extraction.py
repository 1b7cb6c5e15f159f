"""Turns videos into a folder of clips: in several processes, resumable, with a manifest of what made them.

Every video becomes one `.npz` file of the same name, written whole or not at all. A note beside it says what became of
the video. When all are done, the notes become `manifest.jsonl`, one line per video. After a kill, the next run resumes
where this one stopped, and ends with the same bytes as an undisturbed run.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from modeling_sigma.extraction.clip_from_video import estimate_clip
from modeling_sigma.extraction.estimator_protocol import PoseEstimator
from modeling_sigma.extraction.estimators import make_estimator
from modeling_sigma.extraction.video_sources import LocalVideos, VideoSource, clip_name
from modeling_sigma.io.json_fields import check_fields
from modeling_sigma.io.json_text import read_json, read_json_lines
from modeling_sigma.io.numpy_archive import save_clip
from modeling_sigma.io.reading_errors import DeviceError, MissingExtraError, is_passing, one_line
from modeling_sigma.jobs.atomic_files import sync_file, write_json, write_text
from modeling_sigma.jobs.progress import no_progress
from modeling_sigma.jobs.result_folder import ResultFolder, is_whole
from modeling_sigma.jobs.retrying import with_retries
from modeling_sigma.jobs.worker_processes import TaskMaker, WorkerDeath, run_in_processes
from modeling_sigma.model.pose_clip import PoseClip


MANIFEST, SUMMARY = "manifest.jsonl", "extraction.json"

Report = dict[str, Any]
# Runs a task for every item in parallel: `run_in_processes`, or `run_on_cluster`, bound to their options.
Engine = Callable[[TaskMaker[str, Report], Sequence[str], int], Iterator[tuple[str, "Report | WorkerDeath"]]]


@dataclass(frozen=True)
class PoseExtraction:
    """What to extract, from which videos, and with which estimator.

    Args:
        videos (`Path` or `VideoSource`):
            A video, or a folder of videos (searched with all folders below it, without hidden files); or what
            `modeling_sigma.extraction.video_sources.open_videos` makes of an address or a table.
        out_dir (`Path`):
            The folder of clips.
        estimator (`str`):
            The name of the estimator, from `modeling_sigma.extraction.estimators.ESTIMATORS`.
        options (`dict`, *optional*):
            The arguments of the estimator that decide its keypoints: one set for all clips of a folder.
        running_options (`dict`, *optional*):
            The arguments that do not decide its keypoints, such as `batch_size`.
        devices (`tuple[str, ...]`, *optional*, defaults to `("cpu",)`):
            The devices to compute on: worker i takes device i modulo their number.
        person (`int`, *optional*, defaults to 0):
            The index of the person in each video; see `estimate_clip`.
    """

    videos: Path | VideoSource
    out_dir: Path
    estimator: str
    options: Mapping[str, Any] = field(default_factory=dict)
    running_options: Mapping[str, Any] = field(default_factory=dict)
    devices: tuple[str, ...] = ("cpu",)
    person: int = 0

    @property
    def source(self) -> VideoSource:
        """Where the videos come from."""
        return LocalVideos(self.videos) if isinstance(self.videos, Path) else self.videos

    @property
    def results(self) -> ResultFolder:
        """Where the clips go."""
        return ResultFolder(self.out_dir, ".extraction")

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that all clips of a folder must share, without the paths of this machine."""
        options = {
            name: Path(value).name if isinstance(value, str) and Path(value).exists() else value
            for name, value in sorted(self.options.items())
        }
        return {"estimator": self.estimator, "options": options, "person": self.person}

    def make_task(self, number: int) -> Callable[[str], Report]:
        """Loads the estimator, and returns the function that a worker calls for each video."""
        device = self.devices[number % len(self.devices)]
        model = make_estimator(self.estimator, device=device, **self.options, **self.running_options)
        return partial(_extract, self, model)


def extract_poses(
    extraction: PoseExtraction,
    num_proc: int = 1,
    engine: Engine = run_in_processes,
    retry_failed: bool = False,
    progress: Callable[[int, int], None] = no_progress,
) -> dict[str, Any]:
    """Extracts the clips of all videos that do not have one yet.

    `out_dir` gets one `.npz` file per video, `manifest.jsonl` with one line per video in alphabetical order (file,
    length, frame rate, size, frames with a person, estimator with its versions; or the error), and `extraction.json`
    with settings and counts. Videos that were extracted earlier and have since been removed keep their lines.

    Args:
        extraction ([`PoseExtraction`]):
            What to extract, and how.
        num_proc (`int`, *optional*, defaults to 1):
            The number of processes. If one dies working on a video, it is replaced and the video counts as failed.
        engine (`Callable`, *optional*):
            What runs the work: processes on this machine, or
            `modeling_sigma.jobs.datatrove_engine.run_on_cluster`.
        retry_failed (`bool`, *optional*, defaults to `False`):
            Whether to retry videos that failed in an earlier run. Those that failed for a reason that may pass, such
            as a failing disk, are always retried.
        progress (*optional*):
            Called with the number of videos done and in all, at the start and after each video.

    Returns:
        `dict`: the content of `extraction.json`, and `failed`, the reports of the videos that could not be read.

    Raises:
        ValueError: if there are no videos, if two would become one file, if the folder was made with other settings,
            is being written or holds other files of the same names, or if the estimator cannot run on this machine.
        OSError: if a folder cannot be read or written.
    """
    videos = extraction.source.names()
    with extraction.results.writing():
        _check_settings(extraction)
        reports = _known_reports(extraction)
        waiting = [video for video in videos if not _is_done(extraction, video, reports.get(video), retry_failed)]
        _check_files(extraction, waiting)
        done = len(videos) - len(waiting)
        progress(done, len(videos))
        for video, result in engine(extraction.make_task, waiting, num_proc):
            if isinstance(result, WorkerDeath):
                result = _death_report(extraction, video, result)
            if "error" in result and (file := _file_of(reports.get(video))):
                result["kept_file"] = file
            reports[video] = result
            done += 1
            progress(done, len(videos))
        return _finish(extraction, reports)


def read_manifest(folder: Path) -> list[Report]:
    """The reports of a folder that `extract_poses` has finished; empty if it has not.

    Raises:
        ValueError: if the manifest is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return []
    try:
        reports = read_json_lines(path, "reports", has_file_names=True)
        for report in reports:
            check_fields({"report": report}, {"report": dict[str, Any]})
            check_fields(report, {"video": str, "file": str | None, "versions": dict[str, Any]})
            if "video" not in report:
                raise ValueError("a report of no video")
        return reports
    except ValueError as error:
        raise ValueError(
            f"{path}: cannot be read ({one_line(error)}): remove it to extract everything again"
        ) from error


def _file_of(report: Report | None) -> str | None:
    """The clip that this report or an earlier one of the same video speaks of."""
    return None if report is None else report.get("file", report.get("kept_file"))


def _check_files(extraction: PoseExtraction, waiting: Sequence[str]) -> None:
    """Keeps files that this extraction has not written from being replaced."""
    manifest = read_manifest(extraction.out_dir)
    if not manifest and (extraction.out_dir / SUMMARY).is_file():
        return  # the manifest was removed to extract everything again
    ours = {_file_of(report) for report in manifest}
    others = [video for video in waiting if not extraction.results.has_note(video) and clip_name(video) not in ours]
    clips = [clip for clip in map(clip_name, others) if (extraction.out_dir / clip).exists()]
    if clips:
        more = f" (and {len(clips) - 1} more)" if len(clips) > 1 else ""
        raise ValueError(
            f"{extraction.out_dir / clips[0]}: this extraction has not written this file{more}, and would replace it: "
            "move it away, or choose another folder"
        )


def _extract(extraction: PoseExtraction, model: PoseEstimator, video: str) -> Report:
    report: Report = {"video": video}
    paths: list[str] = []  # of the file, which messages are not to name

    def estimated() -> tuple[list[str], PoseClip]:
        with extraction.source.fetched(video, extraction.results.scratch) as path:
            paths.append(os.fspath(path))
            report["video_bytes"] = path.stat().st_size
            return _estimated(path, model, extraction.person)

    try:
        broken, clip = with_retries(estimated)
    except (MissingExtraError, DeviceError):  # this is not the video's fault
        raise
    except (ValueError, OSError, MemoryError) as error:
        message = one_line(error)
        for path in paths:
            message = message.replace(path, video)
        report["error"] = message if video in message else f"{video}: {type(error).__name__} {message}".strip()
        if is_passing(error):
            report["is_passing"] = True
        report.update(_maker(model))
        extraction.results.write_note(video, report)
        return report

    def note(num_bytes: int, digest: str) -> None:
        report.update(
            file=clip_name(video),
            file_bytes=num_bytes,
            sha256=digest,
            num_frames=len(clip),
            num_broken_frames=len(broken),
            num_frames_with_person=int((clip.scores > 0).any(axis=1).sum()),
            fps=clip.fps,
            width=clip.width,
            height=clip.height,
            **_maker(model),
        )
        extraction.results.write_note(video, report)

    extraction.results.write_result(extraction.out_dir / clip_name(video), partial(save_clip, clip=clip), note)
    return report


def _estimated(path: Path, model: PoseEstimator, person: int) -> tuple[list[str], PoseClip]:
    broken: list[str] = []
    return broken, estimate_clip(path, model, person, broken)


def _maker(model: PoseEstimator) -> dict[str, Any]:
    return {"estimator": model.name, "layout": model.layout, "versions": dict(getattr(model, "versions", {}))}


def _death_report(extraction: PoseExtraction, video: str, death: WorkerDeath) -> Report:
    report = {
        "video": video,
        "video_bytes": extraction.source.num_bytes(video),
        "error": f"{video}: {death.reason}",
        "estimator": extraction.estimator,
    }
    if death.is_passing:
        report["is_passing"] = True
    extraction.results.write_note(video, report)
    return report


def _check_settings(extraction: PoseExtraction) -> None:
    """Compares the settings with those that the folder was made with, or writes them into a new folder."""
    begun = extraction.results.work / "settings.json"
    for path in (begun, extraction.out_dir / SUMMARY):
        if path.is_file():
            earlier = read_json(path, "the settings of an extraction", dict)
            for name, value in extraction.settings.items():
                if earlier.get(name) != value:
                    raise ValueError(
                        f"{extraction.out_dir}: was extracted with {name} {earlier.get(name)}, now {value} is asked "
                        "for: choose another folder"
                    )
    if not begun.is_file():
        write_json(begun, extraction.settings, extraction.results.scratch)


def _known_reports(extraction: PoseExtraction) -> dict[str, Report]:
    reports = {report["video"]: report for report in read_manifest(extraction.out_dir)}
    for report in extraction.results.notes():
        reports[report["video"]] = report
        clip = extraction.out_dir / report.get("file", "")
        if "error" not in report and not is_whole(clip, report["file_bytes"], report["sha256"]):
            del reports[report["video"]]
    return reports


def _is_done(extraction: PoseExtraction, video: str, report: Report | None, retry_failed: bool) -> bool:
    num_bytes = extraction.source.num_bytes(video)
    if report is None or (num_bytes is not None and report.get("video_bytes") != num_bytes):
        return False
    if "error" in report:
        return not retry_failed and not report.get("is_passing")
    clip = extraction.out_dir / report["file"]
    return clip.is_file() and clip.stat().st_size == report["file_bytes"]


def _finish(extraction: PoseExtraction, reports: Mapping[str, Report]) -> dict[str, Any]:
    ordered = [reports[video] for video in sorted(reports)]
    for report in extraction.results.notes():
        if reports.get(report["video"]) == report and "error" not in report:
            sync_file(extraction.out_dir / report["file"])  # before the manifest says that it is there
    lines = "".join(json.dumps(report, ensure_ascii=False) + "\n" for report in ordered)
    write_text(extraction.out_dir / MANIFEST, lines, extraction.results.scratch)
    failed = [report for report in ordered if "error" in report]
    done = [report for report in ordered if "error" not in report]
    makers = Counter(json.dumps([report["estimator"], report["layout"], report["versions"]]) for report in done)
    summary = {
        **extraction.settings,
        "num_videos": len(ordered),
        "num_clips": len(done),
        "num_failed": len(failed),
        "num_frames": sum(report["num_frames"] for report in done),
        "num_frames_with_person": sum(report["num_frames_with_person"] for report in done),
        "num_broken_frames": sum(report.get("num_broken_frames", 0) for report in done),
        # More than one if packages changed between runs.
        "made_by": [
            dict(zip(("estimator", "layout", "versions"), json.loads(maker)), num_clips=count)
            for maker, count in sorted(makers.items())
        ],
    }
    write_json(extraction.out_dir / SUMMARY, summary, extraction.results.scratch)
    extraction.results.finish()
    return {**summary, "failed": failed}
