"""Random changes to training clips that do not change the sign. Pure numpy, off by default."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .skeleton_layouts import FLIP_PERMUTATION, HANDS_SLICE, PART_ANCHORS, PART_SLICES


_FLIP = np.array(FLIP_PERMUTATION)


@dataclass(frozen=True)
class PoseAugmentation:
    """What training may do to a clip. Every field at its default does nothing.

    Ranges are half-widths of uniform draws, one draw per clip unless said otherwise; lengths are in normalised units
    (the clip's box is 2 wide for the body, 1 for hands and face).

    Args:
        rotation (`float`): Rotation in the image plane, in degrees. All parts turn around their origins, so the whole
            signer turns.
        scale (`float`): Change of size, the same for x and y: 0.2 means 0.8 to 1.2 times as large.
        stretch (`float`): Change of width relative to height, as with other proportions or another camera.
        shift (`float`): Shift of the body; hands and face are relative to it.
        noise (`float`): Standard deviation of Gaussian jitter, drawn for each joint in each frame.
        joint_dropout (`float`): Probability that a joint is missing from the whole clip.
        part_dropout (`float`): Probability that a hand or the face is missing from the whole clip.
        frame_dropout (`float`): Probability that a frame is left out.
        speed (`float`): Change of duration: 0.2 means 0.8 to 1.2 times as long, by repeating or leaving out frames.
        flip (`float`): Probability that the signer is mirrored: x changes sign, left and right change places.
        crop (`float`): Share of the clip that may be cut off at either end.
        hold (`float`): Share of the clip for which the first and the last frame may be held, as hands that wait before
            and after a sign.
        tempo (`float`): Changes of speed within the clip: standard deviation of the logarithm of the speed, which is
            drawn at five moments.
        shear (`float`): Shift of x by a multiple of y.
        hand_scale (`float`): Change of the hands' size alone; their paths stay.
        hand_loss (`float`): Probability that a hand is missing from some frames, up to a quarter of the clip.
    """

    rotation: float = 0.0
    scale: float = 0.0
    stretch: float = 0.0
    shift: float = 0.0
    noise: float = 0.0
    joint_dropout: float = 0.0
    part_dropout: float = 0.0
    frame_dropout: float = 0.0
    speed: float = 0.0
    flip: float = 0.0
    crop: float = 0.0
    hold: float = 0.0
    tempo: float = 0.0
    shear: float = 0.0
    hand_scale: float = 0.0
    hand_loss: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not isinstance(value, (int, float)) or not value >= 0:
                raise ValueError(f"expected augmentation {name} as a number >= 0, received {value!r}")
        for name in ("joint_dropout", "part_dropout", "frame_dropout", "flip", "hand_loss"):
            if getattr(self, name) > 1:
                raise ValueError(f"expected augmentation {name} as a chance up to 1, received {getattr(self, name)}")
        for name in ("scale", "stretch", "speed", "hand_scale"):
            if getattr(self, name) >= 1:
                raise ValueError(f"expected augmentation {name} below 1, received {getattr(self, name)}")
        if self.crop >= 0.5:
            raise ValueError(f"expected augmentation crop below 0.5, received {self.crop}")

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> PoseAugmentation:
        """The augmentation that a saved configuration describes.

        Raises:
            ValueError: for an unknown field.
        """
        unknown = sorted(set(fields) - set(cls.__dataclass_fields__))
        if unknown:
            raise ValueError(f"unknown augmentation {unknown}: expected some of {list(cls.__dataclass_fields__)}")
        return cls(**fields)

    def frame_indices(self, num_frames: int, generator: np.random.Generator) -> np.ndarray:
        """Frames of the clip at another speed and with some left out; at least one, in order."""
        indices = np.arange(num_frames)
        if self.speed:
            length = max(1, round(num_frames * (1 + generator.uniform(-self.speed, self.speed))))
            indices = ((np.arange(length) + 0.5) * num_frames / length).astype(np.int64)
        if self.crop or self.hold or self.tempo:
            indices = indices[np.round(self.moments(len(indices), generator) * (len(indices) - 1)).astype(np.int64)]
        if self.frame_dropout:
            keep = generator.random(len(indices)) >= self.frame_dropout
            keep[generator.integers(len(indices))] = True
            indices = indices[keep]
        return indices

    def moments(self, count: int, generator: np.random.Generator | None) -> np.ndarray:
        """Moments `(count,)`, in order, of a clip that begins at 0 and ends at 1: evenly spaced but, with a generator,
        for `crop`, `hold` and `tempo`.
        """
        moments = np.linspace(0.0, 1.0, count)
        if generator is None:
            return moments
        if self.tempo:
            speeds = np.exp(generator.normal(0.0, self.tempo, 4))
            moments = np.interp(moments, np.linspace(0, 1, 5), np.concatenate([[0], speeds.cumsum() / speeds.sum()]))
        begin, end = generator.uniform(-self.hold, self.crop, 2) if self.crop or self.hold else (0.0, 0.0)
        return np.clip(begin + moments * (1 - begin - end), 0.0, 1.0)

    def apply(self, pose_values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """A changed copy of normalised joints.

        Args:
            pose_values (`np.ndarray` of shape `(T, 69, 3)`):
                What [`normalize_joints`] returns.
            generator (`np.random.Generator`):
                Source of randomness; the same state gives the same result.

        Returns:
            `np.ndarray` of shape `(T, 69, 3)`, float32, in [-1, 1]; joints that were missing stay missing.
        """
        values = pose_values.copy()
        if self.flip and generator.random() < self.flip:
            values = flip_horizontally(values)
        points = values[..., :2]
        if self.rotation or self.scale or self.stretch or self.shear:
            points = points @ self._draw_linear_map(generator)
        if self.hand_scale:
            points = points.copy()
            points[:, HANDS_SLICE] *= 1 + generator.uniform(-self.hand_scale, self.hand_scale)
        if self.shift:
            points[:, PART_SLICES["body"]] += generator.uniform(-self.shift, self.shift, 2)
        if self.noise:
            points = points + generator.normal(0.0, self.noise, points.shape)
        missing = values[..., 2] == 0
        if self.joint_dropout:
            missing |= generator.random(values.shape[1]) < self.joint_dropout
        if self.part_dropout:
            for part in ("left_hand", "right_hand", "face"):
                if generator.random() < self.part_dropout:
                    missing[:, PART_SLICES[part]] = True
        if self.hand_loss and generator.random() < self.hand_loss:
            count = int(generator.integers(1, max(1, len(values) // 4) + 1))
            start = int(generator.integers(len(values) - count + 1))
            part = ("left_hand", "right_hand")[int(generator.integers(2))]
            missing[start : start + count, PART_SLICES[part]] = True
            missing[start : start + count, PART_ANCHORS[part]] = True
        values[..., :2] = np.clip(points, -1.0, 1.0)
        values[missing] = 0.0
        return values

    def _draw_linear_map(self, generator: np.random.Generator) -> np.ndarray:
        angle = np.deg2rad(generator.uniform(-self.rotation, self.rotation))
        size = 1 + generator.uniform(-self.scale, self.scale)
        stretch = 1 + generator.uniform(-self.stretch, self.stretch)
        rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        linear = rotation @ np.diag([size * stretch, size])
        if self.shear:
            linear = linear @ np.array([[1.0, 0.0], [generator.uniform(-self.shear, self.shear), 1.0]])
        return linear


def flip_horizontally(pose_values: np.ndarray) -> np.ndarray:
    """The mirrored signer: x changes sign, left and right joints change places. Twice is the identity.

    Args:
        pose_values (`np.ndarray` of shape `(..., 69, 3)`):
            Normalised joints.
    """
    flipped = pose_values[..., _FLIP, :].copy()
    flipped[..., 0] *= -1
    return flipped
