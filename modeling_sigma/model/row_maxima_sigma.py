"""The best word of every frame and the best frame of every word, for all clips and sentences, in little memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


# Features shorter than this have no direction: their cosine with everything, and its gradient, is 0.
_SMALLEST_LENGTH = 1e-8


class RowMaxima(torch.autograd.Function):
    """For each frame the best cosine among a sentence's words, and for each word the best among a clip's frames.

    All that the backward pass needs of the (I, T, J, W) cosines is where the maxima were. The gradient of a maximum is
    the feature on its other side, so the gradients are weighted sums of feature rows: *bags*, which `embedding_bag`
    adds up without a dense matrix of coefficients and without a copy of the gathered rows. On a CPU this took a fifth
    of the time of the two dense products (I = J = 32, T = 256, W = 40, hidden size 768). Unit vectors are not kept
    either: the raw features and one inverse length per row give them back.

    Args of `apply`, in this order:
        pose (`torch.Tensor` of shape `(num_clips, num_frames, hidden_size)`): one vector per frame.
        words (`torch.Tensor` of shape `(num_texts, num_words, hidden_size)`): one vector per word.
        pose_mask (`torch.BoolTensor` of shape `(num_clips, num_frames)`): True = real frame.
        word_mask (`torch.BoolTensor` of shape `(num_texts, num_words)`): True = real word.
        chunk_size (`int`): clips whose cosines with all sentences are in memory at a time.
        do_normalize (`bool`): whether to L2-normalise the features.

    Returns:
        `best_words` of shape `(num_clips, num_frames, num_texts)` and `best_frames` of shape
        `(num_clips, num_texts, num_words)`, float32 or float64; 0 without gradient where there is nothing real to
        compare. Among equal maxima the gradient goes to one.

    Source: arXiv:2509.21223, section on hierarchical alignment learning (local alignment, row maximum).
    """

    @staticmethod
    def forward(
        ctx: Any,
        pose: Tensor,
        words: Tensor,
        pose_mask: Tensor,
        word_mask: Tensor,
        chunk_size: int,
        do_normalize: bool,
    ) -> tuple[Tensor, Tensor]:
        num_clips, num_frames = pose_mask.shape
        num_texts, num_words = word_mask.shape
        dtype = computing_dtype(pose, words)
        word_scales = _scales(words.to(dtype), do_normalize)  # (J, W, 1)
        unit_words = (words.to(dtype) * word_scales).flatten(0, 1)  # (J*W, D)
        pose_scales = pose.new_empty(num_clips, num_frames, 1, dtype=dtype)
        best_words = pose.new_empty(num_clips, num_frames, num_texts, dtype=dtype)
        best_frames = pose.new_empty(num_clips, num_texts, num_words, dtype=dtype)
        which_words = torch.empty_like(best_words, dtype=_index_dtype(num_words))
        which_frames = torch.empty_like(best_frames, dtype=_index_dtype(num_frames))
        # One buffer for all blocks: fresh memory for each block costs more than its maxima.
        buffer = pose.new_empty(min(chunk_size, num_clips) * num_frames, num_texts * num_words, dtype=dtype)

        for start in range(0, num_clips, chunk_size):
            block = slice(start, min(start + chunk_size, num_clips))
            frames = pose[block].to(dtype)
            pose_scales[block] = _scales(frames, do_normalize)
            frames = (frames * pose_scales[block]).flatten(0, 1)  # (c*T, D)
            cosines = torch.mm(frames, unit_words.T, out=buffer[: frames.shape[0]])
            cosines.masked_fill_(~word_mask.reshape(1, -1), -torch.inf)
            cosines.masked_fill_(~pose_mask[block].reshape(-1, 1), -torch.inf)
            cosines = cosines.view(-1, num_frames, num_texts, num_words)
            best_words[block], which_words[block] = cosines.max(dim=3)  # (c, T, J)
            best_frames[block], which_frames[block] = cosines.max(dim=1)  # (c, J, W)

        best_words.masked_fill_(_nothing(pose_mask[:, :, None], word_mask.any(dim=1)), 0.0)
        best_frames.masked_fill_(_nothing(word_mask, pose_mask.any(dim=1)[:, None, None]), 0.0)
        ctx.save_for_backward(
            pose, words, pose_mask, word_mask, pose_scales, word_scales, unit_words, which_words, which_frames
        )
        ctx.chunk_size, ctx.do_normalize = chunk_size, do_normalize
        return best_words, best_frames

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_words: Tensor, grad_frames: Tensor) -> tuple[Tensor | None, ...]:
        pose, words, pose_mask, word_mask, pose_scales, word_scales, unit_words, which_words, which_frames = (
            ctx.saved_tensors
        )
        num_clips, num_frames = pose_mask.shape
        num_texts, num_words = word_mask.shape
        grad_words = grad_words.masked_fill(_nothing(pose_mask[:, :, None], word_mask.any(dim=1)), 0.0)  # (I, T, J)
        grad_frames = grad_frames.masked_fill(_nothing(word_mask, pose_mask.any(dim=1)[:, None, None]), 0.0)
        grad_pose = grad_text = None

        with torch.autocast(device_type=pose.device.type, enabled=False):
            if ctx.needs_input_grad[0]:
                grad_pose = torch.empty_like(pose)
                first_word = torch.arange(num_texts, device=pose.device) * num_words
                for start in range(0, num_clips, ctx.chunk_size):
                    block = slice(start, min(start + ctx.chunk_size, num_clips))
                    rows = (which_words[block] + first_word).flatten(0, 1)  # (c*T, J), rows of unit_words
                    grad = _sum_bags(rows, grad_words[block].flatten(0, 1), unit_words)
                    keys, weights = which_frames[block].flatten(1), grad_frames[block].flatten(1)  # (c, J*W)
                    grad += _sum_rows_by_key(keys, weights, unit_words, num_frames)
                    grad_pose[block] = _through_scales(grad, pose[block], pose_scales[block], ctx.do_normalize)
            if ctx.needs_input_grad[1]:
                raw_pose = pose.to(unit_words.dtype).flatten(0, 1)  # (I*T, D); the scales go into the weights
                first_frame = torch.arange(num_clips, device=pose.device)[:, None, None] * num_frames
                rows = (which_frames + first_frame).permute(1, 2, 0).flatten(0, 1)  # (J*W, I), rows of raw_pose
                weights = grad_frames.permute(1, 2, 0).flatten(0, 1) * pose_scales.flatten()[rows]
                grad = _sum_bags(rows, weights, raw_pose)
                keys, weights = which_words.flatten(0, 1).T, (grad_words * pose_scales).flatten(0, 1).T  # (J, I*T)
                grad += _sum_rows_by_key(keys, weights, raw_pose, num_words)
                grad_text = _through_scales(grad, words, word_scales, ctx.do_normalize)
        return grad_pose, grad_text, None, None, None, None


row_maxima: Callable[..., tuple[Tensor, Tensor]] = RowMaxima.apply


def _nothing(is_real: Tensor, has_partner: Tensor) -> Tensor:
    return ~(is_real & has_partner)


def _sum_bags(rows: Tensor, weights: Tensor, table: Tensor) -> Tensor:
    """`out[r] = sum_k weights[r, k] * table[rows[r, k]]`, for rows (R, K) and table (M, D)."""
    return F.embedding_bag(rows.contiguous(), table, mode="sum", per_sample_weights=weights.contiguous())


def _sum_rows_by_key(keys: Tensor, weights: Tensor, table: Tensor, num_keys: int) -> Tensor:
    """`out[g * num_keys + k] = sum of weights[g, n] * table[n] over the n with keys[g, n] == k`, for keys (G, N)."""
    num_groups, num_rows = keys.shape
    sorted_keys, order = torch.sort(keys.contiguous(), dim=1, stable=True)
    every_key = torch.arange(num_keys, device=keys.device, dtype=keys.dtype).expand(num_groups, -1).contiguous()
    bag_starts = torch.searchsorted(sorted_keys, every_key)  # (G, num_keys), counted inside the group
    bag_starts += torch.arange(num_groups, device=keys.device)[:, None] * num_rows
    weights = weights.gather(1, order).flatten()
    return F.embedding_bag(order.flatten(), table, bag_starts.flatten(), mode="sum", per_sample_weights=weights)


def _through_scales(grad: Tensor, features: Tensor, scales: Tensor, do_normalize: bool) -> Tensor:
    """The gradient for `features` from the rows of that for `features * scales`, which it overwrites."""
    grad = grad.view(features.shape)
    if do_normalize:
        unit = features.to(grad.dtype) * scales
        grad -= unit * (grad * unit).sum(dim=-1, keepdim=True)
        grad *= scales
    return grad.to(features.dtype)


def _scales(features: Tensor, do_normalize: bool) -> Tensor:
    return inverse_lengths(features) if do_normalize else features.new_ones(*features.shape[:-1], 1)


def inverse_lengths(features: Tensor) -> Tensor:
    """The factors `(..., 1)` that make the rows of `(..., hidden_size)` unit vectors; 0 for a row of length 0."""
    lengths: Tensor = torch.linalg.vector_norm(features, dim=-1, keepdim=True)
    return lengths.clamp(min=_SMALLEST_LENGTH).reciprocal().where(lengths > _SMALLEST_LENGTH, 0.0)


def computing_dtype(*tensors: Tensor) -> torch.dtype:
    """Cosines are computed in float64 where an input is, else in float32: half precision would blur the maxima."""
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32


def _index_dtype(size: int) -> torch.dtype:
    return torch.int16 if size <= torch.iinfo(torch.int16).max else torch.int32
