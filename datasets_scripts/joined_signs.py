"""Joined signs: recordings made of the single clips of another corpus, so that the times of all signs are known.

Real recordings with times are rare, and single signs are not. Between two clips the hands move on, are gone, or stay
(`datasets_scripts.reading.joined_clips`). What a person does between two signs of a sentence is richer than that.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.reading.clip_entry import ClipEntry
from datasets_scripts.reading.corpus_builder import CorpusBuilder, CorpusConfig
from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.joined_clips import join_clips
from datasets_scripts.reading.timed_glosses import TimedClipEntry, TimedCorpusBuilder
from modeling_sigma.model.clip_units import x_factor
from modeling_sigma.model.frame_resampling import at_frame_rate, num_frames_at
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import select_joints
from modeling_sigma.model.sign_windows_sigma import runs_of
from modeling_sigma.model.skeleton_layouts import HANDS_SLICE


@dataclass
class JoinedSignsConfig(CorpusConfig):
    """Which clips are joined.

    Args:
        source (`str`, *optional*, defaults to `"wlasl_hands"`):
            The corpus of single signs, one of those that `load_corpus` knows.
        source_config (`str`, *optional*):
            Its config.
        signs (`int`, *optional*, defaults to 10):
            How many signs a recording has.
        repeats (`int`, *optional*, defaults to 1):
            How many recordings each clip is in.
        frame_rate (`float`, *optional*, defaults to 25):
            Frames per second of the recordings.
        seed (`int`, *optional*, defaults to 0):
            The seed of everything random.
    """

    source: str = "wlasl_hands"
    source_config: str | None = None
    signs: int = 10
    repeats: int = 1
    frame_rate: float = 25.0
    seed: int = 0


class JoinedSigns(TimedCorpusBuilder):
    """Recordings joined from the single signs of a corpus; `gloss` has their labels.

    A recording has one signer where the corpus names signers, and all splits keep their clips. Clips lose the frames
    before the first and after the last seen hand, so that a sign is where hands are seen; clips without hands are left
    out. Coordinates are in heights of the picture where it is known, so that they fit those of other clips.

    Args:
        data_dir (`str`):
            The folder of the other corpus.
        source, source_config, signs, repeats, frame_rate, seed (*optional*):
            See [`JoinedSignsConfig`].
        fps (`float`, *optional*):
            Frame rate of clips that state none.
        **kwargs:
            See [`datasets_scripts.reading.corpus_builder.CorpusBuilder`].
    """

    FACTS = CorpusFacts(
        title="Joined signs",
        sign_language="",
        spoken_language="",
        sign_language_code="",
        spoken_language_code="",
        tasks=("cslr",),
        license="that of the corpus whose clips are joined",
        homepage="the corpus whose clips are joined",
        citation="",
        notes="Single signs joined to recordings; what lies between them is made up.",
    )
    BUILDER_CONFIG_CLASS = JoinedSignsConfig
    BUILDER_CONFIGS = [JoinedSignsConfig(name="joined")]
    DEFAULT_CONFIG_NAME = "joined"

    @cached_property
    def _source(self) -> CorpusBuilder:
        from datasets_scripts.corpora import CORPORA

        config: Any = self.config
        if config.source not in CORPORA or config.source == "joined_signs":
            raise ValueError(f"expected source as one of {', '.join(CORPORA)}, received {config.source!r}")
        if config.signs < 1 or config.repeats < 1 or not config.frame_rate > 0:
            raise ValueError(
                f"expected signs and repeats of at least 1 and a frame_rate above 0, received {config.signs}, "
                f"{config.repeats} and {config.frame_rate}"
            )
        options = {"config_name": config.source_config, "data_dir": config.data_dir, "fps": config.fps}
        return CORPORA[config.source](cache_dir=self._cache_dir_root, **options)

    @property
    def sign_language(self) -> str:
        return self._source.sign_language

    @property
    def spoken_language(self) -> str:
        return self._source.spoken_language

    def source_files(self, data_dir: str | None, options: dict[str, Any]) -> Iterable[str]:
        from datasets_scripts.corpora import CORPORA

        name = options.get("source", JoinedSignsConfig.source)
        found = [] if data_dir is None or name not in CORPORA else CORPORA[name].FILES
        return [str(path) for pattern in found for path in Path(str(data_dir)).glob(pattern)]

    def available_splits(self) -> tuple[str, ...]:
        return self._source.available_splits()

    def list_clips(self, split: str) -> list[ClipEntry]:
        config: Any = self.config
        clips = self._source.list_clips(split)
        by_signer: dict[str, list[int]] = {}
        for number, clip in enumerate(clips):
            by_signer.setdefault(clip.signer_id or "", []).append(number)
        rng = np.random.default_rng([config.seed, zlib.crc32(split.encode())])
        entries: list[ClipEntry] = []
        for signer, numbers in by_signer.items():
            order = np.concatenate([rng.permutation(numbers) for _ in range(config.repeats)])
            for start in range(0, len(order), config.signs):
                chosen = order[start : start + config.signs].tolist()
                entries.append(
                    ClipEntry(f"{split}{len(entries)}", split, " ".join(map(str, chosen)), signer_id=signer or None)
                )
        return entries

    def encode(self, entry: ClipEntry) -> dict[str, Any]:
        """The row of a recording: its glosses and their times are those of the clips that can be joined."""
        config: Any = self.config
        clips = self._clips[entry.split]
        pieces, glosses = [], []
        for number in map(int, entry.source.split()):
            piece = self._piece(self._source.read_clip(clips[number]), clips[number])
            if piece is not None:
                pieces.append(piece)
                glosses.append(clips[number].text)
        if not pieces:
            raise ValueError(f"{entry.sample_id}: expected clips with hands, found none")
        rng = np.random.default_rng([config.seed, zlib.crc32(entry.sample_id.encode())])
        keypoints, scores, spans = join_clips(pieces, config.frame_rate, rng)
        joined = PoseClip(keypoints, scores, "sigma_69", config.frame_rate, coordinates="pixels")
        timed = TimedClipEntry(
            entry.sample_id,
            entry.split,
            entry.source,
            gloss=tuple(glosses),
            signer_id=entry.signer_id,
            gloss_spans=spans,
        )
        return self.encode_clip(joined, timed)

    @cached_property
    def _clips(self) -> dict[str, list[ClipEntry]]:
        return {split: self._source.list_clips(split) for split in self.available_splits()}

    def _piece(self, clip: PoseClip, entry: ClipEntry) -> tuple[np.ndarray, np.ndarray] | None:
        """Keypoints and scores of the 69 joints from the first to the last hand, at the frame rate of recordings."""
        fps = clip.fps or entry.fps or self.config.fps
        if fps is None:
            raise ValueError(f"{entry.sample_id}: expected a frame rate, the corpus states none: set the option fps")
        keypoints, scores = select_joints(clip)
        seen = runs_of(np.asarray((scores[:, HANDS_SLICE] > 0).any(axis=1)))
        if not seen:
            return None
        keypoints[..., 0] *= x_factor(clip, 1.0, None)
        if clip.coordinates != "shares" and clip.height is not None:
            keypoints /= clip.height
        frames = slice(seen[0][0], seen[-1][1])
        found = PoseClip(keypoints[frames], scores[frames], "sigma_69", float(fps), coordinates="pixels")
        if num_frames_at(len(found), float(fps), self.config.frame_rate) < 2:
            return None
        found = at_frame_rate(found, self.config.frame_rate)
        return found.keypoints, found.scores
