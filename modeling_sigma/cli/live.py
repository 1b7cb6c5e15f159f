"""`sigma-slu live`: recognises signs in front of a camera, in a browser or in this terminal."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


_EXAMPLES = """
examples:
  sigma-slu live --model checkpoints/sigma-wlasl-hands
  sigma-slu live --model checkpoints/sigma-wlasl-hands --out my-space     # a folder for a static Space
  sigma-slu live --model checkpoints/sigma-wlasl-hands --camera           # without a browser
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `live`."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--model", required=True, metavar="DIR", help="folder of a model for isolated signs, or its name on the Hub"
    )
    page = parser.add_argument_group("in a browser", "The page runs on this machine alone, and sends nothing.")
    page.add_argument("--port", type=int, default=0, metavar="N", help="port at 127.0.0.1 (default: any free one)")
    page.add_argument("--no-open", action="store_true", help="print the address instead of opening it")
    page.add_argument("--out", type=Path, metavar="DIR", help="write the finished site there instead of serving it")
    smaller = page.add_mutually_exclusive_group()
    smaller.add_argument("--float16", action="store_true", help="load weights in float16: half as many bytes")
    smaller.add_argument("--int8", action="store_true", help="load weights in int8: a quarter, and not quite as exact")
    page.add_argument("--page", type=Path, metavar="DIR", help="built page (default: that of the repository)")
    page.add_argument(
        "--estimator-model", type=Path, metavar="FILE", help="holistic_landmarker.task (default: one in the cache)"
    )
    terminal = parser.add_argument_group("in this terminal")
    terminal.add_argument(
        "--camera", nargs="?", const="0", metavar="N", help="read camera N (default 0) and print the signs"
    )
    terminal.add_argument("--json", action="store_true", help="print one JSON object per event")


def run(args: argparse.Namespace) -> int:
    """Serves the page, writes it, or reads a camera; returns 0."""
    from modeling_sigma.cli.quiet_libraries import silence_transformers

    silence_transformers()
    if not 0 <= args.port <= 65535:
        raise ValueError(f"expected --port from 0 to 65535, received {args.port}")
    if args.camera is not None:
        return _read_camera(args)
    if args.json:
        raise ValueError("expected --json together with --camera: the page shows its answers itself")
    return _serve(args)


def _serve(args: argparse.Namespace) -> int:
    from modeling_sigma.serving.live_page import built_page
    from modeling_sigma.serving.live_site import cached_site, write_site
    from modeling_sigma.serving.static_server import static_server

    page = built_page(args.page)
    holistic = _holistic(args.estimator_model)
    precision = "int8" if args.int8 else "float16" if args.float16 else "float32"
    if args.out is not None:
        print(f"Saved to {write_site(args.model, page, holistic, args.out, precision)}.")
        return 0
    site = cached_site(args.model, page, holistic, precision)
    with static_server(site, args.port) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        print(f"Serving {address} (end with Ctrl+C)", flush=True)
        if not args.no_open:
            import webbrowser

            webbrowser.open(address)
        server.serve_forever()
    return 0


def _holistic(path: Path | None) -> Path:
    if path is not None:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such model file: leave it out to use the one that is made by itself")
        return path
    from modeling_sigma.extraction.estimator_protocol import needs_estimator
    from modeling_sigma.extraction.holistic_model import holistic_model
    from modeling_sigma.io.reading_errors import MissingExtraError, one_line

    try:
        return holistic_model()
    except ImportError as error:
        raise MissingExtraError(f"{needs_estimator('video')} ({one_line(error)})") from error


def _read_camera(args: argparse.Namespace) -> int:
    import numpy as np

    from modeling_sigma.extraction.camera import read_camera
    from modeling_sigma.extraction.mediapipe_estimator import MediapipeEstimator
    from modeling_sigma.inference.sign_stream import SignStream

    estimator = MediapipeEstimator(None if args.estimator_model is None else str(args.estimator_model))
    pictures = read_camera(int(args.camera) if args.camera.isdecimal() else args.camera)
    stream: SignStream | None = None
    with estimator.video(None):
        for picture, time in pictures:
            if stream is None:
                height, width = picture.shape[:2]
                stream = SignStream(args.model, estimator.layout, width, height)
                print("Watching the camera (end with Ctrl+C)", file=sys.stderr)
            keypoints, scores = estimator(picture)
            person = np.dstack([keypoints, scores])[0] if len(scores) else None
            _print_events(stream.push(person, time), args.json)
    if stream is None:
        raise ValueError(f"expected pictures from camera {args.camera}, received none: is it in use elsewhere?")
    _print_events(stream.finish(), args.json)
    print("The camera has ended.", file=sys.stderr)
    return 0


def _print_events(events: list[Any], as_json: bool) -> None:
    for event in events:
        if as_json:
            print(json.dumps(vars(event), ensure_ascii=False), flush=True)
        elif event.kind == "ended":
            answers = ", ".join(f"{answer['label']} {answer['score']:.0%}" for answer in event.answers)
            print(f"{event.start:7.1f} to {event.end:5.1f} s  {answers or 'nobody seen'}", flush=True)
