"""`sigma-slu pretrain`: alignment, sign-text matching and language modelling on clips and their sentences."""

from __future__ import annotations

import argparse

from modeling_sigma.cli.fields import add_fields
from modeling_sigma.training.arguments import DataArguments, ModelArguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_fields(parser, (ModelArguments, DataArguments))


def run(args: argparse.Namespace) -> int:
    """Pre-trains; 0 when it came through."""
    from modeling_sigma.training.recipes.pretrain import main

    main(args.words)
    return 0
