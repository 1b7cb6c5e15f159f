"""`load_clip`: any skeleton file or video to a `PoseClip`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modeling_sigma.io.detections import check_person
from modeling_sigma.io.dot_pose import read_dot_pose
from modeling_sigma.io.numpy_archive import read_numpy_archive
from modeling_sigma.io.openpose_json import read_openpose_folder
from modeling_sigma.io.reading_errors import naming_file
from modeling_sigma.io.wholebody_pickle import read_wholebody_pickle
from modeling_sigma.model.pose_clip import PoseClip


Reader = Callable[[Path, int], PoseClip]

# By file name extension. A new format is a file in this folder and one line here.
READERS: Mapping[str, Reader] = MappingProxyType(
    {
        ".pkl": read_wholebody_pickle,
        ".pickle": read_wholebody_pickle,
        ".pose": read_dot_pose,
        ".npz": read_numpy_archive,
    }
)

# Files whose poses are estimated (`extraction`).
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")

# By first bytes, for files with any other extension.
_SIGNATURES: tuple[tuple[bytes, Reader], ...] = (
    (b"PK\x03\x04", read_numpy_archive),
    (b"\x1f\x8b", read_wholebody_pickle),  # gzip
    *((bytes([0x80, protocol]), read_wholebody_pickle) for protocol in range(2, 6)),
    (b"\x9a\x99\x99=", read_dot_pose),  # version 0.1 as float32
    (b"\xcd\xccL>", read_dot_pose),  # version 0.2
)


def load_clip(path: str | os.PathLike[str], person: int = 0, estimator: Any = None) -> PoseClip:
    """Reads a clip from a skeleton file, a folder of OpenPose JSON files, or a video.

    The extension decides which reader is used: `.pkl` / `.pickle` (whole-body pickles, also gzip-compressed; nothing
    in them is run), `.pose`, `.npz`, or one of a video; a folder is one of OpenPose. Files with another extension are
    recognised by their first bytes.

    Args:
        path (`str` or `os.PathLike`):
            The file or folder.
        person (`int`, *optional*, defaults to 0):
            Which person, if there are several.
        estimator (`PoseEstimator` or `str`, *optional*):
            For videos: what finds the keypoints; see `modeling_sigma.extraction.estimate_clip`. Others ignore it.

    Returns:
        `PoseClip`: the keypoints of that person, with the file's frame rate and image size where it states them.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: for another format, a damaged file, or a person that the file does not have. The message names the
            file, what was expected and what came.

    Example:

    ```python
    >>> import tempfile
    >>> import numpy as np
    >>> from modeling_sigma.io import load_clip, save_clip
    >>> from modeling_sigma.model.pose_clip import PoseClip
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_clip(f"{folder}/hello.npz", PoseClip(np.zeros((24, 133, 2)), np.ones((24, 133))))
    ...     clip = load_clip(f"{folder}/hello.npz")
    >>> clip.layout, clip.keypoints.shape
    ('coco_wholebody_133', (24, 133, 2))

    ```
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{os.fspath(path)}: no such file or folder")
    with naming_file(path, "a clip"):
        check_person(person)
    if file.is_dir():
        return read_openpose_folder(file, person)
    suffix = file.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        # Upwards, and only when there is a video: estimators are an extra.
        from modeling_sigma.extraction import estimate_clip

        return estimate_clip(file, estimator, person)
    return (READERS.get(suffix) or _reader_by_content(file))(file, person)


def _reader_by_content(file: Path) -> Reader:
    with file.open("rb") as opened:
        start = opened.read(8)
    for signature, reader in _SIGNATURES:
        if start.startswith(signature):
            return reader
    known = ", ".join((*READERS, *VIDEO_SUFFIXES))
    what = f"a file of type {file.suffix}" if file.suffix else "a file without extension"
    advice = "pass the folder of all frames" if file.suffix.lower() == ".json" else "convert it to .npz with save_clip"
    raise ValueError(
        f"{os.fspath(file)}: expected one of {known} or a folder of OpenPose .json files, received {what}: {advice}"
    )
