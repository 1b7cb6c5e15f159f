"""`sigma-slu predict`: translates clips, or recognises their signs, with a trained model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from modeling_sigma.cli.video_options import add_video_options, estimator_for
from modeling_sigma.jobs.progress import ProgressBar


# Files are read and predicted this many at a time, so that progress moves and memory stays bounded.
_FILES_AT_A_TIME = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `predict`."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="videos, or clips in any format that `sigma-slu inspect` reads, or folders of them",
    )
    parser.add_argument(
        "--model", required=True, metavar="DIR", help="folder of a trained model, or its name on the Hub"
    )
    parser.add_argument(
        "--top-k", type=int, default=1, metavar="K", help="number of results per clip, best first (default 1)"
    )
    parser.add_argument(
        "--prediction-set",
        type=float,
        metavar="SHARE",
        help="list as many labels as it takes to hold the true one in this share of clips, such as 0.9 (calibrated "
        "models)",
    )
    parser.add_argument("--labels", metavar="FILE", help="file of the labels to choose among, one per line")
    parser.add_argument("--language", help="spoken language to write (default English); for models that write")
    parser.add_argument("--person", type=int, default=0, metavar="N", help="index of the person to read (default 0)")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="number of clips per batch (default 8)")
    parser.add_argument("--device", default="cpu", help="device to compute on: cpu (default), cuda, cuda:1, mps")
    parser.add_argument("--json", action="store_true", help="print one JSON array instead of lines")
    add_video_options(parser, has_device=True)


def run(args: argparse.Namespace) -> int:
    """Predicts every file in which somebody is seen; returns 1 if some could not be read or showed nobody, else 0."""
    from modeling_sigma.cli.quiet_libraries import silence_transformers
    from modeling_sigma.inference.load_pipeline import load_pipeline
    from modeling_sigma.inference.prediction_options import PREDICTING, check_language, prediction_options

    if args.top_k < 1 or args.batch_size < 1:
        raise ValueError("expected --top-k and --batch-size of at least 1")
    silence_transformers()
    labels = None if args.labels is None else read_labels(args.labels)
    predictor = load_pipeline(args.model, "isolated-sign-recognition" if labels else None, args.device)
    if predictor.task not in PREDICTING:
        raise ValueError(
            f"{args.model}: expected a model that predicts ({', '.join(PREDICTING)}), found one for {predictor.task}: "
            "see `sigma-slu index`"
        )
    check_language(predictor, args.language)
    options = prediction_options(predictor.task, args.top_k, args.language or "English", labels, args.prediction_set)
    results: list[dict[str, Any]] = []
    files = _expand(args.files)
    estimator = estimator_for(args, files)
    for chunk in _progress(files):
        results += _predict_files(predictor, chunk, args, options, estimator)
        if not args.json:
            _print_lines(results[-len(chunk) :], num_files=len(files))
    if args.json:
        print(json.dumps(results, ensure_ascii=False, indent=2))
    failed = [result for result in results if "error" in result]
    if predictor.task == "isolated-sign-recognition" and predictor.calibration is None and len(failed) < len(results):
        from modeling_sigma.model.calibration_sigma import NOT_CALIBRATED

        print(f"sigma-slu predict: {NOT_CALIBRATED}", file=sys.stderr)
    if failed:
        print(f"sigma-slu predict: {len(failed)} of {len(results)} files gave no prediction", file=sys.stderr)
    return 1 if failed else 0


def read_labels(path: str) -> list[str]:
    """The labels of a text file, one per line.

    Raises:
        ValueError: for a file without any.
    """
    from modeling_sigma.io.text_files import read_lines

    labels = read_lines(path, "labels, one per line")
    if not labels:
        raise ValueError(f"{path}: expected one label per line, found none")
    return labels


def _expand(files: list[str]) -> list[str]:
    from modeling_sigma.io.clip_paths import clip_paths

    return [str(path) for file in files for path in clip_paths(Path(file))]


def _predict_files(
    predictor: Any, files: list[str], args: argparse.Namespace, options: dict[str, Any], estimator: Any
) -> list[dict[str, Any]]:
    from modeling_sigma.inference.prediction_options import clip_result
    from modeling_sigma.io import load_clip
    from modeling_sigma.io.reading_errors import naming_file
    from modeling_sigma.jobs.retrying import with_retries

    results: list[dict[str, Any]] = [{"file": file} for file in files]
    clips, rows = [], []
    for row, file in enumerate(files):
        try:
            clip = with_retries(partial(load_clip, file, person=args.person, estimator=estimator))
            with naming_file(file, "a clip"):
                predictor.check_seen(clip)
            clips.append(clip)
            rows.append(row)
        except (ValueError, OSError, ImportError) as error:
            if args.debug:
                raise
            results[row]["error"] = " ".join(str(error).split())
    if clips:
        for row, output in zip(
            rows, predictor(clips, batch_size=args.batch_size, allow_unseen=True, **options), strict=True
        ):
            results[row].update(clip_result(output, None if args.prediction_set is not None else args.top_k))
    return results


def _print_lines(results: list[dict[str, Any]], num_files: int) -> None:
    for result in results:
        if "error" in result:
            print(f"sigma-slu predict: {result['error']}", file=sys.stderr)
            continue
        prefix = f"{result['file']}\t" if num_files > 1 else ""
        if result.get("unknown"):
            print(f"{prefix}({result['reason']})", flush=True)
            continue
        for candidate in result["predictions"]:
            score = f"\t{candidate['score']:.3f}" if "score" in candidate else ""
            print(f"{prefix}{candidate.get('label', candidate.get('text'))}{score}", flush=True)


def _progress(files: list[str]) -> Iterator[list[str]]:
    with ProgressBar("file") as bar:
        bar.show(0, len(files))
        for start in range(0, len(files), _FILES_AT_A_TIME):
            chunk = files[start : start + _FILES_AT_A_TIME]
            yield chunk
            bar.show(start + len(chunk), len(files))
