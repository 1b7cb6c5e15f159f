"""What all pipelines share: they read clips, and refuse one in which nobody is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Dataset
from transformers import Pipeline
from transformers.utils import logging

from .clip_making import as_pose_clip, split_clips
from .feature_extraction_sigma import SigmaFeatureExtractor
from .pose_clip import PoseClip
from .publishing_sigma import CheckedPush
from .skeleton_layouts import PART_SLICES


logger = logging.get_logger(__name__)


class SigmaPipeline(CheckedPush, Pipeline):
    """Reads clips with a processor, or with a feature extractor alone where the model needs no text.

    A model answers whatever it is given, and as confidently, when the detector found nobody. Such clips are refused
    unless `allow_unseen` is true. Nor does a model answer with untrained weights.
    """

    _load_processor: bool | None = True
    _load_tokenizer = False
    _load_feature_extractor: bool | None = False
    _load_image_processor = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        untrained = getattr(self.model, "untrained_weights", [])
        if untrained:
            saved = (self.model.config.architectures or ["another class"])[0]
            raise ValueError(
                f"expected a model for {self.task}, received one that {saved} has saved: {len(untrained)} weights of "
                f"{type(self.model).__name__} ({untrained[0]}, ...) are random. Choose the pipeline of that class, or "
                "train first"
            )

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(inputs, tuple):
            inputs = list(inputs)
        if isinstance(inputs, list) and not inputs:
            return []
        if not isinstance(inputs, (str, Iterator, Dataset)):  # those transformers reads one by one
            clips, is_batch = split_clips(inputs)
            # transformers treats every list as a batch: frames in a list become one clip.
            inputs = clips if is_batch else as_pose_clip(clips[0]) if isinstance(inputs, list) else inputs
        return super().__call__(inputs, *args, **kwargs)

    @property
    def extractor(self) -> SigmaFeatureExtractor:
        """The feature extractor, the processor's where there is one."""
        # AutoProcessor gives the extractor itself where a model has no tokenizer.
        found = getattr(self.processor, "feature_extractor", self.processor) or self.feature_extractor
        if found is None:
            raise ValueError("expected a processor or a feature_extractor, received neither: pass one to the pipeline")
        return found

    def sees_somebody(self, clip: Any, max_frames: int | None = None) -> bool:
        """Whether the model would see a joint of this clip in any frame."""
        return bool(self._scores(as_pose_clip(clip), max_frames).any())

    def check_seen(self, clip: Any, max_frames: int | None = None) -> None:
        """Refuses a clip in which the model would see nobody; one without hands gets a warning.

        Raises:
            ValueError: if nobody is seen.
        """
        clip = as_pose_clip(clip)
        self._check_scores(self._scores(clip, max_frames), clip)

    def _scores(self, clip: PoseClip, max_frames: int | None) -> np.ndarray:
        """Of the joints that the model would see, `(T, 69)`; 0 for the others."""
        extractor = self.extractor
        return extractor.extract(clip, max_frames or extractor.max_frames)[..., 2]

    def _check_scores(self, scores: np.ndarray, clip: PoseClip) -> None:
        if not scores.any():
            raise ValueError(self.extractor.explain_unseen(clip))
        hands = (PART_SLICES["left_hand"], PART_SLICES["right_hand"])
        if not any(scores[..., joints].any() for joints in hands):
            logger.warning_once("no hand is seen in a clip: what a model makes of it means little")

    def preprocess(
        self,
        inputs: Any,
        *,
        language: str = "English",
        max_frames: int | None = None,
        allow_unseen: bool = False,
        coordinates: str | None = None,
        aspect_ratio: float | None = None,
    ) -> dict[str, Any]:
        """The model's inputs for one clip.

        Raises:
            ValueError: if nobody is seen in it.
        """
        clip = as_pose_clip(inputs, coordinates, aspect_ratio)
        if not hasattr(self.processor, "tokenizer"):
            features = self.extractor(clip, max_frames=max_frames, return_tensors="pt")
        else:
            features = self.processor(poses=clip, language=language, max_frames=max_frames, return_tensors="pt")
        if not allow_unseen:
            self._check_scores(features["pose_values"][0, ..., 2].numpy(), clip)
        use_prompt = self.model.config.use_prompt
        return {name: value for name, value in features.items() if use_prompt or not name.startswith("prompt_")}
