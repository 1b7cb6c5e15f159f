"""Unpacks a row of our data sets into the clip that it holds (`datasets_scripts.schema` packs it)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .keypoint_arrays import to_numpy
from .pose_clip import COORDINATES, PoseClip
from .skeleton_layouts import get_layout


def decode_clip(row: Mapping[str, Any]) -> PoseClip:
    """The clip of a row in the schema of our data sets (`datasets_scripts.schema.features`).

    Args:
        row (`Mapping`):
            A row as `dataset[i]` or a stream gives it, in python, numpy or torch format.

    Raises:
        ValueError: for a batch of rows, if columns are missing, or if the packed arrays do not have the row's length.
    """
    needed = ("keypoints", "scores", "keypoints_step", "x_offset", "y_offset", "scores_step", "layout", "num_frames")
    missing = [name for name in needed if name not in row]
    if missing:
        raise ValueError(f"expected a row with {', '.join(needed)}, {', '.join(missing)} missing: is it our schema?")
    if np.ndim(to_numpy(row["num_frames"])):
        raise ValueError(
            f"expected one row, received a batch of {len(row['num_frames'])}: decode dataset[i], row by row"
        )
    layout = get_layout(str(row["layout"]))
    shape = (int(row["num_frames"]), layout.num_keypoints)
    num_values = shape[0] * shape[1]
    packed_scores, packed_keypoints = row["scores"], row["keypoints"]
    if not isinstance(row["num_frames"], int):  # numpy or torch, whose formats lose the zeros at the end of bytes
        packed_scores = _padded(packed_scores, num_values)
        packed_keypoints = _padded(packed_keypoints, 4 * num_values, 8 * num_values)
    if len(packed_scores) != num_values or len(packed_keypoints) not in (4 * num_values, 8 * num_values):
        raise ValueError(
            f"sample {row.get('sample_id')}: expected {shape[0]} frames of {shape[1]} keypoints, received "
            f"{len(packed_keypoints)} and {len(packed_scores)} bytes: the row is damaged, build it again"
        )
    levels = np.frombuffer(packed_scores, np.uint8).reshape(shape)
    planes = np.frombuffer(packed_keypoints, np.uint8).reshape(-1, *shape, 2)
    moves = np.empty((*shape, 2, len(planes)), np.uint8)
    for place, plane in enumerate(planes):
        moves[..., place] = plane
    places = moves.view(f"<u{len(planes)}")[..., 0]  # (T, K, 2)
    np.cumsum(places, axis=0, dtype=places.dtype, out=places)
    keypoints = places * float(row["keypoints_step"])
    keypoints += (float(row["x_offset"]), float(row["y_offset"]))
    keypoints[levels == 0] = 0.0
    scores = levels * np.float32(float(row["scores_step"]))
    fps, width, height, aspect_ratio = (_known(row.get(name)) for name in ("fps", "width", "height", "aspect_ratio"))
    size = (None if width is None else int(width), None if height is None else int(height))
    coordinates = next((name for name in COORDINATES if name == row.get("coordinates")), None)
    estimator = row.get("estimator")  # data sets built by earlier versions have no such column
    return PoseClip(
        keypoints.astype(np.float32),
        scores,
        layout.name,
        fps,
        *size,
        coordinates,
        aspect_ratio,
        estimator if isinstance(estimator, str) else None,
    )


def is_stored_row(fields: Mapping[str, Any]) -> bool:
    """Whether a dict is a row of our data sets, or several rows column by column (`dataset[:8]`)."""
    return "keypoints_step" in fields and "x_offset" in fields


def rows_of_columns(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a batch that holds them column by column; a single row becomes a list of one."""
    if np.ndim(to_numpy(columns["keypoints_step"])) == 0:
        return [dict(columns)]
    return [{name: values[row] for name, values in columns.items()} for row in range(len(columns["keypoints"]))]


def _known(number: Any) -> float | None:
    """None for null, which numpy's format turns into NaN."""
    return None if number is None or number != number else float(number)


def _padded(packed: bytes, *sizes: int) -> bytes:
    """`packed` with zeros at its end, up to the next of `sizes`."""
    return bytes(packed).ljust(next((size for size in sizes if len(packed) <= size), 0), b"\0")
