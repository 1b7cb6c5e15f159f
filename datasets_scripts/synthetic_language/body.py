"""The body of a synthetic signer: 133 keypoints in three dimensions from the channels of hands, mouth and head.

A body is upright, in shoulder widths, with the origin between the shoulders, x to the right of the picture, y
downwards and z towards the camera. Vectorised over frames.
"""

from __future__ import annotations

import numpy as np

from datasets_scripts.synthetic_language.vocabulary import LOCATION, PATH, ROTATION, SHAPE


# COCO-WholeBody: where each group of keypoints is. Arms and hands: the right one, then the left one.
NUM_KEYPOINTS = 133
HEAD, FACE = slice(0, 5), slice(23, 91)  # nose, eyes, ears; 68 points
LEGS = slice(11, 23)  # hips, knees, ankles, feet
SHOULDERS, ELBOWS, WRISTS = (6, 5), (8, 7), (10, 9)
HANDS = (slice(112, 133), slice(91, 112))

_UPPER_ARM, _FOREARM = 0.8, 0.7
_ELBOW_DIRECTION = (-0.4, 0.7)  # where a right elbow goes: outwards and down
_ELBOW_DEPTH = -0.5  # and back where the arm hangs, forward where it is raised

# A right hand before it is turned, in hand lengths: thumb's side +x, fingers to -y (up), the palm faces +z.
_HAND_LENGTH = 0.47
_KNUCKLES = np.array([[0.14, -0.48, 0.0], [0.045, -0.51, 0.0], [-0.05, -0.48, 0.0], [-0.14, -0.43, 0.0]])
_FINGER_AXES = np.array([0.06, 0.01, -0.04, -0.1])  # radians from straight up towards the thumb
_FINGER_FAN = np.array([0.28, 0.06, -0.16, -0.38])  # more of it when the fingers are spread
_PHALANGES = np.array([[0.24, 0.15, 0.11], [0.27, 0.17, 0.12], [0.25, 0.16, 0.11], [0.2, 0.11, 0.1]])
_THUMB_BASE = np.array([0.13, -0.13, 0.03])
_THUMB_PHALANGES = np.array([0.2, 0.17, 0.14])

_NOSE_TIP = np.array([0.0, -0.6, 0.0])
_HEAD_PIVOT = np.array([0.0, 0.28, -0.15])  # from the tip of the nose


def _legs() -> np.ndarray:
    """Hips, knees, ankles (left, right), then big toe, small toe and heel of the left and the right foot (12, 3)."""
    left = np.array([[0.3, 1.4], [0.31, 2.6], [0.3, 3.75], [0.36, 3.98], [0.48, 3.93], [0.27, 3.86]])
    points = np.stack([left, left * [-1, 1]])  # (2, 6, 2)
    order = np.concatenate([points[:, :3].transpose(1, 0, 2).reshape(6, 2), points[:, 3:].reshape(6, 2)])
    return np.concatenate([order, np.zeros((12, 1))], axis=1)


