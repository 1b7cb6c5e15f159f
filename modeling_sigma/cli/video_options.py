"""The options of commands that take videos too: which estimator finds the keypoints in them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from modeling_sigma.extraction.estimator_protocol import PoseEstimator

PRIVACY = "mediapipe 1.x sends usage figures to its maker; Sigma runs it in a process that cannot send any"


def add_video_options(parser: argparse.ArgumentParser, has_device: bool) -> None:
    """Adds `--estimator` and `--estimator-model`, and `--device` to a command that has none."""
    group = parser.add_argument_group("videos", f"How keypoints are found in a video. {PRIVACY}.")
    group.add_argument(
        "--estimator",
        metavar="NAME",
        help="estimator for videos: mediapipe (default; it computes on the CPU), rtmlib or sapiens2",
    )
    group.add_argument(
        "--estimator-model",
        metavar="FILE",
        help="network of the estimator (default: fetched at first use, then kept in the cache)",
    )
    if has_device:
        return
    group.add_argument("--device", default="cpu", help="device of the estimator: cpu (default), cuda, cuda:1, mps")


def estimator_for(args: argparse.Namespace, paths: Iterable[str | Path]) -> PoseEstimator | None:
    """The estimator that the options name; None if there is no video among the paths, so that nothing is loaded.

    Raises:
        ValueError: for an estimator that does not exist, or that cannot run here.
        OSError: if there is no such network.
    """
    from modeling_sigma.io.load_clip import VIDEO_SUFFIXES

    if not any(Path(path).suffix.lower() in VIDEO_SUFFIXES for path in paths):
        return None
    from modeling_sigma.extraction.estimators import DEFAULT_ESTIMATOR, make_estimator

    name = args.estimator or DEFAULT_ESTIMATOR
    options: dict[str, Any] = {} if args.estimator_model is None else {"model": args.estimator_model}
    if name != "mediapipe":  # which knows the CPU alone, whatever the device of the model
        options["device"] = args.device
    return make_estimator(name, **options)
