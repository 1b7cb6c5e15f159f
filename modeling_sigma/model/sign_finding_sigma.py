"""Signs in recordings of any length, with a model that tags frames: which windows it reads, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .clip_making import as_pose_clip, split_clips
from .clip_windows_sigma import overlapping_windows
from .feature_extraction_sigma import SigmaFeatureExtractor
from .frame_resampling import at_frame_rate, num_frames_at
from .pose_clip import PoseClip
from .sign_boundaries_sigma import Span, join_windows, signs_in
from .sign_windows_sigma import frame_rate_of, signing_stretches


_BATCH_SIZE = 8


class SignFinding:
    """In front of a pipeline that answers a clip with the probabilities of its frames' tags, `(T, 3)`.

    A recording is read in overlapping windows of the extractor's `max_frames` at its `frame_rate`, where a hand is
    seen; of each frame three numbers are kept.
    """

    extractor: SigmaFeatureExtractor  # of the pipeline

    def __call__(
        self,
        inputs: Any,
        *args: Any,
        batch_size: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        **kwargs: Any,
    ) -> Any:
        def found_in(one: Any) -> list[dict[str, float]]:
            clip = as_pose_clip(one, kwargs.get("coordinates"), kwargs.get("aspect_ratio"))
            fps = frame_rate_of(clip)
            frame_rate = self.extractor.frame_rate or fps
            stretches = signing_stretches(clip)
            if not stretches and not kwargs.get("allow_unseen"):
                raise ValueError(self.extractor.explain_unseen(clip))
            num_frames = num_frames_at(len(clip), fps, frame_rate)
            seconds = len(clip) / fps / num_frames  # of a frame: their number is a whole one
            windows = _seen_windows(stretches, len(clip), num_frames, self.extractor.max_frames)
            tags = join_windows(windows, list(answers(clip, windows, frame_rate)), num_frames, frame_rate)
            return [
                {"start": start * seconds, "end": stop * seconds, "score": score}
                for start, stop, score in signs_in(tags, frame_rate)
            ]

        def answers(clip: PoseClip, windows: list[Span], frame_rate: float) -> Iterator[np.ndarray]:
            cuts = (at_frame_rate(clip, frame_rate, *window) for window in windows)
            options = {**kwargs, "batch_size": batch_size or _BATCH_SIZE, "allow_unseen": True}
            for done, answer in enumerate(call(cuts, *args, **options) if windows else (), 1):
                yield answer
                if progress is not None:
                    progress(done, len(windows))

        call = super().__call__  # type: ignore[misc]
        if isinstance(inputs, Iterator):
            return (found_in(one) for one in inputs)
        clips, is_batch = split_clips(inputs)
        return [found_in(one) for one in clips] if is_batch else found_in(clips[0])


def _seen_windows(stretches: list[Span], clip_length: int, num_frames: int, size: int) -> list[Span]:
    """Windows of `num_frames` frames that overlap by half, without those in which no hand is seen.

    `stretches` are in frames of the clip, windows in frames that the model reads.
    """
    share = num_frames / clip_length
    return [
        (start, stop)
        for start, stop in overlapping_windows(num_frames, size, max(1, size // 2))
        if any(first * share < stop and start < last * share for first, last in stretches)
    ]
