"""What all pipelines share: they read clips, and refuse one in which nobody is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import Pipeline

from .clip_making import as_pose_clip, split_clips
from .feature_extraction_sigma import SigmaFeatureExtractor
from .finite_weights_sigma import not_finite
from .pipeline_arguments_sigma import check_arguments
from .publishing_sigma import CheckedPush
from .unseen_clips import SignerChecks


class SigmaPipeline(CheckedPush, SignerChecks, Pipeline):
    """Reads clips with a processor, or with a feature extractor alone where the model needs no text.

    A model answers whatever it is given, and as confidently, when the detector found nobody. Such clips are refused
    unless `allow_unseen` is true. Nor does a model answer with untrained or damaged weights.
    """

    _load_processor: bool | None = True
    _load_tokenizer = False
    _load_feature_extractor: bool | None = False
    _load_image_processor = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        check_arguments(kwargs)
        super().__init__(*args, **kwargs)
        self._check_max_frames(kwargs.get("max_frames"))
        untrained = getattr(self.model, "untrained_weights", [])
        if untrained:
            saved = (self.model.config.architectures or ["another class"])[0]
            raise ValueError(
                f"expected a model for {self.task}, received one that {saved} has saved: {len(untrained)} weights of "
                f"{type(self.model).__name__} ({untrained[0]}, ...) are random. Choose the pipeline of that class, or "
                "train first"
            )
        damaged = not_finite(self.model.state_dict().items())
        if damaged:
            raise ValueError(
                f"{self.model.name_or_path or type(self.model).__name__}: expected finite weights, found NaN or "
                f"infinity in {len(damaged)} of them ({damaged[0]}, ...): the file is damaged, or the training "
                "diverged; use an earlier checkpoint"
            )

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        check_arguments(kwargs)
        self._check_max_frames(kwargs.get("max_frames"))
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

    def _check_max_frames(self, max_frames: int | None) -> None:
        """A model needs memory that grows with the square of the frames."""
        if max_frames is None:
            return
        most = max(self.model.config.max_frames, self.extractor.max_frames)
        if max_frames > most:
            raise ValueError(
                f"expected max_frames of at most {most}, which this model was made for, received {max_frames}: leave "
                "it out, and frames of longer clips are left out evenly"
            )

    def _check_numbers(self, scores: torch.Tensor) -> None:
        """Weights can be finite and so large that what a model computes is not. Minus infinity is a score, of zero."""
        if (scores.isnan() | scores.isposinf()).any():
            raise ValueError(
                f"expected numbers, {type(self.model).__name__} computed NaN or infinity: its weights are damaged, or "
                f"{self.model.dtype} is not precise enough (dtype=torch.float32 is)"
            )

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
            self.check_scores(features["pose_values"][0, ..., 2].numpy(), clip)
        use_prompt = self.model.config.use_prompt
        return {name: value for name, value in features.items() if use_prompt or not name.startswith("prompt_")}
