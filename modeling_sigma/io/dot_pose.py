"""Reader of `.pose` files (pose-format): MediaPipe Holistic, OpenPose and COCO-WholeBody.

Keypoints are looked up by the names of their component and point, never by offset: files leave components out, keep
only some points of a face, or have a face of 468 or 478 points. Points that a file does not have get score 0.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from modeling_sigma.io.detections import check_num_frames, check_num_people
from modeling_sigma.io.dot_pose_names import NAMINGS, PointName
from modeling_sigma.io.reading_budget import check_time, file_bytes, take_bytes, take_objects
from modeling_sigma.io.reading_errors import naming_file, shown
from modeling_sigma.io.recording import Recording, detections_of
from modeling_sigma.model.keypoint_arrays import hide_invalid
from modeling_sigma.model.skeleton_layouts import get_layout


# Version 0.0 has frames of any number of persons, down to two bytes each, and pose-format takes a tenth of a
# millisecond for each part of each person.
_OBJECTS_PER_PART = 50


def read_dot_pose(path: str | os.PathLike[str]) -> Recording:
    """Reads a `.pose` file.

    Coordinates are pixels of the image whose size the file's header states. Masked values and missing components get
    score 0 and coordinates 0. Scores are the file's own confidences; MediaPipe has none for hands and face, whose
    points get 1 where found.

    Args:
        path (`str` or `os.PathLike`):
            The file.

    Raises:
        ValueError: for components other than those of MediaPipe Holistic, OpenPose and COCO-WholeBody (the message
            lists them), or for a damaged file.
        OSError: if there is no such file or it cannot be read.
    """
    # A heavy dependency: imported only when a .pose file is read.
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader
    from pose_format.utils.reader import BufferReader

    raw = file_bytes(path)
    with naming_file(path, "a .pose file"):
        reader = BufferReader(raw)
        header = PoseHeader.read(reader)
        layout, columns, is_certain = _keypoint_columns(header.components)
        axes = _image_axes(header.components)
        _check_body(header, raw, reader.read_offset)
        body = NumPyPoseBody.read(header, reader)
        check_num_frames(len(body.data))
        check_num_people(body.data.shape[1])
        take_bytes(body.confidence[..., :1].size * len(columns) * 12)
        data = np.ma.filled(body.data[..., axes], 0)  # (T, N, points, 2)
        confidence = np.ma.filled(body.confidence, 0)
        keypoints, scores = _arrange(data, confidence, columns)
        scores[..., is_certain] = scores[..., is_certain] > 0
        keypoints, scores = hide_invalid(keypoints, scores)
        keypoints = np.where(scores[..., None] > 0, keypoints, 0)
        width, height = header.dimensions.width or None, header.dimensions.height or None
        return Recording(detections_of(keypoints, scores), layout, _frame_rate(body.fps), width, height)


def _keypoint_columns(components: Sequence[Any]) -> tuple[str, list[int | None], np.ndarray]:
    """The layout; for each of its keypoints, the index on the file's point axis; and whether its score is always 1."""
    places: dict[PointName, int] = {}
    offset = 0
    for component in components:
        for place, point in enumerate(component.points):
            places.setdefault((component.name, point), offset + place)
        offset += len(component.points)
    best, best_columns, best_count = None, [], 0
    for naming in NAMINGS:
        columns = [places.get(point) for point in naming.points]
        count = sum(column is not None for column in columns)
        if count > best_count:
            best, best_columns, best_count = naming, columns, count
    hands = [] if best is None else [*get_layout(best.layout).left_hand, *get_layout(best.layout).right_hand]
    has_body = best is not None and any(point in places for point in best.points if point[0] == best.body)
    if best is None or not (has_body or any(best_columns[k] is not None for k in hands)):
        found = ", ".join(f"{shown(c.name)} ({len(c.points)} points)" for c in components[:8])
        raise ValueError(
            "expected the components of MediaPipe Holistic, OpenPose or COCO-WholeBody with a body or hands, received "
            f"{found or 'none'}: convert the file with a whole-body estimator's components"
        )
    is_certain = np.array([component in best.certain for component, _ in best.points])
    if sum(best_columns[k] is not None for k in hands) == best_count:  # the file holds nothing but hands
        return "hands_42", [best_columns[k] for k in hands], is_certain[hands]
    return best.layout, best_columns, is_certain


def _image_axes(components: Sequence[Any]) -> list[int]:
    """Where x and y are on the dimension axis, which all components share."""
    formats = {component.format for component in components}
    axes = {(names.find("X"), names.find("Y")) for names in formats}
    if len(axes) != 1 or min(next(iter(axes))) < 0:
        found = ", ".join(map(shown, sorted(formats)[:8]))
        raise ValueError(f"expected components with X and Y in one order, received {found}: convert the file")
    return list(next(iter(axes)))


def _check_body(header: Any, raw: bytes, offset: int) -> None:
    """Refuses sizes that the file cannot hold, which pose-format would read without a check."""
    num_points = sum(len(component.points) for component in header.components)
    num_numbers = max(len(component.format) for component in header.components)
    version = round(header.version, 3)
    if version == 0:
        _, num_frames = struct.unpack_from("<HH", raw, offset)
        take_bytes(num_frames * num_points * 8 * num_numbers)  # also for frames without anybody, as float64
        person_size = 2 + 4 * sum(len(component.points) * len(component.format) for component in header.components)
        place = offset + 4
        for _ in range(num_frames):
            check_time()
            (num_people,) = struct.unpack_from("<H", raw, place)
            take_objects(_OBJECTS_PER_PART * len(header.components) * (num_people + 1))
            place += 2 + num_people * person_size
    elif version == 0.1:
        # The number of frames is taken from the file's length, so a file that is cut short would be misread.
        _, num_frames, num_people = struct.unpack_from("<HHH", raw, offset)
        frame_size = 4 * num_people * num_points * num_numbers
        held, rest = divmod(len(raw) - offset - 6, frame_size)
        if rest or held % 65536 != num_frames:
            raise ValueError(f"expected {num_frames} frames, received {held} and {rest} bytes: the file is cut short")


def _arrange(data: np.ndarray, confidence: np.ndarray, columns: list[int | None]) -> tuple[np.ndarray, np.ndarray]:
    present = np.array([k for k, column in enumerate(columns) if column is not None])
    taken = [column for column in columns if column is not None]
    keypoints = np.zeros((*data.shape[:2], len(columns), 2), np.float32)
    scores = np.zeros(keypoints.shape[:3], np.float32)
    keypoints[:, :, present], scores[:, :, present] = data[:, :, taken], confidence[:, :, taken]
    return keypoints, scores


def _frame_rate(fps: float) -> float | None:
    return float(fps) if math.isfinite(fps) and fps > 0 else None
