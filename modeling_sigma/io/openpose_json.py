"""Reader of OpenPose output: a folder with one JSON file per frame."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from modeling_sigma.io.detections import Detection, check_num_frames, check_num_people
from modeling_sigma.io.json_text import parsed_json
from modeling_sigma.io.reading_budget import check_time, file_bytes, take_bytes
from modeling_sigma.io.reading_errors import naming_file
from modeling_sigma.io.recording import Recording
from modeling_sigma.model.skeleton_layouts import get_layout


LAYOUT = "openpose_137"

# The JSON field of each component of the layout.
_FIELDS = {
    "body": "pose_keypoints_2d",
    "face": "face_keypoints_2d",
    "left_hand": "hand_left_keypoints_2d",
    "right_hand": "hand_right_keypoints_2d",
}
_BODIES = {18: "the COCO body with 18 points", 15: "the MPI body with 15 points"}


def is_openpose_folder(folder: Path) -> bool:
    """Whether a folder holds the frames of one clip: `*_keypoints.json`, or OpenPose's JSON under other names."""
    if any(folder.glob("*_keypoints.json")):
        return True
    first = min(folder.glob("*.json"), default=None)
    return first is not None and is_openpose_frame(first)


def is_openpose_frame(file: Path) -> bool:
    """Whether a JSON file begins as OpenPose writes a frame."""
    with file.open("rb") as opened:
        return re.match(rb'\s*\{\s*("version"\s*:\s*[\d."]+\s*,\s*)?"people"\s*:', opened.read(200)) is not None


def read_openpose_folder(path: str | os.PathLike[str]) -> Recording:
    """Reads a folder of OpenPose JSON files: BODY_25, face and hands.

    The files are sorted by their frame numbers (`..._000000000012_keypoints.json`); gaps between the numbers are not
    filled.

    Args:
        path (`str` or `os.PathLike`):
            The folder.

    Raises:
        ValueError: for a folder without such files or with several clips, bodies other than BODY_25, or damaged files.
        OSError: if there is no such folder or it cannot be read.
    """
    folder = Path(path)
    with naming_file(path, "a folder of OpenPose files"):
        files = _frame_files(folder)
        check_num_frames(len(files))
    frames = [_read_frame(file) for file in files]
    return Recording(frames, LAYOUT)


def detection_of_people(people: Any) -> Detection:
    """The keypoints and scores in OpenPose's list of people for one frame.

    Raises:
        ValueError: for other content.
    """
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise ValueError("expected OpenPose's {'people': [{...}]}, received other JSON: remove the file")
    check_num_people(len(people))
    take_bytes(len(people) * get_layout(LAYOUT).num_keypoints * 24)
    persons = [_read_person(person) for person in people]
    values = np.stack(persons) if persons else np.zeros((0, get_layout(LAYOUT).num_keypoints, 3), np.float32)
    return values[..., :2], values[..., 2]


def _frame_files(folder: Path) -> list[Path]:
    files = [file for file in folder.iterdir() if file.suffix.lower() == ".json"]
    files = [file for file in files if file.stem.endswith("_keypoints")] or files
    if not files:
        raise ValueError(
            "expected OpenPose files (..._keypoints.json), received a folder without .json files: give files of other "
            "formats one by one"
        )
    by_number: dict[int, Path] = {}
    for file in files:
        numbers = re.findall(r"\d{1,18}", file.stem)
        if not numbers:
            raise ValueError(f"expected a frame number in every file name, received {file.name}: rename or remove it")
        number = int(numbers[-1])
        if number in by_number:
            raise ValueError(
                f"expected one file per frame, received {by_number[number].name} and {file.name}: give each clip a "
                "folder of its own"
            )
        by_number[number] = file
    return [by_number[number] for number in sorted(by_number)]


def _read_frame(file: Path) -> Detection:
    check_time()
    raw = file_bytes(file)
    with naming_file(file, "an OpenPose frame"):
        frame = parsed_json(raw)
        return detection_of_people(frame.get("people") if isinstance(frame, dict) else None)


def _read_person(person: dict[str, Any]) -> np.ndarray:
    if "pose_keypoints" in person and "pose_keypoints_2d" not in person:
        raise ValueError("expected pose_keypoints_2d, received pose_keypoints: run OpenPose 1.2 or later")
    return np.concatenate([_read_part(person, name, size) for name, size in get_layout(LAYOUT).components])


def _read_part(person: dict[str, Any], name: str, size: int) -> np.ndarray:
    """x, y and score `(size, 3)` of one component; zeros if OpenPose did not look for it."""
    values = person.get(_FIELDS[name]) or []
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise ValueError(
            f"expected {_FIELDS[name]} as a list of numbers, received something else: the file is damaged"
        )
    if not values:
        return np.zeros((size, 3), np.float32)
    if len(values) != 3 * size:
        other = f" ({_BODIES[len(values) // 3]})" if name == "body" and len(values) // 3 in _BODIES else ""
        advice = "run OpenPose with --model_pose BODY_25" if name == "body" else "run OpenPose again"
        raise ValueError(f"expected {3 * size} numbers in {_FIELDS[name]}, received {len(values)}{other}: {advice}")
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, hence not found
        return np.array(values, np.float64).astype(np.float32).reshape(size, 3)
