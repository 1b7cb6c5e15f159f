"""The unit of a clip's coordinates, and how they become isotropic: one scale for x and y.

Pixels are isotropic. Shares of the image (x / width, y / height) are not, unless the image is square: a signer is
squeezed sideways by the aspect ratio, and a model that has learnt other proportions sees a different hand.
"""

from __future__ import annotations

import functools
import logging

import numpy as np

from .pose_clip import PoseClip


# Not the logger of transformers: the readers come here too, and do without.
logger = logging.getLogger(__name__)

# Detectors guess some keypoints a little beyond the border of the image.
_LARGEST_SHARE = 1.5
# Numbers below this are not pixels of a video but some unit of the signer's, such as the width of the shoulders.
_SMALLEST_PIXELS = 10.0
_HOW_TO_STATE_IT = (
    "state it with PoseClip(..., coordinates=, width=, height=) or aspect_ratio=, or with the coordinates= and "
    "aspect_ratio= of the call"
)


@functools.cache
def warn_once(message: str) -> None:
    """Warns of an assumption, once for each."""
    logger.warning(message)


def unit_of(clip: PoseClip) -> str:
    """`"pixels"` (any unit that x and y share) or `"shares"` (of the image): as stated, else by the numbers."""
    if clip.coordinates is not None:
        return clip.coordinates
    # What was not found is (0, 0): counting it in and taking it off again is much faster than choosing the rest.
    num_found, num_lost = np.count_nonzero(clip.scores), np.count_nonzero(clip.scores == 0)
    if not num_found or (clip.width is not None and clip.height is not None and max(clip.width, clip.height) <= 2):
        return "pixels"
    num_small = np.count_nonzero(np.abs(clip.keypoints) <= _LARGEST_SHARE) - 2 * num_lost
    if num_small / (2 * num_found) < 0.9:
        return "pixels"
    # Around a point of the signer, not from the corner of an image.
    is_centred = np.count_nonzero(clip.keypoints < 0) / (2 * num_found) > 0.1
    return "pixels" if is_centred else "shares"


def aspect_ratio_of(clip: PoseClip) -> float | None:
    """Width over height of the image; None where it is unknown."""
    if clip.width is not None and clip.height is not None:  # one of the two alone says nothing
        return clip.width / clip.height
    return clip.aspect_ratio


def image_size_of(clip: PoseClip) -> tuple[float, float] | None:
    """Width and height of the image in the unit of the clip's coordinates; None where they are unknown."""
    if unit_of(clip) == "shares":
        return (1.0, 1.0)
    if clip.width is not None and clip.height is not None:
        return (float(clip.width), float(clip.height))
    return None


def x_factor(clip: PoseClip, learnt_aspect_ratio: float | None, assumed_aspect_ratio: float | None = None) -> float:
    """The factor for x that gives a clip the proportions that a model has learnt. Warns once of each assumption.

    Args:
        clip ([`PoseClip`]):
            A clip in any unit.
        learnt_aspect_ratio (`float`, *optional*):
            1.0 for a model that learnt isotropic coordinates, or the aspect ratio of the images whose shares it has
            learnt. None where it was not recorded: x stays as it is.
        assumed_aspect_ratio (`float`, *optional*):
            The proportions of the image of a clip in shares that does not state them; by default those that the model
            has learnt, a square for 1.0.
    """
    if learnt_aspect_ratio is None:
        warn_once(
            "this model does not state the proportions that it learnt (`learnt_aspect_ratio` in "
            "preprocessor_config.json, written since 0.2): clips are read as they come. Set 1.0 if it was trained on "
            "pixels, or the width over the height of the videos if it was trained on shares of the image"
        )
        return 1.0
    unit, aspect_ratio = unit_of(clip), aspect_ratio_of(clip)
    if unit == "pixels":
        if clip.coordinates is None:
            _tell_odd_unit(clip)
        return 1 / learnt_aspect_ratio
    if aspect_ratio is None:
        assumed = learnt_aspect_ratio if assumed_aspect_ratio is None else assumed_aspect_ratio
        taken = "square" if assumed == 1 else f"{assumed:g} times as wide as high"
        warn_once(
            "a clip's coordinates are shares of the image (x / width, y / height), and the image's size is unknown: "
            f"it is taken to be {taken}. Where that is wrong, hands are squeezed: {_HOW_TO_STATE_IT}"
        )
        return assumed / learnt_aspect_ratio
    if clip.coordinates is None:
        warn_once(
            "a clip's coordinates are taken as shares of the image (x / width, y / height), since they hardly exceed "
            "1: pass coordinates='shares' to say so, or 'pixels' where x and y have one unit"
        )
    return aspect_ratio / learnt_aspect_ratio


def _tell_odd_unit(clip: PoseClip) -> None:
    num_found = np.count_nonzero(clip.scores)
    if not num_found:
        return
    image = max(clip.width, clip.height) if clip.width is not None and clip.height is not None else np.inf
    reach = np.maximum(*np.abs(np.moveaxis(clip.keypoints, -1, 0)))  # (T, K): 0 where nothing was found
    largest = reach.max()
    are_shares = np.count_nonzero((reach > 0) & (reach <= _LARGEST_SHARE)) / num_found
    if 0.02 < are_shares < 0.98 and largest > 10 * _SMALLEST_PIXELS:
        warn_once(
            f"{are_shares:.0%} of a clip's points are smaller than {_LARGEST_SHARE:g}, and others reach "
            f"{largest:.0f}: are some in shares of the image and others in pixels? All are read as pixels"
        )
    elif largest < _SMALLEST_PIXELS < image:
        warn_once(
            "a clip's coordinates are neither pixels nor shares of an image: x and y are taken to have one unit. Pass "
            "coordinates='pixels' if that is so, and multiply x by the aspect ratio of the image if not"
        )
