"""Configuration of the pose encoder."""

# No `from __future__ import annotations` here: @strict checks values against the annotations themselves.
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .skeleton_layouts import PARTS


@strict
class SigmaPoseConfig(PreTrainedConfig):
    r"""Sizes of the pose encoder. The defaults are the paper's (5.3 million parameters with mT5-base).

    Args:
        parts (`list[str]`, *optional*, defaults to all four):
            Parts that are encoded, in the order of `("body", "left_hand", "right_hand", "face")`. Leave parts out
            when the detector never sees them.
        joint_hidden_size (`int`, *optional*, defaults to 64):
            Width of the first linear map, joint by joint.
        spatial_hidden_sizes (`list[int]`, *optional*, defaults to `[64, 128, 256]`):
            Width of each spatial block (temporal kernel 1).
        temporal_hidden_sizes (`list[int]`, *optional*, defaults to `[256, 256, 256]`):
            Width of each temporal block.
        temporal_kernel_size (`int`, *optional*, defaults to 5):
            Frames that a temporal block sees; odd.
        dropout (`float`, *optional*, defaults to 0.0):
            Dropout after each temporal convolution.
        mirror_left_hand (`bool`, *optional*, defaults to `False`):
            Both hands share their weights. `True` mirrors the left hand first, so that equal handshapes look equal.
            The paper does not.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the truncated normal that linear maps start from.
        kinematic_hidden_size (`int`, *optional*, defaults to 0):
            Width of a second stream, which reads handshapes, directions, distances and velocities and is joined to
            the parts before the projection. 0 leaves it out, as in the paper.
        kinematic_layers (`int`, *optional*, defaults to 4):
            Number of its blocks.
        kinematic_kernel_size (`int`, *optional*, defaults to 9):
            Frames that one of its blocks sees; odd.
        kinematic_drop_path (`float`, *optional*, defaults to 0.1):
            Probability that a clip skips one of its blocks in training.

    Source: arXiv:2509.21223, pose encoder, but for the second stream.
    """

    model_type = "sigma_pose"
    base_config_key = "pose_config"

    parts: list[str] | tuple[str, ...] = PARTS
    joint_hidden_size: int = 64
    spatial_hidden_sizes: list[int] | tuple[int, ...] = (64, 128, 256)
    temporal_hidden_sizes: list[int] | tuple[int, ...] = (256, 256, 256)
    temporal_kernel_size: int = 5
    dropout: float | int = 0.0
    mirror_left_hand: bool = False
    initializer_range: float = 0.02
    kinematic_hidden_size: int = 0
    kinematic_layers: int = 4
    kinematic_kernel_size: int = 9
    kinematic_drop_path: float | int = 0.1

    def __post_init__(self, **kwargs: Any) -> None:
        self.parts = list(self.parts)
        self.spatial_hidden_sizes = list(self.spatial_hidden_sizes)
        self.temporal_hidden_sizes = list(self.temporal_hidden_sizes)
        super().__post_init__(**kwargs)
        self.validate_architecture()  # here too: after `__init__`, @strict wraps the ValueError in one of its own

    def validate_architecture(self) -> None:
        """Part of `@strict` validation.

        Raises:
            ValueError: for unknown, repeated or unordered parts, no block at all, even kernels, or sizes below 0.
        """
        if not self.parts or self.parts != [part for part in PARTS if part in self.parts]:
            raise ValueError(f"expected parts to be some of {list(PARTS)}, in this order, received {self.parts}")
        if not self.spatial_hidden_sizes or not self.temporal_hidden_sizes:
            raise ValueError("expected at least one spatial and one temporal block, received an empty list of sizes")
        for name in ("temporal_kernel_size", "kinematic_kernel_size"):
            if getattr(self, name) < 1 or getattr(self, name) % 2 == 0:
                raise ValueError(f"expected an odd {name}, received {getattr(self, name)}")
        for name in ("kinematic_hidden_size", "kinematic_layers"):
            if getattr(self, name) < 0:
                raise ValueError(f"expected {name} >= 0, received {getattr(self, name)}")
        if not 0 <= self.kinematic_drop_path < 1:
            raise ValueError(f"expected kinematic_drop_path from 0 to below 1, received {self.kinematic_drop_path}")
