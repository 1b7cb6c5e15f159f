"""Transcribe, correct, adapt, transcribe again: how the corrections that a recording needs become fewer.

    python examples/annotation_loop.py archive --out loop --model checkpoints/sigma-wlasl-hands
    python examples/annotation_loop.py --nsl DIR --out loop --model checkpoints/sigma-wlasl-hands

`archive` is a folder of recordings, each with its `.eaf` beside it, whose tier `signs` is right. One recording after
the other is transcribed as if nobody had annotated it; its corrections are counted (signs to add, to remove, to
rename); then the right annotations take the place of somebody's work in ELAN, and the model learns from all that have
been corrected so far. So every count is that of a recording that the model has not seen.

At your own desk the three commands that this script runs are enough: `sigma-slu transcribe`, ELAN, `sigma-slu adapt`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from modeling_sigma.cli.main import main as sigma_slu
from modeling_sigma.io import load_clip, save_clip
from modeling_sigma.io.annotations import AnnotatedRecording, Annotation, annotation_text, read_annotations
from modeling_sigma.metrics.segmentation import Span, corrections_needed


TIER = "signs"


def write_nsl(data_dir: Path, archive: Path, cache: Path) -> None:
    """The five recordings of Nepali vowels as an archive: three of signer 3, then two of signer 4."""
    from datasets_scripts.nsl_alphabet import NslAlphabet

    builder = NslAlphabet(config_name="continuous", data_dir=data_dir, cache_dir=cache, train_signers="1,2")
    archive.mkdir(parents=True)
    for entry in builder.list_clips("test"):
        if "owel" not in entry.sample_id:
            continue
        clip = builder.read_clip(entry)
        rows = [
            Annotation(start / clip.fps, stop / clip.fps, gloss, TIER, f"signer {entry.signer_id}")
            for gloss, (start, stop) in zip(entry.gloss, entry.gloss_spans)
        ]
        save_clip(archive / f"{entry.sample_id}.npz", clip)
        content = annotation_text(AnnotatedRecording(tuple(rows)), ".eaf")
        (archive / f"{entry.sample_id}.eaf").write_text(content, encoding="utf-8")


def spans_of(path: Path) -> list[Span]:
    """The signs in a file of annotations."""
    return [Span(row.start, row.end, row.value) for row in read_annotations(path).in_tier(TIER)]


def run(command: list[str]) -> None:
    """A command of `sigma-slu`."""
    print("sigma-slu", *command, flush=True)
    if sigma_slu(command) != 0:
        raise SystemExit(f"sigma-slu {command[0]} failed: see above")


def loop(archive: Path, out: Path, model: str, segmenter: str | None, steps: int) -> list[dict[str, float]]:
    """Goes through the recordings of an archive in the order of their names; returns a report of each."""
    recordings = sorted(path for path in archive.iterdir() if path.suffix == ".npz")
    if not recordings:
        raise SystemExit(f"{archive}: expected recordings (.npz) with their annotations (.eaf) beside them")
    base, corrected = model, out / "corrected"
    corrected.mkdir(parents=True)
    reports = []
    for number, recording in enumerate(recordings):
        transcripts = out / f"transcripts-{number}"
        finder = [] if segmenter is None else ["--segmenter", segmenter]
        run(["transcribe", str(recording), "--model", model, "--out", str(transcripts), *finder])
        found = spans_of(transcripts / f"{recording.stem}.eaf")
        there = spans_of(recording.with_suffix(".eaf"))
        minutes = (load_clip(recording).duration or 0.0) / 60
        needed = corrections_needed(found, there)
        report = {"recording": recording.stem, "signs": len(there), "minutes": round(minutes, 3), **needed}
        report["corrections_per_minute"] = round(needed["total"] / minutes, 1)
        report["corrections_per_sign"] = round(needed["total"] / max(1, len(there)), 2)
        print(json.dumps(report), flush=True)
        reports.append(report)
        # Here somebody would open the transcript in ELAN.
        for suffix in (".npz", ".eaf"):
            shutil.copyfile(recording.with_suffix(suffix), corrected / f"{recording.stem}{suffix}")
        if number + 1 < len(recordings):
            adapted = str(out / f"model-{number}")
            options = ["--tiers", TIER, "--task", "islr", "--steps", str(steps), "--cpu"]
            # From the first model each time: what is learnt from all corrections at once is not forgotten.
            run(["adapt", "--model", base, "--data", str(corrected), "--out", adapted, *options])
            model = adapted
    return reports


def main() -> None:
    """Runs the loop, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "archive", type=Path, nargs="?", help="folder of recordings with right annotations beside them"
    )
    parser.add_argument(
        "--nsl", type=Path, metavar="DIR", help="folder of the corpus nsl_alphabet, instead of an archive"
    )
    parser.add_argument("--model", required=True, help="folder of the model with a label head to start from")
    parser.add_argument("--segmenter", help="folder of a model that finds signs")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; it must not exist")
    parser.add_argument("--steps", type=int, default=100, help="steps of each adaptation (default 100)")
    args = parser.parse_args()
    if (args.archive is None) == (args.nsl is None):
        parser.error("expected an archive or --nsl, one of the two")
    args.out.mkdir(parents=True)
    archive = args.archive or args.out / "archive"
    if args.nsl is not None:
        write_nsl(args.nsl, archive, args.out / "cache")
    reports = loop(archive, args.out, args.model, args.segmenter, args.steps)
    (args.out / "corrections.json").write_text(json.dumps(reports, indent=2) + "\n", encoding="utf-8")
    for report in reports:
        print(f"{report['recording']:60s} {report['corrections_per_minute']:6.1f} corrections a minute")


if __name__ == "__main__":
    main()
