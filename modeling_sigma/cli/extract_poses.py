"""`sigma-slu extract-poses`: turns a video, or a folder of videos, into a folder of clips."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modeling_sigma.cli.executor_options import add_executor_arguments, make_engine
from modeling_sigma.cli.video_options import PRIVACY
from modeling_sigma.jobs.progress import ProgressBar


if TYPE_CHECKING:
    from modeling_sigma.extraction.estimator_protocol import EstimatorOption


_NUM_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `extract-poses`."""
    from modeling_sigma.extraction.estimators import DEFAULT_ESTIMATOR, ESTIMATORS
    from modeling_sigma.model.skeleton_layouts import get_layout

    sizes = {name: get_layout(estimator.layout).num_keypoints for name, estimator in ESTIMATORS.items()}
    parser.add_argument(
        "videos",
        metavar="VIDEOS",
        help="video, or folder of videos, searched with all folders below it, here or at an address that fsspec "
        "opens (hf://, s3://, https://); or a table of videos (csv, tsv, jsonl, Parquet)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder to write the clips to (default: VIDEOS-poses); a second run resumes there",
    )
    parser.add_argument(
        "--column",
        metavar="NAME",
        help="column of a table with paths or addresses of videos (default: video, url, ...)",
    )
    parser.add_argument(
        "--name-column",
        metavar="NAME",
        help="column of a table with the names of the clips (default: after the videos)",
    )
    parser.add_argument(
        "--estimator",
        choices=tuple(ESTIMATORS),
        default=DEFAULT_ESTIMATOR,
        help="estimator that finds the keypoints: "
        f"{', '.join(f'{name} ({size} keypoints)' for name, size in sizes.items())}; default {DEFAULT_ESTIMATOR}. "
        f"{PRIVACY}",
    )
    for name, uses in _estimator_options().items():
        texts = dict.fromkeys(f"{estimator}: {option.help}" for estimator, option in uses.items())
        kind = next(iter(uses.values())).type
        flags = ("--estimator-model", "--model") if name == "model" else (_flag(name),)
        metavar = name.split("_")[-1].upper()
        parser.add_argument(*flags, dest=name, type=kind, metavar=metavar, help="; ".join(texts))
    parser.add_argument(
        "--device", nargs="+", default=["cpu"], help="devices to compute on: cpu (default), cuda, cuda:0 cuda:1 ..."
    )
    parser.add_argument(
        "--person", type=int, default=0, metavar="N", help="index of the person to extract (default 0, the signer)"
    )
    add_executor_arguments(parser, 1, "1")
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="leave out a video that takes longer (default: never)"
    )
    parser.add_argument("--retry-failed", action="store_true", help="retry videos that failed in an earlier run")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    """Extracts the clips; returns 1 if some videos failed, else 0."""
    from modeling_sigma.extraction.pose_extraction import MANIFEST, PoseExtraction, extract_poses
    from modeling_sigma.extraction.video_sources import open_videos

    options, running_options = _given_options(args)
    videos = open_videos(args.videos, args.column, args.name_column)
    out = args.out or _default_out(args.videos)
    extraction = PoseExtraction(videos, out, args.estimator, options, running_options, tuple(args.device), args.person)
    engine = make_engine(args, extraction.results.work, args.timeout)
    with ProgressBar("video") as bar:
        summary = extract_poses(extraction, args.num_proc, engine, args.retry_failed, bar.show)
    failed = summary["failed"]
    if args.json:
        print(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        frames, seen = summary["num_frames"], summary["num_frames_with_person"]
        share = f", a person in {seen / frames:.1%} of {frames:,} frames" if frames else ""
        print(f"{summary['num_clips']:,} of {summary['num_videos']:,} videos became clips in {out}{share}")
        if num_broken := summary["num_broken_frames"]:
            print(f"{num_broken:,} broken frames were left out")
    for report in failed[:_NUM_SHOWN]:
        print(f"sigma-slu extract-poses: {report['error']}", file=sys.stderr)
    num_passing = sum(bool(report.get("is_passing")) for report in failed)
    if failed:
        print(
            f"sigma-slu extract-poses: {len(failed)} of {summary['num_videos']} videos failed: see "
            f"{out / MANIFEST}; --retry-failed tries them again"
            + (f", the same command {num_passing} of them that may only have had bad luck" if num_passing else ""),
            file=sys.stderr,
        )
    return 1 if failed else 0


def _default_out(videos: str) -> Path:
    from modeling_sigma.extraction.video_sources import is_address, name_of_address

    path = Path(Path(name_of_address(videos)).name if is_address(videos) else videos).absolute()
    return path.with_name(f"{path.stem}-poses")


def _estimator_options() -> dict[str, dict[str, EstimatorOption]]:
    """For the name of each option, the estimators that take it and what it means to them."""
    from modeling_sigma.extraction.estimators import ESTIMATORS

    found: dict[str, dict[str, EstimatorOption]] = {}
    for estimator, kind in ESTIMATORS.items():
        for name, option in kind.options.items():
            found.setdefault(name, {})[estimator] = option
    return found


def _given_options(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """The estimator's arguments that were given: those that decide its keypoints, and the others."""
    deciding: dict[str, Any] = {}
    running: dict[str, Any] = {}
    for name, uses in sorted(_estimator_options().items()):
        if (value := getattr(args, name)) is None:
            continue
        if args.estimator not in uses:
            raise ValueError(f"{_flag(name)} is not an option of {args.estimator}: leave it out")
        (deciding if uses[args.estimator].decides_keypoints else running)[name] = value
    return deciding, running


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
