"""A second sign language from few clips per sign: adapters against training every weight, on the synthetic languages.

    sigma-slu demo --out sigma-slu                         # the model that is adapted: synthetic language 0
    python benchmarks/adaptation.py run --model sigma-slu  # one JSON file per run; existing runs are skipped
    python benchmarks/adaptation.py table

Language 1 has other signs and signers than language 0. Each run trains on some clips of each of its 48 signs
with the recipe of `sigma-slu adapt`, and is scored on 480 clips of signers that neither training has seen.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from recorded_runs import read_runs, run_missing
from tabulate import tabulate

from modeling_sigma.training.recipes.adapt import AdaptOptions, adapt


RESULTS = Path(__file__).parent / "results" / "adaptation"
VARIANTS: dict[str, dict[str, Any]] = {
    "full": {"method": "full"},
    "full_frozen_statistics": {"method": "full", "freeze_batch_norm": True},
    "lora": {"method": "lora", "rank": 4},
    "lora_frozen_statistics": {"method": "lora", "rank": 4, "freeze_batch_norm": True},
    "lora_frozen_pose": {"method": "lora", "rank": 4, "pose_encoder": "frozen"},
    "lora_full_pose": {"method": "lora", "rank": 4, "pose_encoder": "full"},
}


def run(variant: str, clips: int, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """One variant with so many clips per sign."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        options = AdaptOptions(
            model=args.model, data="synthetic:isolated", out=folder, task="islr", clips_per_text=clips, seed=seed,
            steps=args.steps, use_cpu=True, **VARIANTS[variant],
            corpus_options={"seed": args.language, "num_train": 960, "num_validation": 48, "num_test": 480},
        )  # fmt: skip
        results = adapt(options)
    scores = results["scores"]["test"]
    return {
        "variant": variant,
        "clips_per_sign": clips,
        "seed": seed,
        "top1": scores["top1_per_instance"],
        "top5": scores["top5_per_instance"],
        "trainable_percent": 100 * results["trainable"] / results["parameters"],
        "steps": args.steps,
        "seconds": round(time.monotonic() - started),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
    }


def table(results: list[dict[str, Any]]) -> str:
    """One line per variant, one column per number of clips; means over seeds."""
    clips = sorted({result["clips_per_sign"] for result in results})
    rows = []
    for variant in VARIANTS:
        runs = [result for result in results if result["variant"] == variant]
        if not runs:
            continue
        cells = []
        for number in clips:
            scores = [result["top1"] for result in runs if result["clips_per_sign"] == number]
            cells.append(f"{sum(scores) / len(scores):.1f}" if scores else "-")
        rows.append([variant, f"{runs[0]['trainable_percent']:.1f} %", *cells])
    heading = ["variant", "trained", *(f"{number} clips per sign" for number in clips)]
    return tabulate(rows, heading, tablefmt="github", disable_numparse=True)


def main() -> None:
    """Runs what is missing, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"), nargs="?", default="table")
    parser.add_argument("--model", default="sigma-slu")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--clips", nargs="+", type=int, default=[5, 10, 20])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--language", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    if args.command == "run":
        runs = product(args.seeds, args.clips, args.variants)
        jobs = {f"{v}-{clips}-{seed}": partial(run, v, clips, seed, args) for seed, clips, v in runs}
        run_missing(args.results, jobs)
    print(table(read_runs(args.results)))


if __name__ == "__main__":
    main()
