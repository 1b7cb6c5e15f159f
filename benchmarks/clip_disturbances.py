"""What can happen to a clip of two hands between the signer and the model: recorded otherwise, or detected worse.

Each function takes a clip of layout `hands_42` in shares of the image and a generator, and returns another clip of the
same sign. Lengths are stated in hands: the distance from the wrist to the knuckle of the middle finger, in the median
of the clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from modeling_sigma.model.pose_clip import PoseClip


Disturbance = Callable[[PoseClip, np.random.Generator], PoseClip]

NUM_JOINTS = 21  # of a hand
_WRIST, _MIDDLE_KNUCKLE = 0, 9
FPS = 29.97


def isotropic(clip: PoseClip) -> np.ndarray:
    """Keypoints `(T, 42, 2)` in image heights: x and y have one unit."""
    assert clip.aspect_ratio is not None
    return clip.keypoints * np.array([clip.aspect_ratio, 1.0])


def with_isotropic(clip: PoseClip, points: np.ndarray) -> PoseClip:
    """The clip with other keypoints, which are in image heights."""
    assert clip.aspect_ratio is not None
    return replace(clip, keypoints=points / np.array([clip.aspect_ratio, 1.0]))


def hands_seen(clip: PoseClip) -> np.ndarray:
    """Whether each hand was found `(T, 2)`."""
    return clip.scores.reshape(len(clip), 2, NUM_JOINTS)[..., _WRIST] > 0


def hand_size(clip: PoseClip) -> float:
    """From the wrist to the knuckle of the middle finger, in image heights; 0.1 if no hand was found."""
    hands = isotropic(clip).reshape(len(clip), 2, NUM_JOINTS, 2)
    sizes = np.linalg.norm(hands[:, :, _MIDDLE_KNUCKLE] - hands[:, :, _WRIST], axis=-1)[hands_seen(clip)]
    return float(np.median(sizes)) if len(sizes) else 0.1


def at_frame_rate(factor: float) -> Disturbance:
    """Recorded at so many times the frame rate: frames are left out, or lie between their neighbours."""

    def disturb(clip: PoseClip, _: np.random.Generator) -> PoseClip:
        moments = np.arange(0, len(clip) - 1 + 1e-9, 1 / factor)
        before, after = np.floor(moments).astype(int), np.ceil(moments).astype(int)
        share = (moments - before)[:, None, None]
        both = (clip.scores[before] > 0) & (clip.scores[after] > 0)
        between = clip.keypoints[before] * (1 - share) + clip.keypoints[after] * share
        nearest = np.where(share[..., 0] < 0.5, before[:, None], after[:, None])
        joints = np.arange(clip.keypoints.shape[1])
        keypoints = np.where(both[..., None], between, clip.keypoints[nearest, joints])
        scores = np.where(both, clip.scores[before], clip.scores[nearest, joints])
        return replace(clip, keypoints=keypoints, scores=scores, fps=FPS * factor)

    return disturb


def with_jitter(hands: float) -> Disturbance:
    """Each joint of each frame is off by a normal distribution of this standard deviation."""

    def disturb(clip: PoseClip, generator: np.random.Generator) -> PoseClip:
        points = isotropic(clip)
        return with_isotropic(clip, points + generator.normal(0, hands * hand_size(clip), points.shape))

    return disturb


def with_outliers(share: float) -> Disturbance:
    """A share of all joints lies anywhere in the image."""

    def disturb(clip: PoseClip, generator: np.random.Generator) -> PoseClip:
        is_wrong = generator.random(clip.scores.shape) < share
        anywhere = generator.random(clip.keypoints.shape)
        return replace(clip, keypoints=np.where(is_wrong[..., None], anywhere, clip.keypoints))

    return disturb


def with_thrown_hands(share: float) -> Disturbance:
    """In a share of the frames a found hand lies somewhere else in the image, whole: another person's, or a face."""

    def disturb(clip: PoseClip, generator: np.random.Generator) -> PoseClip:
        hands = clip.keypoints.reshape(len(clip), 2, NUM_JOINTS, 2)
        is_thrown = generator.random((len(clip), 2)) < share
        target = generator.random((len(clip), 2, 1, 2))
        thrown = hands - hands.mean(axis=2, keepdims=True) + target
        keypoints = np.where(is_thrown[..., None, None], thrown, hands)
        return replace(clip, keypoints=keypoints.reshape(clip.keypoints.shape))

    return disturb


