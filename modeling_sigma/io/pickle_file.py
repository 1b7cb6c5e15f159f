"""Reader of pickles with keypoints: one clip (`{"keypoints": [...], "scores": [...]}` as a rule), or many."""

from __future__ import annotations

import os

from modeling_sigma.io.clip_dictionary import clips_of
from modeling_sigma.io.many_clips import ManyClips
from modeling_sigma.io.pickles import load_restricted_pickle
from modeling_sigma.io.reading_errors import naming_file
from modeling_sigma.io.recording import Recording


def read_pickle(path: str | os.PathLike[str]) -> Recording | ManyClips:
    """Reads a pickle, plain or gzip-compressed, without running anything in it. See `clips_of` for its content.

    Coordinates stay as they are. In whole-body pickles they are, as a rule, divided by the image's width and height.

    Raises:
        ValueError: for other content, a damaged file, or an unsafe one (`UnsafePickleError`).
        OSError: if there is no such file or it cannot be read.
    """
    content = load_restricted_pickle(path)
    with naming_file(path, "a file of keypoints"):
        return clips_of(content, path)
