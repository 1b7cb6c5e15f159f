"""Whether this page can read videos, found out before it offers them."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec


INSTALL = 'pip install -e ".[video]" in the folder of sigma-slu'


def why_no_videos() -> str:
    """Why videos and the camera cannot be used here, in words for the page; empty if they can.

    The model file of MediaPipe Holistic is assembled now, if it is not there yet, so that nobody uploads a video to
    learn that it is missing.
    """
    if os.environ.get("SIGMA_VIDEOS") == "0":
        return "Videos and the camera are switched off on this page (SIGMA_VIDEOS=0)."
    missing = [name for name in ("mediapipe", "av", "flatbuffers") if find_spec(name) is None]
    if missing:
        return (
            "Videos and the camera need a pose estimator, which is not installed here. "
            f"If this page is yours: {INSTALL}, then start it again."
        )
    from modeling_sigma.extraction.holistic_model import holistic_model

    try:
        holistic_model()
    except (ValueError, OSError) as error:
        print(f"Videos are not offered: {error}", file=sys.stderr)
        return (
            "Videos and the camera need the model file of MediaPipe Holistic, which could not be put together here: "
            "it comes from a package of 36 MB that pip downloads once. If this page is yours: connect it to a package "
            "index and start it again."
        )
    return ""
