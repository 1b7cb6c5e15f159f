"""What was recognised in a clip of continuous signing: glosses, and where each of them was."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GlossSpan:
    """A gloss that was recognised, and where.

    Args:
        label (`int`):
            Number of the gloss.
        start, end (`int`):
            First frame, and the frame after the last, of the model's input. CTC marks where a gloss is recognised,
            often a few frames inside the sign, not where the sign begins and ends.
        score (`float`):
            Mean probability of the gloss in these frames.
    """

    label: int
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class GlossHypothesis:
    """One reading of a clip: its glosses in order.

    Args:
        labels (`list[int]`):
            Gloss numbers in the order of signing.
        log_probability (`float`):
            Log probability of the best alignment (best path), or of all alignments that the search kept (beam search).
        spans (`list[GlossSpan]`):
            One for each label, from the best alignment.
    """

    labels: list[int]
    log_probability: float
    spans: list[GlossSpan] = field(default_factory=list)
