"""What the scores of a calibrated model mean, on clips that neither training nor calibration has seen.

    sigma-slu audit-dataset wlasl_hands --config wlasl2000 --data-dir DATA/wlasl_hands --label-groups groups.json
    sigma-slu evaluate --task islr --model MODEL --dataset wlasl_hands --config wlasl2000 --data-dir DATA/wlasl_hands \
        --label-groups groups.json --calibrate
    python benchmarks/confidence.py --model MODEL --data DATA --label-groups groups.json

Prints calibration error, Brier score, accuracy of the surest half and coverage of prediction sets on the test split of
WLASL-hands; and for clips that show no sign the model knows, how well they are told from the test split, and how many
of them are called unknown. All thresholds are those in the model's folder. Such clips are: signs of an invented
language, words of Bangla Sign Language, letters of 14 other languages, and still hands (one frame of a test clip again
and again, with a detector's jitter or without).

An estimate of the calibration error is above zero even for a perfect model, as bins are small: the table says what
a perfect model with the same confidences would have. `--cache` keeps logits, so that the model runs once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from reports import print_report
from tabulate import tabulate

from datasets_scripts.corpora import load_corpus
from datasets_scripts.schema import decode_clip
from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma import load_pipeline
from modeling_sigma.inference.calibration import LabelScores, score_clips
from modeling_sigma.inference.confidence_report import first_answers
from modeling_sigma.metrics import (
    LabelGroups,
    confidence_scores,
    expected_calibration_error,
    known_unknown_auroc,
    prediction_set_scores,
    reliability_bins,
    risk_coverage,
)
from modeling_sigma.model.calibration_sigma import NOT_MOVING, Calibration, knownness, probabilities_of
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.viz.reliability_diagram import draw_reliability_diagram
from modeling_sigma.viz.risk_coverage_curve import draw_risk_coverage


JITTER = 0.002  # of the image: the standard deviation of a point that does not move
NUM_INVENTED = 480


def clips_of(name: str, data: Path) -> Iterator[PoseClip]:
    """The clips of a set."""
    if name == "test":
        rows: Any = load_corpus("wlasl_hands", "wlasl2000", split="test", data_dir=str(data / "wlasl_hands"))
    elif name == "Bangla words":
        rows = load_corpus("bdsl_words", split="test", data_dir=str(data / "bdsl_words"))
    elif name == "letters":
        rows = load_corpus("fingerspelling", split="train", data_dir=str(data / "fingerspelling"))
        rows = rows.select([row for row, name in enumerate(rows["sample_id"]) if not name.startswith("ase_")])
    elif name == "invented signs":
        yield from (sample.clip for sample in SyntheticSigns().generate_isolated(NUM_INVENTED, split="test"))
        return
    else:
        generator = np.random.default_rng(0)
        for clip in clips_of("test", data):
            yield still(clip, generator, JITTER if name == "still hands, jitter" else 0.0)
        return
    yield from (decode_clip(row) for row in rows)


UNKNOWN = ("invented signs", "Bangla words", "letters", "still hands", "still hands, jitter")


def still(clip: PoseClip, generator: np.random.Generator, jitter: float) -> PoseClip:
    """The frame of a clip in which most points are found, as often as the clip has frames."""
    best = int((clip.scores > 0).sum(axis=1).argmax())
    frozen = clip.frames(np.full(len(clip), best))
    noise = generator.normal(0, jitter, frozen.keypoints.shape) if jitter else 0.0
    return replace(frozen, keypoints=frozen.keypoints + noise)


def scores_of(name: str, predictor: Any, data: Path, cache: Path | None) -> LabelScores:
    """What the model computes for a set, from the cache if it is there."""
    path = None if cache is None else cache / f"{name.replace(' ', '_').replace(',', '')}.npz"
    if path is not None and path.exists():
        with np.load(path) as arrays:
            return LabelScores(*(arrays[key] for key in ("logits", "movements", "is_seen")))
    scores = score_clips(predictor, clips_of(name, data), batch_size=32)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, logits=scores.logits, movements=scores.movements, is_seen=scores.is_seen)
    return scores


def calibration_rows(
    scores: LabelScores, rows: Any, labels: list[str], fitted: Calibration, groups: LabelGroups | None
) -> list[dict[str, Any]]:
    """Confidence before and after calibration: strictly, by label groups, and without clips that are in train too."""
    everything = np.ones(len(scores.logits), bool)
    ways: list[tuple[str, Any, np.ndarray]] = [("strict", None, everything)]
    if groups is not None:
        twins = {sample_id for split in groups.twins.values() for sample_id in split}
        is_new = np.array([sample_id not in twins for sample_id in rows["sample_id"]])
        accepted = groups.accepted()
        ways += [("strict, no twins", None, is_new), ("groups", accepted, everything)]
        ways.append(("groups, no twins", accepted, is_new))
    table = []
    for name, accepted, chosen in ways:
        references = [text for text, is_in in zip(rows["text"], chosen, strict=True) if is_in]
        for temperature in (1.0, fitted.temperature):
            sure, right = first_answers(scores.logits[chosen], references, labels, temperature, accepted)
            found = confidence_scores(sure, right)
            draw = np.random.default_rng(0)
            perfect = [expected_calibration_error(sure, draw.random(len(sure)) < sure) for _ in range(100)]
            table.append(
                {
                    "answers count": name, "temperature": temperature, "ECE": found["ece"],
                    "ECE of a perfect model": 100 * float(np.mean(perfect)), "Brier": found["brier"],
                    "confidence": found["mean_confidence"], "right": found["accuracy"],
                    "surest half right": found["surest_half"], "surest tenth right": found["surest_tenth"],
                }
            )  # fmt: skip
    return table


def set_rows(
    scores: LabelScores, references: list[str], labels: list[str], fitted: Calibration
) -> list[dict[str, Any]]:
    """Coverage and size of prediction sets."""
    rows = []
    for coverage in fitted.set_coverages:
        threshold, sets = fitted.set_threshold(coverage), []
        for logits in scores.logits:
            probabilities = probabilities_of(logits, fitted.temperature)
            chosen = np.flatnonzero(probabilities >= min(threshold, probabilities.max()))
            sets.append({labels[number] for number in chosen})
        found = prediction_set_scores(sets, references, coverage)
        names = ("nominal_coverage", "coverage", "mean_set_size", "median_set_size", "largest_set_size")
        rows.append({name.replace("_", " "): found[name] for name in names})
    return rows


def unknown_rows(known: LabelScores, sets: dict[str, LabelScores], fitted: Calibration) -> list[dict[str, Any]]:
    """How well clips of unknown signs are told from those of known ones, and how many are called unknown."""
    rows = []
    for name, scores in {"test": known, **sets}.items():
        reasons = [fitted.why_unknown(*one) for one in zip(scores.logits, scores.movements, strict=True)]
        row: dict[str, Any] = {
            "clips": name, "number": len(reasons),
            "called unknown": 100 * float(np.mean([reason is not None for reason in reasons])),
            "of that still": 100 * float(np.mean([reason == NOT_MOVING for reason in reasons])),
        }  # fmt: skip
        measures = {
            "AUROC, best probability": lambda one: probabilities_of(one.logits, 1.0).max(axis=1),
            "AUROC, logsumexp": lambda one: knownness(one.logits),
            "AUROC, movement": lambda one: one.movements,
        }
        for title, measure in measures.items():
            row[title] = None if scores is known else known_unknown_auroc(measure(known), measure(scores))
        rows.append(row)
    return rows


def draw_pictures(folder: Path, sure: np.ndarray, right: np.ndarray) -> None:
    """Reliability diagram and risk against coverage."""
    folder.mkdir(parents=True, exist_ok=True)
    bins, curve = reliability_bins(sure, right), risk_coverage(sure, right)
    counts, confidences, accuracies = (
        [getattr(one, name) for one in bins] for name in ("count", "confidence", "accuracy")
    )
    draw_reliability_diagram(counts, confidences, accuracies).save(folder / "reliability_diagram.png")
    draw_risk_coverage({"this model": (curve.coverages, curve.risks)}).save(folder / "risk_coverage.png")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="checkpoints/sigma-wlasl-hands", help="folder of a calibrated model")
    parser.add_argument("--data", type=Path, default="../shared/data", help="folder of the corpora's folders")
    parser.add_argument("--label-groups", type=Path, help="file of audit-dataset --label-groups")
    parser.add_argument("--cache", type=Path, help="folder that keeps logits between runs")
    parser.add_argument("--pictures", type=Path, help="folder for two diagrams")
    parser.add_argument("--output", type=Path, help="file for the numbers as JSON")
    args = parser.parse_args()
    predictor = load_pipeline(args.model, device="cpu")
    fitted = predictor.calibration
    if fitted is None:
        raise SystemExit(f"{args.model}: not calibrated: `sigma-slu evaluate --calibrate` does that")
    groups = None if args.label_groups is None else LabelGroups.load(args.label_groups)
    labels = [predictor.model.config.id2label[number] for number in range(predictor.model.config.num_labels)]
    known, *others = (scores_of(name, predictor, args.data, args.cache) for name in ("test", *UNKNOWN))
    rows = load_corpus("wlasl_hands", "wlasl2000", split="test", data_dir=str(args.data / "wlasl_hands"))
    references = list(rows["text"])
    report = {
        "model": str(args.model), "calibration": fitted.as_dict(),
        "confidence": calibration_rows(known, rows, labels, fitted, groups),
        "prediction_sets": set_rows(known, references, labels, fitted),
        "unknown": unknown_rows(known, dict(zip(UNKNOWN, others)), fitted),
    }  # fmt: skip
    for name in ("confidence", "prediction_sets", "unknown"):
        print(tabulate(report[name], headers="keys", tablefmt="github", floatfmt=".2f"), end="\n\n")
    if args.pictures is not None:
        accepted = groups.accepted() if groups else None
        draw_pictures(args.pictures, *first_answers(known.logits, references, labels, fitted.temperature, accepted))
    print_report(json.loads(json.dumps(report)), args.output)


if __name__ == "__main__":
    main()
