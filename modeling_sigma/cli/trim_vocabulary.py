"""`sigma-slu trim-vocabulary`: removes the tokens that a model's corpora never use."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any


_EXAMPLES = """
examples:
  sigma-slu trim-vocabulary --model sigma-mt5 --texts train.txt dev.txt --out sigma-small
  sigma-slu trim-vocabulary --model sigma-mt5 --texts sentences.json --size 30000 --out sigma-30k

texts: files of sentences, glosses or labels: text (one per line), JSON or JSON lines
"""
# The fields of a JSON object that may hold its text.
_TEXT_FIELDS = ("text", "reference", "translation", "gloss", "label", "prediction")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `trim-vocabulary`."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", required=True, metavar="DIR", help="folder of the model, or its name on the Hub")
    parser.add_argument(
        "--texts", required=True, nargs="+", metavar="FILE", help="files of all texts that must be tokenised as before"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write the trimmed model to")
    parser.add_argument(
        "--languages",
        nargs="+",
        metavar="NAME",
        help="languages that prompts may name (default: those of public corpora)",
    )
    parser.add_argument(
        "--size",
        type=int,
        metavar="N",
        help="number of tokens to keep: those needed, then the likeliest in the scripts of the texts",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Trims and saves the model, reports, and returns 0."""
    import transformers

    from modeling_sigma.cli.quiet_libraries import silence_transformers
    from modeling_sigma.conversion.vocabulary_trimming import LANGUAGES, trim_vocabulary
    from modeling_sigma.hub.bundle import KEY_FILE, WEIGHT_FILES, save_bundle
    from modeling_sigma.inference.model_config import saved_kind
    from modeling_sigma.jobs.atomic_folders import atomic_folder

    if Path(args.out).resolve() == Path(args.model).resolve():
        raise ValueError("expected --out to differ from --model: writing there would lose the whole model")
    silence_transformers()
    texts = [text for file in args.texts for text in _read_texts(file)]
    auto_class = getattr(transformers, saved_kind(args.model).auto_class)
    model = auto_class.from_pretrained(args.model, trust_remote_code=False)
    if not model.config.use_prompt:
        raise ValueError(f"{args.model}: expected a model that reads text, this label head has no vocabulary to trim")
    processor = transformers.AutoProcessor.from_pretrained(args.model, trust_remote_code=False)
    report = trim_vocabulary(model, processor, texts, args.languages or LANGUAGES, args.size)
    out, card = Path(args.out), Path(args.model) / "README.md"
    has_card = (out / "README.md").exists()
    with atomic_folder(out, KEY_FILE, WEIGHT_FILES) as folder:
        save_bundle(model, processor, folder)
        if card.is_file() and not has_card:
            shutil.copyfile(card, folder / "README.md")  # its license stays
    facts: dict[str, Any] = {"out": str(out), "num_texts": len(texts), **asdict(report)}
    if args.json:
        print(json.dumps({**facts, "removed_share": report.removed_share}, indent=2))
        return 0
    print(f"{len(texts)} texts use {report.num_corpus_tokens} tokens.")
    print(f"tokens      {report.num_tokens_before:>13,} -> {report.num_tokens:>13,}")
    print(f"parameters  {report.num_parameters_before:>13,} -> {report.num_parameters:>13,}", end="")
    print(f"  ({report.removed_share:.1%} removed)")
    print(f"Saved to {out}. Texts in other scripts or languages need the whole model.")
    return 0


def _read_texts(file: str) -> list[str]:
    from modeling_sigma.metrics.prediction_files import read_sample_texts

    values = read_sample_texts(file, _TEXT_FIELDS).values
    texts = [" ".join(map(str, value)) if isinstance(value, list) else value for value in values]
    wrong = next((text for text in texts if not isinstance(text, str)), None)
    if wrong is not None:
        raise ValueError(f"{file}: expected texts, found {wrong!r:.60}")
    return [text for text in texts if text.strip()]
