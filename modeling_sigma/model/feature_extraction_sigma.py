"""`SigmaFeatureExtractor`: clips in, padded `pose_values` and `pose_attention_mask` out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from transformers import BatchFeature, FeatureExtractionMixin
from transformers.utils import logging

from .pose_augmentation import PoseAugmentation
from .pose_clip import PoseClip
from .pose_transforms import (
    SCALE_REFERENCES,
    even_frame_indices,
    normalize_joints,
    random_frame_indices,
    select_joints,
)
from .skeleton_layouts import NUM_JOINTS, PART_SLICES, PARTS, SELECTED_LAYOUT, layout_for_num_keypoints


logger = logging.get_logger(__name__)

# Anything that stands for one clip.
PoseInput = PoseClip | str | os.PathLike[str] | np.ndarray | Mapping[str, Any]


class SigmaFeatureExtractor(FeatureExtractionMixin):
    """Turns clips of 2D keypoints into the tensors that Sigma models read.

    Args:
        max_frames (`int`, *optional*, defaults to 256):
            Longest clip that is passed on; longer ones lose frames (see `__call__`).
        score_threshold (`float`, *optional*, defaults to 0.3):
            A joint counts as seen where its score exceeds this.
        scale_reference (`"body"`, `"hands"` or `"image"`, *optional*, defaults to `"body"`):
            What fixes the size of the signer: the body (the paper), the hands (for detectors without a body), or a
            fixed share of the image.
        fill_wrists (`bool`, *optional*, defaults to `False`):
            Put the wrist of a seen hand into a missing body wrist. Use it together with `scale_reference="hands"`.
        image_share (`float`, *optional*, defaults to 0.5):
            Side of the box for `scale_reference="image"`, as a share of the image's shorter side.
        parts (`list[str]`, *optional*):
            Parts that are read, of `"body"`, `"left_hand"`, `"right_hand"` and `"face"`; joints of the others count as
            not seen. All by default. A model that was trained on hands alone reads hands alone, with `fill_wrists`.
        augmentation (`dict`, *optional*):
            Fields of [`PoseAugmentation`], used when `training=True`. None by default.
        training_layout (`str`, *optional*):
            Layout of the clips that the model was trained on. Clips of another layout are read, with one warning:
            detectors differ in more than their order of keypoints. Of joints that were selected before (`sigma_69`)
            nobody knows the detector, and nothing is said.

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
        score_threshold: float = 0.3,
        scale_reference: str = "body",
        fill_wrists: bool = False,
        image_share: float = 0.5,
        parts: Sequence[str] | None = None,
        augmentation: dict[str, float] | None = None,
        training_layout: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_frames < 1:
            raise ValueError(f"expected max_frames >= 1, received {max_frames}")
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

    def __call__(
        self,
        poses: PoseInput | Sequence[PoseInput],
        max_frames: int | None = None,
        training: bool = False,
        generator: np.random.Generator | Sequence[np.random.Generator] | int | None = None,
        return_tensors: str | None = "pt",
    ) -> BatchFeature:
        """Selects, samples, normalises, (in training) augments, and pads.

        Args:
            poses ([`PoseClip`], `str`, `os.PathLike`, `np.ndarray`, `dict`, or a list of them):
                One clip or several. An array is `(T, K, 3)` with x, y and score, or `(T, K, 2)`; a dict holds the
                arguments of [`PoseClip`]; a path is read by `modeling_sigma.io` when the package is installed.
            max_frames (`int`, *optional*):
                Instead of the extractor's own.
            training (`bool`, *optional*, defaults to `False`):
                Draw frames of long clips at random and apply the augmentation. Otherwise long clips lose frames
                evenly, always the same ones.
            generator (`np.random.Generator`, a list of them, or `int`, *optional*):
                Randomness of `training`; an int is a seed. With a list, one a clip, what happens to a clip does not
                depend on the others of its batch.
            return_tensors (`str`, *optional*, defaults to `"pt"`):
                `"pt"` or `"np"`.

        Returns:
            `BatchFeature`: `pose_values` `(B, T, 69, 3)` float32 in [-1, 1], zeros behind the end of a clip, and
            `pose_attention_mask` `(B, T)` int64, 1 = real frame.

        Raises:
            ValueError: for clips of wrong shape, with NaN, or without a frame, or not one generator a clip.
        """
        clips = [as_pose_clip(pose) for pose in _as_list(poses)]
        if not clips:
            raise ValueError("expected at least one clip, received an empty list")
        generators: Sequence[np.random.Generator | None] = [None] * len(clips)
        if training and isinstance(generator, (list, tuple)):
            generators = generator
        elif training:
            generators = [np.random.default_rng(generator)] * len(clips)  # type: ignore[arg-type]
        if len(generators) != len(clips):
            raise ValueError(f"expected one generator a clip, received {len(generators)} for {len(clips)} clips")
        limit = self.max_frames if max_frames is None else max_frames
        values = [self.extract(clip, limit, rng) for clip, rng in zip(clips, generators)]
        longest = max(len(clip_values) for clip_values in values)
        pose_values = np.zeros((len(values), longest, NUM_JOINTS, 3), np.float32)
        pose_attention_mask = np.zeros((len(values), longest), np.int64)
        for row, clip_values in enumerate(values):
            pose_values[row, : len(clip_values)] = clip_values
            pose_attention_mask[row, : len(clip_values)] = 1
        features = {"pose_values": pose_values, "pose_attention_mask": pose_attention_mask}
        return BatchFeature(features, tensor_type=return_tensors)

    def extract(self, clip: PoseClip, max_frames: int, generator: np.random.Generator | None = None) -> np.ndarray:
        """The `(T, 69, 3)` values of one clip; `generator` is given in training only."""
        if self.training_layout is not None and clip.layout not in (self.training_layout, SELECTED_LAYOUT):
            logger.warning_once(
                f"this model was trained on {self.training_layout} keypoints, but a clip comes in {clip.layout}: "
                "expect worse results than its card says"
            )
        augmentation = PoseAugmentation.from_dict(self.augmentation or {})
        if generator is None:
            frames = even_frame_indices(len(clip), max_frames)
        else:
            frames = augmentation.frame_indices(len(clip), generator)
            frames = frames[random_frame_indices(len(frames), max_frames, generator)]
        if len(frames) != len(clip) or generator is not None:
            clip = clip.frames(frames)
        keypoints, scores = select_joints(clip)
        if self.parts is not None:
            scores = scores.copy()
            for part in PARTS:
                if part not in self.parts:
                    scores[:, PART_SLICES[part]] = 0.0
        image_size = (1.0, 1.0)
        if clip.width is not None and clip.height is not None:  # half a size is none
            image_size = (clip.width, clip.height)
        elif self.scale_reference == "image":
            _check_shares_of_image(keypoints[scores > self.score_threshold], clip)
        values = normalize_joints(
            keypoints,
            scores,
            score_threshold=self.score_threshold,
            scale_reference=self.scale_reference,  # type: ignore[arg-type]
            fill_wrists=self.fill_wrists,
            image_size=image_size,
            image_share=self.image_share,
        )
        return values if generator is None else augmentation.apply(values, generator)


