"""Reader and writer of our own clip files: `.npz` archives of keypoints and scores."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np

from modeling_sigma.io.clip_dictionary import clips_of
from modeling_sigma.io.many_clips import ManyClips
from modeling_sigma.io.numpy_file import array_of_bytes, holds_objects
from modeling_sigma.io.reading_errors import naming_file
from modeling_sigma.io.recording import Recording
from modeling_sigma.model.pose_clip import PoseClip


# The limit for all arrays together, decompressed. Four hours in the largest layout fit.
MAX_BYTES = 1 << 30


def read_numpy_archive(path: str | os.PathLike[str]) -> Recording | ManyClips:
    """Reads a `.npz` file, as `save_clip` writes it or with other arrays of keypoints. See `clips_of`.

    `keypoints` is `(T, K, 2)` with `scores` `(T, K)`, or `(T, N, K, 2)` with `(T, N, K)` for N persons. Optional:
    `layout` (else it follows from K), `fps`, `width`, `height`, `coordinates`, `aspect_ratio`, and `start` / `end`,
    which select the frames `start <= t < end`. An archive with a single unnamed array is read like a `.npy` file; in
    one with arrays `(T, K, C)` under other names, each array is a clip. Keypoints that are Python objects are refused.

    Raises:
        ValueError: for other content, or a damaged file.
        OSError: if there is no such file or it cannot be read.
    """
    raw = Path(path).read_bytes()
    with naming_file(path, "a .npz clip"):
        arrays = _arrays_of(raw)
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
    facts = ("fps", "width", "height", "coordinates", "aspect_ratio")
    known = {name: getattr(clip, name) for name in facts if getattr(clip, name) is not None}
    keypoints, scores = np.asarray(clip.keypoints, np.float32), np.asarray(clip.scores, np.float32)
    with Path(path).open("wb") as file:
        np.savez_compressed(file, keypoints=keypoints, scores=scores, layout=np.array(clip.layout), **known)


def _arrays_of(raw: bytes) -> dict[str, np.ndarray]:
    size = 0
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        for member in archive.infolist():
            size += member.file_size
            if size > MAX_BYTES:
                raise ValueError(f"expected arrays of at most {MAX_BYTES:,} bytes, received larger ones")
        arrays = {}
        for name in archive.namelist():
            content = archive.read(name)
            # Notes beside the keypoints are often Python objects: they are left out, unless there is nothing else.
            if not holds_objects(content) or len(archive.namelist()) == 1 or "keypoint" in name:
                arrays[name.removesuffix(".npy")] = array_of_bytes(content)
        return arrays
