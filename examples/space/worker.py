"""A process that reads files for the page: it may need too much memory or time, and die, without harming the page."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import session_signs
from answers import Answerer
from page_pieces import moving_skeleton

from modeling_sigma.io import load_clip, save_clip
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.serving import request_limits
from modeling_sigma.serving.bounded_work import RequestChannel
from modeling_sigma.serving.request_limits import check_clip, check_texts


# Of a visit: its clip, and the file that it was read from. What is read may be taught next, and estimating the poses
# of a video takes minutes.
LAST_CLIP, LAST_FILE = "last_clip.npz", "last_file.txt"


def in_plain_words(warning: str) -> str:
    """What a visitor can make something of: the names of layouts are for those who build models."""
    if not warning.startswith("this model was trained on "):
        return warning
    return "this model has learnt from skeletons that another program found: it is wrong more often than said below"


@contextmanager
def noted_warnings() -> Iterator[list[str]]:
    """Collects what would go to the server's log: it is the visitor who can act on it."""
    said: list[str] = []

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name.startswith(("modeling_sigma", "transformers_modules")):
                said.append(record.getMessage())

    handler = Notes(logging.WARNING)
    loggers = [logging.getLogger(name) for name in ("transformers", "modeling_sigma")]
    # Each visitor is told, not only the first one.
    getattr(getattr(logging.Logger, "warning_once", None), "cache_clear", lambda: None)()
    for logger in loggers:
        logger.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            yield said
        said += [str(one.message) for one in caught if one.category is UserWarning]
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def main() -> None:
    """Answers until the page has gone."""
    channel = RequestChannel()
    loaded: dict[str, Answerer] = {}

    def load(request: dict[str, Any]) -> None:
        if request["model"] not in loaded:
            loaded[request["model"]] = Answerer(request["model"])

    def clip_of(request: dict[str, Any]) -> PoseClip:
        kept, source = (Path(request["visit"], name) for name in (LAST_CLIP, LAST_FILE))
        if source.is_file() and source.read_text(encoding="utf-8") == request["file"]:
            return load_clip(kept)
        clip = load_clip(request["file"])
        check_clip(clip)
        save_clip(kept, clip)
        source.write_text(request["file"], encoding="utf-8")
        return clip

    def read(request: dict[str, Any], model: Answerer) -> dict[str, Any]:
        check_texts(request["texts"])
        with noted_warnings() as said:
            clip = clip_of(request)
            check_texts(request["texts"], clip)
            asked = (request["language"], request["texts"], request["dark"], request["coverage"])
            found = model.answer(clip, *asked)
        if request["is_for_program"]:
            return {"plain": {**found.plain, "warnings": list(dict.fromkeys(said))}}
        signs = session_signs.find(Path(request["signs"]), model.features, clip)
        return {
            "result": found.result,
            "signs": signs,
            "skeleton": moving_skeleton(clip, found.captions, request["dark"]),
            "picture": found.picture,
            "warnings": [in_plain_words(warning) for warning in said],
        }

    def teach(request: dict[str, Any], model: Answerer) -> dict[str, Any]:
        with noted_warnings() as said:
            clip = clip_of(request)
            taught = session_signs.teach(Path(request["signs"]), model.features, request["label"], clip)
        return {"said": taught, "warnings": said, **signs_of(request, model)}

    def forget(request: dict[str, Any], model: Answerer) -> dict[str, Any]:
        said = session_signs.forget(Path(request["signs"]), model.features, request["label"])
        return {"said": said, **signs_of(request, model)}

    def bring(request: dict[str, Any], model: Answerer) -> dict[str, Any]:
        said = session_signs.unpack(Path(request["signs"]), model.features, request["file"])
        return {"said": said, **signs_of(request, model)}

    def signs_of(request: dict[str, Any], model: Answerer) -> dict[str, Any]:
        folder = Path(request["signs"])
        labels = session_signs.labels(folder)
        if not labels:
            return {"labels": labels, "archive": None}
        archive = session_signs.pack(folder, Path(request["visit"]), model.features, request["name"])
        return {"labels": labels, "archive": archive}

    actions = {"read": read, "teach": teach, "forget": forget, "bring": bring, "signs": signs_of}

    def work(request: dict[str, Any]) -> dict[str, Any]:
        return actions[request["action"]](request, loaded[request["model"]])

    with suppress(ValueError, OSError, ImportError):  # told to whoever asks for this model
        load({"model": sys.argv[1]})
    channel.serve(work, request_limits.WORK_MEMORY, prepare=load)


if __name__ == "__main__":
    main()
