"""Recordings with two labels, or in two splits: identical frame by frame, so that no threshold is needed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from datasets_scripts.auditing.audit_row import AuditRow
from modeling_sigma.metrics.label_groups import LabelGroups
from modeling_sigma.model.pose_clip import PoseClip


def recording_key(clip: PoseClip) -> bytes | None:
    """A key that is equal for clips that are equal in every frame; None for clips without any keypoint."""
    if not (clip.scores > 0).any():
        return None
    digest = hashlib.blake2b(digest_size=16)
    for part in (clip.keypoints, clip.scores):
        digest.update(f"{part.shape} {part.dtype}".encode())
        digest.update(part.tobytes())
    return digest.digest()


def make_label_groups(rows: Sequence[AuditRow], source: str) -> LabelGroups:
    """The labels that share a train recording, and the clips of other splits whose recording is in train too.

    Args:
        rows (sequence of [`AuditRow`]):
            The rows of all splits.
        source (`str`):
            The name of the data set, for signatures.
    """
    train = _train_recordings(rows)
    labels = {tuple(sorted({row.text for row in clips})) for clips in train.values()}
    twins: dict[str, list[str]] = {row.split: [] for row in rows if row.split != "train"}
    for row in rows:
        if row.split != "train" and row.recording in train:
            twins[row.split].append(row.sample_id)
    return LabelGroups(
        source,
        tuple(sorted(group for group in labels if len(group) > 1)),
        {split: tuple(sample_ids) for split, sample_ids in twins.items()},
    )


def labels_of_one_recording(rows: Sequence[AuditRow]) -> list[dict[str, Any]]:
    """Pairs of train clips that are the same recording with two labels."""
    return [
        {"clips": f"{one.sample_id}, {other.sample_id}", "texts": f"{one.text!r}, {other.text!r}"}
        for clips in _train_recordings(rows).values()
        for one, other in combinations(clips, 2)
        if one.text != other.text
    ]


def recordings_in_train_too(rows: Sequence[AuditRow]) -> list[dict[str, Any]]:
    """Clips of other splits whose recording is in train."""
    train = _train_recordings(rows)
    return [
        {
            "split": row.split,
            "clip": row.sample_id,
            "text": repr(row.text),
            "in train": ", ".join(f"{twin.sample_id} {twin.text!r}" for twin in train[row.recording]),
        }
        for row in rows
        if row.split != "train" and row.recording is not None and row.recording in train
    ]


def _train_recordings(rows: Sequence[AuditRow]) -> dict[bytes, list[AuditRow]]:
    recordings: dict[bytes, list[AuditRow]] = defaultdict(list)
    for row in rows:
        if row.split == "train" and row.recording is not None:
            recordings[row.recording].append(row)
    return dict(recordings)
