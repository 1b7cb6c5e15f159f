"""Which frames of a clip a model reads."""

from __future__ import annotations

import numpy as np

from .pose_augmentation import PoseAugmentation
from .pose_transforms import even_frame_indices, jittered_frame_indices, random_frame_indices


FRAME_SAMPLINGS = ("even", "random", "interpolate")


def choose_frames(
    num_frames: int,
    max_frames: int,
    frame_sampling: str,
    augmentation: PoseAugmentation,
    generator: np.random.Generator | None,
) -> np.ndarray | None:
    """The indices of the frames to read; None for all of them.

    Args:
        num_frames (`int`):
            Frames of the clip.
        max_frames (`int`):
            The most frames to read.
        frame_sampling (`str`):
            One of [`FRAME_SAMPLINGS`]; frames that are interpolated come from all frames.
        augmentation ([`PoseAugmentation`]), generator (`np.random.Generator`, *optional*):
            What training changes, and its random numbers; without a generator frames are evenly spaced.
    """
    if frame_sampling == "interpolate":
        return None
    if generator is None:
        return even_frame_indices(num_frames, max_frames) if num_frames > max_frames else None
    frames = augmentation.frame_indices(num_frames, generator)
    choose = random_frame_indices if frame_sampling == "random" else jittered_frame_indices
    return frames[choose(len(frames), max_frames, generator)]
