"""Continuous American signing from three points: RWTH-BOSTON-104 with CTC, beside copying and counting.

    python benchmarks/boston104.py run [--data ../shared/data/boston104] [--settings official ...] [--seeds 0 1 2]
    python benchmarks/boston104.py together --logits DIR      # the seeds' models read together, after run --logits DIR
    python benchmarks/boston104.py baselines        # trains nothing, seconds
    python benchmarks/boston104.py table

- official: the database's own split; 26 of its 40 test sentences stand in train, too, and 14 do not: both are given.
- without_man-1, without_woman-1, without_woman-2: all sentences of that person are test.
- fold-0 to fold-3: quarters of the official train split, by which everything was chosen.

A model is `examples/configs/finetune_boston104_ctc.yaml`, trained once for each setting and seed, and read in three
ways: the best path; a beam search; a beam search that weighs trigrams of the train split's glosses. Baselines: the
sentence of the nearest train clip by dynamic time warping, and the commonest train sentence. `together` takes the mean
of the chances that several seeds' models give in every frame.

Each run writes one JSON file with its readings; existing runs are skipped.
"""

from __future__ import annotations

import argparse
from collections import Counter
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dictionary import moments, warped
from gloss_runs import FrameScores, train_and_score
from recorded_runs import mean_and_spread, read_runs, run_missing
from tabulate import tabulate

from datasets_scripts.boston104 import SIGNERS
from datasets_scripts.corpora import load_corpus
from datasets_scripts.schema import decode_clip
from modeling_sigma.metrics import word_error_rates
from modeling_sigma.model.ctc_decoding_sigma import decode_greedily, decode_with_beams
from modeling_sigma.model.gloss_ngrams_sigma import GlossNgrams
from modeling_sigma.model.skeleton_layouts import BODY_JOINT_NAMES


RESULTS = Path(__file__).parent / "results" / "boston104"
RECIPE = Path(__file__).parents[1] / "examples" / "configs" / "finetune_boston104_ctc.yaml"
FOLDS = 4
SETTINGS = ("official", *(f"without_{signer}" for signer in SIGNERS), *(f"fold-{number}" for number in range(FOLDS)))
READINGS = ("commonest train sentence", "nearest train clip", "best path", "beams", "beams and trigrams")
TOGETHER = tuple(f"{name}, together" for name in READINGS[2:])
# Chosen on the folds: the weight of the trigrams, and what a gloss adds.
NGRAMS = {"order": 3, "weight": 0.7, "bonus": 1.0}
NUM_BEAMS = 20


def load(setting: str, data: str) -> dict[str, Any]:
    """Train and test of a setting."""
    if not setting.startswith("fold"):
        return dict(load_corpus("boston104", "boston104" if setting == "official" else setting, data_dir=data))
    rows = load_corpus("boston104", data_dir=data)["train"]
    order = np.random.default_rng(7).permutation(len(rows))
    is_held = np.isin(np.arange(len(rows)), order[int(setting[-1]) :: FOLDS])
    return {"train": rows.select(np.flatnonzero(~is_held)), "test": rows.select(np.flatnonzero(is_held))}


