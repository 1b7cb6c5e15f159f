"""Does bfloat16 train the demo as well as float32, and how much faster?

    python benchmarks/demo_precision.py --out DIR       # the demo's 400 steps, twice: a quarter of an hour on one core

Two models of the same first weights see the same batches, and take turns: step by step, so that whatever else the
machine does slows both alike. Prints JSON; DIR holds both models.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma.hub.bundle import save_bundle
from modeling_sigma.registration_sigma import register_sigma
from modeling_sigma.training.matrix_optimizer import MatrixOptimizer
from modeling_sigma.training.synthetic_demo import (
    DemoRecipe,
    PrintedProgress,
    build_demo,
    evaluate_demo,
    training_batch,
    training_step,
)


PRECISIONS = ("fp32", "bf16")


def main() -> None:
    """Trains both, scores both on sentences and single signs of unseen signers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/demo_precision"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=DemoRecipe.steps)
    parser.add_argument("--clips", type=int, default=1000, help="test sentences, and as many single signs")
    args = parser.parse_args()
    register_sigma()
    recipe = replace(DemoRecipe(seed=args.seed), steps=args.steps)
    language, progress = SyntheticSigns(seed=0), PrintedProgress(sys.stderr)
    model, processor = build_demo(language, recipe)
    models = {precision: copy.deepcopy(model).train() for precision in PRECISIONS}
    optimizers = {
        precision: MatrixOptimizer(one, recipe.steps, recipe.learning_rate, recipe.matrix_learning_rate)
        for precision, one in models.items()
    }
    seconds = dict.fromkeys(PRECISIONS, 0.0)
    losses: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for step in range(recipe.steps):
        batch = training_batch(processor, language, recipe, step)
        for precision in PRECISIONS:
            started = time.perf_counter()
            losses[precision].append(training_step(models[precision], optimizers[precision], batch, precision))
            seconds[precision] += time.perf_counter() - started
        progress("training both", step + 1, recipe.steps, losses[PRECISIONS[-1]][-1])
    results: dict[str, Any] = {
        "steps": recipe.steps,
        "seed": recipe.seed,
        "clips": args.clips,
        "threads": torch.get_num_threads(),
    }
    for precision, one in models.items():
        scores = evaluate_demo(one.eval(), processor, language, recipe, progress, args.clips)
        results[precision] = {
            "bleu4": round(scores["bleu4"], 1),
            "isolated_accuracy": round(100 * scores["isolated_accuracy"], 1),
            "last_losses": round(sum(losses[precision][-40:]) / len(losses[precision][-40:]), 3),
            "training_seconds": round(seconds[precision]),
        }
        save_bundle(one, processor, args.out / precision)
    results["bf16_times_faster"] = round(seconds["fp32"] / seconds["bf16"], 2)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
