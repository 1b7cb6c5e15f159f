"""Recordings whose signs have times, window by window: what a model that finds signs is trained on."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np

from datasets_scripts.schema import decode_clip
from modeling_sigma.model.clip_windows_sigma import overlapping_windows
from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
from modeling_sigma.model.frame_resampling import at_frame_rate, num_frames_at
from modeling_sigma.training.data.clip_dataset import ClipDataset, ClipSample


# In training, recordings are played at 1 / 1.35 to 1.35 times their speed: signers differ by more than that.
_MOST_TEMPO = 1.35


class RecordingWindows(ClipDataset):
    """A corpus with the columns `gloss_start` and `gloss_end`, in windows that a model reads whole.

    Windows are as long as the extractor's `max_frames` at its `frame_rate`. In evaluation they cover each recording
    once; in training they overlap by half, are moved by up to a quarter of their length, and played faster or slower.

    Args:
        rows (`datasets.Dataset`):
            The corpus.
        seed (`int`):
            The seed of everything random about a window.
        extractor ([`SigmaFeatureExtractor`]):
            The model's.
        is_training (`bool`):
            Whether it is trained on.

    Raises:
        ValueError: for a corpus without times, a recording without a frame rate, or an extractor that does not say at
            which rate its model reads, or whose augmentation would leave out frames.
    """

    def __init__(self, rows: Any, seed: int, extractor: SigmaFeatureExtractor, is_training: bool) -> None:
        super().__init__(rows, seed)
        if extractor.frame_rate is None:
            raise ValueError(
                "expected an extractor with a frame_rate, to tag frames by time, received one without: "
                "--feature_extractor '{\"frame_rate\": 25}'"
            )
        moving = [
            name for name in ("speed", "tempo", "crop", "frame_dropout") if (extractor.augmentation or {}).get(name)
        ]
        if moving or extractor.frame_sampling == "interpolate":
            raise ValueError(
                f"expected every frame to be read at its time, received {', '.join(moving) or 'interpolated frames'}: "
                "leave it out; training changes the tempo by itself"
            )
        missing = [name for name in ("gloss_start", "gloss_end") if name not in rows.column_names]
        if missing:
            raise ValueError(
                f"expected a corpus whose signs have times ({', '.join(missing)} are not there): take nsl_alphabet, "
                "boston104, or joined_signs"
            )
        self._frame_rate, self._size = extractor.frame_rate, extractor.max_frames
        stride = max(1, self._size // 2) if is_training else self._size
        self._windows: list[tuple[int, int, int]] = []
        for number, (sample_id, count, fps) in enumerate(zip(rows["sample_id"], rows["num_frames"], rows["fps"])):
            if fps is None:
                raise ValueError(f"{sample_id}: expected a frame rate, the corpus states none: set its option fps")
            windows = overlapping_windows(num_frames_at(count, fps, self._frame_rate), self._size, stride)
            self._windows += [(number, *window) for window in windows]

    def __len__(self) -> int:
        return len(self._windows)

    def lengths(self, extractor: SigmaFeatureExtractor) -> list[int]:
        return [min(self._size, ceil((stop - start) * _MOST_TEMPO)) for _, start, stop in self._windows]

    def __getitem__(self, key: int | tuple[int, int]) -> ClipSample:
        epoch, index = key if isinstance(key, tuple) else (None, key)
        number, start, stop = self._windows[index]
        row = self.rows[number]
        clip, fps = decode_clip(row), float(row["fps"])
        spans = list(zip(row["gloss_start"], row["gloss_end"]))
        generator = None if epoch is None else np.random.default_rng([self.seed, epoch, index])
        length = num_frames_at(len(clip), fps, self._frame_rate)
        if generator is not None:
            middle = (start + stop) / 2 / length + generator.uniform(-0.25, 0.25) * self._size / length
            fps *= float(np.exp(generator.uniform(-1, 1) * np.log(_MOST_TEMPO)))
            clip = replace(clip, fps=fps)
            length = num_frames_at(len(clip), fps, self._frame_rate)
            start = int(np.clip(round(middle * length - self._size / 2), 0, max(0, length - self._size)))
            stop = min(start + self._size, length)
        share = length / len(clip)
        return ClipSample(
            clip=at_frame_rate(clip, self._frame_rate, start, stop),
            sample_id=f"{row['sample_id']}:{start}",
            text=row["text"],
            gloss=list(row["gloss"]),
            spoken_language=row["spoken_language"],
            gloss_spans=tuple((first * share - start, last * share - start) for first, last in spans),
            generator=generator,
        )
