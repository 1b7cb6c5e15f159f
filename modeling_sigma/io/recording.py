"""`Recording`: everybody whom a detector found in each frame of one clip, as a file holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modeling_sigma.io.detections import Detection, by_box_area, check_num_frames, clip_of, follow_person
from modeling_sigma.model.pose_clip import PoseClip


@dataclass(frozen=True, eq=False)
class Recording:
    """What every reader returns: all persons of all frames. Who of them the clip shows is decided here alone.

    Args:
        frames (sequence of `(keypoints, scores)`):
            For each frame the keypoints `(N, K, 2)` and scores `(N, K)` of the N persons seen in it, in any order.
        layout (`str`):
            The layout of the K keypoints.
        fps (`float`, *optional*):
            Frames a second, where the file states it.
        width, height (`int`, *optional*):
            Size of the image in pixels, where the file states it; the keypoints are then in pixels.

    Raises:
        ValueError: for no frames or absurdly many.
    """

    frames: Sequence[Detection]
    layout: str
    fps: float | None = None
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        check_num_frames(len(self.frames))

    def clip(self, person: int = 0) -> PoseClip:
        """The clip of one person: 0 is the signer, the others follow in order of their size.

        Raises:
            ValueError: if no frame holds more than `person` persons.
        """
        picks = follow_person(self.frames, person, rank=by_box_area)
        return clip_of(self.frames, picks, self.layout, self.fps, self.width, self.height)


def detections_of(keypoints: np.ndarray, scores: np.ndarray) -> list[Detection]:
    """One detection per frame of arrays with a frame axis: `(T, N, K, 2)` and `(T, N, K)`, or without N."""
    if keypoints.ndim == 3:
        keypoints, scores = keypoints[:, None], scores[:, None]
    return list(zip(keypoints, scores, strict=True))
