"""The fields of a training run as a command's help, shown without importing torch or transformers.

`pretrain` and `finetune` take `[CONFIG.yaml] [--field value ...]`, which their recipes parse. Transformers' own
training arguments, some 120, are fields as well; `--help-all` lists them too.
"""

from __future__ import annotations

import argparse
import typing
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from modeling_sigma.training.arguments import ClipTrainingFields


OTHERS = "All of transformers' training arguments work as well (--learning_rate, --num_train_epochs, --bf16, ...)."


def add_fields(parser: argparse.ArgumentParser, classes: Sequence[type]) -> None:
    """Adds help for the fields of some dataclasses. All arguments are passed to the recipe unparsed, as `words`."""
    parser.usage = f"{parser.prog} [CONFIG.yaml] [--field value ...]"
    parser.epilog = f"{OTHERS} The command line wins over the file, and the file over the defaults."
    parser.add_argument("--help-all", action="store_true", help="list transformers' training arguments too")
    for cls in (*classes, ClipTrainingFields):
        group = parser.add_argument_group(cls._argument_group_name)  # type: ignore[attr-defined]
        types = typing.get_type_hints(cls)
        for field in fields(cls):
            choices = field.metadata.get("choices") or typing.get_args(types[field.name])
            named = choices and all(isinstance(choice, str) for choice in choices)
            text = field.metadata["help"]
            if field.default not in (None, MISSING, False):
                text += f" (default: {str(field.default).replace('%', '%%')})"
            metavar = "{" + ",".join(choices) + "}" if named else "VALUE"
            group.add_argument(f"--{field.name}", metavar=metavar, help=text)
    parse = parser.parse_known_args

    def keep_words(words: Any = None, namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:
        if not words:  # every field has a default: hours on the synthetic corpus are hardly what was meant
            parser.error(
                "expected a CONFIG.yaml or --field value, received neither: name a file of examples/configs, or say "
                "what to train on with --corpus"
            )
        if {"-h", "--help"} & set(words):
            return parse(words, namespace)  # prints the help and exits
        return argparse.Namespace(words=["--help" if word == "--help-all" else word for word in words]), []

    parser.parse_known_args = keep_words  # type: ignore[assignment,method-assign]
