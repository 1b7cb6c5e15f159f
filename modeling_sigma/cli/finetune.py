"""`sigma-slu finetune`: isolated signs, glosses or translation, from scratch, from a text model or a checkpoint."""

from __future__ import annotations

import argparse

from modeling_sigma.cli.fields import add_fields
from modeling_sigma.training.arguments import AdapterArguments, DataArguments, ModelArguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_fields(parser, (ModelArguments, DataArguments, AdapterArguments))


def run(args: argparse.Namespace) -> int:
    """Fine-tunes; 0 when it came through."""
    from modeling_sigma.training.recipes.finetune import main

    main(args.words)
    return 0
