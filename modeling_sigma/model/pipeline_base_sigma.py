"""What all pipelines share: they read clips, and refuse one in which nobody is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers import Pipeline
from transformers.utils import logging

from .feature_extraction_sigma import SigmaFeatureExtractor, as_pose_clip
from .skeleton_layouts import PART_SLICES


logger = logging.get_logger(__name__)


class SigmaPipeline(Pipeline):
    """Reads clips with a processor, or with a feature extractor alone where the model needs no text.

    A model answers whatever it is given, and as confidently, when the detector found nobody. Such clips are refused
    unless `allow_unseen` is true. Nor does a model answer with weights that nobody has trained.
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
        return bool(self._scores(clip, max_frames).any())

    def check_seen(self, clip: Any, max_frames: int | None = None) -> None:
        """Refuses a clip in which the model would see nobody; one without hands gets a warning.

        Raises:
            ValueError: if nobody is seen.
        """
        _check_scores(self._scores(clip, max_frames), self.extractor)

    def _scores(self, clip: Any, max_frames: int | None) -> np.ndarray:
        """Of the joints that the model would see, `(T, 69)`; 0 for the others."""
        extractor = self.extractor
        return extractor.extract(as_pose_clip(clip), max_frames or extractor.max_frames)[..., 2]

    def preprocess(
        self, inputs: Any, *, language: str = "English", max_frames: int | None = None, allow_unseen: bool = False
    ) -> dict[str, Any]:
        """The model's inputs for one clip.

        Raises:
            ValueError: if nobody is seen in it.
        """
        extractor = self.extractor
        if not hasattr(self.processor, "tokenizer"):
            features = extractor(inputs, max_frames=max_frames, return_tensors="pt")
        else:
            features = self.processor(poses=inputs, language=language, max_frames=max_frames, return_tensors="pt")
        if not allow_unseen:
            for scores in features["pose_values"].numpy()[..., 2]:
                _check_scores(scores, extractor)
        use_prompt = self.model.config.use_prompt
        return {name: value for name, value in features.items() if use_prompt or not name.startswith("prompt_")}


def _check_scores(scores: np.ndarray, extractor: SigmaFeatureExtractor) -> None:
    if not scores.any():
        parts = "" if extractor.parts is None else f" of {', '.join(extractor.parts)}"
        raise ValueError(
            f"expected a clip in which somebody is seen, found no joints{parts} with a score above "
            f"{extractor.score_threshold} to read in its {len(scores)} frames: `sigma-slu inspect` shows what the "
            "detector found"
        )
    hands = (PART_SLICES["left_hand"], PART_SLICES["right_hand"])
    if not any(scores[..., joints].any() for joints in hands):
        logger.warning_once("no hand is seen in a clip: what a model makes of it means little")
