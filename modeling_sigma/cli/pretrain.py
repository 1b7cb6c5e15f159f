"""`sigma-slu pretrain`: trains alignment, sign-text matching and language modelling on clips and their sentences."""

from __future__ import annotations

import argparse

from modeling_sigma.cli.fields import add_fields
from modeling_sigma.training.arguments import DataArguments, ModelArguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `pretrain`."""
    add_fields(parser, "pretrain", (ModelArguments, DataArguments))


def run(args: argparse.Namespace) -> int:
    """Pre-trains the model and returns 0."""
    from modeling_sigma.training.recipes.pretrain import main

    main(args.words)
    return 0