def run(setting: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Trains one model and reads the test clips of its setting in three ways."""
    splits = load(setting, args.data)
    scores = train_and_score(RECIPE, splits, seed, args.changes)
    if args.logits:
        np.savez(args.logits / f"{setting}-{seed}.npz", *scores.logits, labels=list(scores.labels.values()))
    facts = {"seed": seed, "changes": args.changes, "ngrams": NGRAMS, "seconds": round(scores.seconds)}
    return {**facts, **report(setting, splits, read(scores, sentences(splits["train"])))}


def together(setting: str, args: argparse.Namespace) -> dict[str, Any]:
    """Reads the test clips by the mean of what the seeds' models say of each frame."""
    splits = load(setting, args.data)
    files = [np.load(args.logits / f"{setting}-{seed}.npz") for seed in args.seeds]
    labels = {number: str(label) for number, label in enumerate(files[0]["labels"])}
    names = [name for name in files[0].files if name != "labels"]
    clips = (torch.from_numpy(np.stack([file[name] for file in files])) for name in names)  # (seeds, T, num_labels)
    scores = FrameScores([clip.softmax(-1).mean(0).log().numpy() for clip in clips], labels, 0.0)
    readings = {f"{name}, together": found for name, found in read(scores, sentences(splits["train"])).items()}
    return {"seeds": args.seeds, "ngrams": NGRAMS, **report(setting, splits, readings)}


def baselines(setting: str, args: argparse.Namespace) -> dict[str, Any]:
    """What copying sentences of the train split reaches."""
    splits = load(setting, args.data)
    train = sentences(splits["train"])
    commonest = Counter(train).most_common(1)[0][0]
    readings = {
        "commonest train sentence": [commonest] * len(splits["test"]),
        "nearest train clip": [train[row] for row in nearest(splits["train"], splits["test"])],
    }
    return report(setting, splits, readings)


def sentences(rows: Any) -> list[str]:
    """The glosses of each clip."""
    return [" ".join(gloss) for gloss in rows["gloss"]]


def report(setting: str, splits: dict[str, Any], readings: dict[str, list[str]]) -> dict[str, Any]:
    """Readings beside what is signed."""
    train, test = set(sentences(splits["train"])), sentences(splits["test"])
    return {
        "setting": setting,
        "sample_ids": list(splits["test"]["sample_id"]),
        "references": test,
        "stands_in_train": [sentence in train for sentence in test],
        "readings": readings,
    }


def read(scores: FrameScores, train: list[str]) -> dict[str, list[str]]:
    """The test clips as sentences of glosses, by three ways of decoding."""
    numbers = {label: number for number, label in scores.labels.items()}
    known = [[numbers[gloss] for gloss in sentence.split()] for sentence in train]
    language = GlossNgrams(known, len(numbers), **NGRAMS)
    logits = [clip[None] for clip in scores.logits]
    found = {
        "best path": [decode_greedily(clip)[0] for clip in logits],
        "beams": [decode_with_beams(clip, num_beams=NUM_BEAMS)[0][0] for clip in logits],
        "beams and trigrams": [
            decode_with_beams(clip, num_beams=NUM_BEAMS, language_model=language)[0][0] for clip in logits
        ],
    }
    return {
        name: [" ".join(scores.labels[label] for label in best.labels) for best in readings]
        for name, readings in found.items()
    }


def nearest(train: Any, test: Any) -> np.ndarray:
    """For each test clip the nearest train clip, by the paths of both hands relative to the nose."""
    known, asked = (np.stack([_paths(row) for row in rows]) for rows in (train, test))
    return warped(asked, known).argmax(axis=1)


def _paths(row: dict[str, Any]) -> np.ndarray:
    nose, *hands = (BODY_JOINT_NAMES.index(name) for name in ("nose", "left_wrist", "right_wrist"))
    points = decode_clip(row).keypoints
    return moments((points[:, hands] - points[:, nose, None]).reshape(len(points), -1), 32)


def table(runs: list[dict[str, Any]]) -> str:
    """Word error rates: mean and deviation over seeds, and in brackets the 95 % interval of the first seed."""
    lines = []
    for setting in SETTINGS:
        for name in (*READINGS, *TOGETHER):
            own = [one for one in runs if one["setting"] == setting and name in one["readings"]]
            if not own:
                continue
            groups: dict[str, list[dict[str, Any]]] = {"all": [], "in train": [], "not in train": []}
            for one in own:
                for group, kept in (("all", None), ("in train", True), ("not in train", False)):
                    rows = [row for row, known in enumerate(one["stands_in_train"]) if kept is None or known == kept]
                    texts = [[some[row] for row in rows] for some in (one["readings"][name], one["references"])]
                    if rows:
                        groups[group].append(word_error_rates(*texts, num_bootstrap=1000 if one is own[0] else 0))
            cells = []
            for found in groups.values():
                if not found:
                    cells.append("-")
                    continue
                low, high = found[0]["intervals"]["wer"]
                cells.append(f"{mean_and_spread([one['wer'] for one in found])} [{low:.1f}, {high:.1f}]")
            seeds = own[0].get("seeds") or [one["seed"] for one in own if "seed" in one]  # baselines have none
            lines.append([setting, name, len(seeds) or "-", *cells])
    return tabulate(
        lines, ["test", "reading", "seeds", "WER", "sentences in train", "new sentences"], tablefmt="github",
        disable_numparse=True,
    )  # fmt: skip


def main() -> None:
    """Runs what is missing, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "together", "baselines", "table"), nargs="?", default="table")
    parser.add_argument("--data", default="../shared/data/boston104")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS[:4]))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--logits", type=Path, help="folder for the frame scores, to choose how they are decoded")
    parser.add_argument("--changes", nargs=argparse.REMAINDER, default=[], help="options that differ from the recipe")
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    if args.command == "run":
        jobs = {f"{s}-{seed}": partial(run, s, seed, args) for seed, s in product(args.seeds, args.settings)}
        run_missing(args.results, jobs)
    if args.command == "together":
        run_missing(
            args.results, {f"{setting}-together": partial(together, setting, args) for setting in args.settings}
        )
    if args.command == "baselines":
        run_missing(
            args.results, {f"{setting}-baselines": partial(baselines, setting, args) for setting in args.settings}
        )
    print(table(read_runs(args.results)))


if __name__ == "__main__":
    main()
