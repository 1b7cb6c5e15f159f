"""How a model of WLASL-hands reads the same clips when they were recorded or detected differently.

    python benchmarks/robustness.py --data ../shared/data/wlasl_hands --output benchmarks/results/robustness.json

Every clip of the validation split is read as it is and under each of `clip_disturbances.DISTURBANCES`, by the same
model. The table gives top-1 and top-5 (strict labels), the difference of top-1 with the 95 % interval of a paired
bootstrap over clips, how many clips get the same first answer as before, and how many a calibrated model calls
unknown.
`--extractor NAME=VALUE` changes fields of the extractor (JSON), to measure an option: all rows are then compared with
clips as they are, read by the extractor as it is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from clip_disturbances import DISTURBANCES, Disturbance
from reports import machine_facts, print_report
from tabulate import tabulate

from datasets_scripts.wlasl_hands import WlaslHandsSample, load_wlasl_hands
from modeling_sigma import load_pipeline
from modeling_sigma.inference.calibration import score_clips


NUM_RESAMPLES = 2000
TOLERANCE = 3.0  # points of top-1 that a change which people hardly notice may cost
AS_THEY_ARE = "as they are"


def read_all(
    predictor: Any, samples: list[WlaslHandsSample], disturb: Disturbance | None, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Ranks of the true labels, first answers and refusals of all clips."""
    clips = (
        sample.clip if disturb is None else disturb(sample.clip, np.random.default_rng([0, number]))
        for number, sample in enumerate(samples)
    )
    scores = score_clips(predictor, clips, batch_size=64)
    true = scores.logits[np.arange(len(labels)), labels]
    found = {"rank": (scores.logits > true[:, None]).sum(axis=1), "first": scores.logits.argmax(axis=1)}
    if predictor.calibration is not None:
        reasons = map(predictor.calibration.why_unknown, scores.logits, scores.movements)
        found["unknown"] = np.array([reason is not None for reason in reasons])
    return found


def compared(name: str, found: dict[str, np.ndarray], clean: dict[str, np.ndarray]) -> dict[str, Any]:
    """The row of a disturbance."""
    right, was_right = found["rank"] < 1, clean["rank"] < 1
    generator = np.random.default_rng(12345)
    gains = right.astype(float) - was_right
    drawn = generator.integers(0, len(gains), (NUM_RESAMPLES, len(gains)))
    low, high = np.percentile(100 * gains[drawn].mean(axis=1), [2.5, 97.5])
    row = {
        "clips": name, "top1": 100 * right.mean(), "top5": 100 * (found["rank"] < 5).mean(),
        "difference": 100 * gains.mean(), "low": low, "high": high,
        "same_first_answer": 100 * (found["first"] == clean["first"]).mean(),
    }  # fmt: skip
    if "unknown" in found:
        row["called_unknown"] = 100 * found["unknown"].mean()
    return {key: value if isinstance(value, str) else round(float(value), 2) for key, value in row.items()}


def verdict(row: dict[str, Any], is_subtle: bool) -> str:
    """Whether the whole interval is within the tolerance."""
    if row["low"] >= -TOLERANCE:
        return "within"
    far = "beyond" if row["high"] < -TOLERANCE else "undecided"
    return far if is_subtle else f"{far} (people notice)"


def main() -> None:
    """Reads, compares, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="checkpoints/sigma-wlasl-hands", help="folder of a model with a label head")
    parser.add_argument("--data", default="../shared/data/wlasl_hands", help="folder of WLASL-hands")
    parser.add_argument("--split", default="validation", choices=("train", "validation"), help="which clips")
    parser.add_argument("--num-clips", type=int, help="number of clips, from the first (default: all)")
    parser.add_argument("--only", nargs="*", default=[], help="beginnings of names: these disturbances alone")
    parser.add_argument("--extractor", nargs="*", default=[], metavar="NAME=VALUE", help="fields of the extractor")
    parser.add_argument("--output", type=Path, help="file for the numbers as JSON")
    args = parser.parse_args()
    predictor = load_pipeline(args.model, device="cpu")
    changed = {name: json.loads(value) for name, _, value in (entry.partition("=") for entry in args.extractor)}
    samples = load_wlasl_hands(args.data, "wlasl2000", args.split)[: args.num_clips]
    labels = np.array([predictor.model.config.label2id[sample.word] for sample in samples])
    clean = read_all(predictor, samples, None, labels)
    rows = [{**compared(AS_THEY_ARE, clean, clean), "within_3_points": ""}]
    for name, value in changed.items():
        if not hasattr(predictor.extractor, name):
            raise SystemExit(f"expected a field of the extractor, received {name}")
        setattr(predictor.extractor, name, value)
    if changed:
        row = compared(f"{AS_THEY_ARE}, extractor changed", read_all(predictor, samples, None, labels), clean)
        rows.append({**row, "within_3_points": verdict(row, True)})
        print(f"{row['clips']}: {row['difference']:+.2f}", file=sys.stderr, flush=True)
    for name, (disturb, is_subtle) in DISTURBANCES.items():
        if args.only and not name.startswith(tuple(args.only)):
            continue
        started = time.monotonic()
        row = compared(name, read_all(predictor, samples, disturb, labels), clean)
        rows.append({**row, "within_3_points": verdict(row, is_subtle)})
        print(f"{name}: {row['difference']:+.2f} ({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)
    print(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".1f"), end="\n\n")
    report = {
        "model": args.model, "split": args.split, "num_clips": len(samples), "extractor": changed, "rows": rows,
        **machine_facts("torch", "transformers", "numpy"),
    }  # fmt: skip
    print_report(report, args.output)


if __name__ == "__main__":
    main()
