"""From the persons that a detector found in each frame to the clip of one person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from modeling_sigma.io.reading_budget import take_bytes
from modeling_sigma.model.keypoint_arrays import hide_invalid
from modeling_sigma.model.pose_clip import PoseClip


# x, y and a score as float32, at the least.
_BYTES_PER_KEYPOINT = 12

# One frame: keypoints (N, K, 2) and scores (N, K) of the N persons seen in it.
Detection = tuple[np.ndarray, np.ndarray]

# About five hours at 25 frames per second: more is a damaged or hostile file that could ask for any amount of memory.
MAX_FRAMES = 500_000


# Finding out who is who compares all people of a frame with one another.
MAX_PEOPLE = 200


def nobody(num_keypoints: int) -> Detection:
    """A frame without persons."""
    return np.zeros((0, num_keypoints, 2), np.float32), np.zeros((0, num_keypoints), np.float32)


def check_person(person: int) -> int:
    """`person` as an `int`.

    Raises:
        ValueError: if it is not an integer from 0.
    """
    if isinstance(person, bool) or not isinstance(person, (int, np.integer)) or person < 0:
        raise ValueError(f"expected person as an integer from 0, received {person!r}: 0 is the first person")
    return int(person)


def check_num_frames(num_frames: int) -> None:
    """Refuses a clip without frames, or with absurdly many.

    Raises:
        ValueError: if there are none, or more than `MAX_FRAMES`.
    """
    if not 0 < num_frames <= MAX_FRAMES:
        raise ValueError(f"expected 1 to {MAX_FRAMES:,} frames, received {num_frames:,}: cut the recording into clips")


def check_num_people(num_people: int) -> None:
    """Refuses a frame with absurdly many people.

    Raises:
        ValueError: if there are more than `MAX_PEOPLE`.
    """
    if num_people > MAX_PEOPLE:
        raise ValueError(
            f"expected at most {MAX_PEOPLE} people in a frame, received {num_people:,}: raise the detector's threshold"
        )


def check_person_exists(person: int, num_persons: int) -> None:
    """Refuses a person whom a clip does not have.

    Raises:
        ValueError: if `person` is not below `num_persons`; the message says how many there are.
    """
    if num_persons == 0:
        raise ValueError("expected a person in at least one frame, received none: nobody was detected in this clip")
    if person >= num_persons:
        raise ValueError(
            f"expected person below {num_persons} (people seen in this clip), received {person}: 0 is the signer, the "
            "others follow by size and time"
        )


def clip_of(
    frames: Sequence[Detection],
    picks: Sequence[int | None],
    layout: str,
    fps: float | None = None,
    width: int | None = None,
    height: int | None = None,
    **stated: Any,
) -> PoseClip:
    """The clip of the picked persons; frames without a pick get score 0 and coordinates 0.

    The floating point precision stays as the detector wrote it. A keypoint whose coordinates or score are NaN or
    infinite was not found: it gets score 0 and coordinates 0. `stated` holds the other fields of `PoseClip`.
    """
    num_keypoints = frames[0][1].shape[1]
    take_bytes(len(frames) * num_keypoints * _BYTES_PER_KEYPOINT)
    nothing = np.zeros((num_keypoints, 3), np.float32)
    picked = [
        (frame[0][pick], frame[1][pick]) if pick is not None else (nothing[:, :2], nothing[:, 2])
        for pick, frame in zip(picks, frames, strict=True)
    ]
    keypoints = np.array([k for k, _ in picked], _precision(k for k, _ in frames))
    scores = np.array([s for _, s in picked], _precision(s for _, s in frames))
    keypoints, scores = hide_invalid(keypoints, scores)
    return PoseClip(keypoints, scores, layout, fps, width, height, **stated)


def _precision(arrays: Iterable[np.ndarray]) -> type[np.float32 | np.float64]:
    return np.float64 if any(array.dtype == np.float64 for array in arrays) else np.float32
