"""Reader and writer of our own clip files: `.npz` archives of keypoints and scores."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

from modeling_sigma.io.clip_dictionary import clips_of
from modeling_sigma.io.many_clips import ManyClips
from modeling_sigma.io.numpy_file import array_of_bytes, holds_objects
from modeling_sigma.io.reading_budget import check_time, file_bytes, take_bytes, take_objects
from modeling_sigma.io.reading_errors import naming_file
from modeling_sigma.io.recording import Recording
from modeling_sigma.model.pose_clip import PoseClip


# What the archive's list and our arrays hold for a member.
_OBJECTS_OF_MEMBER = 20


def read_numpy_archive(path: str | os.PathLike[str]) -> Recording | ManyClips:
    """Reads a `.npz` file, as `save_clip` writes it or with other arrays of keypoints. See `clips_of`.

    `keypoints` is `(T, K, 2)` with `scores` `(T, K)`, or `(T, N, K, 2)` with `(T, N, K)` for N persons. Optional:
    `layout` (else it follows from K), `fps`, `width`, `height`, `coordinates`, `aspect_ratio`, `estimator`, and
    `start` / `end`, which select the frames `start <= t < end`. An archive with a single unnamed array is read like a
    `.npy` file; in one with arrays `(T, K, C)` under other names, each array is a clip. Keypoints
    that are Python objects are refused.

    Raises:
        ValueError: for other content, or a damaged file.
        OSError: if there is no such file or it cannot be read.
    """
    raw = file_bytes(path)
    with naming_file(path, "a .npz clip"):
        arrays = read_arrays(raw)
        return clips_of(arrays["arr_0"] if list(arrays) == ["arr_0"] else arrays, path)


def save_clip(path: str | os.PathLike[str], clip: PoseClip) -> None:
    """Writes a clip as a `.npz` file (float32) that `load_clip` reads.

    Args:
        path (`str` or `os.PathLike`):
            The file to write; its name must end in `.npz`. An existing file is replaced.
        clip (`PoseClip`):
            The clip to save.

    Raises:
        ValueError: if `path` does not end in `.npz`.
        OSError: if the file cannot be written.

    Example:

    ```python
    >>> import tempfile
    >>> import numpy as np
    >>> from modeling_sigma.io import load_clip, save_clip
    >>> from modeling_sigma.model.pose_clip import PoseClip
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_clip(f"{folder}/hello.npz", PoseClip(np.ones((24, 133, 2)), np.ones((24, 133)), fps=24.0))
    ...     load_clip(f"{folder}/hello.npz").duration
    1.0

    ```
    """
    if Path(path).suffix.lower() != ".npz":
        raise ValueError(f"{os.fspath(path)}: expected a file name that ends in .npz: clips are saved as .npz")
    facts = ("fps", "width", "height", "coordinates", "aspect_ratio", "estimator")
    known = {name: getattr(clip, name) for name in facts if getattr(clip, name) is not None}
    keypoints, scores = np.asarray(clip.keypoints, np.float32), np.asarray(clip.scores, np.float32)
    with Path(path).open("wb") as file:
        np.savez_compressed(file, keypoints=keypoints, scores=scores, layout=np.array(clip.layout), **known)


def read_arrays(raw: bytes, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays in the content of a `.npz` file, read-only: those of these names, by default all.

    Notes beside the keypoints are often Python objects: they are left out, unless they are asked for, or there is
    nothing else.

    Raises:
        ValueError, zipfile.BadZipFile: for Python objects, or a damaged file.
    """
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = archive.infolist()
        arrays = {}
        for member in members:
            name = member.filename.removesuffix(".npy")
            if names is not None and name not in names:
                continue
            content = _content(archive, member)
            if names or not holds_objects(content) or len(members) == 1 or "keypoint" in name:
                arrays[name] = array_of_bytes(content)
        return arrays


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("expected an archive as numpy writes it, received another compression: save it with numpy")
    take_bytes(member.file_size)  # no more than that is read, whatever the archive holds
    take_objects(_OBJECTS_OF_MEMBER)
    check_time()
    return archive.read(member)
