"""`sigma-slu align`: gives the subtitles of a recording better times."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from modeling_sigma.cli.video_options import add_video_options, estimator_for
from modeling_sigma.jobs.progress import ProgressBar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `align`."""
    parser.add_argument(
        "recording", metavar="RECORDING", help="recording in any format that `sigma-slu inspect` reads"
    )
    parser.add_argument(
        "subtitles", type=Path, metavar="FILE", help="subtitles with loose times: .srt, .vtt, .eaf, ..."
    )
    parser.add_argument("--model", metavar="DIR", help="folder of a model that names signs, or its name on the Hub")
    parser.add_argument(
        "--segmenter", metavar="DIR", help="folder of a model that finds signs; one of the two models must be given"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="file to write: .srt, .vtt, .eaf, .json or .tsv"
    )
    parser.add_argument("--tier", metavar="NAME", help="tier that holds the subtitles, where there are several")
    parser.add_argument(
        "--max-shift",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="number of seconds that a subtitle may move (default 10)",
    )
    parser.add_argument("--person", type=int, default=0, metavar="N", help="index of the person to read (default 0)")
    parser.add_argument(
        "--fps", type=float, metavar="RATE", help="frame rate of a recording that does not state its own"
    )
    parser.add_argument("--device", default="cpu", help="device to compute on: cpu (default), cuda, cuda:1, mps")
    parser.add_argument("--force", action="store_true", help="replace FILE of --out if it exists")
    parser.add_argument("--json", action="store_true", help="print the old and the new times as JSON")
    add_video_options(parser, has_device=True)


def run(args: argparse.Namespace) -> int:
    """Aligns, and writes the file; tiers other than that of the subtitles stay as they are."""
    from dataclasses import replace

    from modeling_sigma.cli.quiet_libraries import silence_transformers
    from modeling_sigma.inference.subtitle_aligner import SubtitleAligner, median_shift
    from modeling_sigma.io import load_clip
    from modeling_sigma.io.annotations import ANNOTATION_SUFFIXES, annotation_text, read_annotations
    from modeling_sigma.io.reading_errors import naming_file
    from modeling_sigma.jobs.atomic_files import write_text

    suffix = args.out.suffix.lower()
    if suffix not in ANNOTATION_SUFFIXES:
        raise ValueError(f"expected --out as one of {', '.join(ANNOTATION_SUFFIXES)}, received {args.out.name}")
    if args.out.exists() and not args.force:
        raise ValueError(f"{args.out}: exists already: choose another file, or replace it with --force")
    if not 0 < args.max_shift <= 3600:
        raise ValueError(f"expected --max-shift as seconds up to 3600, received {args.max_shift:g}")
    silence_transformers()
    annotated = read_annotations(args.subtitles)
    tiers = [tier.name for tier in annotated.all_tiers() if annotated.in_tier(tier.name)]
    if args.tier is None and len(tiers) != 1:
        raise ValueError(
            f"{args.subtitles}: expected one tier with annotations, found {', '.join(tiers) or 'none'}: set --tier"
        )
    tier = args.tier or tiers[0]
    before = annotated.in_tier(tier)
    if not before:
        raise ValueError(f"{args.subtitles}: expected the tier {tier!r}, found {', '.join(tiers) or 'none'}")
    aligner = SubtitleAligner(args.model, args.segmenter, args.device)
    clip = load_clip(args.recording, person=args.person, estimator=estimator_for(args, [args.recording]))
    clip = replace(clip, fps=clip.fps or args.fps)
    with naming_file(args.recording, "a recording"), ProgressBar("window") as bar:
        after = aligner(clip, before, args.max_shift, bar.show)
    others = tuple(one for one in annotated.annotations if one.tier != tier)
    write_text(args.out, annotation_text(replace(annotated, annotations=(*others, *after)), suffix))
    shift = median_shift(before, after)
    if args.json:
        moves = [
            {"text": old.value, "from": [old.start, old.end], "to": [new.start, new.end]}
            for old, new in zip(before, after)
        ]
        print(json.dumps({"file": str(args.out), "median_shift": shift, "subtitles": moves}, ensure_ascii=False))
    else:
        print(f"{args.out}: {len(after)} subtitles, moved by {shift:+.2f} s in the median")
    return 0
