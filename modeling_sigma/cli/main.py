"""The command `sigma-slu`: imports only the subcommand it runs, and turns its errors into one line and an exit code.

A subcommand is a line in `commands.py` and a module with `add_arguments(parser)` and `run(args) -> int`, which imports
torch and the like, so that `--help` stays fast. Exit codes: 0 success, 1 failure, 2 usage, 130+ stopped.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from modeling_sigma import __version__
from modeling_sigma.cli.commands import COMMANDS
from modeling_sigma.cli.standard_output import escape_surrogates, flush_output, reader_is_gone
from modeling_sigma.cli.user_errors import tell_error, user_errors
from modeling_sigma.hub.shipped_files import find_shipped_model


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
    """Runs one command line (by default that of the process) and returns its exit code."""
    escape_surrogates()
    argv = sys.argv[1:] if argv is None else argv
    command = next((argument for argument in argv if not argument.startswith("-")), None)
    args = build_parser(command).parse_args(argv)
    find_shipped_model(args)
    try:
        code = int(importlib.import_module(COMMANDS[str(command)][0]).run(args))
    except KeyboardInterrupt:
        print(f"sigma-slu {command}: stopped by Ctrl-C", file=sys.stderr)
        return 130
    except Exception as error:
        if isinstance(error, BrokenPipeError) and reader_is_gone():
            return 1
        if args.debug or not isinstance(error, user_errors()):
            raise
        code = tell_error(str(command), error)
    return code if flush_output() else 1


if __name__ == "__main__":
    sys.exit(main())
