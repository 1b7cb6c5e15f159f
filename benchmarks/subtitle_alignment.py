"""Subtitles with known times that are made loose, and aligned again: beside doing nothing and the best constant shift.

Run: `python benchmarks/subtitle_alignment.py --data ../shared/data --segmenter DIR`. Prints JSON. `joined` are
recordings of real test clips of WLASL300 (as in `finding_signs.py`, rests and transitions mixed); a subtitle is a run
of two to five of them, its text their words. `synthetic` are sentences of the synthetic language, one after the other,
which no model here knows: only the places of signs can help. Times are made loose in two ways: one shift of up to
5 s for all (`shift`), or that and jitter of 0.7 s for each subtitle and of a fifth of its length (`jitter`). The best
constant shift is chosen with the true times, which nobody has.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from finding_signs import RESTS, join, recordings_of
from reports import machine_facts, print_report

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.inference.subtitle_alignment import place_subtitles
from modeling_sigma.inference.subtitle_scores import label_scores
from modeling_sigma.metrics.segmentation import Span, overlap
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import select_joints


LOOSENESS = {"shift": (5.0, 0.0, 0.0), "jitter": (5.0, 0.7, 0.2)}  # seconds for all, for each, share of the length
SEEDS = 10

# A recording, its subtitles, and for each the labels that it mentions.
Subtitled = tuple[PoseClip, list[Span], list[list[str]]]


def subtitled(clip: PoseClip, signs: Sequence[Span], rng: np.random.Generator) -> Subtitled:
    """Runs of two to five signs as subtitles."""
    subtitles, mentioned = [], []
    place = 0
    while place < len(signs):
        run = signs[place : place + int(rng.integers(2, 6))]
        subtitles.append(Span(run[0].start, run[-1].end))
        mentioned.append(sorted({sign.label for sign in run}))
        place += len(run)
    return clip, subtitles, mentioned


def joined(data: Path, cache: str, num_clips: int, seed: int, split: str) -> list[Subtitled]:
    """Recordings of two dozen signs or more."""
    recordings = recordings_of("mixed", data, cache, num_clips, seed, split=split)
    rng = np.random.default_rng(seed)
    return [subtitled(clip, signs, rng) for clip, signs in recordings]


def synthetic(num_sentences: int, seed: int) -> list[Subtitled]:
    """Sentences of the synthetic language, six in a recording."""
    language, rng = SyntheticSigns(seed=0), np.random.default_rng(seed)
    found = []
    for start in range(0, num_sentences, 6):
        samples = [language.sentence(start + place, split="test") for place in range(6)]
        pieces = []
        for sample in samples:
            points, scores = select_joints(sample.clip)
            size = float(sample.clip.height or 1)
            pieces.append((points[:, 9:51] / size, scores[:, 9:51], sample.text))
        clip, spans = join(pieces, rng, RESTS["mixed"])
        found.append((clip, [Span(span.start, span.end) for span in spans], [[] for _ in spans]))
    return found


def loosened(subtitles: Sequence[Span], how: str, rng: np.random.Generator) -> list[Span]:
    """The subtitles with other times, in their order."""
    most, each, share = LOOSENESS[how]
    shift = rng.uniform(-most, most)
    starts = np.array([one.start for one in subtitles]) + shift + rng.normal(0, each, len(subtitles))
    lengths = np.array([one.end - one.start for one in subtitles]) * np.exp(rng.normal(0, share, len(subtitles)))
    return [Span(float(start), float(start + length)) for start, length in zip(np.sort(starts), lengths)]


def moved_by_the_best_shift(loose: Sequence[Span], true: Sequence[Span]) -> list[Span]:
    """All by one shift: the median of what they need."""
    shift = float(np.median([there.start + there.end - one.start - one.end for one, there in zip(loose, true)]) / 2)
    return [Span(one.start + shift, one.end + shift) for one in loose]


def measure(recordings: Sequence[Subtitled], find: Callable[..., list[dict[str, Any]]]) -> dict[str, Any]:
    """Of each way and looseness the share of subtitles that overlap with their true place by half, and how far starts
    are away."""
    shares: dict[str, list[float]] = {}
    starts: dict[str, list[float]] = {}
    for clip, true, mentioned in recordings:
        signs = find(clip, sorted({label for labels in mentioned for label in labels}))
        spans = [(sign["start"], sign["end"]) for sign in signs]
        candidates = [{guess["label"]: guess["score"] for guess in sign.get("candidates", [])} for sign in signs]
        scores = label_scores(mentioned, candidates)
        for how in LOOSENESS:
            for seed in range(SEEDS):
                loose = loosened(true, how, np.random.default_rng([seed, len(true)]))
                ways = {"as they are": loose, "best constant shift": moved_by_the_best_shift(loose, true)}
                for way, known in (("signs alone", np.zeros_like(scores)), ("signs and words", scores)):
                    placed = place_subtitles([(one.start, one.end) for one in loose], spans, known)
                    ways[way] = [Span(one.start, one.end) for one in placed]
                for way, found in ways.items():
                    shares.setdefault(f"{how}, {way}", []).extend(overlap(a, b) >= 0.5 for a, b in zip(found, true))
                    starts.setdefault(f"{how}, {way}", []).extend(abs(a.start - b.start) for a, b in zip(found, true))
    return {
        "recordings": len(recordings),
        "subtitles": sum(len(true) for _, true, _ in recordings),
        **{
            way: {
                "overlap_by_half": round(100 * float(np.mean(shares[way])), 1),
                "median_start_error": round(float(np.median(starts[way])), 2),
                "start_within_half_a_second": round(100 * float(np.mean(np.array(starts[way]) < 0.5)), 1),
            }
            for way in shares
        },
    }


def main() -> None:
    """Prints the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--model", default="checkpoints/sigma-wlasl-hands", help="folder of a model with a label head")
    parser.add_argument("--segmenter", help="folder of a model that finds signs (default: the label head finds them)")
    parser.add_argument("--clips", type=int, default=96, help="number of WLASL clips, and of sentences")
    parser.add_argument("--kinds", nargs="+", choices=("joined", "synthetic"), default=["joined", "synthetic"])
    parser.add_argument("--split", choices=("validation", "test"), default="test", help="of WLASL300")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    pipe = load_pipeline(args.model, "sign-transcription", "cpu")
    segmenter = None if args.segmenter is None else load_pipeline(args.segmenter, "sign-segmentation", "cpu")

    def find(clip: PoseClip, labels: list[str]) -> list[dict[str, Any]]:
        among = {"labels": labels, "top_k": len(labels)} if labels else {}
        if segmenter is None:
            return list(pipe(clip, **among))
        spans = segmenter(clip)
        if not labels:
            return list(spans)
        return list(pipe(clip, spans=[(one["start"], one["end"]) for one in spans], **among))

    report: dict[str, Any] = {
        **{name: getattr(args, name) for name in ("model", "segmenter", "clips", "split", "seed")},
        "kinds": {},
    }
    with tempfile.TemporaryDirectory() as cache:
        for kind in args.kinds:
            if kind == "joined":
                recordings = joined(args.data, cache, args.clips, args.seed, args.split)
            else:
                recordings = synthetic(args.clips, args.seed)
            report["kinds"][kind] = measure(recordings, find)
    print_report({**report, **machine_facts("torch", "transformers", "numpy")}, args.output)


if __name__ == "__main__":
    main()
