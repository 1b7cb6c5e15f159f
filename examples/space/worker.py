"""A process that reads files for the page: it may need too much memory or time, and die, without harming the page."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from answers import Answerer
from page_pieces import moving_skeleton

from modeling_sigma.io import load_clip
from modeling_sigma.serving import request_limits
from modeling_sigma.serving.bounded_work import RequestChannel
from modeling_sigma.serving.request_limits import check_clip, check_texts


def main() -> None:
    """Answers until the page has gone."""
    channel = RequestChannel()
    loaded: dict[str, Answerer] = {}

    def load(request: dict[str, Any]) -> None:
        if request["model"] not in loaded:
            loaded[request["model"]] = Answerer(request["model"])

    def work(request: dict[str, Any]) -> dict[str, Any]:
        check_texts(request["texts"])
        clip = load_clip(request["file"])
        check_clip(clip)
        check_texts(request["texts"], clip)
        found = loaded[request["model"]].answer(clip, request["language"], request["texts"], request["dark"])
        skeleton = moving_skeleton(clip, found.captions, request["dark"])
        return {"result": found.result, "skeleton": skeleton, "picture": found.picture}

    with suppress(ValueError, OSError, ImportError):  # told to whoever asks for this model
        load({"model": sys.argv[1]})
    channel.serve(work, request_limits.WORK_MEMORY, prepare=load)


if __name__ == "__main__":
    main()
