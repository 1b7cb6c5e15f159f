"""Corpora that know when each gloss is signed: two more columns, and clip entries with the frames of each gloss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import datasets
from datasets import Features, List, Value

from datasets_scripts.reading.corpus_builder import ClipEntry, CorpusBuilder
from modeling_sigma.model.pose_clip import PoseClip


@dataclass(frozen=True)
class TimedClipEntry(ClipEntry):
    """A clip whose glosses have times.

    Args:
        gloss_spans (`tuple[tuple[int, int], ...]`):
            For each gloss, its first frame and the frame after its last, counted from the start of the clip, as in the
            spans of `continuous-sign-recognition`.
    """

    gloss_spans: tuple[tuple[int, int], ...] = ()


class TimedCorpusBuilder(CorpusBuilder):
    """A corpus whose rows have two columns beyond the schema, both as long as `gloss`: `gloss_start`, the first frame
    of each gloss, and `gloss_end`, the frame after its last. Both are empty if there are no glosses.
    """

    def encode_clip(self, clip: PoseClip, entry: ClipEntry) -> dict[str, Any]:
        """The row of a clip.

        Raises:
            ValueError: if there is not one span per gloss, or a span is not within the clip.
        """
        spans = entry.gloss_spans if isinstance(entry, TimedClipEntry) else ()
        if len(spans) != len(entry.gloss):
            raise ValueError(
                f"{entry.sample_id}: expected one span for each of {len(entry.gloss)} glosses, received {spans}"
            )
        outside = [span for span in spans if not 0 <= span[0] < span[1] <= len(clip)]
        if outside:
            raise ValueError(f"{entry.sample_id}: expected spans within {len(clip)} frames, received {outside[0]}")
        row = super().encode_clip(clip, entry)
        return {**row, "gloss_start": [start for start, _ in spans], "gloss_end": [end for _, end in spans]}

    def _info(self) -> datasets.DatasetInfo:
        info = super()._info()
        frames = List(Value("int32"))
        info.features = Features({**info.features, "gloss_start": frames, "gloss_end": frames})
        return info