def _as_list(poses: PoseInput | Sequence[PoseInput]) -> Sequence[PoseInput]:
    # A PoseClip may come from another copy of this code: the package\'s, or one that travelled with a checkpoint.
    single = isinstance(poses, (str, os.PathLike, np.ndarray, Mapping)) or not isinstance(poses, Iterable)
    return [poses] if single else list(poses)  # type: ignore[list-item, arg-type]


def _check_shares_of_image(points: np.ndarray, clip: PoseClip) -> None:
    """Without an image size coordinates are shares of the image; detectors guess a little beyond its border."""
    if points.size and np.abs(points).max() > 2:
        raise ValueError(
            'expected clips with width and height for scale_reference="image", received pixels up to '
            f"{np.abs(points).max():.0f} with width={clip.width} and height={clip.height}: pass PoseClip(..., width=, "
            "height=)"
        )


def as_pose_clip(pose: PoseInput) -> PoseClip:
    """Anything that stands for one clip, as a [`PoseClip`].

    Raises:
        ValueError: for an array of wrong shape, or a path where the readers are not installed.
        TypeError: for anything else.
    """
    if isinstance(pose, PoseClip):
        return pose
    if isinstance(pose, (str, os.PathLike)):
        return _load_clip(pose)
    if isinstance(pose, Mapping):
        return _clip_from_mapping(pose)
    if isinstance(pose, np.ndarray):
        return _clip_from_array(pose)
    if hasattr(pose, "keypoints") and hasattr(pose, "layout"):  # a PoseClip of another copy of this code
        fields = ("keypoints", "scores", "layout", "fps", "width", "height")
        return PoseClip(**{name: getattr(pose, name) for name in fields})
    raise TypeError(
        f"expected a PoseClip, path, array or dict of keypoints and scores, received {type(pose).__name__}"
    )


def _clip_from_mapping(fields: Mapping[str, Any]) -> PoseClip:
    fields = dict(fields)
    if "keypoints" not in fields or "scores" not in fields:
        raise ValueError(f"expected a dict with keypoints and scores, received keys {sorted(map(str, fields))}")
    if "layout" not in fields and np.ndim(fields["keypoints"]) == 3:
        fields["layout"] = layout_for_num_keypoints(np.shape(fields["keypoints"])[1])
    known = {name: fields[name] for name in PoseClip.__dataclass_fields__ if name in fields}
    return PoseClip(**known)


def _clip_from_array(array: np.ndarray) -> PoseClip:
    if array.ndim != 3 or array.shape[-1] not in (2, 3):
        hint = "add a frame axis" if array.ndim == 2 else "pass one person as (frames, keypoints, x y [score])"
        raise ValueError(f"expected (T, K, 3) or (T, K, 2) keypoints, received {array.shape}: {hint}")
    layout = layout_for_num_keypoints(array.shape[1])
    scores = array[..., 2] if array.shape[-1] == 3 else np.ones(array.shape[:2], np.float32)
    return PoseClip(array[..., :2], scores, layout=layout)


def _load_clip(path: str | os.PathLike[str]) -> PoseClip:
    try:
        from modeling_sigma.io import load_clip
    except ImportError as error:
        raise ValueError(
            f"{path}: reading files needs the readers of the sigma-slu package: install it (see its README), or pass "
            "arrays or PoseClips"
        ) from error
    return as_pose_clip(load_clip(path))
