"""From keypoints to model input: select 69 joints, normalise, choose frames. Pure numpy.

Source: arXiv:2509.21223, pose pre-processing (taken over from Uni-Sign). Departures: float64 throughout, a
deterministic choice of frames in evaluation, and references of scale for clips without a body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from .pose_clip import PoseClip
from .skeleton_layouts import HANDS_SLICE, MISSING, NUM_JOINTS, PART_ANCHORS, PART_ORIGINS, PART_SLICES, get_layout


ScaleReference = Literal["body", "hands", "image"]
SCALE_REFERENCES = ("body", "hands", "image")
BOXES = ("extremes", "quantile")

# The score above which a joint counts as seen (arXiv:2509.21223 keeps Uni-Sign's).
SCORE_THRESHOLD = 0.3

# Quantiles of the reference points that `box="quantile"` lays the box around: a single outlier then moves nothing.
_QUANTILES = (0.02, 0.98)

# Fewer points than this do not fix the size of a signer (arXiv:2509.21223 keeps Uni-Sign's rule).
MIN_REFERENCE_POINTS = 4

# Joint of the body, and the point of the face that stands in for it: nose tip for nose, ends of the jaw for the ears.
_HEAD_IN_FACE = ((0, 17), (1, 8), (2, 0))


def select_joints(clip: PoseClip) -> tuple[np.ndarray, np.ndarray]:
    """Selects Sigma's 69 joints from a detector's keypoints.

    Args:
        clip ([`PoseClip`]):
            A clip of T frames in any known layout.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: keypoints `(T, 69, 2)` float64 in the clip's image coordinates and scores
        `(T, 69)` float64. Joints that the layout lacks are (0, 0) with score 0.
    """
    indices = np.array(get_layout(clip.layout).joint_indices)
    keypoints = clip.keypoints[:, indices].astype(np.float64)
    scores = clip.scores[:, indices].astype(np.float64)
    missing = indices == MISSING
    if missing.any():
        keypoints[:, missing] = 0.0
        scores[:, missing] = 0.0
    return keypoints, scores


def fill_head_from_face(keypoints: np.ndarray, scores: np.ndarray) -> bool:
    """Fills in, in place, nose and ears of a body that has none, from the face's nose tip and the ends of its jaw.

    Reduced MediaPipe files leave them out of the body. The box around what is left would be smaller: 0.94 of the whole
    one in the median, 0.74 at worst. A body whose nose or ear was found in any frame is left as it is, and so is one
    of which nothing was found: a head alone is no measure of a signer.

    Args:
        keypoints (`np.ndarray` of shape `(T, 69, 2)`), scores (`np.ndarray` of shape `(T, 69)`):
            What [`select_joints`] returns.

    Returns:
        `bool`: whether anything was filled.
    """
    head = [joint for joint, _ in _HEAD_IN_FACE]
    if scores[:, head].any() or not scores[:, PART_SLICES["body"]].any():
        return False
    for joint, place in _HEAD_IN_FACE:
        stand_in = PART_SLICES["face"].start + place
        keypoints[:, joint], scores[:, joint] = keypoints[:, stand_in], scores[:, stand_in]
    return bool(scores[:, head].any())


def lacks_head(seen: np.ndarray) -> bool:
    """Whether nose and ears are never found, although other joints of the body are, in `(T, 69)`."""
    head = [joint for joint, _ in _HEAD_IN_FACE]
    return not seen[:, head].any() and bool(seen[:, PART_SLICES["body"]].any())


def joints_of_parts(parts: Sequence[str]) -> np.ndarray:
    """Which of the 69 joints belong to these parts: `(69,)`, bool."""
    joints = np.zeros(NUM_JOINTS, bool)
    for part in parts:
        joints[PART_SLICES[part]] = True
    return joints


def replace_missing_origins(keypoints: np.ndarray, scores: np.ndarray) -> None:
    """Gives parts whose origin was not found another one, in place: all joints would be far away from (0, 0).

    A hand without a wrist becomes relative to the body's wrist of the same frame, a face without a nose tip relative
    to the body's nose. Where the body does not have these either, the part counts as not seen.

    Args:
        keypoints (`np.ndarray` of shape `(T, 69, 2)`), scores (`np.ndarray` of shape `(T, 69)`):
            What [`select_joints`] returns.
    """
    for part, origin in PART_ORIGINS.items():
        joints, anchor = PART_SLICES[part], PART_ANCHORS[part]
        place = joints.start + origin
        lost = (scores[:, place] <= 0) & (scores[:, joints] > 0).any(axis=1)
        anchored = lost & (scores[:, anchor] > 0)
        keypoints[anchored, place] = keypoints[anchored, anchor]
        scores[np.flatnonzero(lost & ~anchored), joints] = 0.0


def normalize_joints(
    keypoints: np.ndarray,
    scores: np.ndarray,
    *,
    score_threshold: float = SCORE_THRESHOLD,
    scale_reference: ScaleReference = "body",
    fill_wrists: bool = False,
    image_size: tuple[float, float] = (1.0, 1.0),
    image_share: float = 0.5,
    box: str = "extremes",
    frames: np.ndarray | None = None,
) -> np.ndarray:
    """Makes a clip independent of the signer's place and size in the image, and of the image's shape.

    One square box is laid around the clip. The body is placed inside the box, from -1 to 1. Hands and face are
    relative to their own origin (wrist, nose tip) in the same frame, in units of the box's side.

    Args:
        keypoints (`np.ndarray` of shape `(T, 69, 2)`):
            Image coordinates, in pixels or any other unit that is the same for x and y.
        scores (`np.ndarray` of shape `(T, 69)`):
            Score of each joint, usually from 0 to 1.
        score_threshold (`float`, *optional*, defaults to 0.3):
            A joint counts as seen where its score exceeds this.
        scale_reference (`"body"`, `"hands"` or `"image"`, *optional*, defaults to `"body"`):
            What the box surrounds: all seen body joints of the clip (the paper), all seen hand joints, or a fixed
            share of the image around its centre. The last two serve detectors that see no body.
        fill_wrists (`bool`, *optional*, defaults to `False`):
            Copy the wrist of a seen hand into the body's wrist joint where that is missing. Hands are relative to
            their wrist, so without a body their place in the picture would be lost.
        image_size (`tuple[float, float]`, *optional*, defaults to `(1.0, 1.0)`):
            Width and height in the unit of `keypoints`; only used by `scale_reference="image"`.
        image_share (`float`, *optional*, defaults to 0.5):
            Side of the box as a share of the image's shorter side; only used by `scale_reference="image"`.
        box (`"extremes"` or `"quantile"`, *optional*, defaults to `"extremes"`):
            `"extremes"`: the box surrounds all reference points (the paper). `"quantile"`: it leaves out the outermost
            2 % on each side, so that a single outlier does not shrink the signer.
        frames (`np.ndarray`, *optional*):
            Numbers of the frames to return, all by default. The box is always that of the whole clip.

    Returns:
        `np.ndarray` of shape `(T, 69, 3)`, float32: x, y and score, each in [-1, 1]; all three 0 where the joint was
        not seen. All zeros when fewer than 4 reference points were seen or when they span no area.

    Raises:
        ValueError: for an unknown `scale_reference` or `box`.

    Source: arXiv:2509.21223, pose pre-processing.
    """
    keypoints, scores = np.asarray(keypoints, np.float64), np.asarray(scores, np.float64)
    if fill_wrists:
        keypoints, scores = _with_filled_wrists(keypoints, scores, score_threshold)
    placed = _reference_box(keypoints, scores > score_threshold, scale_reference, image_size, image_share, box)
    if frames is not None:
        keypoints, scores = keypoints[frames], scores[frames]
    values = np.zeros((len(keypoints), NUM_JOINTS, 3), np.float32)
    if placed is None:
        return values
    corner, side = placed

    body = PART_SLICES["body"]
    relative = np.empty_like(keypoints)
    relative[:, body] = ((keypoints[:, body] - corner) / side - 0.5) * 2
    for part, origin in PART_ORIGINS.items():
        joints = keypoints[:, PART_SLICES[part]]  # (T, V, 2)
        relative[:, PART_SLICES[part]] = (joints - joints[:, origin : origin + 1]) / side

    values[..., :2] = np.clip(relative, -1.0, 1.0)
    values[..., 2] = np.clip(scores, -1.0, 1.0)
    values[scores <= score_threshold] = 0.0
    return values


def _reference_box(
    keypoints: np.ndarray,
    seen: np.ndarray,
    scale_reference: str,
    image_size: tuple[float, float],
    image_share: float,
    box: str,
) -> tuple[np.ndarray, float] | None:
    """Upper left corner (2,) and side of the clip's square box; None when nothing fixes it."""
    if scale_reference == "image":
        size = np.asarray(image_size, np.float64)
        side = float(image_share * size.min())
        return (size - side) / 2, side
    if scale_reference == "body":
        joints = PART_SLICES["body"]
    elif scale_reference == "hands":
        joints = HANDS_SLICE
    else:
        raise ValueError(f"expected scale_reference to be one of {SCALE_REFERENCES}, received {scale_reference!r}")
    points = keypoints[:, joints][seen[:, joints]]  # (num_seen, 2)
    if len(points) < MIN_REFERENCE_POINTS:
        return None
    if box == "extremes":
        low, high = points.min(axis=0), points.max(axis=0)
    elif box == "quantile":
        low, high = np.quantile(points, _QUANTILES, axis=0)
    else:
        raise ValueError(f"expected box to be one of {BOXES}, received {box!r}")
    side = float((high - low).max())
    return ((low + high - side) / 2, side) if side > 0 else None