def _face() -> tuple[np.ndarray, np.ndarray]:
    """Nose, eyes, ears and 68 face points (73, 3), and how far each goes as mouth opens, mouth widens, brows rise."""
    along = np.pi * np.arange(17) / 16
    jaw = np.stack([-0.2 * np.cos(along), -0.06 + 0.31 * np.sin(along) ** 1.2, -0.2 + 0.2 * np.sin(along)], axis=1)
    arch = np.linspace(-1, 1, 5)
    brow = np.stack([0.095 + 0.055 * arch, -0.165 - 0.02 * (1 - arch**2), 0.02 + 0 * arch], axis=1)
    bridge = np.stack([np.zeros(4), np.linspace(-0.1, 0.0, 4), np.linspace(0.02, 0.1, 4)], axis=1)
    nostrils = np.stack([0.035 * arch, 0.045 - 0.01 * arch**2, 0.05 + 0 * arch], axis=1)
    angle = np.pi - np.pi * np.arange(6) / 3
    eye = np.stack([0.085 + 0.033 * np.cos(angle), -0.1 - 0.015 * np.sin(angle), 0.01 + 0 * angle], axis=1)
    outer, inner = np.pi - np.pi * np.arange(12) / 6, np.pi - np.pi * np.arange(8) / 4
    lips = np.concatenate(
        [
            np.stack([0.078 * np.cos(outer), 0.125 - 0.028 * np.sin(outer), 0.03 + 0 * outer], axis=1),
            np.stack([0.06 * np.cos(inner), 0.125 - 0.006 * np.sin(inner), 0.03 + 0 * inner], axis=1),
        ]
    )
    mirror = np.array([-1, 1, 1])
    # The first brow and eye are on the left of the picture; each runs from left to right.
    brows = np.concatenate([(brow * mirror)[::-1], brow])
    eyes = np.concatenate([(eye * mirror)[[3, 2, 1, 0, 5, 4]], eye])
    sides = np.array([[0.085, -0.1, 0.01], [0.215, -0.05, -0.22]])
    coco = np.stack([[0.0, 0.0, 0.1], sides[0], sides[0] * mirror, sides[1], sides[1] * mirror])
    points = np.concatenate([coco, jaw, brows, bridge, nostrils, eyes, lips])  # (73, 3)

    shapes = np.zeros((3, 73, 3))
    shapes[0, 5:22, 1] = 0.11 * np.sin(along) ** 2
    height = np.concatenate([np.sin(outer), np.sin(inner)])
    shapes[0, 53:, 1] = np.where(height > 1e-9, -0.025 * height, -0.15 * height)
    shapes[1, 53:, 0] = 0.4 * lips[:, 0]
    shapes[2, 22:32, 1] = -0.045
    return points, shapes


_LEG_POINTS = _legs()
_FACE_POINTS, _FACE_SHAPES = _face()


def rotations(turns: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) of turns (..., 3) in radians.

    The last is done first, about the vertical axis; then the second, which tips the top towards the camera; then the
    first, clockwise in the picture.
    """
    (sr, sp, sy), (cr, cp, cy) = (np.moveaxis(function(turns), -1, 0) for function in (np.sin, np.cos))
    entries = (
        *(cr * cy + sr * sp * sy, -sr * cp, cr * sy - sr * sp * cy),
        *(sr * cy - cr * sp * sy, cr * cp, sr * sy + cr * sp * cy),
        *(-cp * sy, -sp, cp * cy),
    )
    return np.stack(entries, axis=-1).reshape(*turns.shape, 3)


def pose_body(
    hands: np.ndarray,
    mouth: np.ndarray,
    turns: np.ndarray,
    brows: np.ndarray,
    *,
    head_scale: float = 1.0,
    arm_scale: float = 1.0,
    hand_scale: float = 1.0,
    torso_scale: float = 1.0,
) -> np.ndarray:
    """Places all keypoints.

    Args:
        hands (`np.ndarray` of shape `(T, 2, HAND_CHANNELS)`):
            Channels of the right and the left hand (see `synthetic_vocabulary`).
        mouth (`np.ndarray` of shape `(T, 2)`):
            Opening, 0 to 1, and width, -1 to 1.
        turns (`np.ndarray` of shape `(T, 3)`):
            Of the head, in radians; see `rotations`.
        brows (`np.ndarray` of shape `(T,)`):
            How far they are up, 0 to 1.
        head_scale, arm_scale, hand_scale, torso_scale (`float`, *optional*, defaults to 1.0):
            Proportions.

    Returns:
        `np.ndarray` of shape `(T, 133, 3)`, float64: COCO-WholeBody keypoints in shoulder widths.
    """
    body = np.empty((len(hands), NUM_KEYPOINTS, 3))
    body[:, LEGS] = _LEG_POINTS * [1.0, torso_scale, 1.0]

    expression = np.concatenate([mouth, brows[:, None]], axis=1)  # (T, 3)
    head = _FACE_POINTS - _HEAD_PIVOT + np.tensordot(expression, _FACE_SHAPES, axes=1)  # (T, 73, 3)
    head = head @ (head_scale * rotations(turns).swapaxes(-1, -2))
    head += (_NOSE_TIP + _HEAD_PIVOT) * head_scale
    body[:, HEAD], body[:, FACE] = head[:, :5], head[:, 5:]

    # Both arms as if they were the right one; the left is mirrored in the end.
    wrists = hands[..., LOCATION] + hands[..., PATH]
    wrists[..., 1] *= np.where(wrists[..., 1] < 0, head_scale, torso_scale)
    shoulders = np.broadcast_to(np.array([-0.5, 0.0, 0.0]), wrists.shape)
    elbows, wrists = reach(shoulders, wrists, arm_scale)
    fingers = hand_points(hands[..., SHAPE], hands[..., ROTATION]) * (_HAND_LENGTH * hand_scale)
    fingers += wrists[:, :, None]  # (T, 2, 21, 3)
    for joints, points in ((SHOULDERS, shoulders), (ELBOWS, elbows), (WRISTS, wrists), (HANDS, fingers)):
        body[:, joints[0]], body[:, joints[1]] = points[:, 0], points[:, 1]
        body[:, joints[1], ..., 0] *= -1
    return body


def sway_body(body: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Moves all but the legs (T, 133, 3) by offsets (T, 2), in place."""
    body[:, : LEGS.start, :2] += offsets[:, None]
    body[:, LEGS.stop :, :2] += offsets[:, None]
    return body


