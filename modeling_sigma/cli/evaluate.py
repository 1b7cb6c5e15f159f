"""`sigma-slu evaluate`: scores predictions against references, as the field's papers report them.

The predictions come from files, or from a saved model and a data set.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modeling_sigma.cli.printed_warnings import printed_warnings
from modeling_sigma.cli.score_table import format_report
from modeling_sigma.jobs.progress import ProgressBar


TASKS = ("slt", "cslr", "islr")
DEFAULT_NUM_RESAMPLES = 1000

_EXAMPLES = """
examples:
  sigma-slu evaluate --task slt --preset csl_daily --predictions predictions.txt --references references.txt
  sigma-slu evaluate --task cslr --preset phoenix2014t --predictions predictions.json --references glosses.json --json
  sigma-slu evaluate --task islr --predictions a.txt --compare b.txt --references labels.txt --bootstrap 1000
  sigma-slu evaluate --task slt --model sigma-slu --dataset synthetic --config sentences --save-predictions out.json
  sigma-slu evaluate --task islr --model sigma-slu --dataset wlasl_hands --config wlasl100 --data-dir DIR --labels FILE
  sigma-slu evaluate --task islr --model sigma-slu --dataset wlasl_hands --config wlasl100 --data-dir DIR --calibrate

files: text (one sample per line), JSON (list, or object ID -> text), JSON lines, or dumps (lines of
"sample: ID, prediction: TEXT")
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `evaluate`."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(usage_error=parser.error)
    files = parser.add_argument_group("from files")
    files.add_argument("--predictions", type=Path, metavar="FILE", help="file of predictions")
    files.add_argument("--references", type=Path, metavar="FILE", help="file of references")
    model = parser.add_argument_group("from a model and a data set")
    model.add_argument("--model", metavar="DIR", help="folder of a trained model, or its name on the Hub")
    model.add_argument(
        "--dataset", metavar="NAME", help="name of a corpus, folder that build-dataset wrote, or name on the Hub"
    )
    model.add_argument("--config", metavar="NAME", help="configuration of the corpus, such as wlasl100")
    model.add_argument(
        "--split",
        metavar="NAME",
        help="split to predict: train, validation or test (default test; validation with --calibrate)",
    )
    model.add_argument("--data-dir", metavar="DIR", help="folder of the corpus's own files")
    model.add_argument("--labels", metavar="FILE", help="for islr: file of the labels to choose among, one per line")
    model.add_argument("--language", help="spoken language to write (default: each clip's own)")
    model.add_argument("--num-beams", type=int, metavar="N", help="number of beams (default: the model's own)")
    model.add_argument("--batch-size", type=int, default=8, metavar="N", help="number of clips per batch (default 8)")
    model.add_argument("--device", default="cpu", help="device to compute on: cpu (default), cuda, cuda:1, mps")
    model.add_argument(
        "--save-predictions",
        type=Path,
        metavar="FILE",
        help="file to write predictions to: .json, .jsonl, or a dump for other suffixes",
    )
    model.add_argument(
        "--add-to-card", action="store_true", help="add the scores to the model folder's results.json, for its card"
    )
    model.add_argument(
        "--calibrate",
        action="store_true",
        help="for islr: fit what the scores mean on this split, and write it into the model's folder",
    )
    model.add_argument(
        "--false-alarm-rate",
        type=float,
        metavar="RATE",
        help="share of clips of known signs that --calibrate may call unknown (default 0.05)",
    )
    parser.add_argument(
        "--task",
        choices=TASKS,
        required=True,
        help="slt (translation), cslr (continuous recognition) or islr (isolated recognition)",
    )
    parser.add_argument(
        "--preset",
        default="none",
        metavar="NAME",
        help="text normalisation: none (default); for slt csl_daily, how2sign, how2sign_repaired, openasl, "
        "phoenix2014t; for cslr csl_daily, how2sign, openasl, phoenix2014, phoenix2014t",
    )
    parser.add_argument(
        "--rouge-variant",
        default="pypi_rouge",
        metavar="NAME",
        help="variant of ROUGE-L for slt: pypi_rouge (default), coco, rouge_score or token_f1",
    )
    parser.add_argument(
        "--bleurt-checkpoint", metavar="FOLDER", help="folder of a BLEURT checkpoint: adds BLEURT for slt"
    )
    parser.add_argument(
        "--costs",
        default="3/3/4",
        metavar="NAME",
        help="edit costs of the alignment for cslr: 3/3/4 (default) or levenshtein",
    )
    parser.add_argument(
        "--unit", choices=("word", "character"), default="word", help="unit that cslr counts errors in (default word)"
    )
    parser.add_argument(
        "--confusions", type=int, default=10, metavar="N", help="number of confusions to list for islr (default 10)"
    )
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=0,
        metavar="N",
        help="number of resamples for 95%% intervals (default 0: none)",
    )
    parser.add_argument(
        "--label-groups",
        type=Path,
        metavar="FILE",
        help="for islr: file of label groups from audit-dataset; also score by group, and without clips seen in train",
    )
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="FILE",
        help=f"predictions of another system, for a paired bootstrap (default {DEFAULT_NUM_RESAMPLES} resamples)",
    )
    parser.add_argument("--seed", type=int, default=12345, metavar="N", help="seed of the resampling (default 12345)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Scores, prints, and returns 0."""
    _check_sources(args)
    args.split = args.split or ("validation" if args.calibrate else "test")
    _check_calibration(args)
    if args.label_groups is not None and args.task != "islr":
        args.usage_error("--label-groups belongs to --task islr")
    if args.bootstrap < 0:
        raise ValueError(f"expected --bootstrap of at least 0, received {args.bootstrap}: 1000 is usual")
    with printed_warnings("evaluate"), ProgressBar("clip" if args.calibrate else "resample") as bar:
        report = calibrate(args, bar.show) if args.calibrate else evaluate(args, bar.show)
    if args.json:
        print(json.dumps(_without_nan(report), indent=2, ensure_ascii=False))
    else:
        print(format_report(report))
    if args.add_to_card:
        from modeling_sigma.hub.model_card import add_result

        path = add_result(args.model, _measurement(report, args))
        _draw_confidence(args.model, report)
        print(f"added to {path}: `sigma-slu card {args.model} --force` rewrites the card", file=sys.stderr)
    return 0


def _check_sources(args: argparse.Namespace) -> None:
    """Ends with a usage error unless predictions come from exactly one source."""
    of_files, of_model = (args.predictions, args.references), (args.model, args.dataset)
    if all(of_files) and not any(of_model):
        if args.save_predictions or args.labels:
            args.usage_error("--save-predictions and --labels need --model and --dataset")
        if args.add_to_card:
            args.usage_error("--add-to-card needs --model and --dataset")
    elif all(of_model) and not any(of_files):
        if args.batch_size < 1 or (args.num_beams or 1) < 1:
            args.usage_error("--batch-size and --num-beams must be at least 1")
        if args.labels and args.task != "islr":
            args.usage_error("--labels belongs to --task islr")
        if args.add_to_card and not Path(args.model).is_dir():
            args.usage_error(f"--add-to-card needs the model's folder, and {args.model} is no folder")
    else:
        args.usage_error("expected --predictions and --references, or --model and --dataset")


def _check_calibration(args: argparse.Namespace) -> None:
    """Ends with a usage error where nothing can be calibrated, or on clips that would deceive."""
    if args.false_alarm_rate is not None and not args.calibrate:
        args.usage_error("--false-alarm-rate belongs to --calibrate")
    if not args.calibrate:
        return
    if args.task != "islr" or args.model is None:
        args.usage_error("--calibrate needs --task islr, --model and --dataset")
    if args.split in ("train", "test"):
        args.usage_error(
            f"--calibrate on {args.split} would deceive: scores are fitted on clips that the model has neither learnt "
            "nor will be tested on, --split validation"
        )
    others = {
        "--add-to-card": args.add_to_card, "--labels": args.labels, "--save-predictions": args.save_predictions,
        "--compare": args.compare, "--bootstrap": args.bootstrap,
    }  # fmt: skip
    given = [name for name, value in others.items() if value]
    if given:
        args.usage_error(f"--calibrate does not take {', '.join(given)}: evaluate the calibrated model afterwards")


def calibrate(args: argparse.Namespace, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Fits what the scores of the model mean, and stores it in its folder.

    Returns:
        `dict`: `calibration`, the fields of [`Calibration`]; `confidence_before` and `confidence`, what
        `confidence_scores` returns for the clips it was fitted on; `num_samples`, `signature` and `data`.
    """
    from modeling_sigma.cli.quiet_libraries import silence_transformers
    from modeling_sigma.inference.calibration import DEFAULT_FALSE_ALARM_RATE, calibrate_model
    from modeling_sigma.inference.confidence_report import confidence_of_logits
    from modeling_sigma.inference.corpus_predictions import load_split
    from modeling_sigma.jobs.torch_devices import usable_device
    from modeling_sigma.metrics import LabelGroups

    silence_transformers()
    usable_device(args.device)  # before the data set is built
    groups = None if args.label_groups is None else LabelGroups.load(args.label_groups)
    dataset = load_split(args.dataset, args.config, args.split, args.data_dir)
    rate = DEFAULT_FALSE_ALARM_RATE if args.false_alarm_rate is None else args.false_alarm_rate
    accepted = None if groups is None else groups.accepted()
    names = [Path(args.dataset).name, args.config, args.split, groups and "by label groups"]
    calibration, scores = calibrate_model(
        args.model,
        dataset,
        ", ".join(name for name in names if name),
        accepted=accepted,
        false_alarm_rate=rate,
        batch_size=args.batch_size,
        device=args.device,
        progress=progress,
    )
    references, labels = list(dataset["text"]), _labels_of(args.model)
    parts = {
        name: confidence_of_logits(scores.logits, references, labels, temperature, accepted)
        for name, temperature in (("confidence_before", 1.0), ("confidence", calibration.temperature))
    }
    return {
        **parts,
        "calibration": calibration.as_dict(),
        "num_samples": len(references),
        "signature": parts["confidence"]["signature"],
        "data": {"model": args.model, "dataset": args.dataset, "config": args.config, "split": args.split},
    }


def _labels_of(model: str) -> list[str]:
    """The labels of a model, in the order of its logits."""
    from modeling_sigma.inference.model_config import load_model_config

    named = load_model_config(model).id2label
    return [named[number] for number in sorted(named)]


def evaluate(args: argparse.Namespace, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """The scores of the files, or of the model and data set, that the arguments name.

    Args:
        args (`argparse.Namespace`):
            The parsed arguments of `sigma-slu evaluate`.
        progress (`Callable[[int, int], None]`):
            Called with the number of resamples done and in all.

    Returns:
        `dict`: what `translation_scores`, `word_error_rates` or `recognition_scores` returns. `--compare` adds
        `comparison`, whose `scores` come from `paired_bootstrap`; `--label-groups` adds `by_label_groups`, which
        `label_group_scores` returns; `--model` adds `data`, the names of the model and the data set, and, where the
        model states how sure it is, `confidence`, what `confidence_scores` or `confidence_of_texts` returns.
    """
    from modeling_sigma.io.reading_errors import naming_file
    from modeling_sigma.metrics import LabelGroups, label_group_scores
    from modeling_sigma.metrics.prediction_files import (
        PREDICTION_FIELDS,
        REFERENCE_FIELDS,
        SampleTexts,
        pair_samples,
        read_sample_texts,
    )

    def read_pairs(path: Path) -> tuple[list[Any], list[Any]]:
        pairs = pair_samples(read_sample_texts(path, PREDICTION_FIELDS[args.task]), references)
        return _plain(pairs[0], args.task), _plain(pairs[1], args.task)

    groups = None if args.label_groups is None else LabelGroups.load(args.label_groups)
    found = None
    if args.model is None:
        references = read_sample_texts(args.references, REFERENCE_FIELDS[args.task])
        pairs = read_pairs(args.predictions)
    else:
        found = _predict(args)
        references = SampleTexts(f"{args.dataset} ({args.split})", found.references, found.sample_ids)
        pairs = found.predictions, found.references
    other_pairs = None if args.compare is None else read_pairs(args.compare)  # so that errors come before the work

    constraint = {} if found is None else {"vocabulary": found.labels, "is_constrained": found.labels is not None}
    source = args.model or f"{args.predictions}, {args.references}"
    with naming_file(source, "predictions and references"):
        report = _scoring(args, progress, args.bootstrap).scores(pairs, constraint)
    if found is not None:
        report["data"] = {"model": args.model, "dataset": args.dataset, "config": args.config, "split": args.split}
        report.update(_confidence(found, groups, args.preset))
    if groups is not None:
        resampling: dict[str, Any] = {"num_bootstrap": args.bootstrap, "seed": args.seed, "progress": progress}
        report["by_label_groups"] = label_group_scores(*pairs, groups, references.sample_ids, **resampling)
        if references.sample_ids is None:
            warnings.warn("the references have no sample ids: scores without twins are left out", stacklevel=2)
    if other_pairs is not None:
        num_resamples = args.bootstrap or DEFAULT_NUM_RESAMPLES
        report["comparison"] = {
            "other_predictions": str(args.compare),
            "num_resamples": num_resamples,
            "seed": args.seed,
            "scores": _scoring(args, progress, num_resamples).compare(pairs, other_pairs),
        }
    return report


def _confidence(found: Any, groups: Any, preset: str) -> dict[str, Any]:
    """Whether the model's scores mean something, if it gives any."""
    from modeling_sigma.inference.confidence_report import confidence_of_predictions, confidence_of_texts

    if found.text_scores is not None:
        return {"confidence": confidence_of_texts(found, preset)}
    if found.scores is None:
        return {}
    report = {"confidence": confidence_of_predictions(found)}
    if groups is not None:
        twins = {sample_id for split in groups.twins.values() for sample_id in split}
        report["confidence_by_label_groups"] = confidence_of_predictions(found, groups.accepted())
        if twins & set(found.sample_ids):
            without = confidence_of_predictions(found, groups.accepted(), left_out=twins)
            report["confidence_by_label_groups_without_twins"] = without
    return report


def _draw_confidence(folder: str, report: Mapping[str, Any]) -> None:
    """Pictures of the confidence of a calibrated model, for its card."""
    from modeling_sigma.hub.confidence_pictures import write_confidence_pictures

    names = {"confidence_by_label_groups": "words of one recording count as one", "confidence": "exact word"}
    found = {words: report[name] for name, words in names.items() if name in report}
    if "called_unknown" in report.get("confidence", {}):
        write_confidence_pictures(folder, found)


def _measurement(report: Mapping[str, Any], args: argparse.Namespace) -> Any:
    """The scores as an entry of a model card."""
    from datasets_scripts.corpora import CORPORA
    from modeling_sigma.hub.card_facts import METRICS, Measurement
    from modeling_sigma.hub.private_facts import public_command

    confidence = report.get("confidence", {})
    scores = {**(confidence if "called_unknown" in confidence else {}), **report}  # of a calibrated model
    names = {"--model": args.model, "--dataset": args.dataset, "--config": args.config, "--split": args.split}
    options = [word for flag, value in names.items() if value is not None for word in (flag, str(value))]
    return Measurement(
        task=args.task,
        dataset=CORPORA[args.dataset].FACTS.title if args.dataset in CORPORA else Path(args.dataset).name,
        dataset_config=args.config,
        split=args.split,
        num_samples=report["num_samples" if args.task == "islr" else "num_sentences"],
        scores={name: scores[name] for name in METRICS if isinstance(scores.get(name), float)},
        intervals={name: list(ends) for name, ends in report.get("intervals", {}).items() if name in METRICS},
        signature=report["signature"],
        command=public_command(["sigma-slu", "evaluate", "--task", args.task, *options]),
    )


def _predict(args: argparse.Namespace) -> Any:
    """The model's predictions on the data set, saved if `--save-predictions` asks for it."""
    from modeling_sigma.cli.predict import read_labels
    from modeling_sigma.cli.quiet_libraries import silence_transformers
    from modeling_sigma.inference.corpus_predictions import load_split, predict_corpus
    from modeling_sigma.jobs.torch_devices import usable_device

    silence_transformers()
    usable_device(args.device)  # before the data set is built
    labels = None if args.labels is None else read_labels(args.labels)
    dataset = load_split(args.dataset, args.config, args.split, args.data_dir)

    found = predict_corpus(
        args.model,
        dataset,
        args.task,
        labels=labels,
        language=args.language,
        num_beams=args.num_beams,
        batch_size=args.batch_size,
        device=args.device,
    )
    if args.save_predictions is not None:
        found.save(args.save_predictions)
    return found


def _scoring(args: argparse.Namespace, progress: Callable[[int, int], None], num_resamples: int) -> Any:
    from modeling_sigma.inference.scoring import Scoring

    names = ("task", "preset", "rouge_variant", "bleurt_checkpoint", "costs", "unit", "seed")
    options = {name: getattr(args, name) for name in names}
    return Scoring(**options, num_confusions=args.confusions, num_resamples=num_resamples, progress=progress)


def _plain(values: list[Any], task: str) -> list[Any]:
    """Joins lists of glosses into sentences; a list of candidate labels stays a list."""
    if task != "cslr":
        return values
    return [" ".join(map(str, value)) if isinstance(value, list) else value for value in values]


def _without_nan(value: Any) -> Any:
    """The same value with None for NaN, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
