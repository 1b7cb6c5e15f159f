"""`sigma-slu extract-poses`: a folder of videos to a folder of clips."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from modeling_sigma.jobs.progress import ProgressBar


_NUM_SHOWN = 10

_OPTIONS = {  # of each estimator
    "rtmlib": ("mode", "model", "detector"),
    "sapiens2": ("model", "detector", "max_persons", "box_threshold", "dtype", "batch_size"),
    "mediapipe": ("model",),
}
_RUNNING_OPTIONS = ("batch_size",)  # that do not decide the keypoints


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("video_dir", type=Path, metavar="VIDEO_DIR", help="folder of videos, searched through")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the clips; resumes there")
    parser.add_argument(
        "--estimator",
        choices=tuple(_OPTIONS),
        default="rtmlib",
        help="rtmlib (default; RTMW, 133 keypoints), sapiens2 (308 keypoints, needs no package) or mediapipe (553)",
    )
    parser.add_argument("--mode", help="rtmlib: lightweight, balanced (default) or performance")
    parser.add_argument(
        "--model", help="sapiens2: checkpoint; mediapipe: holistic_landmarker.task; rtmlib: ONNX file of your own"
    )
    parser.add_argument("--detector", help="sapiens2: object detector of transformers; rtmlib: ONNX file of your own")
    parser.add_argument("--max-persons", type=int, metavar="N", help="sapiens2: persons of a frame to look at (3)")
    parser.add_argument("--box-threshold", type=float, metavar="P", help="sapiens2: certainty of a person (0.5)")
    parser.add_argument("--dtype", help="sapiens2: float32 (default), bfloat16, float16")
    parser.add_argument("--batch-size", type=int, metavar="N", help="sapiens2: frames at a time (8)")
    parser.add_argument("--device", nargs="+", default=["cpu"], help="cpu (default), cuda, cuda:0 cuda:1 ...")
    parser.add_argument("--person", type=int, default=0, metavar="N", help="which person: 0 is the largest (default)")
    parser.add_argument("--num-proc", type=int, default=1, metavar="N", help="processes (default 1)")
    parser.add_argument("--retry-failed", action="store_true", help="try videos again that failed in an earlier run")
    parser.add_argument("--engine", choices=("processes", "ray"), default="processes", help="where the work is done")
    parser.add_argument("--ray-address", metavar="ADDRESS", help="a running Ray cluster (default: start one here)")
    parser.add_argument("--ray-gpus", type=float, default=0, metavar="N", help="GPUs of each Ray worker (default 0)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    """Extracts; 1 if some videos failed."""
    from modeling_sigma.extraction.pose_extraction import MANIFEST, PoseExtraction, extract_poses

    options, running_options = _estimator_options(args)
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


def _estimator_options(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    known = _OPTIONS[args.estimator]
    given = {name for options in _OPTIONS.values() for name in options if getattr(args, name) is not None}
    for name in sorted(given - set(known)):
        raise ValueError(f"--{name.replace('_', '-')} is no option of {args.estimator}: leave it out")
    values = {name: getattr(args, name) for name in known if name in given}
    running = {name: values.pop(name) for name in _RUNNING_OPTIONS if name in values}
    return values, running


def _engine(args: argparse.Namespace) -> Any:
    from modeling_sigma.jobs.ray_engine import run_on_ray
    from modeling_sigma.jobs.worker_processes import run_in_processes

    if args.engine == "ray":
        return partial(run_on_ray, address=args.ray_address, num_gpus=args.ray_gpus)
    return run_in_processes
