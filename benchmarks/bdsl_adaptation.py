"""A new sign language with PEFT: from a model of American signs to words of Bangla Sign Language.

    python benchmarks/bdsl_adaptation.py run --model checkpoints/sigma-wlasl-hands --data ../shared/data/bdsl_words
    python benchmarks/bdsl_adaptation.py table

Trains on 1, 2 or 4 clips of each of 55 words from the signer's first session, and is scored once on all clips of the
second. The recipe is that of `sigma-slu adapt`, with the same number of steps for all:

- head: the label layer alone, from the mean of each word's clips;
- lora: low-rank changes and a new head; full: every weight; full_from_scratch: the same from random weights;
- linear: logistic regression on 24 evenly spaced frames of all joints.

Letters of Nepali Sign Language by a signer whom nobody trained on, instead:

    python benchmarks/bdsl_adaptation.py run --corpus nsl_alphabet:letters_test4 --data ../shared/data/nsl_alphabet \
        --variants lora --clips 1 2 4 8 --seeds 0 --results benchmarks/results/nsl_adaptation/signer4

Each run writes one JSON file; existing runs are skipped.
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

import numpy as np
import torch
from recorded_runs import read_runs, run_missing
from tabulate import tabulate
from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor

from datasets_scripts.corpora import load_corpus
from datasets_scripts.schema import decode_clip
from modeling_sigma import SigmaFeatureExtractor, SigmaForSequenceClassification
from modeling_sigma.hub.bundle import save_bundle
from modeling_sigma.training.recipes.adapt import AdaptOptions, adapt, first_clips_per_text


RESULTS = Path(__file__).parent / "results" / "bdsl_adaptation"
VARIANTS: dict[str, dict[str, Any]] = {
    "head": {"method": "head"},
    "lora": {"method": "lora"},
    "full": {"method": "full"},
    "full_from_scratch": {"method": "full"},
    "linear": {},
}


def run(variant: str, clips: int, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """One variant with so many clips per word."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        if variant == "linear":
            scores, share = linear(clips, seed, args), 100.0
        else:
            model = args.model
            if variant == "full_from_scratch":
                model = str(random_copy(args.model, Path(folder) / "random", seed))
            options = AdaptOptions(
                model=model, data=args.corpus, data_dir=args.data, out=str(Path(folder) / "adapted"), task="islr",
                clips_per_text=clips, seed=seed, steps=args.steps, use_cpu=True, **VARIANTS[variant],
            )  # fmt: skip
            results = adapt(options)
            test = results["scores"]["test"]
            scores = {"top1": test["top1_per_instance"], "top5": test["top5_per_instance"]}
            share = 100 * results["trainable"] / results["parameters"]
    return {
        "variant": variant, "clips_per_word": clips, "seed": seed, **scores, "trainable_percent": share,
        "steps": args.steps, "seconds": round(time.monotonic() - started), "threads": torch.get_num_threads(),
        "torch": torch.__version__, "machine": platform.machine(),
    }  # fmt: skip


def random_copy(model: str, folder: Path, seed: int) -> Path:
    """Saves a bundle of the same sizes with random weights."""
    torch.manual_seed(seed)
    config = AutoConfig.from_pretrained(model)
    return save_bundle(SigmaForSequenceClassification(config), AutoFeatureExtractor.from_pretrained(model), folder)


def linear(clips: int, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """Logistic regression on evenly spaced frames."""
    splits = load_corpus("bdsl_words", data_dir=args.data)
    train, test = first_clips_per_text(splits["train"], clips, seed), splits["test"]
    words = sorted(set(train["text"]))
    known, points = (torch.from_numpy(features(rows)) for rows in (train, test))
    mean, deviation = known.mean(dim=0), known.std(dim=0) + 1e-2
    known, points = (known - mean) / deviation, (points - mean) / deviation
    labels = torch.tensor([words.index(text) for text in train["text"]])
    layer = nn.Linear(known.shape[1], len(words))
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(layer(known), labels) + 5e-4 * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    best = layer(points).topk(5).indices.tolist()
    ranked = [[words[label] for label in row] for row in best]
    hits = [(row[0] == text, text in row) for row, text in zip(ranked, test["text"])]
    top1, top5 = 100 * np.mean(hits, axis=0)
    return {"top1": float(top1), "top5": float(top5)}


def features(rows: Any) -> np.ndarray:
    """(clips, 69 * 2 * 24); zeros where a joint was not seen."""
    extractor = SigmaFeatureExtractor(max_frames=24)
    vectors = np.zeros((len(rows), 24, 69, 2), np.float32)
    for vector, row in zip(vectors, rows):
        values = extractor(decode_clip(row), return_tensors="np")["pose_values"][0]
        vector[:] = values[np.linspace(0, len(values) - 1, 24).round().astype(int), :, :2]
    return vectors.reshape(len(rows), -1)


def table(results: list[dict[str, Any]]) -> str:
    """One line per variant, one column per number of clips: top-1 / top-5, mean and standard deviation over seeds."""
    numbers = sorted({result["clips_per_word"] for result in results})
    heading = ["variant", "trained", *(f"{number} clips per word" for number in numbers)]
    rows = []
    for variant in VARIANTS:
        runs = [result for result in results if result["variant"] == variant]
        if not runs:
            continue
        cells = []
        for number in numbers:
            scores = np.array([(one["top1"], one["top5"]) for one in runs if one["clips_per_word"] == number])
            if not len(scores):
                cells.append("-")
                continue
            top1, top5 = scores.mean(axis=0)
            spread = f" ± {scores[:, 0].std(ddof=1):.1f}" if len(scores) > 1 else ""
            cells.append(f"{top1:.1f}{spread} / {top5:.1f}")
        rows.append([variant, f"{runs[0]['trainable_percent']:.1f} %", *cells])
    return tabulate(rows, heading, tablefmt="github", disable_numparse=True)


def main() -> None:
    """Runs what is missing, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"), nargs="?", default="table")
    parser.add_argument("--model", default="checkpoints/sigma-wlasl-hands")
    parser.add_argument("--corpus", default="bdsl_words", help="NAME or NAME:CONFIG (`linear` reads bdsl_words)")
    parser.add_argument("--data", default="../shared/data/bdsl_words")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--clips", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=120)
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
