"""`Recording`: everybody whom a detector found in each frame of one clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modeling_sigma.io.detections import (
    Detection,
    check_num_frames,
    check_num_people,
    check_person_exists,
    clip_of,
)
from modeling_sigma.io.person_tracking import Track, follow_people
from modeling_sigma.io.sorted_hands import with_sorted_hands
from modeling_sigma.model.pose_clip import PoseClip


@dataclass(frozen=True, eq=False)
class Recording:
    """What every reader returns: all persons of all frames. Only this class decides which of them a clip shows.

    Args:
        frames (sequence of `(keypoints, scores)`):
            The keypoints `(N, K, 2)` and scores `(N, K)` of the N persons seen in each frame, in any order.
        layout (`str`):
            The layout of the K keypoints.
        fps (`float`, *optional*):
            The number of frames per second, if the file states it.
        width, height (`int`, *optional*):
            The size of the image in pixels, if the file states it.
        coordinates, aspect_ratio, estimator (*optional*):
            The fields of `PoseClip` of these names, if the file or its format states them.

    Raises:
        ValueError: for no frames or absurdly many, or absurdly many people in one.
    """

    frames: Sequence[Detection]
    layout: str
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    coordinates: str | None = None
    aspect_ratio: float | None = None
    estimator: str | None = None

    def __post_init__(self) -> None:
        check_num_frames(len(self.frames))
        check_num_people(max(len(scores) for _, scores in self.frames))

    def people(self) -> list[Track]:
        """Everybody in the clip. The signer, the person seen most often, largest and best, comes first."""
        return follow_people(self.frames)

    def clip(self, person: int = 0) -> PoseClip:
        """The clip of one person: 0 is the signer, the others follow in the order of `people`.

        Raises:
            ValueError: if there are fewer people.
        """
        most = max(len(scores) for _, scores in self.frames)
        if most <= 1:  # nobody can be mixed up
            check_person_exists(person, most)
            picks: Sequence[int | None] = [0 if len(scores) else None for _, scores in self.frames]
        else:
            people = self.people()
            check_person_exists(person, len(people))
            picks = people[person].places
        clip = clip_of(self.frames, picks, self.layout, **self.facts())
        return with_sorted_hands(clip) if self.layout == "hands_42" else clip

    def facts(self) -> dict[str, Any]:
        """What the file states about the clip besides its points, as arguments of `PoseClip`."""
        facts = ("fps", "width", "height", "coordinates", "aspect_ratio", "estimator")
        return {name: getattr(self, name) for name in facts}


def detections_of(keypoints: np.ndarray, scores: np.ndarray) -> list[Detection]:
    """One detection per frame, from arrays with a frame axis: `(T, N, K, 2)` and `(T, N, K)`, or without N."""
    if keypoints.ndim == 3:
        keypoints, scores = keypoints[:, None], scores[:, None]
    return list(zip(keypoints, scores, strict=True))
