"""Clips of different lengths in one batch: zeros after the end, and a mask that says where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import BatchFeature

from .keypoint_arrays import to_numpy
from .skeleton_layouts import NUM_JOINTS


def pad_features(
    features: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    length: int | None = None,
    multiple_of: int | None = None,
    fills: Mapping[str, int] | None = None,
) -> dict[str, np.ndarray]:
    """Joins the features of several clips into one batch.

    Args:
        features (list of dicts, or a dict of lists):
            `pose_values` `(T, 69, 3)` or `(1, T, 69, 3)`, and `pose_attention_mask` `(T,)` (all frames without one).
            Other entries are stacked as they are, without a leading axis of 1 where `pose_values` has one.
        length (`int`, *optional*):
            Number of frames of the batch; that of its longest clip by default.
        multiple_of (`int`, *optional*):
            Round the number of frames up to a multiple of this.
        fills (`Mapping[str, int]`, *optional*):
            Entries that are sequences of tokens, and what follows the end of the shorter ones.

    Returns:
        `dict[str, np.ndarray]`: `pose_values` `(B, T, 69, 3)` float32, `pose_attention_mask` `(B, T)` int64, 1 = real
        frame, and the other entries.

    Raises:
        ValueError: if there is no clip, one without `pose_values` or without a real frame, or one longer than
            `length`.
    """
    clips = [_unbatched(clip) for clip in _listed(features)]
    values = [clip.pop("pose_values") for clip in clips]
    masks = [clip.pop("pose_attention_mask", np.ones(len(value))) for clip, value in zip(clips, values)]
    longest = max(len(value) for value in values)
    if length is not None and longest > length:
        raise ValueError(f"expected clips of at most {length} frames, received one of {longest}: lower max_frames")
    frames = longest if length is None else length
    frames += -frames % (multiple_of or 1)
    batch: dict[str, np.ndarray] = {
        "pose_values": np.zeros((len(values), frames, NUM_JOINTS, 3), np.float32),
        "pose_attention_mask": np.zeros((len(values), frames), np.int64),
    }
    for row, (value, mask) in enumerate(zip(values, masks, strict=True)):
        batch["pose_values"][row, : len(value)] = value
        batch["pose_attention_mask"][row, : len(value)] = mask
        if not batch["pose_attention_mask"][row].any():
            raise ValueError(f"expected at least one real frame per clip, received none in clip {row}: leave it out")
    for name in clips[0]:
        entries = [np.asarray(clip[name]) for clip in clips]
        if fills is not None and name in fills and entries[0].ndim == 1:
            entries = _padded(entries, fills[name])
        batch[name] = np.stack(entries)
    return batch


def padding_values(pad_token_id: int) -> dict[str, int]:
    """What fills up prompts and texts that are shorter than others; the `fills` of `pad_features`."""
    ids, masks = ("prompt_input_ids", "text_input_ids"), ("prompt_attention_mask", "text_attention_mask")
    return {**dict.fromkeys(ids, pad_token_id), **dict.fromkeys(masks, 0), "text_word_ids": -1, "labels": -100}


def _padded(sequences: Sequence[np.ndarray], fill: int) -> list[np.ndarray]:
    longest = max(map(len, sequences))
    return [np.pad(sequence, (0, longest - len(sequence)), constant_values=fill) for sequence in sequences]


def _listed(features: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if isinstance(features, (Mapping, BatchFeature)):
        columns = dict(features.items())
        if "pose_values" not in columns:
            raise ValueError(f"expected pose_values of clips, received {', '.join(map(str, columns)) or 'nothing'}")
        features = [
            {name: column[row] for name, column in columns.items()} for row in range(len(columns["pose_values"]))
        ]
    clips = list(features)
    if not clips:
        raise ValueError("expected at least one clip, received none")
    for clip in clips:
        if "pose_values" not in clip:
            raise ValueError(f"expected pose_values of every clip, received {', '.join(map(str, clip)) or 'nothing'}")
    return clips


def _unbatched(clip: Mapping[str, Any]) -> dict[str, Any]:
    """The features of one clip without an axis of one clip."""
    arrays = {name: to_numpy(value) for name, value in clip.items()}
    arrays["pose_values"] = np.asarray(arrays["pose_values"], np.float32)
    if arrays["pose_values"].ndim == 4 and len(arrays["pose_values"]) == 1:
        arrays = {
            name: np.asarray(value)[0] if np.ndim(value) and len(value) == 1 else value
            for name, value in arrays.items()
        }
    return arrays