def reach(shoulders: np.ndarray, wrists: np.ndarray, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Elbows and wrists (..., 3) of right arms of fixed length; a wrist out of reach is drawn in."""
    upper, fore = _UPPER_ARM * scale, _FOREARM * scale
    arm = wrists - shoulders
    length = np.sqrt((arm**2).sum(-1, keepdims=True))
    reached = np.clip(length, 0.25, 0.98 * (upper + fore))
    axis = arm / np.maximum(length, 1e-6)
    along = (upper**2 - fore**2 + reached**2) / (2 * reached)
    across = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    hang = np.empty_like(axis)
    hang[..., :2], hang[..., 2] = _ELBOW_DIRECTION, _ELBOW_DEPTH * axis[..., 1]
    hang -= (hang * axis).sum(-1, keepdims=True) * axis
    hang /= np.maximum(np.sqrt((hang**2).sum(-1, keepdims=True)), 1e-6)
    return shoulders + along * axis + across * hang, shoulders + reached * axis


def hand_points(shape: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Forward kinematics of right hands.

    Args:
        shape (`np.ndarray` of shape `(..., 11)`):
            See `HANDSHAPES`.
        turns (`np.ndarray` of shape `(..., 3)`):
            In radians; see `ORIENTATIONS`.

    Returns:
        `np.ndarray` of shape `(..., 21, 3)`: wrist, thumb, index, middle, ring and little finger, each from base to
        tip; relative to the wrist, in hand lengths.
    """
    lead = shape.shape[:-1]
    base, middle, spread = shape[..., 0:4], shape[..., 4:8], shape[..., 8:9]
    points = np.zeros((*lead, 21, 3))

    bend = np.stack([base, base + middle, base + 1.6 * middle], axis=-1)  # (..., 4, 3): towards the palm
    fan = (_FINGER_AXES + spread * _FINGER_FAN)[..., None]  # (..., 4, 1)
    flat = np.cos(bend) * _PHALANGES
    steps = np.stack([flat * np.sin(fan), -flat * np.cos(fan), np.sin(bend) * _PHALANGES], axis=-1)
    points[..., 5::4, :] = _KNUCKLES
    for joint in range(3):
        points[..., 6 + joint :: 4, :] = points[..., 5 + joint : 18 + joint : 4, :] + steps[..., joint, :]

    away, fold = shape[..., 9:10], shape[..., 10:11]
    angle = 0.35 + 0.75 * away - fold * np.array([0.0, 0.75, 1.3])  # (..., 3)
    depth = np.broadcast_to(0.55 * fold, angle.shape)
    lengths = _THUMB_PHALANGES / np.sqrt(1 + depth**2)
    steps = np.stack([np.sin(angle), -np.cos(angle), depth], axis=-1) * lengths[..., None]
    points[..., 1, :] = _THUMB_BASE
    points[..., 2:5, :] = _THUMB_BASE + np.cumsum(steps, axis=-2)
    turned: np.ndarray = points @ rotations(turns).swapaxes(-1, -2)
    return turned
