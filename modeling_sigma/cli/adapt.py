"""`sigma-slu adapt`: adapts a trained model to other signs, signers or sign languages, from a folder of clips."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `adapt`."""
    parser.add_argument(
        "--model", required=True, metavar="DIR", help="folder of a trained model, or its name on the Hub"
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="FOLDER",
        help="folder of clips with a table (metadata.csv: path; label, text or gloss; signer), folder of recordings "
        "with annotations beside them (.eaf, .srt, .vtt), folder that build-dataset wrote, or NAME[:CONFIG] of a "
        "corpus",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder of a corpus that --data names")
    parser.add_argument(
        "--tiers", metavar="NAMES", help="tiers of the .eaf files that hold the labels, between commas; such as gloss"
    )
    parser.add_argument(
        "--out",
        default="adapted",
        metavar="DIR",
        help="folder to write the adapted model to (default adapted); with low-rank updates DIR/adapter is the "
        "adapter alone",
    )
    parser.add_argument(
        "--task",
        choices=("auto", "islr", "cslr", "slt"),
        default="auto",
        help="task to train for (default auto: as the table suggests)",
    )
    parser.add_argument(
        "--head",
        choices=("auto", "generation", "classification", "ctc"),
        default="auto",
        help="head that produces the answers",
    )
    parser.add_argument(
        "--method",
        choices=("auto", "head", "lora", "full"),
        default="auto",
        help="train the label layer alone, low-rank updates, or all weights (default auto: the label layer for few "
        "clips of isolated signs, if the model has learnt signs, else low-rank updates)",
    )
    parser.add_argument("--rank", type=int, default=8, metavar="R", help="rank of the low-rank updates (default 8)")
    parser.add_argument(
        "--pose-encoder",
        choices=("lora", "full", "frozen"),
        default="lora",
        help="how to train the pose encoder (default lora)",
    )
    parser.add_argument("--clips-per-text", type=int, metavar="N", help="train on only N clips per text")
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="number of optimiser steps (default: 40 epochs, 10 for the label layer alone; 200 to 2000 steps)",
    )
    parser.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="number of clips per step (default 32)"
    )
    parser.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="peak learning rate (default 3e-3 for low-rank updates, else 1e-3)",
    )
    parser.add_argument("--sign-language", metavar="NAME", help="sign language of the clips, if the data do not say")
    parser.add_argument(
        "--spoken-language", metavar="NAME", help="spoken language of the texts and the prompt, if the data do not say"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed (default 0)")
    parser.add_argument("--cpu", action="store_true", help="train on the CPU even if there is a GPU")
    parser.add_argument("--json", action="store_true", help="print the results as JSON at the end")


def run(args: argparse.Namespace) -> int:
    """Adapts the model and returns 0."""
    from modeling_sigma.training.recipes.adapt import AdaptOptions, adapt

    if args.steps is not None and args.steps < 1:
        raise ValueError(f"expected --steps of at least 1, received {args.steps}")
    if args.batch_size < 1:
        raise ValueError(f"expected --batch-size of at least 1, received {args.batch_size}")
    fields = vars(args)
    names = [name for name in AdaptOptions.__dataclass_fields__ if name in fields]
    corpus_options = {} if args.tiers is None else {"tiers": args.tiers}
    try:
        with contextlib.redirect_stdout(sys.stderr):  # progress: standard output gets only the results
            options = AdaptOptions(
                **{name: fields[name] for name in names}, corpus_options=corpus_options, use_cpu=args.cpu
            )
            results = adapt(options)
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
