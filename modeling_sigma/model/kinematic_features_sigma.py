"""What a signer's parts do, in numbers: shapes, directions, distances and velocities, read off `pose_values`.

Coordinates alone make a network work for what matters in a sign: how the fingers are bent, whatever the hand's size;
where a hand moves, and how fast. Here this is computed, and no weight is involved.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from .skeleton_layouts import PART_ANCHORS, PART_EDGES, PART_SIZES, PART_SLICES


_FINGERTIPS = (4, 8, 12, 16, 20)
_MIDDLE_KNUCKLE = 9  # wrist to here: the size of a hand
_NOSE = 0
_SHOULDERS = (3, 4)  # joints of the body
_JAW = (0, 8)  # both ends of it, joints of the face
# The box of a clip is 2 wide for the body and 1 for the hands; a wrist's path is longer than a hand.
_BODY_UNITS = 2.0
_PATH_SCALE = 0.25
# Brings velocities, which are small, to about the scale of the rest.
_VELOCITY_SCALE = 2.0
_SMALLEST = 1e-3

_FEATURES_PER_HAND = 2 * (21 + 20 + 21) + 10 + 5 + 3 * 2 + 1
_FEATURES = {
    "body": 2 * 2 * PART_SIZES["body"] + PART_SIZES["body"],
    "left_hand": _FEATURES_PER_HAND,
    "right_hand": _FEATURES_PER_HAND,
    "face": 2 * 2 * PART_SIZES["face"] + 1,
}
_BETWEEN_HANDS = 2


def num_kinematic_features(parts: Sequence[str]) -> int:
    """How many numbers [`kinematic_features`] makes of each frame."""
    return sum(_FEATURES[part] for part in parts) + _BETWEEN_HANDS


def kinematic_features(pose_values: torch.Tensor, parts: Sequence[str]) -> torch.Tensor:
    """Features of every frame.

    Lengths are in units of the clip's mean hand (wrist to middle knuckle), shoulder width or jaw width, so that they
    depend neither on the signer's distance nor on how far the hands travel. The left hand is mirrored: equal
    handshapes have equal features. What was not seen is zero, and so is a velocity of which one end was not seen.

    Args:
        pose_values (`torch.Tensor` of shape `(B, T, 69, 3)`):
            What `SigmaFeatureExtractor` makes; zeros in padded frames.
        parts (`Sequence[str]`):
            The parts to describe.

    Returns:
        `torch.Tensor` of shape `(B, T, num_kinematic_features(parts))`, in the dtype of `pose_values`.
    """
    points, seen = pose_values[..., :2], (pose_values[..., 2:] != 0).to(pose_values.dtype)
    features = []
    if "body" in parts:
        features.append(_body(points[:, :, PART_SLICES["body"]], seen[:, :, PART_SLICES["body"]]))
    hands, paths, known = _hands(points, seen, [part for part in ("left_hand", "right_hand") if part in parts])
    features += hands
    if "face" in parts:
        features.append(_face(points[:, :, PART_SLICES["face"]], seen[:, :, PART_SLICES["face"]]))
    features.append((paths[0] - paths[1]) * known[0] * known[1])
    return torch.cat(features, dim=-1)


def _hands(
    points: torch.Tensor, seen: torch.Tensor, parts: Sequence[str]
) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    """Features of these hands; of both hands the wrist's path (B, T, 2), and whether it was seen (B, T, 1)."""
    names = ("left_hand", "right_hand")
    joints = {part: points[:, :, PART_SLICES[part]] for part in names}  # (B, T, 21, 2)
    found = {part: (seen[:, :, PART_SLICES[part]].mean(dim=2) > 0.5).to(points.dtype) for part in names}  # (B, T, 1)
    lengths = torch.cat([joints[part][:, :, _MIDDLE_KNUCKLE].norm(dim=-1, keepdim=True) for part in names], dim=-1)
    size = _mean(lengths, torch.cat([found[part] for part in names], dim=-1))[:, None, None]  # (B, 1, 1)

    wrists = {part: points[:, :, PART_ANCHORS[part]] / (_BODY_UNITS * size) for part in names}
    known = {part: seen[:, :, PART_ANCHORS[part]] for part in names}
    both = torch.stack([known[part] for part in names], dim=2)
    count = both.sum(dim=(1, 2)).clamp(min=1)
    centre = (torch.stack([wrists[part] for part in names], dim=2) * both).sum(dim=(1, 2)) / count  # (B, 2)
    paths = {part: (wrists[part] - centre[:, None]) * _PATH_SCALE * known[part] for part in names}

    features = []
    for part in parts:
        mirror = points.new_tensor([-1.0, 1.0]) if part == "left_hand" else points.new_ones(2)
        shape = joints[part] * mirror / size[..., None] * found[part][..., None]
        path = paths[part] * mirror
        features.append(
            torch.cat(
                [
                    shape.flatten(2),
                    _directions(shape).flatten(2),
                    _velocity(shape.flatten(2), found[part]),
                    _distances(shape),
                    path,
                    _velocity(path, known[part]) * 2,
                    _velocity(path, known[part], frames=2),
                    found[part],
                ],
                dim=-1,
            )
        )
    return features, [paths[part] for part in names], [known[part] for part in names]


