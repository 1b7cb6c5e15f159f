"""`sigma-slu card`: writes the model card of a folder from its owner's facts and its measured results."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from modeling_sigma.jobs.atomic_files import write_text


_EXAMPLES = """
examples:
  sigma-slu card sigma-slu --init       # writes sigma-slu/card.json, to be filled in
  sigma-slu card sigma-slu              # card.json + results.json -> README.md
  sigma-slu card --facts facts.json --results results.json --out MODEL_CARD.md
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `card`."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="folder of the model")
    parser.add_argument("--init", action="store_true", help="write an empty card.json to fill in instead of a card")
    parser.add_argument("--facts", type=Path, metavar="FILE", help="file of facts (default DIR/card.json)")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="file of results (default DIR/results.json, if it exists)"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="where users find the model: ORG/NAME on the Hub (default), or a folder"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="file to write the card to (default DIR/README.md)")
    parser.add_argument("--force", action="store_true", help="replace an existing card")


def run(args: argparse.Namespace) -> int:
    """Writes the card, or the file to fill in, and returns 0."""
    from modeling_sigma.hub.bundle_config import read_config
    from modeling_sigma.hub.card_facts import BLANK_FACTS, FACTS_FILE, RESULTS_FILE, read_facts, read_measurements
    from modeling_sigma.hub.confidence_pictures import confidence_pictures_in
    from modeling_sigma.hub.model_card import build_card, num_parameters_of
    from modeling_sigma.io.reading_errors import naming_file

    folder: Path | None = args.folder
    if folder is None and (args.init or args.facts is None or args.out is None):
        raise ValueError("expected the folder of a model, or --facts and --out")
    if folder is not None and not folder.is_dir():
        raise ValueError(f"{folder}: expected the folder of a model, found none")
    facts_path = args.facts or (folder or Path()) / FACTS_FILE
    if args.init:
        _write(facts_path, json.dumps(dict(BLANK_FACTS), indent=2) + "\n", args.force)
        print(f"Fill in {facts_path}, then run: sigma-slu card {folder}")
        return 0
    if not facts_path.is_file():
        raise ValueError(
            f"{facts_path}: expected the facts of the card, found none: `sigma-slu card DIR --init` writes a form"
        )
    results_path = args.results or (folder or Path()) / RESULTS_FILE
    has_results = args.results is not None or (folder is not None and results_path.is_file())
    has_config = folder is not None and (folder / "config.json").is_file()
    config = read_config(folder, "config.json") if folder is not None and has_config else None
    facts, results = read_facts(facts_path), read_measurements(results_path) if has_results else []
    num_parameters = None if folder is None else num_parameters_of(folder)
    with naming_file(facts_path, "facts for a model card"):
        card = build_card(
            facts,
            results,
            model_name=args.name or "ORG/NAME",
            config=config,
            num_parameters=num_parameters,
            pictures=confidence_pictures_in(folder),
        )
    out = args.out or (folder or Path()) / "README.md"
    _write(out, str(card).rstrip("\n") + "\n", args.force)
    print(f"Wrote {out}" + ("." if has_results else "; it says that nothing has been measured."))
    return 0


def _write(path: Path, text: str, force: bool) -> None:
    if path.exists() and not force:
        raise ValueError(f"{path} already exists: --force replaces it")
    write_text(path, text)
