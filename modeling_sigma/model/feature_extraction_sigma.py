"""`SigmaFeatureExtractor`: clips in, padded `pose_values` and `pose_attention_mask` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import BatchFeature, FeatureExtractionMixin
from transformers.utils import logging

from .clip_making import PoseInput, as_pose_clip, split_clips
from .clip_units import image_size_of
from .extractor_checks import (
    check_aspect_ratio,
    check_frame_rate,
    check_shares_of_image,
    checked_max_frames,
    foreign_keypoints,
)
from .feature_padding import pad_features
from .frame_choice import FRAME_SAMPLINGS, choose_frames
from .frame_resampling import at_learnt_rate, interpolate_between_hands
from .joint_reading import complete_head, isotropic_joints
from .pose_augmentation import PoseAugmentation
from .pose_clip import PoseClip
from .pose_transforms import (
    BOXES,
    SCALE_REFERENCES,
    SCORE_THRESHOLD,
    joints_of_parts,
    normalize_joints,
    replace_missing_origins,
    select_joints,
)
from .publishing_sigma import CheckedPush
from .resting_ends import span_without_rest
from .skeleton_layouts import PARTS
from .unseen_clips import explain_unseen


logger = logging.get_logger(__name__)


# Before 0.2, preprocessor_config.json did not say how clips are read; they were read as follows.
_BEFORE_0_2 = {"learnt_aspect_ratio": None, "box_before_sampling": False}


class SigmaFeatureExtractor(CheckedPush, FeatureExtractionMixin):
    """Turns clips of 2D keypoints into the tensors that Sigma models read.

    Args:
        max_frames (`int`, *optional*, defaults to 256):
            Number of frames that a clip may have; longer clips lose frames (see `__call__`).
        score_threshold (`float`, *optional*, defaults to 0.3):
            A joint counts as seen where its score exceeds this.
        scale_reference (`"body"`, `"hands"` or `"image"`, *optional*, defaults to `"body"`):
            What fixes the size of the signer: the body (the paper), the hands, or a fixed share of the image.
        fill_wrists (`bool`, *optional*, defaults to `False`):
            Copy the wrist of a seen hand into a missing wrist of the body. Use it with `scale_reference="hands"`.
        image_share (`float`, *optional*, defaults to 0.5):
            Side of the box for `scale_reference="image"`, as a share of the image's shorter side.
        parts (`list[str]`, *optional*):
            Parts that are read, among `"body"`, `"left_hand"`, `"right_hand"` and `"face"`; joints of the others count
            as not seen. All by default. A model trained on hands alone reads hands alone, with `fill_wrists`.
        augmentation (`dict`, *optional*):
            Fields of [`PoseAugmentation`], used when `training=True`. None by default.
        training_layout (`str`, *optional*):
            Layout of the clips that the model was trained on. Clips of another layout are read, with one warning:
            detectors differ in more than their order of keypoints. There is no warning for joints that were selected
            before (`sigma_69`), since their layout does not tell their detector.
        training_estimator (`str`, *optional*):
            What found the keypoints of the clips that the model was trained on, without its versions. Clips that name
            another estimator are read, with one warning.
        learnt_aspect_ratio (`float`, *optional*, defaults to 1.0):
            The proportions that the model has learnt. 1.0: isotropic coordinates, in which x and y have one unit,
            whatever unit a clip comes in. Another number: shares (x / width, y / height) of images that were so many
            times as wide as high; isotropic x is divided by it. None: not known (models saved before 0.2); clips are
            read as they come.
        assumed_aspect_ratio (`float`, *optional*):
            The aspect ratio to assume for clips in shares that do not state their image. None: `learnt_aspect_ratio`,
            so that 1.0 assumes a square.
        box (`"extremes"` or `"quantile"`, *optional*, defaults to `"extremes"`):
            Whether the signer's box surrounds all points of the scale's reference, or all but the outermost 2 % on
            each side.
        box_before_sampling (`bool`, *optional*, defaults to `True`):
            Lay the box around the whole clip. If `False`, around those of its frames that are read, as models saved
            before 0.2 have learnt.
        frame_sampling (`"even"`, `"random"` or `"interpolate"`, *optional*, defaults to `"even"`):
            `"even"`: of clips longer than `max_frames`, evenly spaced frames are read, in training with jitter;
            shorter clips stay as they are. `"random"`: the same, but training draws a random subset (the paper).
            `"interpolate"`: what lies between the first and the last frame with a hand becomes `max_frames` frames, by
            interpolation, whatever the length and frame rate of the clip. For isolated signs.
        frame_rate (`float`, *optional*):
            Frames per second that the model reads: clips of another rate are interpolated. A clip that states no rate
            is read as it comes, with a warning. None, the default: whatever rate a clip has.
        mend_hands (`bool`, *optional*, defaults to `False`):
            Put back joints of hands that were thrown far away, and drop hands that are elsewhere for one frame.
        trim_rest (`bool`, *optional*, defaults to `False`):
            Leave out frames in which the hands rest before they are raised to sign, and after they have been lowered.
            For isolated signs.

    Example:

    ```python
    >>> import numpy as np
    >>> from modeling_sigma import PoseClip, SigmaFeatureExtractor
    >>> clips = [PoseClip(np.random.rand(length, 133, 2), np.ones((length, 133))) for length in (30, 20)]
    >>> inputs = SigmaFeatureExtractor()(clips, return_tensors="pt")
    >>> inputs["pose_values"].shape, inputs["pose_attention_mask"].sum(dim=1)
    (torch.Size([2, 30, 69, 3]), tensor([30, 20]))

    ```

    Source: arXiv:2509.21223, pose pre-processing.
    """

    model_input_names = ["pose_values", "pose_attention_mask"]

    def __init__(
        self,
        max_frames: int = 256,
        score_threshold: float = SCORE_THRESHOLD,
        scale_reference: str = "body",
        fill_wrists: bool = False,
        image_share: float = 0.5,
        parts: Sequence[str] | None = None,
        augmentation: dict[str, float] | None = None,
        training_layout: str | None = None,
        training_estimator: str | None = None,
        learnt_aspect_ratio: float | None = 1.0,
        box: str = "extremes",
        box_before_sampling: bool = True,
        frame_sampling: str = "even",
        assumed_aspect_ratio: float | None = None,
        frame_rate: float | None = None,
        mend_hands: bool = False,
        trim_rest: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        max_frames = checked_max_frames(max_frames)
        if box not in BOXES:
            raise ValueError(f"expected box to be one of {BOXES}, received {box!r}")
        for name, ratio in (("learnt", learnt_aspect_ratio), ("assumed", assumed_aspect_ratio)):
            check_aspect_ratio(f"{name}_aspect_ratio", ratio)
        if scale_reference not in SCALE_REFERENCES:
            raise ValueError(f"expected scale_reference to be one of {SCALE_REFERENCES}, received {scale_reference!r}")
        self.max_frames = max_frames
        self.score_threshold = score_threshold
        self.scale_reference = scale_reference
        self.fill_wrists = fill_wrists
        self.image_share = image_share
        unknown = [part for part in parts or () if part not in PARTS]
        if unknown or (parts is not None and not parts):
            raise ValueError(f"expected parts among {', '.join(PARTS)}, received {unknown or 'none'}")
        self.parts = None if parts is None else list(parts)
        PoseAugmentation.from_dict(augmentation or {})  # reject mistakes now, not in the middle of a training
        self.augmentation = augmentation
        self.training_layout = training_layout
        self.training_estimator = training_estimator
        self.learnt_aspect_ratio = learnt_aspect_ratio
        self.assumed_aspect_ratio = assumed_aspect_ratio
        self.box = box
        self.box_before_sampling = box_before_sampling
        if frame_sampling not in FRAME_SAMPLINGS:
            raise ValueError(f"expected frame_sampling to be one of {FRAME_SAMPLINGS}, received {frame_sampling!r}")
        self.frame_sampling = frame_sampling
        check_frame_rate(frame_rate)
        self.frame_rate = frame_rate
        self.mend_hands = mend_hands
        self.trim_rest = trim_rest

    @classmethod
    def from_dict(cls, feature_extractor_dict: dict[str, Any], **kwargs: Any) -> Any:
        """The extractor of a saved configuration; one saved before 0.2 reads clips as it did then."""
        return super().from_dict({**_BEFORE_0_2, **feature_extractor_dict}, **kwargs)

    def __call__(
        self,
        poses: PoseInput | Sequence[PoseInput],
        max_frames: int | None = None,
        training: bool = False,
        generator: np.random.Generator | Sequence[np.random.Generator] | int | None = None,
        return_tensors: str | None = "pt",
        coordinates: str | None = None,
        aspect_ratio: float | None = None,
    ) -> BatchFeature:
        """Selects, normalises, samples, (in training) augments, and pads.

        Args:
            poses ([`PoseClip`], `str`, `os.PathLike`, `np.ndarray`, `torch.Tensor`, `dict`, or a list of them):
                One clip or several. An array is `(T, K, 3)` with x, y and score, or `(T, K, 2)`; a list of frames
                `(K, 3)` is one clip, with None where nobody was found; a dict holds the arguments of [`PoseClip`] or
                is a row of our data sets; a path is read by `modeling_sigma.io` when the package is installed.
            max_frames (`int`, *optional*):
                Number of frames that a clip may have, in place of the extractor's own.
            training (`bool`, *optional*, defaults to `False`):
                Draw the frames of long clips and apply the augmentation. Otherwise frames of long clips are left out
                evenly, and always the same ones.
            generator (`np.random.Generator`, a list of them, or `int`, *optional*):
                Source of the randomness of `training`; an int is a seed. With a list of one per clip, what happens to
                a clip does not depend on the others in its batch.
            return_tensors (`str`, *optional*, defaults to `"pt"`):
                `"pt"` or `"np"`.
            coordinates (`"pixels"` or `"shares"`, *optional*):
                The unit of clips that do not state theirs; see [`PoseClip`].
            aspect_ratio (`float`, *optional*):
                Width over height of the image, for clips that state neither this nor their size.

        Returns:
            `BatchFeature`: `pose_values` `(B, T, 69, 3)` float32 in [-1, 1], zeros after the end of a clip, and
            `pose_attention_mask` `(B, T)` int64, 1 = real frame.

        Raises:
            ValueError: for clips of the wrong shape or without frames, or if there is not one generator per clip.
        """
        clips = [as_pose_clip(pose, coordinates, aspect_ratio) for pose in split_clips(poses)[0]]
        if not clips:
            raise ValueError("expected at least one clip, received an empty list")
        generators: Sequence[np.random.Generator | None] = [None] * len(clips)
        if training and isinstance(generator, (list, tuple)):
            generators = generator
        elif training:
            generators = [np.random.default_rng(generator)] * len(clips)  # type: ignore[arg-type]
        if len(generators) != len(clips):
            raise ValueError(f"expected one generator per clip, received {len(generators)} for {len(clips)} clips")
        limit = self.max_frames if max_frames is None else checked_max_frames(max_frames)
        features = [{"pose_values": self.extract(clip, limit, rng)} for clip, rng in zip(clips, generators)]
        return self.pad(features, return_tensors=return_tensors)

    def pad(
        self,
        processed_features: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = "pt",
        **kwargs: Any,
    ) -> BatchFeature:
        """Pads clips that were processed one by one into a batch; `DataCollatorWithPadding` calls it.

        Args:
            processed_features (list of dicts, or a dict of lists):
                `pose_values` `(T, 69, 3)` or `(1, T, 69, 3)` of each clip, `pose_attention_mask` where there is one.
                Whatever else is in them (labels) is stacked.
            padding (`bool` or `str`, *optional*, defaults to `True`):
                `True` or `"longest"`: to the longest clip. `"max_length"`: to `max_length`.
            max_length (`int`, *optional*), pad_to_multiple_of (`int`, *optional*):
                Number of frames to pad to, and a number that it is rounded up to a multiple of.
            return_tensors (`str`, *optional*, defaults to `"pt"`):
                `"pt"` or `"np"`.

        Raises:
            ValueError: for clips without `pose_values`, or longer than `max_length`.
        """
        length = max_length or self.max_frames if padding == "max_length" else None
        features = pad_features(processed_features, length, pad_to_multiple_of)
        return BatchFeature(features, tensor_type=return_tensors)

    def extract(self, clip: PoseClip, max_frames: int, generator: np.random.Generator | None = None) -> np.ndarray:
        """The `(T, 69, 3)` values of one clip; `generator` is given in training only."""
        if (warning := foreign_keypoints(clip, self.training_layout, self.training_estimator)) is not None:
            logger.warning_once(warning)
        clip = at_learnt_rate(clip, self.frame_rate)
        if self.trim_rest:
            keypoints, scores, _ = self._joints(clip)
            clip = clip.frames(span_without_rest(keypoints, scores > self.score_threshold, clip.fps))
        augmentation = PoseAugmentation.from_dict(self.augmentation or {})
        frames = choose_frames(len(clip), max_frames, self.frame_sampling, augmentation, generator)
        if frames is not None and not self.box_before_sampling:
            clip, frames = clip.frames(frames), None
        keypoints, scores, factor = self._joints(clip)
        complete_head(keypoints, scores, self.scale_reference, self.score_threshold)
        replace_missing_origins(keypoints, scores)
        if self.parts is not None:
            scores = np.where(joints_of_parts(self.parts or PARTS), scores, 0.0)
        size = image_size_of(clip) if self.scale_reference == "image" else (1.0, 1.0)
        if size is None:
            check_shares_of_image(keypoints[scores > self.score_threshold], clip)
        width, height = size or (1.0, 1.0)
        values = normalize_joints(
            keypoints,
            scores,
            score_threshold=self.score_threshold,
            scale_reference=self.scale_reference,  # type: ignore[arg-type]
            fill_wrists=self.fill_wrists,
            image_size=(width * factor, height),
            image_share=self.image_share,
            box=self.box,
            frames=frames,
        )
        if not values.any() and (scores > self.score_threshold).any():
            logger.warning_once(self._why_unseen(scores))
        if self.frame_sampling == "interpolate":
            values = interpolate_between_hands(values, augmentation.moments(max_frames, generator))
        return values if generator is None else augmentation.apply(values, generator)

    def _joints(self, clip: PoseClip) -> tuple[np.ndarray, np.ndarray, float]:
        mended_above = self.score_threshold if self.mend_hands else None
        return isotropic_joints(clip, self.learnt_aspect_ratio, self.assumed_aspect_ratio, mended_above)

    def explain_unseen(self, clip: PoseClip) -> str:
        """Why a model reads nothing in a clip: nobody was found, or not the part that the signer's size comes from."""
        scores = select_joints(clip)[1]
        return self._why_unseen(np.where(joints_of_parts(self.parts or PARTS), scores, 0.0))

    def _why_unseen(self, scores: np.ndarray) -> str:
        return explain_unseen(scores > self.score_threshold, self.score_threshold, self.parts, self.scale_reference)
