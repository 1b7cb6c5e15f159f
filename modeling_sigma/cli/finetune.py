"""`sigma-slu finetune`: trains a model for isolated signs, glosses or translation."""

from __future__ import annotations

import argparse

from modeling_sigma.cli.fields import add_fields
from modeling_sigma.training.arguments import AdapterArguments, DataArguments, ModelArguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `finetune`."""
    add_fields(parser, "finetune", (ModelArguments, DataArguments, AdapterArguments))


def run(args: argparse.Namespace) -> int:
    """Fine-tunes the model and returns 0."""
    from modeling_sigma.training.recipes.finetune import main

    main(args.words)
    return 0
