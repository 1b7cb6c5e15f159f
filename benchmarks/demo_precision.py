"""Does bfloat16 train the demo as well as float32, and how much faster?

    python benchmarks/demo_precision.py run --seeds 0 1 2 3 4 5    # about a quarter of an hour per seed on one core
    python benchmarks/demo_precision.py table

Two models with the same initial weights see the same batches, one after the other, and read the same test clips. Times
are those of training, including the making of clips: compare them on an idle machine. Existing runs are skipped.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recorded_runs import mean_and_spread, read_runs, run_missing
from tabulate import tabulate

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma.registration import register_sigma
from modeling_sigma.training.recipes.synthetic_demo import (
    DemoRecipe,
    PrintedProgress,
    build_demo,
    evaluate_demo,
    train_demo,
)


PRECISIONS = ("fp32", "bf16")
SCORES = ("bleu4", "isolated_accuracy")
RESULTS = Path(__file__).parent / "results" / "demo_precision"


def run(seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Trains both, scores both on sentences and single signs of unseen signers."""
    recipe = replace(DemoRecipe(seed=seed), steps=args.steps)
    language, progress, seconds = SyntheticSigns(seed=0), PrintedProgress(sys.stderr), dict.fromkeys(PRECISIONS, 0.0)
    result: dict[str, Any] = {"steps": recipe.steps, "seed": seed, "clips": args.clips}
    for precision in PRECISIONS:
        model, processor = build_demo(language, recipe)
        started = time.perf_counter()
        losses = train_demo(model, processor, language, replace(recipe, precision=precision), progress)
        seconds[precision] = time.perf_counter() - started
        scores = evaluate_demo(model, processor, language, recipe, progress, args.clips)
        result[precision] = {
            "bleu4": round(scores["bleu4"], 1),
            "isolated_accuracy": round(100 * scores["isolated_accuracy"], 1),
            "last_losses": round(float(np.mean(losses[-40:])), 3),
            "training_seconds": round(seconds[precision]),
        }
    times_faster = round(seconds["fp32"] / seconds["bf16"], 2)
    return {**result, "bf16_times_faster": times_faster, "threads": torch.get_num_threads()}


def table(results: list[dict[str, Any]]) -> str:
    """One line per seed, then means and standard deviations; the last columns are bfloat16 minus float32."""
    heading = ["seed", "BLEU-4 bf16", "BLEU-4 fp32", "difference", "signs bf16", "signs fp32", "difference"]
    rows = []
    columns: list[list[float]] = []
    for score in SCORES:
        bf16, fp32 = ([one[precision][score] for one in results] for precision in ("bf16", "fp32"))
        columns += [bf16, fp32, [first - second for first, second in zip(bf16, fp32, strict=True)]]
    for one, row in zip(results, zip(*columns, strict=True), strict=True):
        rows.append([one["seed"], *(f"{value:.1f}" for value in row)])
    if len(results) > 1:
        rows.append(["mean", *map(mean_and_spread, columns)])
    return tabulate(rows, heading, tablefmt="github", disable_numparse=True)


def main() -> None:
    """Runs what is missing, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"), nargs="?", default="table")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4, 5])
    parser.add_argument("--steps", type=int, default=DemoRecipe.steps)
    parser.add_argument("--clips", type=int, default=1000, help="test sentences, and as many single signs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    if args.command == "run":
        register_sigma()
        run_missing(args.results, {f"seed-{seed}": partial(run, seed, args) for seed in args.seeds})
    print(table(read_runs(args.results)))


if __name__ == "__main__":
    main()
