"""From the persons that a detector found in each frame to the clip of one person."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from modeling_sigma.model.pose_clip import PoseClip, hide_invalid


# One frame: keypoints (N, K, 2) and scores (N, K) of the N persons seen in it.
Detection = tuple[np.ndarray, np.ndarray]

# About five hours at 25 frames a second: more is a damaged or hostile file, which could ask for any amount of memory.
MAX_FRAMES = 500_000

# Keypoints at least this certain place a person; the less certain ones only where a person has no others.
_PLACING_SCORE = 0.3


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
    """
    Raises:
        ValueError: if there are none, or more than `MAX_FRAMES`.
    """
    if not 0 < num_frames <= MAX_FRAMES:
        raise ValueError(f"expected 1 to {MAX_FRAMES:,} frames, received {num_frames:,}: cut the recording into clips")


def check_person_exists(person: int, num_persons: int) -> None:
    """
    Raises:
        ValueError: if there are not more than `person` persons; the message says how many there are.
    """
    if num_persons == 0:
        raise ValueError("expected a person in at least one frame, received none: nobody was detected in this clip")
    if person >= num_persons:
        raise ValueError(
            f"expected person below {num_persons} (people seen in this clip), received {person}: 0 is the signer, the "
            "others follow by size and time"
        )


def same_index(frames: Sequence[Detection], person: int) -> list[int | None]:
    """The person at the same place of every frame's list; None where the list is shorter.

    Raises:
        ValueError: if every list is shorter.
    """
    check_person_exists(person, max(len(scores) for _, scores in frames))
    return [person if person < len(scores) else None for _, scores in frames]


def follow_person(
    frames: Sequence[Detection], person: int, rank: Callable[[Detection], Sequence[int]] | None = None
) -> list[int | None]:
    """The place of one person in each frame's list, for detectors that list persons in any order.

    The person is chosen in the first frame that holds enough of them, then followed, forwards and backwards, to the
    one whose mean keypoint position is nearest. Who is further away than the person is large is somebody else: such a
    frame counts as "not seen" (None). In a clip that never shows two persons at once nobody can be mixed up, and
    whoever is there is taken.

    Args:
        frames (sequence of `(keypoints, scores)`):
            Keypoints `(N, K, 2)` and scores `(N, K)` of the N persons of each frame.
        person (`int`):
            Which one, from 0.
        rank (*optional*):
            Orders the persons of the frame in which the person is chosen; the detector's own order by default.

    Returns:
        `list[int | None]`: one place for each frame.

    Raises:
        ValueError: if no frame holds more than `person` persons.
    """
    counts = [len(scores) for _, scores in frames]
    check_person_exists(person, max(counts))
    if max(counts) == 1:
        return [0 if count else None for count in counts]
    start = next(t for t, count in enumerate(counts) if count > person)
    chosen = rank(frames[start])[person] if rank else person
    picks: list[int | None] = [None] * len(frames)
    picks[start] = chosen
    for times in (range(start + 1, len(frames)), range(start - 1, -1, -1)):
        _follow(frames, times, frames[start], chosen, picks)
    return picks


def by_box_area(frame: Detection) -> list[int]:
    """The places of a frame's persons, the one with the largest box around the keypoints first."""
    areas = []
    for keypoints, scores in zip(*frame, strict=True):
        placed = _placing_points(keypoints, scores)
        areas.append(float(np.prod(np.ptp(placed, axis=0))) if len(placed) else 0.0)
    return sorted(range(len(areas)), key=lambda i: -areas[i])


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

    Floating point precision stays as the detector wrote it. A keypoint whose coordinates or score are NaN or infinite
    was not found: score 0, coordinates 0. `stated` are the other fields of `PoseClip`.
    """
    num_keypoints = frames[0][1].shape[1]
    nothing = np.zeros((num_keypoints, 3), np.float32)
    picked = [
        (frame[0][pick], frame[1][pick]) if pick is not None else (nothing[:, :2], nothing[:, 2])
        for pick, frame in zip(picks, frames, strict=True)
    ]
    keypoints = np.array([k for k, _ in picked], _precision(k for k, _ in frames))
    scores = np.array([s for _, s in picked], _precision(s for _, s in frames))
    keypoints, scores = hide_invalid(keypoints, scores)
    return PoseClip(keypoints, scores, layout, fps, width, height, **stated)


def _follow(
    frames: Sequence[Detection], times: Iterable[int], start: Detection, chosen: int, picks: list[int | None]
) -> None:
    centre, reach = _place(start[0][chosen], start[1][chosen])
    for t in times:
        places = [_place(keypoints, scores) for keypoints, scores in zip(*frames[t], strict=True)]
        distances = [float(np.linalg.norm(place - centre)) for place, _ in places]
        distances = [distance if np.isfinite(distance) else np.inf for distance in distances]
        nearest = int(np.argmin(distances)) if distances else -1
        if nearest >= 0 and distances[nearest] <= reach:
            picks[t] = nearest
            centre, reach = places[nearest][0], max(reach, places[nearest][1])


def _place(keypoints: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, float]:
    """The mean position of a person, NaN for nobody, and the longer side of the box around the keypoints."""
    placed = _placing_points(keypoints, scores)
    if len(placed) == 0:
        return np.full(2, np.nan), 0.0
    return placed.mean(0), float(np.ptp(placed, axis=0).max())


def _placing_points(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    finite = np.isfinite(keypoints).all(-1)
    certain = finite & (scores >= _PLACING_SCORE)
    return np.asarray(keypoints[certain if certain.any() else finite & (scores > 0)], np.float64)


def _precision(arrays: Iterable[np.ndarray]) -> type[np.float32 | np.float64]:
    return np.float64 if any(array.dtype == np.float64 for array in arrays) else np.float32
