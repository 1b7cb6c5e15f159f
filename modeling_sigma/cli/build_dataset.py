"""`sigma-slu build-dataset`: turns a corpus into a folder that `datasets.load_dataset` opens."""

from __future__ import annotations

import argparse
import ast
import json
import os
import sys
from pathlib import Path
from typing import Any

from modeling_sigma.cli.executor_options import add_executor_arguments, make_engine
from modeling_sigma.jobs.progress import ProgressBar


_NUM_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `build-dataset`."""
    parser.add_argument(
        "corpus", metavar="CORPUS", help="name of a corpus, or the word folder for your own clips and labels"
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of the corpus's own files")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder to write the data set to; a second run resumes there",
    )
    parser.add_argument("--config", metavar="NAME", help="configuration of the corpus, such as wlasl100")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="option of the corpus, such as sign_language='Bangla Sign Language'; may be repeated",
    )
    parser.add_argument("--keep-layout", action="store_true", help="store all keypoints, not only Sigma's 69 joints")
    parser.add_argument(
        "--pictures",
        action="store_true",
        help="add a picture of each skeleton, which the Hub's viewer of data sets shows",
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first clip that is missing or damaged")
    add_executor_arguments(parser, os.cpu_count() or 1, "one per core")
    parser.add_argument(
        "--clips-per-shard", type=int, default=500, metavar="N", help="number of clips per file (default 500)"
    )
    parser.add_argument(
        "--without",
        type=Path,
        metavar="FILE",
        help="file of the clips or signers to leave out, one sample_id or signer_id per line: people who take their "
        "signing back, or never agreed to share it",
    )
    parser.add_argument("--push", metavar="ORG/NAME", help="push the data set to the Hub, private by default")
    parser.add_argument("--public", action="store_true", help="make the repository of --push public")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Builds, and pushes if asked to. Clips that are missing or damaged go into the report and are no failure.

    Returns 1 if clips could not be read for a reason that may pass, such as a failing disk, else 0. Nothing is pushed
    then.
    """
    from datasets.utils import logging

    from datasets_scripts.building.build import REPORT, build_dataset, push_dataset, work_folder

    if args.public and not args.push:
        raise ValueError("--public belongs to --push ORG/NAME: give both, or neither")
    logging.disable_progress_bar()
    options = dict(_option(text) for text in args.set)
    if args.keep_layout:
        options["keep_layout"] = True
    if args.pictures:
        options["pictures"] = True
    if args.strict:
        options["on_problem"] = "raise"
    engine = make_engine(args, work_folder(args.out))
    with ProgressBar("clip") as bar:
        report = build_dataset(
            args.corpus,
            args.out,
            args.data_dir,
            args.config,
            num_proc=args.num_proc,
            engine=engine,
            clips_per_shard=args.clips_per_shard,
            progress=bar.show,
            without=args.without,
            **options,
        )
    postponed = report["postponed"]
    is_pushed = args.push and not postponed
    url = push_dataset(args.out, args.push, is_public=args.public) if is_pushed else None
    if args.json:
        print(json.dumps({**report, "url": url} if url else report, indent=2, ensure_ascii=False))
    else:
        _print_report(report, args.out)
        if url:
            print(f"sent to {url}")
    left_out = report["missing"] + report["set_aside"]
    for problem in left_out[:_NUM_SHOWN]:
        print(f"sigma-slu build-dataset: left out: {problem['sample_id']}: {problem['reason']}", file=sys.stderr)
    if left_out:
        print(
            f"sigma-slu build-dataset: {len(report['missing'])} clips are missing and {len(report['set_aside'])} "
            f"cannot be read: see {args.out / REPORT}",
            file=sys.stderr,
        )
    for problem in postponed[:_NUM_SHOWN]:
        print(f"sigma-slu build-dataset: postponed: {problem['sample_id']}: {problem['reason']}", file=sys.stderr)
    if postponed:
        print(
            f"sigma-slu build-dataset: {len(postponed)} clips could not be read for now: the same command takes them "
            f"up again{'; nothing was sent' if args.push else ''}",
            file=sys.stderr,
        )
    return 1 if postponed else 0


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"expected --set NAME=VALUE, received {text!r}: for example --set text_column=sentence")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):  # plain text
        return name, value


def _print_report(report: dict[str, Any], out: Path) -> None:
    num_clips = sum(split["num_clips"] for split in report["splits"].values())
    print(f"{report['title']}, {report['config']}: {num_clips:,} clips in {out}")
    for split, counts in report["splits"].items():
        print(
            f"  {split:<11}{counts['num_clips']:>8,} clips  {counts['num_texts']:>7,} texts  "
            f"{counts['num_signers'] or 'unknown':>7} signers  median {counts['frames_median']} frames"
        )
    for pair, signers in report["signer_overlap"].items():
        if signers:
            print(f"  {len(signers)} signers are in both {pair}")
