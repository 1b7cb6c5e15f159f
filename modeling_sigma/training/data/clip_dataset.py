"""Rows of a corpus as training samples: the clip, its texts, and its own source of randomness."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from torch.utils.data import Dataset, IterableDataset

from datasets_scripts.schema import decode_clip
from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
from modeling_sigma.model.pose_augmentation import PoseAugmentation
from modeling_sigma.model.pose_clip import PoseClip


@dataclass(frozen=True, eq=False)
class ClipSample:
    """One clip on its way to the collator.

    Args:
        clip ([`PoseClip`]):
            The keypoints.
        sample_id (`str`), text (`str`), gloss (`list[str]`), spoken_language (`str`):
            The columns of the corpus.
        gloss_spans (`tuple[tuple[float, float], ...]`, *optional*):
            First frame of each gloss and the frame after its last, where the corpus has times.
        generator (`np.random.Generator`, *optional*):
            In training, the source of everything random about the clip; None in evaluation.
    """

    clip: PoseClip
    sample_id: str
    text: str
    gloss: list[str]
    spoken_language: str
    gloss_spans: tuple[tuple[float, float], ...] = ()
    generator: np.random.Generator | None = None

    @classmethod
    def from_row(cls, row: Any, generator: np.random.Generator | None) -> ClipSample:
        """The whole clip of a row of a corpus."""
        return cls(
            clip=decode_clip(row),
            sample_id=row["sample_id"],
            text=row["text"],
            gloss=list(row["gloss"]),
            spoken_language=row["spoken_language"],
            generator=generator,
        )


class ClipDataset(Dataset):
    """A corpus in the schema of `datasets_scripts.schema`, clip by clip.

    Args:
        rows (`datasets.Dataset`):
            The corpus.
        seed (`int`, *optional*, defaults to 0):
            The seed of everything random about a clip.

    A key is a row number, or (epoch, row number) in training: what is random about a clip then depends on seed, epoch
    and row alone, not on workers, processes, or where a run was resumed.
    """

    def __init__(self, rows: Any, seed: int = 0) -> None:
        self.rows = rows
        self.seed = seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int | tuple[int, int]) -> ClipSample:
        epoch, index = key if isinstance(key, tuple) else (None, key)
        generator = None if epoch is None else np.random.default_rng([self.seed, epoch, index])
        return ClipSample.from_row(self.rows[index], generator)

    def lengths(self, extractor: SigmaFeatureExtractor) -> list[int]:
        """The largest number of frames that a model may read of each clip; see [`frames_read`]."""
        return frames_read(self.rows["num_frames"], extractor)


def frames_read(lengths: Iterable[int], extractor: SigmaFeatureExtractor) -> list[int]:
    """The largest number of frames that a model may read of clips of these lengths: augmentation can make clips
    longer, and interpolation makes all of them equally long."""
    if extractor.frame_sampling == "interpolate":
        return [extractor.max_frames for _ in lengths]
    stretch = 1 + PoseAugmentation.from_dict(extractor.augmentation or {}).speed
    return [min(extractor.max_frames, ceil(num_frames * stretch)) for num_frames in lengths]


class BatchStream(IterableDataset):
    """Training clips in ready-made batches, one per step: for clips made while training, or for a fixed order.

    Args:
        batches (`Iterable[Sequence[ClipSample]]`):
            At least as many batches as the run has steps (`max_steps`).
    """

    def __init__(self, batches: Iterable[Sequence[ClipSample]]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Sequence[ClipSample]]:
        return iter(self.batches)
