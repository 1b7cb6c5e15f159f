"""Reader and writer of our own clip files: `.npz` archives of keypoints and scores."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from modeling_sigma.io.detections import check_num_frames, check_person, check_person_exists, hide_invalid
from modeling_sigma.io.reading_errors import naming_file, shown
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import layout_for_num_keypoints


# Of each array, decompressed. Four hours of the largest layout fit.
MAX_ARRAY_BYTES = 1 << 30


def read_numpy_archive(path: str | os.PathLike[str], person: int = 0) -> PoseClip:
    """Reads a `.npz` file with `keypoints` and `scores`.

    `keypoints` is `(T, K, 2)` with `scores` `(T, K)`, or `(T, N, K, 2)` with `(T, N, K)` for N persons. Optional:
    `layout` (else it follows from K), `fps`, `width`, `height`, and `start` / `end`, which select the frames
    `start <= t < end`. Arrays of python objects are refused.

    Args:
        path (`str` or `os.PathLike`):
            The file.
        person (`int`, *optional*, defaults to 0):
            Which person of `(T, N, K, 2)` keypoints.

    Raises:
        ValueError: for other content, a damaged file, or a person that the file does not have.
        OSError: if there is no such file or it cannot be read.
    """
    raw = Path(path).read_bytes()
    with naming_file(path, "a .npz clip"):
        arrays = _arrays_of(raw)
        keypoints, scores = _one_person(arrays["keypoints"], arrays["scores"], check_person(person))
        check_num_frames(len(keypoints))
        window = slice(_number(arrays, "start", int), _number(arrays, "end", int))
        if len(range(*window.indices(len(keypoints)))) == 0:
            raise ValueError(
                f"expected start below end and below the {len(keypoints)} frames, received start {window.start} and "
                f"end {window.stop}: the window belongs to another clip"
            )
        layout = str(arrays["layout"]) if "layout" in arrays else layout_for_num_keypoints(keypoints.shape[1])
        keypoints, scores = hide_invalid(keypoints[window], scores[window])
        size = {name: _number(arrays, name, int) for name in ("width", "height")}
        return PoseClip(keypoints, scores, layout, _number(arrays, "fps", float), **size)


def save_clip(path: str | os.PathLike[str], clip: PoseClip) -> None:
    """Writes a clip as a `.npz` file (float32) that `load_clip` reads.

    Args:
        path (`str` or `os.PathLike`):
            Where to write; must end in `.npz`. An existing file is replaced.
        clip (`PoseClip`):
            The clip.

    Raises:
        ValueError: if `path` ends in something else.
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
    known = {name: getattr(clip, name) for name in ("fps", "width", "height") if getattr(clip, name) is not None}
    keypoints, scores = np.asarray(clip.keypoints, np.float32), np.asarray(clip.scores, np.float32)
    with Path(path).open("wb") as file:
        np.savez_compressed(file, keypoints=keypoints, scores=scores, layout=np.array(clip.layout), **known)


def _arrays_of(raw: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        for member in archive.infolist():
            if member.file_size > MAX_ARRAY_BYTES:
                raise ValueError(f"expected arrays of at most {MAX_ARRAY_BYTES:,} bytes, received a larger one")
    wanted = ("keypoints", "scores", "layout", "fps", "width", "height", "start", "end")
    with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
        for name in ("keypoints", "scores"):
            if name not in archive.files:
                found = ", ".join(map(shown, archive.files[:8])) or "nothing"
                raise ValueError(f"expected keypoints and scores, received {found}: {name} are missing")
        return {name: archive[name] for name in wanted if name in archive.files}


def _one_person(keypoints: np.ndarray, scores: np.ndarray, person: int) -> tuple[np.ndarray, np.ndarray]:
    for name, array in (("keypoints", keypoints), ("scores", scores)):
        if array.dtype.kind not in "fiu":
            raise ValueError(f"expected {name} as numbers, received dtype {array.dtype}: save them as float32")
    received = f"{keypoints.shape} and {scores.shape}"
    if keypoints.ndim == 3 and scores.ndim == 2:
        keypoints, scores = keypoints[:, None], scores[:, None]
    if keypoints.ndim != 4 or keypoints.shape[3] != 2 or scores.shape != keypoints.shape[:3]:
        raise ValueError(
            f"expected keypoints (T, K, 2) and scores (T, K), received {received}: T frames with K keypoints each"
        )
    check_person_exists(person, keypoints.shape[1])
    return keypoints[:, person], scores[:, person]


def _number(arrays: dict[str, np.ndarray], name: str, kind: type[Any]) -> Any:
    if name not in arrays:
        return None
    value = arrays[name]
    if value.size != 1 or value.dtype.kind not in "fiu" or not np.isfinite(value.item()) or value.item() < 0:
        raise ValueError(f"expected {name} as one number, received {value.dtype} of shape {value.shape}: remove it")
    return kind(value.item())