def _directions(hand: torch.Tensor) -> torch.Tensor:
    """(B, T, 21, 2) -> the unit vectors along its bones (B, T, 20, 2)."""
    begin, end = zip(*PART_EDGES["left_hand"])
    bones = hand[:, :, list(end)] - hand[:, :, list(begin)]
    return bones / (bones.norm(dim=-1, keepdim=True) + _SMALLEST)


def _distances(hand: torch.Tensor) -> torch.Tensor:
    """(B, T, 21, 2) -> between any two fingertips, and from wrist to fingertip (B, T, 15)."""
    tips = hand[:, :, list(_FINGERTIPS)]
    pairs = [(one, other) for one in range(5) for other in range(one + 1, 5)]
    one, other = zip(*pairs)
    between = (tips[:, :, list(one)] - tips[:, :, list(other)]).norm(dim=-1)
    return torch.cat([between, tips.norm(dim=-1)], dim=-1)


def _body(joints: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """(B, T, 9, 2) -> places and velocities, and what was seen (B, T, 45).

    Places are relative to the middle of the shoulders; in clips that never show both, to the nose, in the box's units.
    """
    left, right = joints[:, :, _SHOULDERS[0]], joints[:, :, _SHOULDERS[1]]
    has_shoulders = seen[:, :, _SHOULDERS[0]] * seen[:, :, _SHOULDERS[1]]  # (B, T, 1)
    width = _mean((left - right).norm(dim=-1, keepdim=True), has_shoulders)[:, None, None, None]
    by_nose = has_shoulders.sum(dim=1, keepdim=True) == 0  # (B, 1, 1)
    origin = torch.where(by_nose, joints[:, :, _NOSE], (left + right) / 2)
    has_origin = torch.where(by_nose, seen[:, :, _NOSE], has_shoulders)
    places = (joints - origin[:, :, None]) / width * seen * has_origin[:, :, None]
    known = (seen * has_origin[:, :, None]).expand_as(places).flatten(2)
    return torch.cat([places.flatten(2), _velocity(places.flatten(2), known), seen.flatten(2)], dim=-1)


def _face(joints: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """(B, T, 18, 2) -> places and velocities relative to the nose, and whether a face was seen (B, T, 73)."""
    ends = seen[:, :, _JAW[0]] * seen[:, :, _JAW[1]]
    width = _mean((joints[:, :, _JAW[0]] - joints[:, :, _JAW[1]]).norm(dim=-1, keepdim=True), ends)
    places = (joints / width[:, None, None, None] * seen).flatten(2)
    found = (seen.mean(dim=2) > 0.5).to(joints.dtype)
    return torch.cat([places, _velocity(places, seen.expand_as(joints).flatten(2)), found], dim=-1)


def _mean(lengths: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """The mean (B,) of the known ones of (B, T, n) lengths; 1 if there are none."""
    count = known.sum(dim=(1, 2))
    mean = (lengths * known).sum(dim=(1, 2)) / count.clamp(min=1)
    return torch.where(mean > _SMALLEST, mean, torch.ones_like(mean))


def _velocity(values: torch.Tensor, known: torch.Tensor, frames: int = 1) -> torch.Tensor:
    """(B, T, F) -> the change since so many frames ago, zero where either end is not known."""
    before = functional.pad(values, (0, 0, frames, 0))[:, : values.shape[1]]
    known_before = functional.pad(known, (0, 0, frames, 0))[:, : known.shape[1]]
    return (values - before) * known * known_before * _VELOCITY_SCALE