def with_lost_hands(share: float) -> Disturbance:
    """Each hand is not found in a share of the frames, here and there."""

    def disturb(clip: PoseClip, generator: np.random.Generator) -> PoseClip:
        return _without_hands(clip, generator.random((len(clip), 2)) < share)

    return disturb


def with_gap(seconds: float) -> Disturbance:
    """Both hands are lost for a while in the middle of the clip."""

    def disturb(clip: PoseClip, generator: np.random.Generator) -> PoseClip:
        length = round(seconds * FPS)
        start = int(generator.integers(1, max(2, len(clip) - length - 1)))
        lost = np.zeros((len(clip), 2), bool)
        lost[start : min(start + length, len(clip) - 1)] = True
        return _without_hands(clip, lost)

    return disturb


def without_weaker_hand(clip: PoseClip, _: np.random.Generator) -> PoseClip:
    """The hand that is found less often is never found."""
    weaker = int(hands_seen(clip).sum(axis=0).argmin())
    lost = np.zeros((len(clip), 2), bool)
    lost[:, weaker] = hands_seen(clip).all(axis=1).any()  # the only hand stays
    return _without_hands(clip, lost)


def mirrored(clip: PoseClip, _: np.random.Generator) -> PoseClip:
    """A left-handed signer, or a camera that mirrors: x is turned round, and left is right."""
    keypoints = clip.keypoints * np.array([-1, 1]) + np.array([1, 0])
    return _swapped(replace(clip, keypoints=keypoints))


def with_swapped_hands(clip: PoseClip, _: np.random.Generator) -> PoseClip:
    """The detector takes left for right throughout."""
    return _swapped(clip)


def with_stated_aspect(ratio: float) -> Disturbance:
    """The shares are taken for those of an image of another shape."""
    return lambda clip, _: replace(clip, aspect_ratio=ratio)


def in_pixels(height: int) -> Disturbance:
    """Pixels of an image of this height, whose size is not stated."""

    def disturb(clip: PoseClip, _: np.random.Generator) -> PoseClip:
        points = isotropic(clip) * height
        return replace(clip, keypoints=points, coordinates=None, aspect_ratio=None)

    return disturb


def tilted(degrees: float) -> Disturbance:
    """The camera is tilted, one way or the other."""

    def disturb(clip: PoseClip, generator: np.random.Generator) -> PoseClip:
        angle = np.deg2rad(degrees) * generator.choice([-1, 1])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return with_isotropic(clip, (isotropic(clip) - 0.5) @ turn.T + 0.5)

    return disturb


def with_empty_ends(seconds: float) -> Disturbance:
    """Nobody is found for a while before and after."""

    def disturb(clip: PoseClip, _: np.random.Generator) -> PoseClip:
        length = round(seconds * FPS)
        space = ((length, length), (0, 0))
        return replace(clip, keypoints=np.pad(clip.keypoints, (*space, (0, 0))), scores=np.pad(clip.scores, space))

    return disturb


def with_held_ends(seconds: float) -> Disturbance:
    """The hands wait in the air where the sign starts and ends, with the detector's jitter."""

    def disturb(clip: PoseClip, generator: np.random.Generator) -> PoseClip:
        length = round(seconds * FPS)
        frames = np.concatenate([np.zeros(length, int), np.arange(len(clip)), np.full(length, len(clip) - 1)])
        is_added = np.ones(len(frames), bool)
        is_added[length : length + len(clip)] = False
        held = clip.frames(frames)
        noise = generator.normal(0, _RESTING_JITTER * hand_size(clip), held.keypoints.shape)
        return with_isotropic(held, isotropic(held) + noise * is_added[:, None, None])

    return disturb


_RESTING_JITTER = 0.02
# Where resting hands lie, in image heights: in the lap, at either side of the middle.
_LAP_HEIGHT, _LAP_HALF_WIDTH = 0.97, 0.12
_RAISING_SECONDS = 0.3


