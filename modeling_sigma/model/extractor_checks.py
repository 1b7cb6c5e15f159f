"""What `SigmaFeatureExtractor` refuses: numbers of frames, aspect ratios and coordinates that cannot be meant.

And what it warns of: keypoints that something else has found than those that the model has learnt from.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .pose_clip import PoseClip
from .skeleton_layouts import SELECTED_LAYOUT


_MAX_FRAME_RATE = 1000.0


def check_aspect_ratio(name: str, ratio: float | None) -> None:
    """Whether this can be the width over the height of an image; None is not known.

    Raises:
        ValueError: if not.
    """
    if ratio is not None and not 0.1 <= ratio <= 10:
        raise ValueError(f"expected {name} as 1.0 or the width over the height of an image, received {ratio!r}")


def checked_max_frames(max_frames: Any) -> int:
    """A number of frames as an integer.

    Raises:
        ValueError: if it is none, or less than 1.
    """
    try:
        number = operator.index(max_frames)
    except TypeError:
        number = 0
    if number < 1 or isinstance(max_frames, bool):
        raise ValueError(f"expected max_frames as an integer >= 1, received {max_frames!r}")
    return number


def check_shares_of_image(points: np.ndarray, clip: PoseClip) -> None:
    """Without an image size coordinates are shares of the image; detectors guess a little beyond its border.

    Raises:
        ValueError: for points far outside of it.
    """
    if points.size and np.abs(points).max() > 2:
        raise ValueError(
            'expected clips with width and height for scale_reference="image", received pixels up to '
            f"{np.abs(points).max():.0f} with width={clip.width} and height={clip.height}: pass PoseClip(..., width=, "
            "height=)"
        )


def check_frame_rate(frame_rate: float | None) -> None:
    """Whether a model can read so many frames per second.

    Raises:
        ValueError: if not.
    """
    if frame_rate is not None and not 0 < frame_rate <= _MAX_FRAME_RATE:
        raise ValueError(f"expected frame_rate up to {_MAX_FRAME_RATE:g} frames per second, received {frame_rate!r}")


def estimator_name(estimator: str) -> str:
    """Of what `PoseClip.estimator` says, the name without versions and networks."""
    return estimator.split(" (", 1)[0]


def foreign_keypoints(clip: PoseClip, layout: str | None, estimator: str | None) -> str | None:
    """The warning that a clip deserves if a model has learnt from keypoints of another `layout` or `estimator`."""
    worse = "expect worse results than its card says"
    if SELECTED_LAYOUT not in (layout, clip.layout) and layout not in (None, clip.layout):
        return f"this model was trained on {layout} keypoints, but a clip comes in {clip.layout}: {worse}"
    if estimator is None or clip.estimator is None or (found := estimator_name(clip.estimator)) == estimator:
        return None
    return f"this model was trained on keypoints of {estimator}, but a clip has those of {found}: {worse}"
