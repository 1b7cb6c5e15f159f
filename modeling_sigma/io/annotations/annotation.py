"""One annotation, and everything that is annotated in one recording, whatever file it comes from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass


DEFAULT_TIER = "default"  # ELAN's own name for the first tier of a new file


@dataclass(frozen=True)
class Annotation:
    """What somebody signed, and when.

    Args:
        start, end (`float`):
            Seconds from the start of the recording.
        value (`str`):
            The sign, the sentence, or whatever the tier holds; may be empty.
        tier (`str`, *optional*, defaults to `"default"`):
            The name of the layer that it lies in: one for signs, one for sentences, one for each signer.
        participant (`str`, *optional*):
            Who signs.
        scores (`tuple[tuple[str, float], ...]`, *optional*):
            What a model took the sign for, best first: labels with probabilities. The value need not be the first of
            them, once somebody has corrected it.

    Raises:
        ValueError: for times that are negative, not finite or in the wrong order, or for scores outside 0 to 1.
    """

    start: float
    end: float
    value: str
    tier: str = DEFAULT_TIER
    participant: str | None = None
    scores: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end < math.inf:  # false for NaN
            raise ValueError(
                f"expected an annotation from 0 s or later to a time after that, received {self.start} to {self.end}: "
                "correct its times"
            )
        wrong = [score for _, score in self.scores if not 0 <= score <= 1]
        if wrong:
            raise ValueError(f"expected scores of an annotation from 0 to 1, received {wrong[0]}: give probabilities")

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


@dataclass(frozen=True)
class Tier:
    """A layer of annotations.

    Args:
        name (`str`):
            Unique within its file.
        participant (`str`, *optional*):
            Who signs in it.
        parent (`str`, *optional*):
            The name of the tier that its annotations hang on.
    """

    name: str
    participant: str | None = None
    parent: str | None = None


@dataclass(frozen=True)
class AnnotatedRecording:
    """All annotations of one recording.

    Args:
        annotations (`tuple[Annotation, ...]`):
            In any order; they may overlap.
        tiers (`tuple[Tier, ...]`, *optional*):
            The tiers, with those that are empty. What is missing here follows from the annotations.
        media (`tuple[str, ...]`, *optional*):
            What was recorded: files, as paths relative to the file of annotations, or addresses.
        model (`str`, *optional*):
            The name of the model that made the annotations.
        vocabulary (`tuple[str, ...]`, *optional*):
            The values that it chose among.
        date (`str`, *optional*):
            When the annotations were written: `2026-11-29T14:00:00+00:00`.
    """

    annotations: tuple[Annotation, ...]
    tiers: tuple[Tier, ...] = ()
    media: tuple[str, ...] = ()
    model: str | None = None
    vocabulary: tuple[str, ...] = ()
    date: str | None = None

    def all_tiers(self) -> Iterator[Tier]:
        """Every tier once: those that are named, then those of annotations alone."""
        seen = set()
        for tier in self.tiers:
            seen.add(tier.name)
            yield tier
        for annotation in self.annotations:
            if annotation.tier not in seen:
                seen.add(annotation.tier)
                yield Tier(annotation.tier, annotation.participant)

    def in_tier(self, name: str) -> list[Annotation]:
        """The annotations of a tier in the order of time."""
        return sorted(
            (annotation for annotation in self.annotations if annotation.tier == name),
            key=lambda annotation: (annotation.start, annotation.end),
        )
