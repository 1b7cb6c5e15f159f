"""What matters for isolated signs from hands alone? One choice at a time, on WLASL300 from random weights.

    python benchmarks/wlasl_ablation.py run --data ../shared/data/wlasl_hands    # 8 minutes per run
    python benchmarks/wlasl_ablation.py table

The model, augmentation and optimiser are those of examples/configs/finetune_wlasl_hands_2000.yaml: 15 epochs, 32 clips
per step. Nothing is chosen by a score: the model after the last step is measured. Scores are those of the validation
split; the test split is not read. Existing runs are skipped.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
import yaml
from recorded_runs import mean_and_spread, read_runs, run_missing
from tabulate import tabulate

from modeling_sigma.training.recipes.finetune import main as finetune


RESULTS = Path(__file__).parent / "results" / "wlasl_ablation"
CONFIG = Path(__file__).resolve().parents[1] / "examples" / "configs" / "finetune_wlasl_hands_2000.yaml"


def _frames(count: int) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["model_config"].update(max_frames=count)


def _sampling(kind: str) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["feature_extractor"].update(frame_sampling=kind)


def _width(width: int) -> Callable[[dict[str, Any]], None]:
    sizes = {"spatial_hidden_sizes": [32, width], "temporal_hidden_sizes": [width, width]}
    return lambda config: config["model_config"]["pose_config"].update(sizes)


def _kernel(size: int) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["model_config"]["pose_config"].update(temporal_kernel_size=size)


# Name -> what it changes in the configuration.
VARIANTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "as configured": lambda config: None,
    "no augmentation": lambda config: config.update(augmentation={"flip": 0.0}),
    "no mirrored clips": lambda config: config["augmentation"].update(flip=0.0),
    "left hand not mirrored": lambda config: config["model_config"]["pose_config"].update(mirror_left_hand=False),
    "frames at random": _sampling("random"),
    "frames interpolated": _sampling("interpolate"),
    "12 frames": _frames(12),
    "36 frames": _frames(36),
    "width 48": _width(48),
    "width 144": _width(144),
    "temporal kernel 1": _kernel(1),
    "dropout between frames": lambda config: config["model_config"]["pose_config"].update(dropout=0.1),
}


def run(variant: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """One training; its scores on validation."""
    started = time.monotonic()
    config = copy.deepcopy(yaml.safe_load(CONFIG.read_text(encoding="utf-8")))
    VARIANTS[variant](config)
    changed = [
        argument
        for name in ("model_config", "feature_extractor", "augmentation")
        for argument in (f"--{name}", json.dumps(config[name]))
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        scores = finetune(
            [str(CONFIG), "--corpus", "wlasl_hands:wlasl300", "--data_dir", str(args.data), *changed,
             "--num_train_epochs", str(args.epochs), "--per_device_train_batch_size", "32", "--warmup_steps", "60",
             "--eval_strategy", "no", "--save_strategy", "no", "--load_best_model_at_end", "false",
             "--do_predict", "false", "--seed", str(seed), "--output_dir", folder, "--overwrite", "true"]
        )["validation"]  # fmt: skip
    return {
        "variant": variant, "seed": seed, "epochs": args.epochs, "top1": scores["top1_per_instance"],
        "top5": scores["top5_per_instance"], "clips": scores["num_samples"], "threads": torch.get_num_threads(),
        "torch": torch.__version__, "machine": platform.machine(), "seconds": round(time.monotonic() - started),
    }  # fmt: skip


def table(results: list[dict[str, Any]]) -> str:
    """One line per variant: validation top-1 / top-5, mean and standard deviation over seeds."""
    rows = []
    for variant in VARIANTS:
        runs = [result for result in results if result["variant"] == variant]
        if runs:
            pairs = [[run[name] for run in runs] for name in ("top1", "top5")]
            rows.append([variant, len(runs), *map(mean_and_spread, pairs)])
    return tabulate(rows, ["", "seeds", "top-1", "top-5"], tablefmt="github", disable_numparse=True)


def main() -> None:
    """Runs what is missing, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"), nargs="?", default="table")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/wlasl_hands"))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    if args.command == "run":
        jobs = {
            f"{variant.replace(' ', '_')}-{seed}": partial(run, variant, seed, args)
            for seed, variant in product(args.seeds, args.variants)
        }
        run_missing(args.results, jobs)
    print(table(read_runs(args.results)))


if __name__ == "__main__":
    main()
