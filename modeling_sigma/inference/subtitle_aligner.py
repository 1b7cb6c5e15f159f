"""Aligns the subtitles of a recording with its signs: models find and name the signs, then subtitles are placed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.inference.model_config import saved_kind
from modeling_sigma.inference.subtitle_alignment import Placed, place_subtitles
from modeling_sigma.inference.subtitle_scores import label_scores, mentioned_labels
from modeling_sigma.io.annotations import Annotation
from modeling_sigma.jobs.progress import no_progress
from modeling_sigma.model.model_kinds_sigma import SEGMENTATION, TRANSCRIPTION, served_pipelines
from modeling_sigma.model.pose_clip import PoseClip


class SubtitleAligner:
    """Gives subtitles better times.

    Args:
        model (`str` or `Path`, *optional*):
            A model with a label head: it says how well signs fit the words of subtitles. Without one, the places of
            signs, the lengths of subtitles and the rests between them decide.
        segmenter (`str` or `Path`, *optional*):
            A model that finds signs ([`SigmaForSignSegmentation`]). Without one, the label head does.
        device (`str`, *optional*):
            Where the models compute, as in [`load_pipeline`].

    Raises:
        ValueError: without a model, or for models that do something else.
    """

    def __init__(
        self, model: str | Path | None = None, segmenter: str | Path | None = None, device: str | None = None
    ) -> None:
        if model is None and segmenter is None:
            raise ValueError("expected a model that names signs, a segmenter that finds them, or both, received none")
        for name, task in ((model, TRANSCRIPTION), (segmenter, SEGMENTATION)):
            served = {} if name is None else served_pipelines(saved_kind(name))
            if name is not None and task not in served:
                raise ValueError(f"{name}: expected a model for {task}, found one for {next(iter(served))}")
        self._namer = None if model is None else load_pipeline(model, TRANSCRIPTION, device)
        self._finder = None if segmenter is None else load_pipeline(segmenter, SEGMENTATION, device)

    def __call__(
        self,
        clip: PoseClip,
        subtitles: Sequence[Annotation],
        max_shift: float = 10.0,
        progress: Callable[[int, int], None] = no_progress,
    ) -> list[Annotation]:
        """The subtitles at their new times, in the order of time.

        Args:
            clip ([`PoseClip`]):
                The recording, with a frame rate.
            subtitles (`Sequence[Annotation]`):
                What it says, with loose times.
            max_shift (`float`, *optional*, defaults to 10):
                How many seconds a subtitle may move at most.
            progress (*optional*):
                Called with the pieces done and in all.

        Raises:
            ValueError: for a recording without a frame rate, or in which nobody is seen.
        """
        ordered = sorted(subtitles, key=lambda one: (one.start, one.end))
        return [
            replace(one, start=place.start, end=place.end)
            for one, place in zip(ordered, self.place(clip, ordered, max_shift, progress))
        ]

    def place(
        self,
        clip: PoseClip,
        subtitles: Sequence[Annotation],
        max_shift: float = 10.0,
        progress: Callable[[int, int], None] = no_progress,
    ) -> list[Placed]:
        """Of each subtitle its place; see [`SubtitleAligner.__call__`]. Subtitles are in the order of time."""
        options: dict[str, Any] = {"progress": progress}
        mentioned: list[list[str]] = [[] for _ in subtitles]
        if self._namer is not None:
            names = self._names
            numbers = mentioned_labels([one.value for one in subtitles], names)
            mentioned = [[names[number] for number in row] for row in numbers]
            labels = sorted({label for row in mentioned for label in row})
            if len(labels) > 1 and not hasattr(self._namer.model, "ctc_head"):
                options |= {"labels": labels, "top_k": len(labels)}
        if self._finder is not None:
            spans = self._finder(clip, progress=progress)
            if self._namer is None:
                signs = [{**span, "candidates": []} for span in spans]
            else:
                signs = self._namer(clip, spans=[(span["start"], span["end"]) for span in spans], **options)
        else:
            assert self._namer is not None
            signs = self._namer(clip, **options)
        candidates = [{guess["label"]: guess["score"] for guess in sign["candidates"]} for sign in signs]
        return place_subtitles(
            [(one.start, one.end) for one in subtitles],
            [(sign["start"], sign["end"]) for sign in signs],
            label_scores(mentioned, candidates),
            max_shift,
        )

    @property
    def _names(self) -> list[str]:
        assert self._namer is not None
        names = self._namer.model.config.id2label
        return [names[number] for number in sorted(names)]


def median_shift(before: Sequence[Annotation], after: Sequence[Annotation]) -> float:
    """By how many seconds subtitles have moved, in the median; of the middles."""
    moves = [(new.start + new.end - old.start - old.end) / 2 for old, new in zip(before, after, strict=True)]
    return float(np.median(moves)) if moves else 0.0
