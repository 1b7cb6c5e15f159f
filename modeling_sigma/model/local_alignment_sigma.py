"""Local alignment: the frame-word similarity of every clip with every sentence.

The similarity of a pair comes in two stages. A *row strategy* reduces the cosines of one frame with all words of the
sentence to one number (and those of one word with all frames of the clip); a *score strategy* reduces these numbers
over the frames (over the words) to the similarity of the pair.

Source: arXiv:2509.21223, section on hierarchical alignment learning (local alignment).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .row_maxima_sigma import computing_dtype, inverse_lengths, row_maxima


ROW_STRATEGIES = ("max", "mean", "topk_mean", "softmax")
SCORE_STRATEGIES = ("softmax", "sum", "mean", "logsumexp")

# Cosines in one block (16 MiB in float32), where the caller does not choose the block.
_COSINES_PER_BLOCK = 2**22


def word_frame_cosines(pose_features: Tensor, pose_mask: Tensor, word_features: Tensor, word_mask: Tensor) -> Tensor:
    """The cosine of each word with each frame of its own clip, for display.

    Args:
        pose_features (`torch.Tensor` of shape `(batch_size, num_frames, hidden_size)`): one vector per frame.
        pose_mask (`torch.Tensor` of shape `(batch_size, num_frames)`): 1 = real frame, 0 = padding.
        word_features (`torch.Tensor` of shape `(batch_size, num_words, hidden_size)`): one vector per word.
        word_mask (`torch.Tensor` of shape `(batch_size, num_words)`): 1 = real word, 0 = padding.

    Returns:
        `torch.FloatTensor` of shape `(batch_size, num_words, num_frames)` in [-1, 1]; 0 at padding.

    Source: arXiv:2509.21223, section on hierarchical alignment learning (local alignment).
    """
    _check_features(pose_features, pose_mask, word_features, word_mask)
    if pose_features.shape[0] != word_features.shape[0]:
        raise ValueError(
            f"expected one sentence per clip, received {pose_features.shape[0]} clips and "
            f"{word_features.shape[0]} sentences"
        )
    with torch.autocast(device_type=pose_features.device.type, enabled=False):
        dtype = computing_dtype(pose_features, word_features)
        pose, words = pose_features.to(dtype), word_features.to(dtype)
        cosines = (words * inverse_lengths(words)) @ (pose * inverse_lengths(pose)).transpose(1, 2)  # (B, W, T)
    return cosines.masked_fill(~(word_mask.bool()[:, :, None] & pose_mask.bool()[:, None, :]), 0.0)


def local_similarity(
    pose_features: Tensor,
    pose_mask: Tensor,
    word_features: Tensor,
    word_mask: Tensor,
    row_strategy: str = "max",
    score_strategy: str = "softmax",
    temperature: float | None = None,
    chunk_size: int | None = None,
    do_normalize: bool = True,
) -> tuple[Tensor, Tensor]:
    """The frame-word similarity of every clip with every sentence, in both directions.

    With the default strategies, the pose-to-text similarity of clip i and sentence j is: for each real frame the
    maximum cosine over the words of j, then the sum of these maxima over the real frames, weighted by their own
    softmax. Text-to-pose is the same with the roles of words and frames exchanged. Both come from one tensor of
    cosines, computed for `chunk_size` clips with all sentences at a time.

    Args:
        pose_features (`torch.Tensor` of shape `(num_clips, num_frames, hidden_size)`):
            One vector per frame, without [CLS] and prompt. Padding must be finite, and has no influence.
        pose_mask (`torch.Tensor` of shape `(num_clips, num_frames)`):
            1 = real frame, 0 = padding.
        word_features (`torch.Tensor` of shape `(num_sentences, num_words, hidden_size)`):
            One vector per word, as [`pool_words`] returns them.
        word_mask (`torch.Tensor` of shape `(num_sentences, num_words)`):
            1 = real word, 0 = padding.
        row_strategy (`str`, *optional*, defaults to `"max"`):
            `"max"`, `"mean"`, `"topk_mean"` (mean of the largest third: of n real entries the largest
            `max(1, n // 3)`) or `"softmax"` (sum weighted by the softmax).
        score_strategy (`str`, *optional*, defaults to `"softmax"`):
            `"softmax"` (sum weighted by the softmax), `"sum"`, `"mean"` or `"logsumexp"`.
        temperature (`float`, *optional*):
            t in `softmax(x / t)` and `t * logsumexp(x / t)` of the strategies above; None means 1, the paper's choice.
            The similarities themselves stay unscaled: their own temperature is that of
            [`~objectives_sigma.contrastive_loss`].
        chunk_size (`int`, *optional*):
            Clips per block. It changes memory and speed, not the result. By default a block has about a million
            cosines.
        do_normalize (`bool`, *optional*, defaults to `True`):
            Whether to L2-normalise the features. False when they already are.

    Returns:
        `pose_to_text` of shape `(num_clips, num_sentences)` and `text_to_pose` of shape `(num_sentences, num_clips)`:
        rows ask, columns answer. float32 (float64 for float64 features), also under autocast. A pair of which the clip
        has no real frame or the sentence no real word has similarity 0 in both directions and passes no gradient; a
        feature vector of length 0 has cosine 0 with everything, and gets no gradient either.

    Raises:
        ValueError: for shapes that do not belong together, unknown strategies, or a temperature that is not positive.

    Example:

    ```python
    >>> import torch
    >>> from modeling_sigma.model.local_alignment_sigma import local_similarity
    >>> pose, words = torch.eye(3)[None], torch.eye(3)[None, :2]  # frames 0 and 1 are the words, frame 2 is neither
    >>> similarities = local_similarity(pose, torch.ones(1, 3), words, torch.ones(1, 2), score_strategy="mean")
    >>> [round(similarity.item(), 4) for similarity in similarities]
    [0.6667, 1.0]

    ```

    Source: arXiv:2509.21223, section on hierarchical alignment learning (local alignment).
    Departure: padding is masked; the reference lets zero vectors take part in its maxima and softmaxes.
    """
    _check_features(pose_features, pose_mask, word_features, word_mask)
    if row_strategy not in ROW_STRATEGIES:
        raise ValueError(f"expected `row_strategy` to be one of {ROW_STRATEGIES}, received {row_strategy!r}")
    if score_strategy not in SCORE_STRATEGIES:
        raise ValueError(f"expected `score_strategy` to be one of {SCORE_STRATEGIES}, received {score_strategy!r}")
    if temperature is not None and not temperature > 0:
        raise ValueError(f"expected a positive `temperature` or None, received {temperature}")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"expected `chunk_size` of at least 1 clip, received {chunk_size}")
    pose_mask, word_mask = pose_mask.bool(), word_mask.bool()
    is_traced = torch.compiler.is_compiling()
    if is_traced:
        chunk_size = len(pose_mask)  # a compiler plans the memory itself
    elif chunk_size is None:
        chunk_size = max(1, _COSINES_PER_BLOCK // (pose_mask.shape[1] * word_mask.numel()))
    inputs = (pose_features, word_features, pose_mask, word_mask, chunk_size, do_normalize)

    with torch.autocast(device_type=pose_features.device.type, enabled=False):
        if row_strategy == "max" and not is_traced:
            over_words, over_frames = row_maxima(*inputs)
        else:
            over_words, over_frames = _dense_rows(*inputs, row_strategy, temperature)
        # (I, T, J) over its T, and (I, J, W) over its W
        pose_to_text = _score(over_words, pose_mask[:, :, None], 1, score_strategy, temperature)  # (I, J)
        text_to_pose = _score(over_frames, word_mask[None], 2, score_strategy, temperature)  # (I, J)
    is_pair = pose_mask.any(dim=1)[:, None] & word_mask.any(dim=1)[None, :]
    return pose_to_text.where(is_pair, 0.0), text_to_pose.where(is_pair, 0.0).T


def _dense_rows(
    pose: Tensor,
    words: Tensor,
    pose_mask: Tensor,
    word_mask: Tensor,
    chunk_size: int,
    do_normalize: bool,
    strategy: str,
    temperature: float | None,
) -> tuple[Tensor, Tensor]:
    """What `row_maxima` returns by plain autograd, one block's cosines at a time: for the other row strategies, and
    for graphs that are traced."""
    dtype = computing_dtype(pose, words)
    pose, words = pose.to(dtype), words.to(dtype)
    if do_normalize:
        pose, words = pose * inverse_lengths(pose), words * inverse_lengths(words)

    def rows_of_block(frames: Tensor, mask: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        cosines = torch.einsum("itd,jwd->itjw", frames, words)
        over_words = _row(cosines, word_mask[None, None], 3, strategy, temperature)  # (c, T, J)
        over_frames = _row(cosines, mask[:, :, None, None], 1, strategy, temperature)  # (c, J, W)
        return over_words, over_frames

    if torch.compiler.is_compiling():
        return rows_of_block(pose, pose_mask, words)
    # Recomputing a block in the backward pass keeps one block's cosines in memory instead of all.
    blocks = [
        checkpoint(rows_of_block, frames, mask, words, use_reentrant=False, preserve_rng_state=False)
        for frames, mask in zip(torch.split(pose, chunk_size), torch.split(pose_mask, chunk_size), strict=True)
    ]
    return torch.cat([block[0] for block in blocks]), torch.cat([block[1] for block in blocks])


def _row(cosines: Tensor, mask: Tensor, dim: int, strategy: str, temperature: float | None) -> Tensor:
    """Reduce `dim` by a row strategy; finite where nothing is real."""
    if strategy == "max":
        return _filled_with_lowest(cosines, mask).amax(dim).where(mask.any(dim), 0.0)
    if strategy == "mean":
        return _masked_mean(cosines, mask, dim)
    if strategy == "softmax":
        return _softmax_weighted_sum(cosines, mask, dim, temperature)
    largest = cosines.masked_fill(~mask, -torch.inf).topk(max(1, cosines.shape[dim] // 3), dim=dim).values
    rank = torch.arange(largest.shape[dim], device=cosines.device)  # 0 for the largest
    rank = rank.view([-1 if axis == dim else 1 for axis in range(cosines.dim())])
    count = mask.sum(dim=dim, keepdim=True)
    return _masked_mean(largest, (rank < (count // 3).clamp(min=1)) & (rank < count), dim)


def _score(values: Tensor, mask: Tensor, dim: int, strategy: str, temperature: float | None) -> Tensor:
    """Reduce `dim` by a score strategy; what an all-masked row gives is arbitrary, without gradient, and not NaN."""
    if strategy == "softmax":
        return _softmax_weighted_sum(values, mask, dim, temperature)
    if strategy == "sum":
        return values.where(mask, 0.0).sum(dim=dim)
    if strategy == "mean":
        return _masked_mean(values, mask, dim)
    scale = 1.0 if temperature is None else temperature
    return scale * _filled_with_lowest(values / scale, mask).logsumexp(dim=dim)


def _masked_mean(values: Tensor, mask: Tensor, dim: int) -> Tensor:
    return values.where(mask, 0.0).sum(dim=dim) / mask.sum(dim=dim).clamp(min=1)


def _softmax_weighted_sum(values: Tensor, mask: Tensor, dim: int, temperature: float | None) -> Tensor:
    logits = values if temperature is None else values / temperature
    weights = _filled_with_lowest(logits, mask).softmax(dim=dim)
    return (weights * values.where(mask, 0.0)).sum(dim=dim)


def _filled_with_lowest(values: Tensor, mask: Tensor) -> Tensor:
    # The lowest number and not -inf, so that a row without any real entry stays free of NaN.
    return values.masked_fill(~mask, torch.finfo(values.dtype).min)


def _check_features(pose_features: Tensor, pose_mask: Tensor, word_features: Tensor, word_mask: Tensor) -> None:
    for name, features, mask in (("pose", pose_features, pose_mask), ("word", word_features, word_mask)):
        if features.dim() != 3 or mask.shape != features.shape[:2]:
            raise ValueError(
                f"expected {name} features of shape (batch_size, length, hidden_size) and a mask of shape "
                f"(batch_size, length), received {tuple(features.shape)} and {tuple(mask.shape)}"
            )
        if 0 in features.shape:
            raise ValueError(
                f"expected at least one {name} position, received shape {tuple(features.shape)}: pad to length 1 with "
                "mask 0 for nothing at all"
            )
    if pose_features.shape[2] != word_features.shape[2]:
        raise ValueError(
            "expected pose and word features of one hidden size, received "
            f"{pose_features.shape[2]} and {word_features.shape[2]}"
        )