def with_resting_ends(seconds: float) -> Disturbance:
    """The hands rest in the lap, are raised to where the sign starts, and are lowered again at its end.

    The shape of a resting hand is that of the sign's own first or last frame with this hand, fingers turned down.
    """

    def disturb(clip: PoseClip, generator: np.random.Generator) -> PoseClip:
        resting, raising = round(seconds * FPS), round(_RAISING_SECONDS * FPS)
        seen = hands_seen(clip)
        points = isotropic(clip).reshape(len(clip), 2, NUM_JOINTS, 2)
        size, aspect = hand_size(clip), float(clip.aspect_ratio or 1.0)
        num_added = resting + raising
        before, after = (np.zeros((num_added, 2, NUM_JOINTS, 2)) for _ in range(2))
        found = np.zeros((2, num_added, 2), bool)
        for hand in range(2):
            frames = np.flatnonzero(seen[:, hand])
            if not len(frames):
                continue
            side = aspect / 2 + _LAP_HALF_WIDTH * (1 if hand == 0 else -1)  # a signer's left is the image's right
            for number, (frame, target) in enumerate(((frames[0], before), (frames[-1], after))):
                shape = points[frame, hand]
                rest = _fingers_down(shape) + np.array([side, _LAP_HEIGHT])
                share = np.concatenate([np.zeros(resting), np.linspace(0, 1, raising, endpoint=False)])
                share = share[:, None, None]
                moved = rest * (1 - share) + shape * share
                target[:, hand] = moved if number == 0 else moved[::-1]
                found[number, :, hand] = True
        noise = _RESTING_JITTER * size
        before, after = (part + generator.normal(0, noise, part.shape) for part in (before, after))
        keypoints = np.concatenate([before, points, after]).reshape(-1, 2 * NUM_JOINTS, 2)
        scores = [np.repeat(part, NUM_JOINTS, axis=1).astype(float) for part in found]
        together = replace(
            clip, keypoints=np.zeros_like(keypoints), scores=np.concatenate([scores[0], clip.scores, scores[1]])
        )
        return with_isotropic(together, keypoints)

    return disturb


def _fingers_down(shape: np.ndarray) -> np.ndarray:
    """A hand `(21, 2)` relative to its wrist, turned so that its fingers point down."""
    relative = shape - shape[_WRIST]
    x, y = relative[_MIDDLE_KNUCKLE] / max(1e-9, float(np.linalg.norm(relative[_MIDDLE_KNUCKLE])))
    turn = np.array([[y, -x], [x, y]])  # takes (x, y) to (0, 1): downwards
    return relative @ turn.T


def _without_hands(clip: PoseClip, lost: np.ndarray) -> PoseClip:
    scores = np.where(np.repeat(lost, NUM_JOINTS, axis=1), 0.0, clip.scores)
    if not scores.any():  # a sign that nobody sees is another test
        return clip
    return replace(clip, scores=scores)


def _swapped(clip: PoseClip) -> PoseClip:
    order = np.r_[NUM_JOINTS : 2 * NUM_JOINTS, 0:NUM_JOINTS]
    return replace(clip, keypoints=clip.keypoints[:, order], scores=clip.scores[:, order])


# Name -> what happens, and whether a person who watches the clip would hardly notice (or would read it all the same).
DISTURBANCES: dict[str, tuple[Disturbance, bool]] = {
    "half the frame rate (15)": (at_frame_rate(0.5), True),
    "a third of the frame rate (10)": (at_frame_rate(1 / 3), True),
    "twice the frame rate (60)": (at_frame_rate(2.0), True),
    "jitter of 2 % of a hand": (with_jitter(0.02), True),
    "jitter of 5 % of a hand": (with_jitter(0.05), True),
    "jitter of 10 % of a hand": (with_jitter(0.1), False),
    "1 % of the joints anywhere": (with_outliers(0.01), True),
    "a hand thrown elsewhere in 2 % of its frames": (with_thrown_hands(0.02), True),
    "each hand lost in 10 % of the frames": (with_lost_hands(0.1), True),
    "each hand lost in 30 % of the frames": (with_lost_hands(0.3), True),
    "both hands lost for 0.2 s": (with_gap(0.2), True),
    "the weaker hand never found": (without_weaker_hand, False),
    "mirrored signer": (mirrored, True),
    "left and right hand mistaken": (with_swapped_hands, True),
    "camera tilted by 5 degrees": (tilted(5), True),
    "camera tilted by 10 degrees": (tilted(10), True),
    "pixels, size not stated": (in_pixels(720), True),
    "stated as 16:9 (is 1.7)": (with_stated_aspect(16 / 9), True),
    "stated as 4:3 (is 1.7)": (with_stated_aspect(4 / 3), False),
    "stated as square (is 1.7)": (with_stated_aspect(1.0), False),
    "a second without anybody, before and after": (with_empty_ends(1.0), True),
    "hands held for half a second, before and after": (with_held_ends(0.5), True),
    "hands rest in the lap for half a second, before and after": (with_resting_ends(0.5), True),
    "hands rest in the lap for 1.5 s, before and after": (with_resting_ends(1.5), True),
}
