"""`load_clip`: turns any skeleton file or video into a `PoseClip`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modeling_sigma.io.detections import check_person
from modeling_sigma.io.dot_pose import read_dot_pose
from modeling_sigma.io.json_file import read_json_file
from modeling_sigma.io.landmark_table import read_landmark_table
from modeling_sigma.io.many_clips import ManyClips, split_name
from modeling_sigma.io.numpy_archive import read_numpy_archive
from modeling_sigma.io.numpy_file import is_frame_folder, read_frame_folder, read_numpy_file
from modeling_sigma.io.openpose_json import read_openpose_folder
from modeling_sigma.io.pickle_file import read_pickle
from modeling_sigma.io.reading_budget import reading_budget
from modeling_sigma.io.reading_errors import naming_file
from modeling_sigma.io.recording import Recording
from modeling_sigma.io.skels_text import read_skels
from modeling_sigma.model.pose_clip import PoseClip


Reader = Callable[[Path], Recording | ManyClips]

# By file name extension. A new format is a file in this folder and one line here.
READERS: Mapping[str, Reader] = MappingProxyType(
    {
        ".pkl": read_pickle,
        ".pickle": read_pickle,
        ".pose": read_dot_pose,
        ".npz": read_numpy_archive,
        ".npy": read_numpy_file,
        ".json": read_json_file,
        ".parquet": read_landmark_table,
        ".csv": read_landmark_table,
        ".skels": read_skels,
    }
)

# Files whose poses have to be estimated (`extraction`).
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")

# By first bytes, for files with any other extension.
_SIGNATURES: tuple[tuple[bytes, Reader], ...] = (
    (b"PK\x03\x04", read_numpy_archive),
    (b"\x93NUMPY", read_numpy_file),
    (b"PAR1", read_landmark_table),
    (b"\x1f\x8b", read_pickle),  # gzip
    *((bytes([0x80, protocol]), read_pickle) for protocol in range(2, 6)),
    (b"\xcd\xcc\xcc=", read_dot_pose),  # version 0.1 as float32
    (b"\xcd\xccL>", read_dot_pose),  # version 0.2
)


# What to do with files that hold something else, by their extension.
_ADVICE = {
    ".jpg .jpeg .png .gif .bmp .webp": "make a video of the pictures, and let extract-poses find the keypoints in it",
    ".pt .pth .ckpt .safetensors .onnx .task .tflite": (
        "if these are keypoints, save them with numpy.savez as keypoints (T, K, 2) and scores (T, K); weights of a "
        "model go with --model"
    ),
    ".h5 .hdf5 .mat .tfrecord .feather .arrow": (
        "read the keypoints with the library that wrote it, make a PoseClip of them, and store it with save_clip"
    ),
    ".zip .tar .tgz .rar .7z .xz": "unpack it, and name the files or the folder in it",
    ".txt .tsv .eaf .srt .vtt .xml .xlsx .md .yaml .yml": "this seems to be text or labels: name the clips",
    ".jsonl": "if its lines are the frames of a clip, rename it to .json; if they are labels, name the clips",
}


def load_clip(path: str | os.PathLike[str], person: int = 0, estimator: Any = None) -> PoseClip:
    """Reads a clip from a skeleton file, a folder of OpenPose JSON files, or a video.

    The extension decides which reader is used: `.pkl` / `.pickle` (also gzip-compressed; nothing in them is run),
    `.pose`, `.npz`, `.npy`, `.json` (AlphaPose, mmpose, MediaPipe), `.parquet` and `.csv` (tables of landmarks),
    `.skels`, or one of a video; a folder is one of OpenPose, or of numbered `.npy` files of one frame each. Files with
    another extension are recognised by their first bytes.

    Args:
        path (`str` or `os.PathLike`):
            The file or folder. A file with several clips needs the name of one: `annotations.pkl::clip_01`.
        person (`int`, *optional*, defaults to 0):
            The index of the person, if there are several: 0 is the signer, the person seen most often, largest and
            best; the others follow in that order.
        estimator (`PoseEstimator` or `str`, *optional*):
            The estimator that finds the keypoints in a video; see `modeling_sigma.extraction.estimate_clip`. Other
            files ignore it.

    Returns:
        `PoseClip`: the keypoints of that person, with the file's frame rate and image size where it states them.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: for another format, a damaged file, or a person whom the file does not have. The message names the
            file, what was expected and what was received.

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
    file, _ = split_name(path)
    with naming_file(path, "a clip"):
        check_person(person)
    if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file():
        # Imports upwards, and only for a video: estimators are an optional extra.
        from modeling_sigma.extraction import estimate_clip

        return estimate_clip(file, estimator, person)
    with reading_budget(file):
        recording = load_recording(path)
        with naming_file(path, "a clip"):
            return recording.clip(person)


def load_recording(path: str | os.PathLike[str]) -> Recording:
    """All persons of a clip, from any file that `load_clip` reads except videos.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: as `load_clip`.
    """
    file, name = split_name(path)
    with reading_budget(file):
        found = _read(file)
        with naming_file(path, "a clip"):
            if isinstance(found, ManyClips):
                return found.choose(name)
            if name is not None:
                raise ValueError(
                    f"expected the name of a file, received one with '::{name}': this file holds one clip"
                )
            return found


def clip_names(path: str | os.PathLike[str]) -> list[str] | None:
    """The names of the clips in a file that holds several; None for a file with one clip.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: as `load_clip`.
    """
    with reading_budget(path):
        found = _read(Path(path))
    return list(found) if isinstance(found, ManyClips) and len(found) > 1 else None


# The last file with several clips is kept, so that iterating over them reads it once.
_last_read: dict[tuple[str, int, int], ManyClips] = {}


def _read(file: Path) -> Recording | ManyClips:
    if not file.exists():
        raise FileNotFoundError(f"{os.fspath(file)}: no such file or folder")
    if file.is_dir():
        return read_frame_folder(file) if is_frame_folder(file) else read_openpose_folder(file)
    status = file.stat()
    key = (os.fspath(file.absolute()), status.st_mtime_ns, status.st_size)
    kept = _last_read.get(key)
    if kept is not None:
        return kept
    found = (READERS.get(file.suffix.lower()) or _reader_by_content(file))(file)
    _last_read.clear()
    if isinstance(found, ManyClips):
        _last_read[key] = found
    return found


def _reader_by_content(file: Path) -> Reader:
    suffix = file.suffix.lower()
    advice = next((advice for suffixes, advice in _ADVICE.items() if suffix in suffixes.split()), None)
    if suffix == ".gz" and READERS.get(Path(file.stem).suffix.lower(), read_pickle) is not read_pickle:
        advice = f"unpack it, gunzip {file.name}"  # of compressed files, pickles alone are read
    if advice is None:
        with file.open("rb") as opened:
            start = opened.read(8)
        for signature, reader in _SIGNATURES:
            if start.startswith(signature):
                return reader
        advice = "make a PoseClip of its keypoints and scores, and store it with save_clip"
    known = ", ".join((*READERS, *VIDEO_SUFFIXES))
    what = f"a file of type {file.suffix}" if file.suffix else "a file without extension"
    raise ValueError(
        f"{os.fspath(file)}: expected one of {known} or a folder of OpenPose .json files, received {what}: {advice}"
    )
