"""`sigma-slu adapt`: other signs, signers or another sign language for a trained model, from a folder of clips."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--model", required=True, metavar="DIR", help="trained model folder, or a name on the Hub")
    parser.add_argument(
        "--data",
        required=True,
        metavar="FOLDER",
        help="clips with a table (metadata.csv: path; label, text or gloss; signer), a folder of build-dataset, or "
        "NAME[:CONFIG] of a corpus",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="the files of a corpus that is given by name")
    parser.add_argument(
        "--out", default="adapted", metavar="DIR", help="adapted model; DIR/adapter is the adapter alone"
    )
    parser.add_argument(
        "--task", choices=("auto", "islr", "cslr", "slt"), default="auto", help="(default: by the table)"
    )
    parser.add_argument(
        "--head",
        choices=("auto", "generation", "classification", "ctc"),
        default="auto",
        help="what writes the answer",
    )
    parser.add_argument("--method", choices=("lora", "full"), default="lora", help="(default lora)")
    parser.add_argument("--rank", type=int, default=8, metavar="R", help="of the low-rank changes (default 8)")
    parser.add_argument(
        "--pose-encoder", choices=("lora", "full", "frozen"), default="lora", help="how it adapts (default lora)"
    )
    parser.add_argument("--clips-per-text", type=int, metavar="N", help="use N training clips of each text alone")
    parser.add_argument("--steps", type=int, metavar="N", help="optimiser steps (default: 40 passes, 200 to 2000)")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="clips a step (default 32)")
    parser.add_argument("--learning-rate", type=float, metavar="RATE", help="peak (default 3e-3, full: 1e-3)")
    parser.add_argument("--sign-language", metavar="NAME", help="where the data does not say")
    parser.add_argument("--spoken-language", metavar="NAME", help="likewise, and the language of the prompt")
    parser.add_argument("--seed", type=int, default=0, help="(default 0)")
    parser.add_argument("--cpu", action="store_true", help="leave a GPU alone")
    parser.add_argument("--json", action="store_true", help="print the results as JSON at the end")


def run(args: argparse.Namespace) -> int:
    """Adapts; 0 when it came through."""
    from modeling_sigma.training.recipes.adapt import AdaptOptions, adapt

    if args.steps is not None and args.steps < 1:
        raise ValueError(f"expected --steps of at least 1, received {args.steps}")
    if args.batch_size < 1:
        raise ValueError(f"expected --batch-size of at least 1, received {args.batch_size}")
    fields = vars(args)
    names = [name for name in AdaptOptions.__dataclass_fields__ if name in fields]
    try:
        with contextlib.redirect_stdout(sys.stderr):  # progress; the results alone go to the output
            results = adapt(AdaptOptions(**{name: fields[name] for name in names}, use_cpu=args.cpu))
    except MemoryError as error:
        raise ValueError(f"{error}, or use a smaller --batch-size") from error
    if args.json:
        print(json.dumps(results, ensure_ascii=False, indent=2))
    else:
        _print_results(results)
    return 0


def _print_results(results: dict[str, Any]) -> None:
    clips = ", ".join(f"{name} {number}" for name, number in results["clips"].items())
    share = results["trainable"] / results["parameters"]
    print(f"\n{results['task']}, clips: {clips}; held out {results['held_out']}")
    print(f"{results['trainable']:,} of {results['parameters']:,} parameters trained ({share:.1%})")
    shown = {"islr": ("top1_per_instance", "top5_per_instance"), "cslr": ("wer",), "slt": ("bleu4", "rouge_l", "chrf")}
    for split, scores in results["scores"].items():
        numbers = [f"{name} {scores[name]:.1f}" for name in shown[results["task"]] if name in scores]
        print(f"  {split}: {', '.join(numbers)}")
    print(f"Model: {results['model']} (try: sigma-slu predict --model {results['model']} CLIP)")
    if results["adapter"]:
        print(f"Adapter alone: {results['adapter']}")
