"""`sigma-slu predict`: text or labels for skeleton files, with a trained model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


# Files that are read, and then predicted, at a time: progress moves and memory stays bounded.
_FILES_AT_A_TIME = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="clips in any format that `sigma-slu inspect` reads, or folders of them",
    )
    parser.add_argument("--model", required=True, metavar="DIR", help="model folder, or a name on the Hub")
    parser.add_argument("--top-k", type=int, default=1, metavar="K", help="K best results a clip (default 1)")
    parser.add_argument("--labels", metavar="FILE", help="one label a line: the model chooses among these signs")
    parser.add_argument("--language", default="English", help="spoken language to write (default English)")
    parser.add_argument("--person", type=int, default=0, metavar="N", help="which person of each clip (default 0)")
    parser.add_argument("--batch-size", type=int, default=8, metavar="N", help="clips computed together (default 8)")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, mps")
    parser.add_argument("--json", action="store_true", help="print one JSON array instead of lines")


def run(args: argparse.Namespace) -> int:
    """Predicts every file in which somebody is seen; 1 if some files could not be read, or showed nobody."""
    if args.top_k < 1 or args.batch_size < 1:
        raise ValueError("expected --top-k and --batch-size of at least 1")
    predictor = load_predictor(args.model, args.device, "isolated-sign-recognition" if args.labels else None)
    options = _OPTIONS[predictor.task](args)
    results: list[dict[str, Any]] = []
    files = _expand(args.files)
    for chunk in _progress(files):
        results += _predict_files(predictor, chunk, args, options)
        if not args.json:
            _print_lines(results[-len(chunk) :], num_files=len(files))
    if args.json:
        print(json.dumps(results, ensure_ascii=False, indent=2))
    failed = [result for result in results if "error" in result]
    if failed:
        print(f"sigma-slu predict: {len(failed)} of {len(results)} files gave no prediction", file=sys.stderr)
    return 1 if failed else 0


# Architecture -> what it is for. The first two write text, and can serve every task.
DEFAULT_TASKS = {
    "SigmaForConditionalGeneration": "sign-language-translation",
    "SigmaForPreTraining": "sign-language-translation",
    "SigmaForSequenceClassification": "isolated-sign-recognition",
    "SigmaForCTC": "continuous-sign-recognition",
}


def load_predictor(name_or_path: str, device: str = "cpu", task: str | None = None) -> Any:
    """The pipeline for the model of a folder or Hub name. No code from there is run.

    Args:
        name_or_path (`str`):
            The model.
        device (`str`, *optional*, defaults to `"cpu"`):
            Where it computes.
        task (`str`, *optional*):
            A pipeline's name; by default what the model is for.

    Raises:
        ValueError: if there is no Sigma model of a kind that predicts, or one that does not serve the task.
    """
    from transformers import (
        AutoFeatureExtractor,
        AutoModelForCTC,
        AutoModelForSeq2SeqLM,
        AutoModelForSequenceClassification,
        AutoProcessor,
    )
    from transformers.utils import logging

    from modeling_sigma.inference.model_config import load_model_config, saved_class
    from modeling_sigma.jobs.torch_devices import usable_device
    from modeling_sigma.model.model_kinds_sigma import PIPELINE_KINDS
    from modeling_sigma.registration import defined_class

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    config = load_model_config(name_or_path)
    architecture = saved_class(config)
    if architecture not in DEFAULT_TASKS:
        raise ValueError(
            f"{name_or_path}: expected a model that predicts ({', '.join(DEFAULT_TASKS)}), found {architecture}"
        )
    label_heads = {
        "SigmaForSequenceClassification": AutoModelForSequenceClassification,
        "SigmaForCTC": AutoModelForCTC,
    }
    task = task or DEFAULT_TASKS[architecture]
    if architecture in label_heads and task != DEFAULT_TASKS[architecture]:
        raise ValueError(f"{name_or_path}: expected a model for {task}, found {architecture}")
    auto_model = label_heads.get(architecture, AutoModelForSeq2SeqLM)
    model = auto_model.from_pretrained(name_or_path, trust_remote_code=False, dtype="auto")
    if architecture in label_heads and not config.use_prompt:  # they come without a tokenizer
        reader = {"feature_extractor": AutoFeatureExtractor.from_pretrained(name_or_path, trust_remote_code=False)}
    else:
        reader = {"processor": AutoProcessor.from_pretrained(name_or_path, trust_remote_code=False)}
    return defined_class(PIPELINE_KINDS[task])(model=model, task=task, device=usable_device(device), **reader)


def read_labels(path: str) -> list[str]:
    """The labels of a text file, one a line.

    Raises:
        ValueError: for a file without any.
    """
    from modeling_sigma.io.text_files import read_lines

    labels = read_lines(path, "labels, one a line")
    if not labels:
        raise ValueError(f"{path}: expected one label a line, found none")
    return labels


def _expand(files: list[str]) -> list[str]:
    from modeling_sigma.io.clip_paths import clip_paths

    return [str(path) for file in files for path in clip_paths(Path(file))]


def _predict_files(
    predictor: Any, files: list[str], args: argparse.Namespace, options: dict[str, Any]
) -> list[dict[str, Any]]:
    from modeling_sigma.io import load_clip
    from modeling_sigma.io.reading_errors import naming_file

    results: list[dict[str, Any]] = [{"file": file} for file in files]
    clips, rows = [], []
    for row, file in enumerate(files):
        try:
            clip = load_clip(file, person=args.person)
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
            candidates = output if isinstance(output, list) else [output]
            results[row]["predictions"] = candidates[: args.top_k]
    return results


def _isolated_options(args: argparse.Namespace) -> dict[str, Any]:
    options = {"top_k": args.top_k, "language": args.language}
    return options if args.labels is None else {**options, "labels": read_labels(args.labels)}


def _translation_options(args: argparse.Namespace) -> dict[str, Any]:
    options: dict[str, Any] = {"language": args.language}
    if args.top_k > 1:
        options.update(num_return_sequences=args.top_k, num_beams=max(4, args.top_k))
    return options


_OPTIONS = {
    "isolated-sign-recognition": _isolated_options,
    "continuous-sign-recognition": lambda args: {"language": args.language},
    "sign-language-translation": _translation_options,
}


def _print_lines(results: list[dict[str, Any]], num_files: int) -> None:
    for result in results:
        if "error" in result:
            print(f"sigma-slu predict: {result['error']}", file=sys.stderr)
            continue
        prefix = f"{result['file']}\t" if num_files > 1 else ""
        for candidate in result["predictions"]:
            score = f"\t{candidate['score']:.3f}" if "score" in candidate else ""
            print(f"{prefix}{candidate.get('label', candidate.get('text'))}{score}", flush=True)


def _progress(files: list[str]) -> Iterator[list[str]]:
    from tqdm import tqdm

    with tqdm(total=len(files), unit="file", disable=len(files) < 10 or not sys.stderr.isatty(), leave=False) as bar:
        for start in range(0, len(files), _FILES_AT_A_TIME):
            chunk = files[start : start + _FILES_AT_A_TIME]
            yield chunk
            bar.update(len(chunk))