def _with_filled_wrists(
    keypoints: np.ndarray, scores: np.ndarray, score_threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    keypoints, scores = keypoints.copy(), scores.copy()
    for hand in ("left_hand", "right_hand"):
        wrist, joint = PART_SLICES[hand].start + PART_ORIGINS[hand], PART_ANCHORS[hand]
        fill = (scores[:, joint] <= score_threshold) & (scores[:, wrist] > score_threshold)
        keypoints[fill, joint] = keypoints[fill, wrist]
        scores[fill, joint] = scores[fill, wrist]
    return keypoints, scores


def even_frame_indices(num_frames: int, max_frames: int) -> np.ndarray:
    """At most `max_frames` frame numbers, evenly spaced, always the same ones for the same arguments.

    Departure from arXiv:2509.21223: its implementation draws a random subset in evaluation too, so that its scores
    change from run to run.

    Example:

    ```python
    >>> from modeling_sigma.model.pose_transforms import even_frame_indices
    >>> even_frame_indices(10, 4)
    array([1, 3, 6, 8])

    ```
    """
    if num_frames <= max_frames:
        return np.arange(num_frames)
    return ((np.arange(max_frames) + 0.5) * num_frames / max_frames).astype(np.int64)


def jittered_frame_indices(num_frames: int, max_frames: int, generator: np.random.Generator) -> np.ndarray:
    """At most `max_frames` frame numbers (training): one drawn from each of as many equal stretches of the clip.

    Steps between frames stay about as even as in evaluation, which a random subset's do not.
    """
    if num_frames <= max_frames:
        return np.arange(num_frames)
    return ((np.arange(max_frames) + generator.random(max_frames)) * num_frames / max_frames).astype(np.int64)


def random_frame_indices(num_frames: int, max_frames: int, generator: np.random.Generator) -> np.ndarray:
    """At most `max_frames` frame numbers, a sorted random subset (training).

    Source: arXiv:2509.21223, pose pre-processing.
    """
    if num_frames <= max_frames:
        return np.arange(num_frames)
    return np.sort(generator.choice(num_frames, max_frames, replace=False))
