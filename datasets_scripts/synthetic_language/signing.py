"""Signers perform signs in front of a camera, and a detector finds their keypoints, with errors of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets_scripts.synthetic_language.body import FACE, HANDS, HEAD, LEGS, NUM_KEYPOINTS, pose_body, sway_body
from datasets_scripts.synthetic_language.vocabulary import HAND_CHANNELS, LOCATION, NUM_PHASES, PATH, ROTATION, SHAPE


_IMAGE_SIZES = ((640, 480), (720, 576), (1280, 720), (960, 720), (512, 512), (480, 600))
_FRAME_RATES = (15.0, 18.0, 20.0, 25.0)
_LEFT_HANDED = (6, 3)  # of every six signers, number three: small groups have some too

# How much of a unit's channels differs each time it is signed.
_LOCATION_NOISE, _SHAPE_NOISE, _ROTATION_NOISE, _MOUTH_NOISE = 0.035, 0.08, 0.09, 0.08

_PLURAL_SHIFT = -0.28  # the second time, further out
_PLURAL_DURATION = 1.7


def _by_keypoint(body: float, head: float, legs: float, hands: float) -> np.ndarray:
    values = np.full(NUM_KEYPOINTS, body)
    values[HEAD] = values[FACE] = head
    values[LEGS] = legs
    for joints in HANDS:
        values[joints] = hands
    return values.astype(np.float32)


# The detector: errors in shoulder widths, scores, and how much these vary.
_JITTER = _by_keypoint(body=0.011, head=0.006, legs=0.03, hands=0.013)
_SCORES = _by_keypoint(body=0.97, head=0.96, legs=0.9, hands=0.88)
_SCORE_NOISE = _by_keypoint(body=0.03, head=0.03, legs=0.1, hands=0.09)


@dataclass(frozen=True)
class SyntheticSigner:
    """One signer: body, manner of signing, camera and detector.

    Args:
        signer_id (`str`):
            The signer's name.
        is_left_handed (`bool`):
            Whether the left hand is the dominant one; all signs are mirrored then.
        head_scale, arm_scale, hand_scale, torso_scale (`float`):
            Proportions, 1 for the average.
        speed (`float`):
            Signing speed, 1 for the average.
        amplitude (`float`):
            Size of movements, 1 for the average.
        location_habits (`np.ndarray` of shape `(num_signs + 1, 3)`):
            Where this signer puts each sign, as an offset in shoulder widths; the last row is for the hands at rest.
        fps (`float`), width, height (`int`):
            The recording.
        shoulder_width (`float`):
            Distance between the shoulders as a share of the image's height.
        center (`tuple[float, float]`):
            Where the middle between the shoulders is, as a share of the image's width and height.
        tilt (`float`):
            Rotation of the camera in radians.
        jitter (`float`):
            The detector's error, 1 for the average.
        drop_rate (`float`):
            Share of frames at which the detector begins to lose a hand.
    """

    signer_id: str
    is_left_handed: bool
    head_scale: float
    arm_scale: float
    hand_scale: float
    torso_scale: float
    speed: float
    amplitude: float
    location_habits: np.ndarray
    fps: float
    width: int
    height: int
    shoulder_width: float
    center: tuple[float, float]
    tilt: float
    jitter: float
    drop_rate: float


@dataclass(frozen=True)
class SigningPlan:
    """What is signed in one clip.

    Args:
        signs (`tuple[int, ...]`):
            Numbers of the signs.
        repeated (`tuple[int, ...]`):
            Positions in `signs` that are signed twice.
        shaken (`tuple[int, int]`, *optional*):
            Positions in `signs`, first and one past the last, that a head shake goes with.
        is_question (`bool`, *optional*, defaults to `False`):
            Brows up, head tilted forward and aside.
        rest_seconds (`float`, *optional*, defaults to 0.3):
            How long the hands rest before and after, on average.
    """

    signs: tuple[int, ...]
    repeated: tuple[int, ...] = ()
    shaken: tuple[int, int] | None = None
    is_question: bool = False
    rest_seconds: float = 0.3


def draw_signer(signer_id: str, number: int, num_signs: int, rng: np.random.Generator) -> SyntheticSigner:
    """A random signer; every sixth `number` is left-handed."""
    width, height = _IMAGE_SIZES[rng.integers(len(_IMAGE_SIZES))]
    uniform = rng.uniform
    return SyntheticSigner(
        signer_id=signer_id,
        is_left_handed=number % _LEFT_HANDED[0] == _LEFT_HANDED[1],
        head_scale=float(uniform(0.92, 1.1)),
        arm_scale=float(uniform(0.93, 1.08)),
        hand_scale=float(uniform(0.9, 1.12)),
        torso_scale=float(uniform(0.93, 1.1)),
        speed=float(uniform(0.88, 1.15)),
        amplitude=float(uniform(0.8, 1.2)),
        location_habits=rng.normal(0.0, 0.045, (num_signs + 1, 3)),
        fps=float(rng.choice(_FRAME_RATES)),
        width=width,
        height=height,
        shoulder_width=float(uniform(0.17, 0.25)) * min(1.0, width / height),
        center=(float(uniform(0.46, 0.54)), float(uniform(0.4, 0.46))),
        tilt=float(uniform(-0.06, 0.06)),
        jitter=float(uniform(0.7, 1.4)),
        drop_rate=float(uniform(0.002, 0.012)),
    )


def sign(
    plan: SigningPlan,
    tables: np.ndarray,
    durations: np.ndarray,
    signer: SyntheticSigner,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Performs a plan in front of a camera.

    Args:
        plan ([`SigningPlan`]):
            What to sign.
        tables (`np.ndarray` of shape `(num_signs + 1, NUM_PHASES, NUM_CHANNELS)`):
            The motion of each sign; last, the hands at rest.
        durations (`np.ndarray` of shape `(num_signs + 1,)`):
            Seconds that each sign takes.
        signer ([`SyntheticSigner`]):
            Who signs.
        rng (`np.random.Generator`):
            Source of everything that differs from one performance to the next.

    Returns:
        `tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]`: keypoints `(T, 133, 2)` in pixels and scores
        `(T, 133)`, float32, and for each sign its first frame and the frame after its last.
    """
    timeline = _Timeline(plan, tables, durations, signer, rng)
    channels = timeline.channels(signer, rng)  # (T, NUM_CHANNELS)
    hands = channels[:, : 2 * HAND_CHANNELS].reshape(-1, 2, HAND_CHANNELS)
    if signer.is_left_handed:
        hands = hands[:, ::-1]
    body = pose_body(
        hands,
        channels[:, 2 * HAND_CHANNELS :],
        *timeline.head(signer, rng),
        head_scale=signer.head_scale,
        arm_scale=signer.arm_scale,
        hand_scale=signer.hand_scale,
        torso_scale=signer.torso_scale,
    )
    seconds = np.arange(len(body))[:, None] / signer.fps
    sway_body(body, 0.02 * np.sin(2 * np.pi * (seconds * [0.3, 0.45] + rng.random(2))))
    keypoints, scores = _detect(_film(body, signer, rng), signer, rng)
    return keypoints, scores, timeline.spans


