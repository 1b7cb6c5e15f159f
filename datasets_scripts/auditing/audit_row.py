"""What an audit keeps of each row while it reads a data set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class AuditRow:
    """What is kept of a row, whatever its length; clips that are equal in every frame have the same `recording`."""

    split: str
    sample_id: str
    text: str
    gloss: tuple[str, ...]
    signer_id: str | None
    num_frames: int
    seconds: float | None
    hand_share: float
    has_body: bool
    recording: bytes | None = None
