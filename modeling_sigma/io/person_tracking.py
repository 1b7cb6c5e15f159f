"""Tracks the people in a clip by place and size over time, and decides who is the signer.

This is the one mechanism for everything that lists people frame by frame, files and pose estimators alike:

```python
follow_people(frames: Sequence[Detection]) -> list[Track]                      # the signer first
follow_person(frames: Sequence[Detection], person: int) -> list[int | None]   # `places` of track `person`
```

where a frame is `(keypoints (N, K, 2), scores (N, K))` of the N people seen in it, in any order. The result depends on
these frames alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from statistics import median

import numpy as np

from modeling_sigma.io.detections import Detection, check_person_exists
from modeling_sigma.io.reading_budget import check_time


# Keypoints with at least this score locate a person; the others do so only if a person has none such.
_PLACING_SCORE = 0.3
# Distances in sizes of the person. Anybody further away is somebody else; a detection this close in the same frame is
# the same person found twice, or a fragment of them.
_REACH, _SAME_PLACE = 1.0, 0.15
# Nobody grows or shrinks by more than this factor while out of sight.
_LARGEST_GROWTH = 3.0
# Each frame out of sight adds this much distance, up to the second number: a person who is still in the picture is not
# taken for one who left it where they now stand.
_MISSED_FRAME, _LONG_MISSED = 0.1, 0.5
# How many people may come back. Any more are fragments.
_NUM_REMEMBERED = 24


@dataclass(frozen=True)
class Track:
    """One person through a clip.

    Args:
        places (`tuple[int | None, ...]`):
            For each frame, the person's index in its list; None where the person is not seen.
        size (`float`):
            The median over the frames of the longer side of the box around the certain keypoints, in the clip's unit.
        weight (`float`):
            The sum over the frames of that side times the mean score (0 to 1) of all keypoints: the signer is the
            person seen most often, largest and best.
    """

    places: tuple[int | None, ...]
    size: float
    weight: float

    @property
    def num_frames(self) -> int:
        """The number of frames in which the person is seen."""
        return sum(place is not None for place in self.places)


def follow_people(frames: Sequence[Detection]) -> list[Track]:
    """The people of a clip, the signer first.

    From frame to frame, a person is matched to the nearest keypoints of the same size, and is remembered while out of
    sight. A detection on top of another one is the same person found twice, or a fragment of them, and is left out.
    In a clip that never shows two people at once, nobody can be mixed up: whoever is seen is that one person.

    Args:
        frames (sequence of `(keypoints, scores)`):
            Keypoints `(N, K, 2)` and scores `(N, K)` of the N people in each frame, in one unit for the whole clip. A
            keypoint with score 0, or with a number that is not finite, was not found.

    Returns:
        `list[Track]`: the people by decreasing weight; empty if nobody is seen.
    """
    people = []
    for frame in frames:
        check_time()
        people.append(_people(frame))
    never_two = max(map(len, people), default=0) <= 1
    everyone: list[_Followed] = []
    for t, seen in enumerate(people):
        check_time()
        matches = everyone[: len(seen)] if never_two else _matches(_remembered(everyone, t), seen, t)
        for person, match in zip_longest(seen, matches):
            if match is None:
                everyone.append(match := _Followed(person))
            match.add(t, person)
    tracks = [followed.track(len(frames)) for followed in everyone]
    return sorted(tracks, key=lambda track: -track.weight)  # stable: the earlier one of equals


def follow_person(frames: Sequence[Detection], person: int) -> list[int | None]:
    """The index of one person in each frame's list.

    Args:
        frames (sequence of `(keypoints, scores)`):
            The people in each frame, as in `follow_people`.
        person (`int`):
            The index of the person: 0 is the signer, 1 the next in weight.

    Raises:
        ValueError: if there is no such person; the message says how many people are seen.
    """
    tracks = follow_people(frames)
    check_person_exists(person, len(tracks))
    return list(tracks[person].places)


@dataclass(frozen=True)
class _Person:
    """One detection: `keypoints` (K, 2), which of them locate it (K,), the box's longer side, and its weight."""

    place: int
    keypoints: np.ndarray
    is_placed: np.ndarray
    size: float
    weight: float


class _Followed:
    """One person so far: where each keypoint was last, moved along with the person, and where the person was found."""

    def __init__(self, first: _Person) -> None:
        self.keypoints, self.is_placed, self.size = first.keypoints, first.is_placed, first.size
        self.last_seen, self.weight = -1, 0.0
        self.places: dict[int, int] = {}  # frame -> index
        self.sizes: list[float] = []

    def add(self, t: int, person: _Person) -> None:
        common = self.is_placed & person.is_placed
        moved = np.median((person.keypoints - self.keypoints)[common], axis=0) if common.any() else 0.0
        self.keypoints = np.where(person.is_placed[:, None], person.keypoints, self.keypoints + moved)
        self.is_placed = self.is_placed | person.is_placed
        self.sizes.append(person.size)
        # A fragment of the person does not make the person smaller at once.
        self.size = median(self.sizes[-9:])
        self.last_seen, self.weight = t, self.weight + person.weight
        self.places[t] = person.place

    def track(self, num_frames: int) -> Track:
        places = tuple(self.places.get(t) for t in range(num_frames))
        return Track(places, median(self.sizes), self.weight)


