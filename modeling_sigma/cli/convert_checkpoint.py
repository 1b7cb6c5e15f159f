"""`sigma-slu convert-checkpoint`: converts a released checkpoint of another project into a model folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


# Kind -> the license that a model card names (`other` if unknown), and the note that the user is shown.
LICENSES = {
    "uni-sign": (
        "cc-by-nc-4.0",
        "The released Uni-Sign weights carry CC-BY-NC-4.0, as does everything made from them. Say so in your card.",
    ),
    "sigma": (
        "other",
        "These weights keep their authors' terms. Whatever started from the released Uni-Sign weights carries "
        "CC-BY-NC-4.0. Say so in your card.",
    ),
}
# The card that the folder gets until its owner writes one.
CARD = """---
license: {license}
library_name: transformers
---

# Converted checkpoint

`sigma-slu convert-checkpoint --kind {kind}` made this folder from `{file}`; the weights are those of that checkpoint.

{note}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `convert-checkpoint`."""
    parser.add_argument("file", metavar="FILE", help="checkpoint to convert: .pth, .pt, .bin or .safetensors")
    parser.add_argument(
        "--kind", required=True, choices=("uni-sign", "sigma"), help="project that wrote the checkpoint"
    )
    parser.add_argument(
        "--text-config", required=True, metavar="DIR", help="folder of its mT5, or its name on the Hub"
    )
    parser.add_argument("--tokenizer", metavar="DIR", help="folder of its tokenizer (default: that of --text-config)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write the model to")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Converts and saves the model, reports, and returns 0."""
    from transformers import AutoConfig

    from modeling_sigma.cli.quiet_libraries import silence_transformers
    from modeling_sigma.conversion.released_checkpoints import (
        convert_sigma_pretraining,
        convert_uni_sign,
        load_foreign_checkpoint,
    )
    from modeling_sigma.hub.bundle import KEY_FILE, WEIGHT_FILES, save_bundle
    from modeling_sigma.jobs.atomic_folders import atomic_folder
    from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor

    silence_transformers()
    convert = convert_uni_sign if args.kind == "uni-sign" else convert_sigma_pretraining
    arrays = load_foreign_checkpoint(args.file)
    model: Any = convert(arrays, AutoConfig.from_pretrained(args.text_config))
    report = model.conversion_report
    license, note = LICENSES[args.kind]
    model.config.weights_license = license  # stays with whatever is trained from these weights
    processor = _load_processor(args.tokenizer or args.text_config)
    has_card = (Path(args.out) / "README.md").exists()
    with atomic_folder(Path(args.out), KEY_FILE, WEIGHT_FILES) as folder:
        save_bundle(model, processor or SigmaFeatureExtractor(), folder)
        if not has_card:
            card = CARD.format(file=Path(args.file).name, kind=args.kind, license=license, note=note)
            (folder / "README.md").write_text(card, encoding="utf-8")
    if args.json:
        facts = {"out": args.out, "has_tokenizer": processor is not None, "license": note}
        print(json.dumps({**facts, **vars(report)}, indent=2))
        return 0
    print(report)
    print(f"Saved to {args.out}.")
    if processor is None:
        print("No tokenizer was found: run this again with --tokenizer DIR before you predict.")
    print(note)
    return 0


def _load_processor(folder: str) -> Any:
    """A processor with the tokenizer of `folder`; None if that is a local folder without one."""
    from transformers import AutoTokenizer

    from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
    from modeling_sigma.model.processing_sigma import SigmaProcessor

    names = ("tokenizer.json", "spiece.model", "tokenizer_config.json")
    if Path(folder).is_dir() and not any((Path(folder) / name).exists() for name in names):
        return None
    return SigmaProcessor(SigmaFeatureExtractor(), AutoTokenizer.from_pretrained(folder))
