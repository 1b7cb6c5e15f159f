"""The fields of a training run as a command's help, shown without importing torch or transformers.

`pretrain` and `finetune` take `[CONFIG.yaml | --recipe NAME] [--field value ...]`, which their recipes parse.
Transformers' own training arguments, some 120, are fields as well; `--help-all` lists them too.
"""

from __future__ import annotations

import argparse
import difflib
import typing
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from modeling_sigma.hub.shipped_files import recipe_files, recipe_summary
from modeling_sigma.training.arguments import ClipTrainingFields


OTHERS = "All of transformers' training arguments work as well (--learning_rate, --num_train_epochs, --bf16, ...)."


def add_fields(parser: argparse.ArgumentParser, command: str, classes: Sequence[type]) -> None:
    """Adds help for the fields of some dataclasses. All arguments are passed to the recipe unparsed, as `words`."""
    parser.usage = f"{parser.prog} [CONFIG.yaml | --recipe NAME] [--field value ...]"
    parser.epilog = f"{OTHERS} The command line wins over the file, and the file over the defaults."
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help="configuration that comes with the package; list: show all",
    )
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
                "expected a CONFIG.yaml, --recipe NAME or --field value, received none of them: `--recipe list` shows "
                "the configurations that come with the package, and --corpus says what to train on"
            )
        if {"-h", "--help"} & set(words):
            return parse(words, namespace)  # prints the help and exits
        words = ["--help" if word == "--help-all" else word for word in words]
        try:
            return argparse.Namespace(words=with_recipe(command, words)), []
        except ValueError as error:
            parser.error(str(error))

    parser.parse_known_args = keep_words  # type: ignore[assignment,method-assign]


def with_recipe(command: str, words: Sequence[str]) -> list[str]:
    """The arguments with the file of `--recipe NAME` in its place; `--recipe list` prints the names, and ends.

    Raises:
        ValueError: for an unknown name, and for a file and a recipe together.
    """
    rest, names = list(words), []
    for number in reversed([number for number, word in enumerate(words) if word.partition("=")[0] == "--recipe"]):
        _, equals, name = rest.pop(number).partition("=")
        names.append(name if equals else rest.pop(number) if number < len(rest) else "")
    if not names:
        return rest
    recipes = recipe_files(command)
    if names == ["list"]:
        for name, path in recipes.items():
            print(f"{name:24} {recipe_summary(path)}")
        raise SystemExit(0)
    if len(names) > 1 or (rest and not rest[0].startswith("-") and words[0] == rest[0]):
        raise ValueError("expected one CONFIG.yaml or one --recipe, received two: choose one, and change its fields")
    if names[0] not in recipes:
        similar = difflib.get_close_matches(names[0], recipes, n=1)
        hint = f": did you mean {similar[0]}?" if similar else ": `--recipe list` shows them"
        raise ValueError(f"expected --recipe to be one of {len(recipes)} names, received {names[0]!r}{hint}")
    return [str(recipes[names[0]]), *rest]