def _people(frame: Detection) -> list[_Person]:
    """The people who can be located in a frame, by decreasing weight; detections on top of them are left out."""
    found: list[_Person] = []
    for place, (keypoints, scores) in enumerate(zip(*frame, strict=True)):
        is_finite = np.isfinite(keypoints).all(-1) & np.isfinite(scores)
        is_placed = is_finite & (scores >= _PLACING_SCORE)
        if not is_placed.any():
            is_placed = is_finite & (scores > 0)
        if not is_placed.any():
            continue
        keypoints = np.where(is_placed[:, None], keypoints, 0).astype(np.float64)
        size = float(np.ptp(keypoints[is_placed], axis=0).max())
        certainty = float(np.where(is_finite, scores, 0).clip(0, 1).mean())
        found.append(_Person(place, keypoints, is_placed, size, size * certainty))
    found.sort(key=lambda person: -person.weight)
    if len(found) < 2:
        return found
    is_near = _distances(found, found) <= _SAME_PLACE
    kept: list[int] = []
    for number in range(len(found)):
        if not is_near[kept, number].any():
            kept.append(number)
    return [found[number] for number in kept]


def _remembered(everyone: Sequence[_Followed], t: int) -> list[_Followed]:
    """Who may be seen at frame `t`: those seen a moment ago, and the weightiest of the others."""
    if len(everyone) <= _NUM_REMEMBERED:
        return list(everyone)
    by_weight = sorted(everyone, key=lambda followed: (followed.last_seen < t - 1, -followed.weight))
    return by_weight[:_NUM_REMEMBERED]


def _matches(known: Sequence[_Followed], seen: Sequence[_Person], t: int) -> list[_Followed | None]:
    """Who each person of frame `t` is, matched from the surest pair on; None for a newcomer."""
    matches: list[_Followed | None] = [None] * len(seen)
    if not known or not seen:
        return matches
    distances, growths = _distances(known, seen), _growths(known, seen)
    missed = np.array([min((t - one.last_seen - 1) * _MISSED_FRAME, _LONG_MISSED) for one in known])
    costs = distances + growths + missed[:, None]  # (M, N)
    costs[(distances > _REACH) | (growths > np.log(_LARGEST_GROWTH))] = np.inf
    is_free = np.ones(len(known), bool)
    for flat in np.argsort(costs, axis=None, kind="stable"):
        which, number = divmod(int(flat), len(seen))
        if np.isfinite(costs[which, number]) and is_free[which] and matches[number] is None:
            matches[number], is_free[which] = known[which], False
    return matches


def _distances(known: Sequence[_Followed | _Person], seen: Sequence[_Person]) -> np.ndarray:
    """How far the people `seen` are from the `known` ones, in sizes of the latter, `(M, N)`: the median over the
    keypoints that the two have in common; if there are none, the distance of their centres."""
    there, is_there, here, is_here = _pairs(known, seen)
    common = is_there & is_here  # (M, N, K)
    apart = np.where(common, np.hypot(*np.moveaxis(there - here, -1, 0)), np.inf)
    middle = np.maximum(common.sum(-1, keepdims=True) - 1, 0) // 2
    medians = np.take_along_axis(np.sort(apart, axis=-1), middle, axis=-1)[..., 0]
    if not np.isfinite(medians).all():
        between = _centres(there, is_there) - _centres(here, is_here)
        medians = np.where(np.isfinite(medians), medians, np.hypot(between[..., 0], between[..., 1]))
    sizes = np.array([max(one.size, np.finfo(np.float64).tiny) for one in known])
    with np.errstate(over="ignore"):  # from a person of a single point, everybody is far away
        distances: np.ndarray = medians / sizes[:, None]
    return distances


def _growths(known: Sequence[_Followed | _Person], seen: Sequence[_Person]) -> np.ndarray:
    """How much larger or smaller the people `seen` are than the `known` ones, as an absolute logarithm, `(M, N)`: by
    the keypoints that the two have in common; 0 if these are fewer than three."""
    there, is_there, here, is_here = _pairs(known, seen)
    common = is_there & is_here  # (M, N, K)
    logarithms = np.log(_spreads(here, common)) - np.log(_spreads(there, common))
    growths: np.ndarray = np.where(common.sum(-1) > 2, np.abs(logarithms), 0)
    return growths


def _pairs(known: Sequence[_Followed | _Person], seen: Sequence[_Person]) -> tuple[np.ndarray, ...]:
    """Keypoints `(M, 1, K, 2)` and which of them count `(M, 1, K)`, then the same of `seen`, `(1, N, ...)`."""
    there, here = (np.stack([one.keypoints for one in people]) for people in (known, seen))
    is_there, is_here = (np.stack([one.is_placed for one in people]) for people in (known, seen))
    return there[:, None], is_there[:, None], here[None], is_here[None]


def _centres(keypoints: np.ndarray, is_placed: np.ndarray) -> np.ndarray:
    """Mean of the keypoints `(..., K, 2)` that count."""
    total = np.where(is_placed[..., None], keypoints, 0).sum(-2)
    centres: np.ndarray = total / np.maximum(is_placed.sum(-1), 1)[..., None]
    return centres


def _spreads(keypoints: np.ndarray, is_placed: np.ndarray) -> np.ndarray:
    """Root of the mean squared distance of the keypoints `(..., K, 2)` that count from their centre, never 0."""
    apart = keypoints - _centres(keypoints, is_placed)[..., None, :]
    total = np.where(is_placed, (apart**2).sum(-1), 0).sum(-1)
    spreads: np.ndarray = np.sqrt(total / np.maximum(is_placed.sum(-1), 1))
    return np.maximum(spreads, np.finfo(np.float64).tiny)
