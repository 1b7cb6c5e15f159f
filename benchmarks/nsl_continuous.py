"""Letters of Nepali Sign Language in continuous recordings: which and when, by a signer whom training does not see.

    python benchmarks/nsl_continuous.py run [--data ../shared/data/nsl_alphabet] [--signers 3 4] [--seeds 0]
    python benchmarks/nsl_continuous.py table

All recordings are in alphabetical order. So that a model cannot learn the order, it trains on cut letters (and half
of the transitions beside them) joined in a random order, `examples/configs/finetune_nsl_continuous_ctc.yaml`. It reads
two tests of the signer who was left out: the recordings as they are, and letters of theirs joined in a random order
(`shuffled`), which a model that had learnt the alphabet by heart would fail. All clips are brought to 6 frames a
second.

Letter error rates by the best path. Times: `marks` are the frames that CTC marks, `spans` reach from each mark towards
its neighbours' by the share of a letter in the training recordings. F1 at an overlap of 0.5 and 0.3 whatever the
letter; mean absolute error of both ends of the spans whose letter is right.
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from gloss_runs import FrameScores, train_and_score
from recorded_runs import mean_and_spread, read_runs, run_missing
from tabulate import tabulate

from datasets_scripts.corpora import load_corpus
from datasets_scripts.schema import decode_clip, encode_sample
from modeling_sigma.metrics import word_error_rates
from modeling_sigma.metrics.segmentation import Span, segmentation_scores
from modeling_sigma.model.ctc_decoding_sigma import decode_greedily
from modeling_sigma.training.data.joined_sentences import join_sentences


RESULTS = Path(__file__).parent / "results" / "nsl_continuous"
RECIPE = Path(__file__).parents[1] / "examples" / "configs" / "finetune_nsl_continuous_ctc.yaml"
FPS = 6.0
SHUFFLED = 12  # recordings of 13 letters


def at_rate(rows: datasets.Dataset, fps: float) -> datasets.Dataset:
    """The clips at fewer frames a second, with their times, and their own frame rate as `original_fps`."""
    changed = []
    for row in rows:
        clip = decode_clip(row)
        step = float(clip.fps or fps) / fps
        number = max(1, round(len(clip) / step))
        frames = np.minimum(((np.arange(number) + 0.5) * step).astype(int), len(clip) - 1)
        fewer = clip.frames(frames)
        keys = ("sample_id", "sign_language", "spoken_language", "split", "text", "gloss", "signer_id")
        made = encode_sample(fewer, **{key: row[key] for key in keys})
        starts = [min(int(start / step), number - 1) for start in row["gloss_start"]]
        ends = [max(min(round(end / step), number), start + 1) for start, end in zip(starts, row["gloss_end"])]
        changed.append({**made, "fps": fps, "gloss_start": starts, "gloss_end": ends})
    return datasets.Dataset.from_list(changed, features=rows.features)


def load(signer: str, data: str) -> dict[str, Any]:
    """Train: letters and recordings of the others; test and shuffled: recordings of this signer."""
    recordings = load_corpus("nsl_alphabet", f"continuous_test{signer}", data_dir=data)
    letters = load_corpus("nsl_alphabet", f"letters_test{signer}", data_dir=data)["train"]
    isolated = [row for row, name in enumerate(letters["signer_id"]) if name in ("1", "2")]
    # Signers 3 and 4 have no other letters than those of their recordings, which are cut from there.
    train = [letters.select(isolated), *([recordings["train"]] if "train" in recordings else [])]
    test = at_rate(recordings["test"], FPS)
    return {
        "train": at_rate(datasets.concatenate_datasets(train), FPS),
        "test": test,
        "shuffled": join_sentences(test, SHUFFLED, longest_piece=1, longest_sentence=13, seed=1),
    }


def run(signer: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Trains one model and reads both tests."""
    splits = load(signer, args.data)
    tests = {name: splits[name] for name in ("test", "shuffled")}
    joined = datasets.concatenate_datasets(list(tests.values()))
    scores = train_and_score(RECIPE, {"train": splits["train"], "test": joined}, seed, args.changes)
    times = [row for row in splits["train"] if row["gloss"]]
    letters = sum(sum(row["gloss_end"]) - sum(row["gloss_start"]) for row in times)
    share = letters / sum(row["gloss_end"][-1] - row["gloss_start"][0] for row in times)
    report: dict[str, Any] = {
        "signer": signer, "seed": seed, "changes": args.changes, "seconds": round(scores.seconds),
        "train_clips": len(splits["train"]), "letter_share": share,
    }  # fmt: skip
    first = 0
    for name, rows in tests.items():
        part = FrameScores(scores.logits[first : first + len(rows)], scores.labels, 0)
        report[name] = judged(part, rows, share)
        first += len(rows)
    return report


