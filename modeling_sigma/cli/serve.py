"""`sigma-slu serve`: answers HTTP requests with a trained model."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys


TOKEN_VARIABLE = "SIGMA_SERVE_TOKEN"
_EXAMPLES = """
examples:
  sigma-slu serve --model checkpoints/sigma-wlasl-hands
  curl -F files=@clip.npz -F top_k=5 http://127.0.0.1:8000/predict
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `serve`."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--model", required=True, metavar="DIR", help="folder of a trained model, or its name on the Hub"
    )
    parser.add_argument("--index", metavar="DIR", help="index to search, as `sigma-slu index` writes it")
    parser.add_argument("--device", default="cpu", help="device to compute on: cpu (default), cuda, cuda:1, mps")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at (default 127.0.0.1: this machine alone)"
    )
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="port, or 0 for any (default 8000)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="number of processes (default 1)")
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help=f"file of the token that clients have to send (default: the variable {TOKEN_VARIABLE}; none: no token)",
    )
    limits = parser.add_argument_group("limits of each process")
    limits.add_argument("--max-megabytes", type=int, default=20, metavar="N", help="size of a request (default 20)")
    limits.add_argument("--max-frames", type=int, default=3600, metavar="N", help="frames of a clip (default 3600)")
    limits.add_argument(
        "--max-seconds", type=int, default=60, metavar="N", help="time that a request may take (default 60)"
    )
    limits.add_argument(
        "--max-waiting", type=int, default=32, metavar="N", help="number of requests that may wait (default 32)"
    )
    limits.add_argument(
        "--max-batch", type=int, default=16, metavar="N", help="number of clips per batch (default 16)"
    )


def run(args: argparse.Namespace) -> int:
    """Serves until it is told to end; returns 1 if it could not start, else 0."""
    from modeling_sigma.cli.quiet_libraries import silence_transformers
    from modeling_sigma.serving.server import serve
    from modeling_sigma.serving.settings import ServiceSettings

    if not 0 <= args.port <= 65535:
        raise ValueError(f"expected --port from 0 to 65535, received {args.port}")
    token = _token(args.token_file)
    settings = ServiceSettings(
        args.model,
        args.index,
        args.device,
        token,
        max_megabytes=args.max_megabytes,
        max_frames=args.max_frames,
        max_seconds=args.max_seconds,
        max_waiting=args.max_waiting,
        max_batch=args.max_batch,
    )
    if token is None and not _is_this_machine(args.host):
        print("sigma-slu serve: warning: everybody who reaches this port is served: set a token", file=sys.stderr)
    silence_transformers()
    return serve(settings, args.host, args.port, args.workers)


def _token(path: str | None) -> str | None:
    """The token: never an argument, since every user of a machine can see those of its processes."""
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    from modeling_sigma.io.text_files import read_lines

    lines = read_lines(path, "a token")
    if len(lines) != 1:
        raise ValueError(f"{path}: expected a token in one line, found {len(lines)} lines")
    return lines[0]


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
