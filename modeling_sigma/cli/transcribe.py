"""`sigma-slu transcribe`: finds the signs of recordings, and writes them for ELAN, as subtitles, tables and pages."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from modeling_sigma.cli.video_options import add_video_options, estimator_for
from modeling_sigma.jobs.progress import ProgressBar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `transcribe`."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="recordings in any format that `sigma-slu inspect` reads, or folders"
    )
    parser.add_argument(
        "--model", required=True, metavar="DIR", help="folder of a trained model, or its name on the Hub"
    )
    parser.add_argument(
        "--to",
        default="eaf",
        metavar="FORMATS",
        help="files to write, between commas: eaf (default), srt, vtt, json, tsv, png (a picture), html (a page)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("transcripts"),
        metavar="DIR",
        help="folder to write to (default transcripts); a second run resumes there",
    )
    parser.add_argument("--labels", metavar="FILE", help="file of the labels to choose among, one per line")
    parser.add_argument("--top-k", type=int, default=5, metavar="K", help="number of labels per sign (default 5)")
    parser.add_argument(
        "--segmenter", metavar="DIR", help="folder of a model that finds signs, which --model then names (label heads)"
    )
    parser.add_argument(
        "--people",
        type=int,
        default=1,
        metavar="N",
        help="number of people to transcribe, a tier for each (default 1)",
    )
    parser.add_argument("--language", help="spoken language to write (default English); for models that write")
    parser.add_argument("--person", type=int, default=0, metavar="N", help="index of the person to read (default 0)")
    parser.add_argument("--fps", type=float, metavar="RATE", help="frame rate of recordings that do not state theirs")
    parser.add_argument("--device", default="cpu", help="device to compute on: cpu (default), cuda, cuda:1, mps")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_video_options(parser, has_device=True)


def run(args: argparse.Namespace) -> int:
    """Transcribes the recordings; returns 1 if some could not be, else 0."""
    from dataclasses import replace

    from modeling_sigma.cli.predict import read_labels
    from modeling_sigma.cli.quiet_libraries import silence_transformers
    from modeling_sigma.inference.transcribed_files import Transcription, transcribe_files
    from modeling_sigma.inference.transcription import Transcriber
    from modeling_sigma.io.clip_paths import clip_paths

    if args.top_k < 1:
        raise ValueError(f"expected --top-k of at least 1, received {args.top_k}")
    silence_transformers()
    labels = None if args.labels is None else read_labels(args.labels)
    recordings = tuple(dict.fromkeys(str(path) for file in args.files for path in clip_paths(Path(file))))
    formats = tuple(
        dict.fromkeys(name.strip().lower().removeprefix(".") for name in args.to.split(",") if name.strip())
    )
    if args.fps is not None and not 0 < args.fps <= 1000:
        raise ValueError(f"expected --fps as frames per second, received {args.fps:g}")
    settings = {"top_k": args.top_k, "language": args.language or "English", "labels": labels}
    settings |= {name: getattr(args, name) for name in ("fps", "estimator") if getattr(args, name) is not None}
    if args.segmenter is not None:
        settings["segmenter"] = _name_of(args.segmenter)
    transcription = Transcription(
        recordings, args.out, formats, _name_of(args.model), settings, args.person, args.people, args.fps
    )
    # Once it is known that the rest can be done: an estimator may take long to load.
    transcription = replace(transcription, estimator=estimator_for(args, recordings))

    def transcriber() -> Transcriber:
        return Transcriber(args.model, labels, args.language, args.top_k, args.device, args.segmenter)

    # One bar: over the recordings, or over the windows of the only one.
    with ProgressBar("window" if len(recordings) == 1 else "recording") as bar:
        shown = {"progress_within" if len(recordings) == 1 else "progress": bar.show}
        summary = transcribe_files(transcription, transcriber, **shown)
    if args.json:
        print(json.dumps(summary, ensure_ascii=False, indent=2))
    else:
        _print_lines(summary["recordings"], args.out)
    failed = [report for report in summary["recordings"] if "error" in report]
    for report in failed:
        print(f"sigma-slu transcribe: {report['error']}", file=sys.stderr)
    if failed:
        print(
            f"sigma-slu transcribe: {len(failed)} of {len(recordings)} recordings gave no transcript", file=sys.stderr
        )
    return 1 if failed else 0


def _name_of(model: str) -> str:
    return Path(model).resolve().name if Path(model).exists() else model


def _print_lines(reports: list[dict[str, Any]], out: Path) -> None:
    for report in reports:
        if "error" not in report:
            files = ", ".join(str(out / file["name"]) for file in report["files"])
            print(
                f"{report['recording']}: {report['num_annotations']} annotations in {report['seconds']:.1f} s: {files}"
            )