def judged(scores: FrameScores, rows: datasets.Dataset, share: float) -> dict[str, Any]:
    """Letter error rate and times of some recordings."""
    readings = [decode_greedily(clip[None])[0] for clip in scores.logits]
    found = [[scores.labels[label] for label in reading.labels] for reading in readings]
    truth = [
        [
            Span(start / FPS, end / FPS, gloss)
            for gloss, start, end in zip(row["gloss"], row["gloss_start"], row["gloss_end"])
        ]
        for row in rows
    ]
    rates = word_error_rates(
        [" ".join(letters) for letters in found], [" ".join(gloss) for gloss in rows["gloss"]], num_bootstrap=1000
    )
    marks = [
        [Span(span.start / FPS, span.end / FPS, scores.labels[span.label]) for span in reading.spans]
        for reading in readings
    ]
    spans = [widened(of, len(clip) / FPS, share) for of, clip in zip(marks, scores.logits)]
    minutes = sum(len(clip) for clip in scores.logits) / FPS / 60
    report = {
        "letter_error_rate": rates["wer"], "interval": rates["intervals"]["wer"],
        "letters": rates["num_reference_words"],
        "found": [" ".join(letters) for letters in found], "references": [" ".join(gloss) for gloss in rows["gloss"]],
    }  # fmt: skip
    for name, predicted in (("marks", marks), ("spans", spans)):
        places = segmentation_scores(predicted, truth, minutes)
        errors = [
            abs(end)
            for one, other in zip(predicted, truth)
            for near, there in _same_letters(one, other)
            for end in (near.start - there.start, near.end - there.end)
        ]
        report[name] = {
            **{key: places[key] for key in ("f1@0.5", "f1@0.3", "labelled_f1@0.5")},
            "mae_seconds": float(np.mean(errors)) if errors else None, "ends": len(errors),
        }  # fmt: skip
    return report


def widened(marks: list[Span], end: float, share: float) -> list[Span]:
    """Each mark, stretched over `share` of the way to the marks beside it."""
    middles = [(mark.start + mark.end) / 2 for mark in marks]
    gaps = [second - first for first, second in zip(middles, middles[1:])]
    usual = float(np.median(gaps)) if gaps else end
    spans = []
    for place, (mark, middle) in enumerate(zip(marks, middles)):
        before = share / 2 * min(usual if place == 0 else gaps[place - 1], 2 * usual)
        after = share / 2 * min(usual if place == len(gaps) else gaps[place], 2 * usual)
        spans.append(
            Span(max(0.0, min(mark.start, middle - before)), min(end, max(mark.end, middle + after)), mark.label)
        )
    return spans


def _same_letters(found: list[Span], truth: list[Span]) -> list[tuple[Span, Span]]:
    """Pairs of a found and a true letter of the same name whose middles are nearest to one another."""
    pairs = []
    for there in truth:
        near = [one for one in found if one.label == there.label and one.start < there.end and one.end > there.start]
        if near:
            pairs.append((max(near, key=lambda one: min(one.end, there.end) - max(one.start, there.start)), there))
    return pairs


def table(runs: list[dict[str, Any]]) -> str:
    """One line per signer and test."""
    lines = []
    for signer, test in product(sorted({run["signer"] for run in runs}), ("test", "shuffled")):
        own = [run[test] for run in runs if run["signer"] == signer]
        low, high = own[0]["interval"]
        errors = [one["spans"]["mae_seconds"] for one in own]
        ends = [1000 * error for error in errors if error is not None]  # None where no letter was right
        cells = [
            f"{mean_and_spread([one['letter_error_rate'] for one in own])} [{low:.1f}, {high:.1f}]",
            *(
                mean_and_spread([one[way][key] for one in own])
                for way in ("marks", "spans")
                for key in ("f1@0.5", "f1@0.3")
            ),
            mean_and_spread(ends, 0) if ends else "-",
        ]
        name = "in alphabetical order" if test == "test" else "shuffled"
        lines.append([signer, name, own[0]["letters"], len(own), *cells])
    heading = [
        "signer left out", "recordings", "letters", "seeds", "letter error rate", "marks F1@0.5", "marks F1@0.3",
        "spans F1@0.5", "spans F1@0.3", "error of an end, ms",
    ]  # fmt: skip
    return tabulate(lines, heading, tablefmt="github", disable_numparse=True)


def main() -> None:
    """Runs what is missing, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"), nargs="?", default="table")
    parser.add_argument("--data", default="../shared/data/nsl_alphabet")
    parser.add_argument("--signers", nargs="+", choices=("3", "4"), default=["3", "4"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--changes", nargs=argparse.REMAINDER, default=[], help="options that differ from the recipe")
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    if args.command == "run":
        jobs = {f"signer{s}-{seed}": partial(run, s, seed, args) for seed, s in product(args.seeds, args.signers)}
        run_missing(args.results, jobs)
    print(table(read_runs(args.results)))


if __name__ == "__main__":
    main()
