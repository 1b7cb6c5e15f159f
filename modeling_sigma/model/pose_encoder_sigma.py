"""The pose encoder: 69 joints in four parts -> one vector per frame."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .configuration_sigma_pose import SigmaPoseConfig
from .frame_layouts_sigma import FRAME_LAYOUTS, DenseFrames, FrameLayout, PackedFrames
from .graph_convolution_sigma import GraphConvolutionChain, build_adjacency
from .kinematic_stream_sigma import KinematicStream
from .skeleton_layouts import NUM_JOINTS, PART_ANCHORS, PART_EDGES, PART_SIZES, PART_SLICES


# Left and right hand are one encoder, called once for both.
HANDS = ("left_hand", "right_hand")

# Without gradients a CPU encodes a batch in turns that fit its cache, up to twice as fast. A turn has this many bytes
# of features per joint: one clip of 128 frames at full size in float32, three in bfloat16, more short clips, or more
# clips with a narrow encoder.
TURN_BYTES = 200_000


def encoder_name(part: str) -> str:
    """The module that encodes `part`: `"hand"` for either hand, else the part itself."""
    return "hand" if part in HANDS else part


class PartEncoder(nn.Module):
    """Linear map, spatial chain, and (after the part was tied to the body) temporal chain of one part."""

    def __init__(self, config: SigmaPoseConfig, part: str) -> None:
        super().__init__()
        adjacency = build_adjacency(PART_SIZES[part], PART_EDGES[part])
        self.joint_projection = nn.Linear(3, config.joint_hidden_size)
        self.spatial_chain = GraphConvolutionChain(config.joint_hidden_size, config.spatial_hidden_sizes, adjacency)
        self.temporal_chain = GraphConvolutionChain(
            config.spatial_hidden_sizes[-1],
            config.temporal_hidden_sizes,
            adjacency,
            config.temporal_kernel_size,
            config.dropout,
        )


class SigmaPoseEncoder(nn.Module):
    """Part-wise ST-GCNs: `pose_values` -> one vector per frame.

    Every part goes through a spatial chain; the body's feature of the joint that the part hangs on is added (without
    gradient); a temporal chain and the mean over joints follow. The parts' vectors, and that of the kinematic stream
    if there is one, are joined and projected.

    Attributes:
        frame_layout (`"auto"`, `"packed"` or `"dense"`):
            How the frames of a batch are laid out; the numbers are the same. `"auto"`, the default, packs on CPUs and
            is dense on accelerators and in traced graphs. It is not saved.

    An encoder none of whose parameters trains computes in evaluation mode: its running statistics are frozen, too.

    Args:
        config ([`SigmaPoseConfig`]):
            Configuration with the sizes of the encoder.
        hidden_size (`int`):
            Width of the result: `d_model` of the text backbone.

    Source: arXiv:2509.21223, pose encoder. Departure: padded frames take no part (see `graph_convolution_sigma`).
    """

    def __init__(self, config: SigmaPoseConfig, hidden_size: int) -> None:
        super().__init__()
        self.config = config
        self.hidden_size = hidden_size
        encoders = dict.fromkeys(encoder_name(part) for part in config.parts)
        self.parts = nn.ModuleDict({n: PartEncoder(config, "left_hand" if n == "hand" else n) for n in encoders})
        self.kinematic_stream = KinematicStream(config) if config.kinematic_hidden_size else None
        joined_size = len(config.parts) * config.temporal_hidden_sizes[-1] + config.kinematic_hidden_size
        self.part_bias = nn.Parameter(torch.zeros(joined_size))
        self.projection = nn.Linear(joined_size, hidden_size)
        self.frame_layout: FrameLayout = "auto"

    def forward(self, pose_values: torch.Tensor, pose_attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Encodes a padded batch of clips.

        Args:
            pose_values (`torch.Tensor` of shape `(B, T, 69, 3)`):
                Normalised x, y and score in [-1, 1]; all zero where a joint was not seen.
            pose_attention_mask (`torch.Tensor` of shape `(B, T)`, *optional*):
                1 = real frame. All frames are real when left out.

        Returns:
            `torch.Tensor` of shape `(B, T, hidden_size)`; zeros in padded frames.

        Raises:
            ValueError: for wrong shapes or a clip without a real frame.
        """
        check_pose_inputs(pose_values, pose_attention_mask)
        if self.training and not any(parameter.requires_grad for parameter in self.parameters()):
            # Statistics that moved would change a frozen encoder, and no adapter would save what they had become.
            self.eval()
        if pose_attention_mask is None:
            pose_attention_mask = torch.ones(pose_values.shape[:2], dtype=torch.bool, device=pose_values.device)
        if not self._packs(pose_values.device):
            return self._encode(pose_values, pose_attention_mask)
        on_cpu = pose_values.device.type == "cpu"
        frame_bytes = self.config.temporal_hidden_sizes[-1] * self.part_bias.element_size()
        clips_a_turn = max(1, TURN_BYTES // (pose_values.shape[1] * frame_bytes))
        if on_cpu and len(pose_values) > clips_a_turn and not self.training and not torch.is_grad_enabled():
            turns = zip(pose_values.split(clips_a_turn), pose_attention_mask.split(clips_a_turn), strict=True)
            return torch.cat([self._encode(values, mask) for values, mask in turns])
        return self._encode(pose_values, pose_attention_mask)

    def _packs(self, device: torch.device) -> bool:
        if self.frame_layout not in FRAME_LAYOUTS:
            raise ValueError(f"expected frame_layout to be one of {FRAME_LAYOUTS}, received {self.frame_layout!r}")
        if self.frame_layout == "auto":
            return device.type == "cpu" and not torch.compiler.is_compiling()
        return self.frame_layout == "packed"

    def _lay_out(self, mask: torch.Tensor) -> PackedFrames | DenseFrames:
        if self._packs(mask.device):
            return PackedFrames(mask, margin=self.config.temporal_kernel_size // 2)
        return DenseFrames(mask)

    def _encode(self, pose_values: torch.Tensor, pose_attention_mask: torch.Tensor) -> torch.Tensor:
        clips, hands = self._lay_out(pose_attention_mask), self._lay_out(pose_attention_mask.repeat(2, 1))
        # The dtype to compute in: that of a parameter that nothing quantises, matrices may be stored as integers.
        frames = clips.pack(pose_values).to(self.part_bias.dtype)  # (N, 69, 3)

        part_features = []
        anchors: torch.Tensor | None = None
        encoder: Any
        for name, encoder in self.parts.items():
            parts = [part for part in self.config.parts if encoder_name(part) == name]
            joints = torch.stack([self._part_joints(frames, part) for part in parts])  # (P, N, V, 3)
            values = encoder.joint_projection(joints)
            # Both hands run as one batch: all left ones, then all right ones.
            layout = clips if len(parts) == 1 else hands
            values = encoder.spatial_chain(values.flatten(0, 1), layout)
            if name == "body":
                anchors = values.detach()
            elif anchors is not None:
                anchor = torch.cat([anchors[:, PART_ANCHORS[part]] for part in parts])  # (P * N, C)
                values = values + anchor.unsqueeze(1)
            values = encoder.temporal_chain(values, layout).mean(dim=1)  # (P * N, C)
            part_features.extend(values.chunk(len(parts)))
        if self.kinematic_stream is not None:
            part_features.append(clips.pack(self.kinematic_stream(pose_values, pose_attention_mask)))
        joined = torch.cat(part_features, dim=-1) + self.part_bias  # (N, parts * C, and the kinematic stream's width)
        return clips.unpack(self.projection(joined))

    def _part_joints(self, frames: torch.Tensor, part: str) -> torch.Tensor:
        joints = frames[:, PART_SLICES[part]]
        if part == "left_hand" and self.config.mirror_left_hand:
            joints = joints * joints.new_tensor([-1.0, 1.0, 1.0])
        return joints


def check_pose_inputs(pose_values: torch.Tensor, pose_attention_mask: torch.Tensor | None) -> None:
    """Whether shapes fit, and on CPUs whether every clip has a frame; elsewhere that would wait for the device, and
    the extractor and the collator have seen to it.

    Raises:
        ValueError: if not.
    """
    if pose_values.dim() != 4 or pose_values.shape[2:] != (NUM_JOINTS, 3):
        raise ValueError(
            f"expected pose_values of shape (batch_size, num_frames, {NUM_JOINTS}, 3), received "
            f"{tuple(pose_values.shape)}: make them with SigmaFeatureExtractor"
        )
    if pose_attention_mask is None:
        return
    if pose_attention_mask.shape != pose_values.shape[:2]:
        raise ValueError(
            f"expected pose_attention_mask of shape {tuple(pose_values.shape[:2])} like pose_values, received "
            f"{tuple(pose_attention_mask.shape)}"
        )
    if torch.compiler.is_compiling() or pose_attention_mask.device.type != "cpu":
        return
    if not pose_attention_mask.any(dim=1).all():
        raise ValueError("expected at least one real frame per clip, received a row of zeros in pose_attention_mask")
