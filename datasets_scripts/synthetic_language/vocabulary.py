"""The signs of the synthetic sign language: six parameters each, minimal pairs, and the motion of a sign as a table.

Places and paths are those of the dominant hand, seen from its own side: x grows from there across the body, y
downwards, z towards the camera; the origin is the middle between the shoulders, the unit the distance between the
shoulders. The other hand uses the same numbers, mirrored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np


def _shape(
    index: float, middle: float, ring: float, little: float, spread: float, thumb: tuple[float, float]
) -> tuple[float, ...]:
    """A handshape of fingers that are straight (0) to folded (1)."""
    folded = np.array([index, middle, ring, little])
    return (*(1.35 * folded).tolist(), *(1.65 * folded).tolist(), spread, *thumb)


# Eleven numbers per handshape: flexion in radians at the base of index, middle, ring and little finger, at their
# middle joints, spread of the fingers (0 to 1), thumb away from the hand (0 to 1), thumb over the palm (0 to 1).
HANDSHAPES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "flat": _shape(0, 0, 0, 0, 0.0, (0.05, 0.1)),
        "five": _shape(0, 0, 0, 0, 1.0, (1.0, 0.0)),
        "fist": _shape(1, 1, 1, 1, 0.0, (0.1, 0.9)),
        "point": _shape(0, 1, 1, 1, 0.0, (0.1, 1.0)),
        "vee": _shape(0, 0, 1, 1, 1.0, (0.0, 1.0)),
        "three": _shape(0, 0, 0, 1, 1.0, (0.0, 1.0)),
        "little": _shape(1, 1, 1, 0, 0.2, (0.0, 1.0)),
        "horns": _shape(0, 1, 1, 0, 0.7, (0.0, 1.0)),
        "thumb": _shape(1, 1, 1, 1, 0.0, (1.1, 0.0)),
        "ell": _shape(0, 1, 1, 1, 0.0, (1.2, 0.0)),
        "wye": _shape(1, 1, 1, 0, 0.6, (1.1, 0.0)),
        "claw": (0.25, 0.25, 0.25, 0.25, 1.25, 1.25, 1.25, 1.25, 1.0, 0.9, 0.3),
        "bent": (1.45, 1.45, 1.45, 1.45, 0.1, 0.1, 0.1, 0.1, 0.0, 0.2, 0.1),
        "pinch": (0.9, 0.0, 0.0, 0.0, 1.1, 0.1, 0.1, 0.1, 0.8, 0.3, 0.6),
    }
)
_RELAXED = (0.35, 0.4, 0.45, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.3, 0.3)

# Where the middle of the hand is.
LOCATIONS: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "forehead": (-0.1, -0.98, 0.35),
        "cheek": (-0.36, -0.55, 0.25),
        "chin": (0.0, -0.3, 0.4),
        "shoulder": (-0.6, 0.0, 0.3),
        "far_shoulder": (0.4, 0.05, 0.35),
        "chest": (-0.2, 0.4, 0.4),
        "belly": (-0.22, 0.85, 0.4),
        "side": (-0.85, 0.45, 0.4),
        "high": (-0.9, -0.5, 0.35),
    }
)
_REST_LOCATION = (-0.33, 1.0, 0.25)
_BASE_LOCATION = (-0.1, 0.72, 0.4)  # of the hand that the dominant one acts upon
_BASE_HAND = ("flat", "across")

# Turns of a hand, in degrees, that starts with fingers up and palm to the camera: (in the picture, fingers towards the
# camera, about the axis of the fingers).
ORIENTATIONS: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "out": (-8.0, 10.0, 0.0),
        "in": (5.0, 0.0, 180.0),
        "edge": (8.0, 15.0, 85.0),
        "across": (78.0, 0.0, 170.0),
        "forward": (15.0, 60.0, 20.0),
        "down": (145.0, 5.0, 175.0),
    }
)
_REST_ORIENTATION = (105.0, 0.0, 150.0)

MOVEMENTS = ("hold", "down", "outward", "arc", "circle", "zigzag", "tap", "shake", "wiggle", "twist")
HANDEDNESS = ("one", "symmetric", "base")
MOUTHINGS = ("closed", "ah", "oo", "ee", "pa")
PARAMETERS = ("handshape", "location", "movement", "orientation", "handedness", "mouthing")

_VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "handshape": tuple(HANDSHAPES),
        "location": tuple(LOCATIONS),
        "movement": MOVEMENTS,
        "orientation": tuple(ORIENTATIONS),
        "handedness": HANDEDNESS,
        "mouthing": MOUTHINGS,
    }
)

# Movements that go to and fro take longer, holds are short.
_DURATIONS = MappingProxyType({"hold": 0.8, "circle": 1.2, "zigzag": 1.25, "tap": 1.15, "shake": 1.25, "twist": 1.25})

# The table of a sign: rows are its phase from 0 to 1, columns the channels of two hands and the mouth.
NUM_PHASES = 33
LOCATION, PATH, SHAPE, ROTATION = slice(0, 3), slice(3, 6), slice(6, 17), slice(17, 20)
HAND_CHANNELS = 20
NUM_CHANNELS = 2 * HAND_CHANNELS + 2  # dominant hand, other hand, mouth opening (0 to 1) and width (-1 to 1)

# From the wrist to the middle of the hand along the fingers, in shoulder widths.
_HAND_CENTER = 0.24


@dataclass(frozen=True)
class SignForm:
    """How a sign is made: one value for each of the six parameters (the tables of this module list them)."""

    handshape: str
    location: str
    movement: str
    orientation: str
    handedness: str
    mouthing: str

    def difference(self, other: SignForm) -> tuple[str, ...]:
        """The parameters in which two signs differ."""
        return tuple(name for name in PARAMETERS if getattr(self, name) != getattr(other, name))

    @property
    def relative_duration(self) -> float:
        return _DURATIONS.get(self.movement, 1.0)


class SyntheticVocabulary:
    """Forms for the words of a language, mostly in minimal pairs.

    The words of a category are paired, and the two signs of a pair differ in one parameter alone, each parameter in
    turn; so grammar does not tell them apart and no parameter can be ignored. Signs of different pairs differ in two
    parameters at least.

    Args:
        seed (`int`):
            Seed that decides the forms.
        categories (`tuple[tuple[str, ...], ...]`):
            The glosses of each category of words.
    """

    def __init__(self, seed: int, categories: tuple[tuple[str, ...], ...]) -> None:
        rng = np.random.default_rng([seed, 1])
        parameters = list(rng.permutation(PARAMETERS))
        forms: dict[str, SignForm] = {}
        pairs: dict[str, list[tuple[str, str]]] = {name: [] for name in PARAMETERS}
        for category in categories:
            order = [category[k] for k in rng.permutation(len(category))]
            for first, second in zip(order[0::2], [*order[1::2], None], strict=False):
                parameter = parameters[0] if second else None
                form, partner = _draw_pair(parameter, tuple(forms.values()), rng)
                forms[first] = form
                if second and parameter and partner:
                    forms[second] = partner
                    pairs[parameter].append((first, second))
                    parameters.append(parameters.pop(0))
        self.forms: Mapping[str, SignForm] = MappingProxyType(forms)
        self.minimal_pairs: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
            {name: tuple(found) for name, found in pairs.items()}
        )

    def motion_tables(self, glosses: tuple[str, ...]) -> np.ndarray:
        """The motion of each gloss, and last that of the hands at rest.

        Returns:
            `np.ndarray` of shape `(len(glosses) + 1, NUM_PHASES, NUM_CHANNELS)`, float64: shoulder widths, radians and
            the mouth's opening and width.
        """
        return np.stack([*(_motion_table(self.forms[gloss]) for gloss in glosses), _rest_table()])


def _draw_pair(
    parameter: str | None, others: tuple[SignForm, ...], rng: np.random.Generator
) -> tuple[SignForm, SignForm | None]:
    """A form that differs from all others in three parameters, and its partner (None without `parameter`)."""
    while True:
        form = SignForm(**{name: str(rng.choice(values)) for name, values in _VALUES.items()})
        if not _is_clear(form) or any(len(form.difference(other)) < 3 for other in others):
            continue
        if parameter is None:
            return form, None
        partner = replace(form, **{parameter: str(rng.choice(_VALUES[parameter]))})
        if form == partner or not _is_clear(partner) or not _is_visible(parameter, form, partner):
            continue
        if all(len(partner.difference(other)) >= 2 for other in others):
            return form, partner


def _is_clear(form: SignForm) -> bool:
    """Whether every parameter of the form shows in two dimensions."""
    if form.movement == "wiggle" and form.handshape in ("fist", "thumb", "bent"):
        return False  # no finger to wiggle
    if form.orientation in ("forward", "edge") and form.handshape in ("vee", "three", "wye", "horns", "bent"):
        return False  # fingers one behind another
    if form.handedness != "one" and form.location in ("far_shoulder", "forehead", "chin"):
        return False  # two hands in one place
    if form.handedness == "base" and form.location not in ("chest", "belly", "side"):
        return False  # too far from the other hand to act upon it
    return not (form.orientation == "down" and form.location in ("forehead", "high"))  # elbow above the head


def _is_visible(parameter: str, form: SignForm, partner: SignForm) -> bool:
    """Whether the one difference between two signs is large enough."""
    if parameter == "location":
        places = np.array([LOCATIONS[form.location], LOCATIONS[partner.location]])
        return bool(np.hypot(*(places[0] - places[1])[:2]) > 0.5)
    if parameter == "handshape":
        shapes = np.array([HANDSHAPES[form.handshape], HANDSHAPES[partner.handshape]])
        return bool(np.abs(shapes[0] - shapes[1]).sum() > 2.5)
    if parameter == "orientation":
        return {form.orientation, partner.orientation} not in ({"out", "edge"}, {"in", "edge"})
    if parameter == "movement":
        return not {form.movement, partner.movement} < {"hold", "wiggle", "twist", "tap"}
    return True


def _motion_table(form: SignForm) -> np.ndarray:
    table = _rest_table()
    dominant, other = table[:, :HAND_CHANNELS], table[:, HAND_CHANNELS : 2 * HAND_CHANNELS]
    _place(dominant, LOCATIONS[form.location], HANDSHAPES[form.handshape], ORIENTATIONS[form.orientation])
    _move(dominant, form.movement)
    if form.handedness == "symmetric":
        other[:] = dominant
    elif form.handedness == "base":
        _place(other, _BASE_LOCATION, HANDSHAPES[_BASE_HAND[0]], ORIENTATIONS[_BASE_HAND[1]])
    table[:, 2 * HAND_CHANNELS :] = _mouth(form.mouthing)
    return table


def _rest_table() -> np.ndarray:
    table = np.zeros((NUM_PHASES, NUM_CHANNELS))
    for start in (0, HAND_CHANNELS):
        _place(table[:, start : start + HAND_CHANNELS], _REST_LOCATION, _RELAXED, _REST_ORIENTATION)
    return table


def _place(
    hand: np.ndarray,
    location: tuple[float, float, float],
    shape: tuple[float, ...],
    orientation: tuple[float, float, float],
) -> None:
    """Puts the middle of a hand (NUM_PHASES, HAND_CHANNELS) at a place; the table holds the wrist."""
    roll, pitch, _ = np.radians(orientation)
    fingers = np.array([np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), np.sin(pitch)])
    hand[:, LOCATION] = np.asarray(location) - _HAND_CENTER * fingers
    hand[:, SHAPE] = shape
    hand[:, ROTATION] = np.radians(orientation)


def _move(hand: np.ndarray, movement: str) -> None:
    phase = np.linspace(0.0, 1.0, NUM_PHASES)
    swing = np.sin(4 * np.pi * phase)  # twice to and fro
    x, y, z = (hand[:, PATH][:, axis] for axis in range(3))
    if movement == "down":
        y[:] = 0.55 * (phase - 0.5)
    elif movement == "outward":
        x[:] = -0.6 * (phase - 0.5)
    elif movement == "arc":
        x[:], y[:] = -0.28 * np.cos(np.pi * phase), 0.15 - 0.34 * np.sin(np.pi * phase)
    elif movement == "circle":
        x[:], y[:] = 0.22 * np.sin(2 * np.pi * phase), -0.22 * np.cos(2 * np.pi * phase)
    elif movement == "zigzag":
        x[:], y[:] = 0.17 * swing, 0.5 * (phase - 0.5)
    elif movement == "tap":
        y[:], z[:] = 0.15 - 0.3 * np.sin(2 * np.pi * phase) ** 2, 0.1 * np.cos(4 * np.pi * phase)
    elif movement == "shake":
        x[:] = 0.2 * swing
    elif movement == "wiggle":
        for finger in range(4):
            ripple = 0.5 + 0.5 * np.sin(4 * np.pi * phase + 0.5 * np.pi * finger)
            hand[:, SHAPE][:, finger] += 1.0 * ripple
    elif movement == "twist":
        hand[:, ROTATION][:, 2] += 0.85 * swing
        hand[:, ROTATION][:, 0] += 0.25 * swing


def _mouth(mouthing: str) -> np.ndarray:
    """Opening and width of the mouth (NUM_PHASES, 2) over the sign."""
    phase = np.linspace(0.0, 1.0, NUM_PHASES)
    once, twice = np.sin(np.pi * phase) ** 0.6, np.abs(np.sin(2 * np.pi * phase))
    opening, width = {
        "closed": (0.0 * phase, 0.0 * phase),
        "ah": (once, 0.0 * phase),
        "oo": (0.45 * once, -once),
        "ee": (0.25 * once, once),
        "pa": (0.8 * twice, 0.0 * phase),
    }[mouthing]
    return np.stack([opening, width], axis=1)
