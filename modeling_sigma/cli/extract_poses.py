"""`sigma-slu extract-poses`: a folder of videos to a folder of clips."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modeling_sigma.jobs.progress import ProgressBar


if TYPE_CHECKING:
    from modeling_sigma.extraction.estimator_protocol import EstimatorOption


_NUM_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    from modeling_sigma.extraction.estimators import ESTIMATORS
    from modeling_sigma.model.skeleton_layouts import get_layout

    sizes = {name: get_layout(estimator.layout).num_keypoints for name, estimator in ESTIMATORS.items()}
    parser.add_argument("video_dir", type=Path, metavar="VIDEO_DIR", help="folder of videos, searched through")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the clips; resumes there")
    parser.add_argument(
        "--estimator",
        choices=tuple(ESTIMATORS),
        default="rtmlib",
        help=f"{', '.join(f'{name} ({size} keypoints)' for name, size in sizes.items())}; default rtmlib",
    )
    for name, uses in _estimator_options().items():
        texts = dict.fromkeys(f"{estimator}: {option.help}" for estimator, option in uses.items())
        kind = next(iter(uses.values())).type
        parser.add_argument(_flag(name), type=kind, metavar=name.split("_")[-1].upper(), help="; ".join(texts))
    parser.add_argument("--device", nargs="+", default=["cpu"], help="cpu (default), cuda, cuda:0 cuda:1 ...")
    parser.add_argument("--person", type=int, default=0, metavar="N", help="which person: 0 is the signer (default)")
    parser.add_argument("--num-proc", type=int, default=1, metavar="N", help="processes (default 1)")
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="leave out a video that takes longer (default: never)"
    )
    parser.add_argument("--retry-failed", action="store_true", help="try videos again that failed in an earlier run")
    parser.add_argument("--engine", choices=("processes", "ray"), default="processes", help="where the work is done")
    parser.add_argument("--ray-address", metavar="ADDRESS", help="a running Ray cluster (default: start one here)")
    parser.add_argument("--ray-gpus", type=float, default=0, metavar="N", help="GPUs of each Ray worker (default 0)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    """Extracts; 1 if some videos failed."""
    from modeling_sigma.extraction.pose_extraction import MANIFEST, PoseExtraction, extract_poses

    options, running_options = _given_options(args)
    extraction = PoseExtraction(
        args.video_dir, args.out, args.estimator, options, running_options, tuple(args.device), args.person
    )
    with ProgressBar("video") as bar:
        summary = extract_poses(extraction, args.num_proc, _engine(args), args.retry_failed, bar.show)
    failed = summary["failed"]
    if args.json:
        print(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        frames, seen = summary["num_frames"], summary["num_frames_with_person"]
        share = f", a person in {seen / frames:.1%} of {frames:,} frames" if frames else ""
        print(f"{summary['num_clips']:,} of {summary['num_videos']:,} videos became clips in {args.out}{share}")
    for report in failed[:_NUM_SHOWN]:
        print(f"sigma-slu extract-poses: {report['error']}", file=sys.stderr)
    if failed:
        print(
            f"sigma-slu extract-poses: {len(failed)} of {summary['num_videos']} videos failed: see "
            f"{args.out / MANIFEST}; --retry-failed tries them again",
            file=sys.stderr,
        )
    return 1 if failed else 0


def _estimator_options() -> dict[str, dict[str, EstimatorOption]]:
    """The name of each option to what it is to which estimator."""
    from modeling_sigma.extraction.estimators import ESTIMATORS

    found: dict[str, dict[str, EstimatorOption]] = {}
    for estimator, kind in ESTIMATORS.items():
        for name, option in kind.options.items():
            found.setdefault(name, {})[estimator] = option
    return found


def _given_options(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments for the estimator: those that decide its keypoints, and the others."""
    deciding: dict[str, Any] = {}
    running: dict[str, Any] = {}
    for name, uses in sorted(_estimator_options().items()):
        if (value := getattr(args, name)) is None:
            continue
        if args.estimator not in uses:
            raise ValueError(f"{_flag(name)} is no option of {args.estimator}: leave it out")
        (deciding if uses[args.estimator].decides_keypoints else running)[name] = value
    return deciding, running


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _engine(args: argparse.Namespace) -> Any:
    from modeling_sigma.jobs.ray_engine import run_on_ray
    from modeling_sigma.jobs.worker_processes import run_in_processes

    if args.engine == "processes":
        return partial(run_in_processes, timeout=args.timeout)
    if args.timeout is not None:
        raise ValueError("--timeout belongs to --engine processes: leave it out")
    return partial(run_on_ray, address=args.ray_address, num_gpus=args.ray_gpus)