class _Timeline:
    """Which sign, or which transition between two, each frame shows.

    Units are rest, the signs, and rest again; a transition lies between every two.
    """

    def __init__(
        self,
        plan: SigningPlan,
        tables: np.ndarray,
        durations: np.ndarray,
        signer: SyntheticSigner,
        rng: np.random.Generator,
    ) -> None:
        rest = len(tables) - 1
        self.plan, self.tables = plan, tables
        self.units = np.array([rest, *plan.signs, rest])
        num_units = len(self.units)
        rate = signer.fps / (signer.speed * rng.uniform(0.93, 1.07))
        seconds = durations[self.units] * rng.uniform(0.88, 1.12, num_units)
        seconds[[0, -1]] = plan.rest_seconds * rng.uniform(0.5, 1.5, 2)
        seconds[[position + 1 for position in plan.repeated]] *= _PLURAL_DURATION
        unit_frames = np.maximum(np.rint(seconds * rate).astype(np.int64), [2, *[5] * len(plan.signs), 2])

        # The further the hands have to go, the longer it takes.
        wrists = tables[:, :, : 2 * HAND_CHANNELS].reshape(len(tables), NUM_PHASES, 2, HAND_CHANNELS)
        ends, starts = wrists[self.units[:-1], -1], wrists[self.units[1:], 0]
        places = [hand[..., LOCATION] + hand[..., PATH] for hand in (ends, starts)]
        distance = np.sqrt(((places[0] - places[1]) ** 2).sum(-1)).max(-1)  # (num_units - 1,)
        way_frames = np.maximum(np.rint((0.08 + 0.11 * distance) * rate).astype(np.int64), 2)

        segments = np.zeros(2 * num_units - 1, np.int64)
        segments[0::2], segments[1::2] = unit_frames, way_frames
        edges = np.concatenate([[0], np.cumsum(segments)])
        self.num_frames = int(edges[-1])
        self.spans = [(int(edges[2 * k]), int(edges[2 * k + 1])) for k in range(1, num_units - 1)]

        segment = np.repeat(np.arange(len(segments)), segments)  # (T,)
        step = np.arange(self.num_frames) - edges[segment]
        is_way = segment % 2 == 1
        self.before = segment // 2  # the unit that a frame shows or comes from
        self.after = self.before + is_way
        way = (step + 1.0) / (segments[segment] + 1.0)
        self.share = np.where(is_way, way**3 * (10 - 15 * way + 6 * way**2), 0.0)  # of `after`; no jerk at the ends
        self.phase = np.where(is_way, 1.0, step / np.maximum(segments[segment] - 1, 1))
        self.shift = np.zeros(self.num_frames)
        for position in plan.repeated:
            self._repeat(position, edges)

    def _repeat(self, position: int, edges: np.ndarray) -> None:
        """Signs a unit twice: there, quickly back, and there again a little further out."""
        start, stop, next_start = edges[2 * position + 2 : 2 * position + 5]
        phase = self.phase[start:stop]
        self.shift[start:stop] = np.interp(phase, [0.4, 0.6], [0.0, _PLURAL_SHIFT])
        self.phase[start:stop] = np.interp(phase, [0.0, 0.42, 0.58, 1.0], [0.0, 1.0, 0.0, 1.0])
        self.shift[stop:next_start] = _PLURAL_SHIFT * (1.0 - self.share[stop:next_start])

    def channels(self, signer: SyntheticSigner, rng: np.random.Generator) -> np.ndarray:
        """The channels of all frames (T, NUM_CHANNELS), each time a little different."""
        num_units = len(self.units)
        offsets = rng.standard_normal((num_units, self.tables.shape[2]))
        offsets[:, 2 * HAND_CHANNELS :] *= _MOUTH_NOISE
        hands = offsets[:, : 2 * HAND_CHANNELS].reshape(num_units, 2, HAND_CHANNELS)  # a view
        hands[..., LOCATION] = hands[..., LOCATION] * _LOCATION_NOISE + signer.location_habits[self.units][:, None]
        hands[..., PATH] = 0.0
        hands[..., SHAPE] *= _SHAPE_NOISE
        hands[..., ROTATION] *= _ROTATION_NOISE

        at = self.phase * (NUM_PHASES - 1)
        row = np.minimum(at.astype(np.int64), NUM_PHASES - 2)
        within = (at - row)[:, None]
        unit = self.units[self.before]
        shown = self.tables[unit, row] * (1 - within) + self.tables[unit, row + 1] * within + offsets[self.before]
        following = self.tables[self.units[self.after], 0] + offsets[self.after]
        channels = shown + self.share[:, None] * (following - shown)  # (T, NUM_CHANNELS)

        hands = channels[:, : 2 * HAND_CHANNELS].reshape(self.num_frames, 2, HAND_CHANNELS)
        hands[..., PATH] *= signer.amplitude * rng.uniform(0.9, 1.1)
        hands[:, 0, PATH.start] += self.shift
        # The other hand repeats what it has a part in.
        other = slice(HAND_CHANNELS, 2 * HAND_CHANNELS)
        takes_part = (self.tables[self.units, 0, other] != self.tables[-1, 0, other]).any(-1)
        hands[:, 1, PATH.start] += self.shift * takes_part[self.before]
        return _smooth(channels)

    def head(self, signer: SyntheticSigner, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Turns of the head (T, 3) in radians, see `rotations`, and how far the brows are up (T,), 0 to 1."""
        time = np.arange(self.num_frames) / signer.fps
        phases = rng.uniform(0, 2 * np.pi, 3)
        turns = 0.035 * np.sin(2 * np.pi * time[:, None] * [0.4, 0.7, 0.5] + phases)
        brows = 0.1 * np.ones(self.num_frames)
        signing = (self.before > 0) & (self.after < len(self.units) - 1)
        if self.plan.is_question:
            side = rng.choice([-1.0, 1.0])
            held = _smooth(_smooth(signing.astype(np.float64)[:, None]))
            turns += held * [0.26 * side, 0.3, 0.0]
            brows = brows + 0.9 * held[:, 0]
        if self.plan.shaken is not None:
            first, stop = (position + 1 for position in self.plan.shaken)
            shaking = _smooth(((self.before >= first) & (self.after < stop)).astype(np.float64)[:, None])[:, 0]
            turns[:, 2] += 0.42 * shaking * np.sin(2 * np.pi * 1.7 * time + phases[0])
        return turns, brows


def _smooth(channels: np.ndarray) -> np.ndarray:
    """A running mean over frames with weights 1/4, 1/2, 1/4 (T, C): muscles have inertia."""
    padded = np.concatenate([channels[:1], channels, channels[-1:]])
    return 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]


def _film(body: np.ndarray, signer: SyntheticSigner, rng: np.random.Generator) -> np.ndarray:
    """Pixels (T, 133, 2) of a body; the camera never stands exactly where it stood before."""
    pixels = signer.shoulder_width * signer.height * rng.uniform(0.96, 1.04)
    center = (np.array(signer.center) + rng.uniform(-0.015, 0.015, 2)) * (signer.width, signer.height)
    sine, cosine = np.sin(signer.tilt), np.cos(signer.tilt)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return body[..., :2] @ (pixels * turn.T) + center


def _detect(true: np.ndarray, signer: SyntheticSigner, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What a detector makes of the true pixels (T, 133, 2): keypoints and scores, float32."""
    num_frames = len(true)
    pixels = signer.shoulder_width * signer.height
    size = np.array([signer.width, signer.height], np.float32)
    outside = ((true < 0) | (true > size)).any(-1)
    noise = rng.standard_normal((num_frames, NUM_KEYPOINTS, 3), np.float32)
    keypoints = true.astype(np.float32)
    keypoints += noise[..., :2] * (signer.jitter * pixels * _JITTER)[:, None]
    scores = _SCORES - np.abs(noise[..., 2]) * (signer.jitter * _SCORE_NOISE)

    for joints in HANDS:
        hand = true[:, joints].mean(axis=1)
        speed = np.sqrt((np.gradient(hand, axis=0) ** 2).sum(-1)) * signer.fps / pixels  # shoulder widths per second
        scores[:, joints] -= 0.3 * np.minimum(speed / 8.0, 1.0)[:, None].astype(np.float32)  # motion blur
        for start in np.flatnonzero(rng.random(num_frames) < signer.drop_rate):
            lost = (slice(start, start + int(rng.integers(2, 7))), joints)
            keypoints[lost] += rng.normal(0.0, 0.1 * pixels, (len(keypoints[lost]), 1, 2))
            scores[lost] = 0.12 * rng.random(scores[lost].shape)

    if outside.any():
        scores[outside] = 0.2 * np.abs(scores[outside] - 0.6)
        np.clip(keypoints, -0.05 * size, 1.05 * size, out=keypoints)
    return keypoints, np.clip(scores, 0.0, 1.0, out=scores)
