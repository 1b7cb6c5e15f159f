"""The command `sigma-slu`: imports the subcommand alone, and turns its errors into one line and an exit code.

A subcommand is a line in `COMMANDS` and a module with `add_arguments(parser)` and `run(args) -> int`, which imports
torch and the like inside `run`: `--help` stays fast. Exit codes: 0 success, 1 failure, 2 usage, 130 interrupt.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from modeling_sigma import __version__


COMMANDS = {  # name -> (module, one line of help)
    "demo": ("modeling_sigma.cli.demo", "train and try a small model on synthetic signs"),
    "predict": ("modeling_sigma.cli.predict", "text for skeleton files, with a trained model"),
    "inspect": ("modeling_sigma.cli.inspect", "what is in a skeleton file: layout, length, parts"),
    "convert-checkpoint": ("modeling_sigma.cli.convert_checkpoint", "a released checkpoint into a model folder"),
    "adapt": ("modeling_sigma.cli.adapt", "a trained model to your own clips: other signs, signers, languages"),
    "evaluate": ("modeling_sigma.cli.evaluate", "scores of predictions against references"),
}


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """The parser of all subcommands; only `command` is imported and gets its arguments."""
    parser = argparse.ArgumentParser(prog="sigma-slu", description="Sign language understanding from skeletons.")
    parser.add_argument("--version", action="version", version=f"sigma-slu {__version__}")
    debug = os.environ.get("SIGMA_DEBUG", "0") not in ("", "0")
    parser.add_argument("--debug", action="store_true", default=debug, help="show tracebacks (or set SIGMA_DEBUG=1)")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (module, text) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        subparser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        if name == command:
            importlib.import_module(module).add_arguments(subparser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (of the process by default) and returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    command = next((argument for argument in argv if not argument.startswith("-")), None)
    args = build_parser(command).parse_args(argv)
    try:
        return int(importlib.import_module(COMMANDS[str(command)][0]).run(args))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if args.debug or not isinstance(error, _user_errors()):
            raise
        print(f"sigma-slu {command}: error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 1


def _user_errors() -> tuple[type[Exception], ...]:
    """Errors whose message is for users; of a library only where a command has imported it."""
    strict = () if "huggingface_hub" not in sys.modules else (_strict_error(),)
    return (ValueError, OSError, ImportError, *strict)


def _strict_error() -> type[Exception]:
    from huggingface_hub.errors import StrictDataclassError  # a configuration with a field of the wrong type

    return StrictDataclassError


if __name__ == "__main__":
    sys.exit(main())
