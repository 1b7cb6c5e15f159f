"""The objectives of pre-training and fine-tuning, as pure functions of tensors.

The local similarity is in `local_alignment_sigma`, what data parallelism needs in `distributed_gather_sigma`.

Source: arXiv:2509.21223, sections on hierarchical alignment learning and the sign-grounded text encoder / decoder.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


# The natural logarithm of the largest scale of the global logits: 100, as in CLIP.
MAX_LOG_SCALE = math.log(100.0)


def global_alignment_logits(pose_features: Tensor, text_features: Tensor, logit_scale: Tensor | float) -> Tensor:
    """The scaled cosine of every clip with every sentence.

    Args:
        pose_features (`torch.Tensor` of shape `(num_clips, hidden_size)`):
            One vector per clip (its [CLS] state), of any length.
        text_features (`torch.Tensor` of shape `(num_texts, hidden_size)`):
            One vector per sentence.
        logit_scale (`torch.Tensor` of shape `()` or `float`):
            Natural logarithm of the scale. The scale never exceeds 100, but its gradient passes as if it could, so
            that a `logit_scale` beyond the limit can come back.

    Returns:
        `torch.FloatTensor` of shape `(num_clips, num_texts)`, logits in [-100, 100]; float32 also under autocast.

    Raises:
        ValueError: when the features are not two matrices of one hidden size.

    Source: arXiv:2509.21223, section on hierarchical alignment learning (global alignment).
    Departure: features are L2-normalised and the scale is limited; the reference does neither.
    """
    if pose_features.dim() != 2 or text_features.dim() != 2 or pose_features.shape[1] != text_features.shape[1]:
        raise ValueError(
            "expected pose and text features of shape (batch_size, hidden_size), received "
            f"{tuple(pose_features.shape)} and {tuple(text_features.shape)}"
        )
    log_scale = torch.as_tensor(logit_scale, device=pose_features.device)
    excess = (log_scale - MAX_LOG_SCALE).clamp(min=0.0).detach()
    scale = (log_scale - excess).exp()
    # Half precision would round logits near 100 by 0.25 and more.
    with torch.autocast(device_type=pose_features.device.type, enabled=False):
        pose, text = _full_precision(pose_features), _full_precision(text_features)
        cosines = F.normalize(pose, dim=-1) @ F.normalize(text, dim=-1).T
        return cosines * scale.to(cosines.dtype)


def contrastive_loss(
    logits_per_pose: Tensor,
    positives: Tensor | None = None,
    logits_per_text: Tensor | None = None,
    temperature: float | None = None,
) -> Tensor:
    """Symmetric cross-entropy: each clip has to find its sentence, and each sentence its clip.

    Args:
        logits_per_pose (`torch.Tensor` of shape `(batch_size, num_texts)`):
            Similarity of each clip (rows) with all candidate sentences.
        positives (`torch.BoolTensor` of shape `(batch_size, num_texts)`, *optional*):
            Which columns are right for a row, in both directions: the target is spread evenly over them. Clips of
            equal sentences are positives of each other: see [`same_text`]. At least one per row; defaults to the
            diagonal.
        logits_per_text (`torch.Tensor` of shape `(batch_size, num_clips)`, *optional*):
            Similarity of each sentence (rows) with all candidate clips, where it is not simply the transpose.
        temperature (`float`, *optional*):
            What all logits are divided by; None means 1.

    Returns:
        `torch.Tensor` of shape `()`: the mean of both directions, each the mean over its rows, and each row without
        the entropy of its target, so that perfect features reach 0 whatever the batch. The mean over the ranks of the
        losses of equally many rows is the loss of the whole batch.

    Raises:
        ValueError: for logits and positives that do not belong together.

    Example:

    ```python
    >>> import torch
    >>> from modeling_sigma.model.objectives_sigma import contrastive_loss
    >>> round(contrastive_loss(torch.eye(2)).item(), 4)  # log(1 + 1 / e)
    0.3133

    ```

    Source: arXiv:2509.21223, section on hierarchical alignment learning.
    Departure: equal sentences are positives of each other. With the diagonal alone, perfect features of 8 pairs of
    equal sentences among 32 keep a loss of 0.347, and a gradient that pulls equal sentences apart.
    """
    num_rows, num_columns = logits_per_pose.shape
    if logits_per_text is None:
        if num_rows != num_columns:
            raise ValueError(
                f"expected `logits_per_text` beside logits_per_pose of shape {tuple(logits_per_pose.shape)}: only the "
                "transpose of a square matrix can stand for it. Are there as many clips as sentences?"
            )
        logits_per_text = logits_per_pose.T
    if positives is None:
        if num_rows != num_columns:
            raise ValueError(
                f"expected `positives` for logits of shape {tuple(logits_per_pose.shape)}: only a square matrix has "
                "them on its diagonal"
            )
        positives = torch.eye(num_rows, dtype=torch.bool, device=logits_per_pose.device)
    if logits_per_text.shape != logits_per_pose.shape or positives.shape != logits_per_pose.shape:
        raise ValueError(
            "expected logits and `positives` of one shape (batch_size, num_candidates), received "
            f"{tuple(logits_per_pose.shape)}, {tuple(logits_per_text.shape)} and {tuple(positives.shape)}"
        )
    if temperature is not None and not temperature > 0:
        raise ValueError(f"expected a positive `temperature` or None, received {temperature}")
    divisor = 1.0 if temperature is None else temperature
    pose_logits, text_logits = _full_precision(logits_per_pose) / divisor, _full_precision(logits_per_text) / divisor
    counts = positives.sum(dim=1, keepdim=True)
    targets = positives.to(pose_logits) / counts
    entropy = counts.to(pose_logits).log().mean()
    return (F.cross_entropy(pose_logits, targets) + F.cross_entropy(text_logits, targets)) / 2 - entropy


def hierarchical_alignment_loss(global_loss: Tensor, local_loss: Tensor, alpha: float) -> Tensor:
    """`(1 - alpha) * global_loss + alpha * local_loss`, for alpha in [0, 1].

    Source: arXiv:2509.21223, section on hierarchical alignment learning.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"expected `alpha` between 0 (global only) and 1 (local only), received {alpha}")
    return (1 - alpha) * global_loss + alpha * local_loss


def same_text(
    text_input_ids: Tensor,
    text_attention_mask: Tensor,
    other_input_ids: Tensor | None = None,
    other_attention_mask: Tensor | None = None,
) -> Tensor:
    """Which sentences are the same sequence of tokens, whatever their padding.

    Args:
        text_input_ids (`torch.LongTensor` of shape `(batch_size, text_length)`):
            Tokens; what is where the mask is 0 does not matter.
        text_attention_mask (`torch.Tensor` of shape `(batch_size, text_length)`):
            1 = token, 0 = padding, on whichever side.
        other_input_ids (`torch.LongTensor` of shape `(num_others, other_length)`, *optional*):
            The sentences to compare with, for instance those of all ranks. Defaults to the same ones.
        other_attention_mask (`torch.Tensor` of shape `(num_others, other_length)`, *optional*):
            Their mask.

    Returns:
        `torch.BoolTensor` of shape `(batch_size, num_others)`. Two empty sentences are the same.

    Raises:
        ValueError: when ids and masks differ in shape, or only one of the other pair is given.

    Example:

    ```python
    >>> import torch
    >>> from modeling_sigma.model.objectives_sigma import same_text
    >>> ids, mask = torch.tensor([[5, 6, 0], [0, 5, 6], [5, 7, 0]]), torch.tensor([[1, 1, 0], [0, 1, 1], [1, 1, 0]])
    >>> same_text(ids, mask).tolist()
    [[True, True, False], [True, True, False], [False, False, True]]

    ```

    Source: arXiv:2509.21223, section on sign-text matching (negatives).
    """
    if (other_input_ids is None) != (other_attention_mask is None):
        raise ValueError("expected both or neither of `other_input_ids` and `other_attention_mask`")
    rows = _without_padding(text_input_ids, text_attention_mask)
    if other_input_ids is None or other_attention_mask is None:
        others = rows
    else:
        others = _without_padding(other_input_ids, other_attention_mask)
    length = max(rows.shape[1], others.shape[1])
    rows, others = (F.pad(ids, (0, length - ids.shape[1]), value=-1) for ids in (rows, others))
    return (rows[:, None] == others[None]).all(dim=-1)  # (B, N)


def _without_padding(input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Tokens moved to the front, followed by -1."""
    if input_ids.dim() != 2 or input_ids.shape != attention_mask.shape:
        raise ValueError(
            "expected input ids and attention mask of one shape (batch_size, text_length), received "
            f"{tuple(input_ids.shape)} and {tuple(attention_mask.shape)}"
        )
    is_token = attention_mask.bool()
    order = torch.argsort(is_token.long(), dim=1, descending=True, stable=True)
    return input_ids.long().masked_fill(~is_token, -1).gather(1, order)


@torch.no_grad()
def draw_hard_negatives(
    similarity: Tensor,
    positive_index: Tensor,
    forbidden: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw one wrong partner for each row, the more similar the more likely.

    Args:
        similarity (`torch.Tensor` of shape `(batch_size, num_candidates)`):
            Logits; the chance of a candidate is their softmax over the admissible ones. Rows are clips and candidates
            sentences, or the transpose.
        positive_index (`torch.LongTensor` of shape `(batch_size,)`):
            The column of each row's true partner, which is never drawn.
        forbidden (`torch.BoolTensor` of shape `(batch_size, num_candidates)`, *optional*):
            True for further candidates never to draw, above all those of the same sentence: see [`same_text`].
        generator (`torch.Generator`, *optional*):
            Makes the draw reproducible. It lives on the device of `similarity`. Under data parallelism, the draws are
            those of one process when every rank draws for all rows with an equally seeded generator.

    Returns:
        `torch.LongTensor` of shape `(batch_size,)`: a column for each row, or -1 where no candidate is admissible (a
        batch of one, or of one sentence): leave such a pair out.

    Raises:
        ValueError: when the shapes do not belong together.

    Example:

    ```python
    >>> import torch
    >>> from modeling_sigma.model.objectives_sigma import draw_hard_negatives
    >>> draw_hard_negatives(torch.tensor([[2.0, 1.0], [0.0, 3.0]]), positive_index=torch.tensor([0, 1])).tolist()
    [1, 0]

    ```

    Source: arXiv:2509.21223, section on sign-text matching (hard negatives).
    Departure: drawn by the real similarities, without duplicates; the reference draws uniformly and keeps duplicates.
    """
    if similarity.dim() != 2 or positive_index.shape != similarity.shape[:1]:
        raise ValueError(
            "expected (batch_size, num_candidates) similarities and (batch_size,) positives, received "
            f"{tuple(similarity.shape)} and {tuple(positive_index.shape)}"
        )
    if forbidden is not None and forbidden.shape != similarity.shape:
        raise ValueError(
            f"expected `forbidden` of the similarities' shape {tuple(similarity.shape)}, received "
            f"{tuple(forbidden.shape)}"
        )
    excluded = torch.zeros_like(similarity, dtype=torch.bool).scatter_(1, positive_index[:, None], True)
    if forbidden is not None:
        excluded |= forbidden.bool()
    can_draw = ~excluded.all(dim=1)
    logits = _full_precision(similarity).masked_fill(excluded, -torch.inf)
    chances = logits.masked_fill(~can_draw[:, None], 0.0).softmax(dim=1)
    drawn = torch.multinomial(chances, 1, generator=generator)[:, 0]
    return drawn.where(can_draw, -1)


def label_smoothed_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    smoothing: float = 0.0,
    ignore_index: int = -100,
    num_items_in_batch: Tensor | int | None = None,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Cross-entropy with label smoothing, over the positions that are not ignored.

    Args:
        logits (`torch.Tensor` of shape `(*, vocab_size)`):
            Unnormalised scores.
        labels (`torch.LongTensor` of shape `(*)`):
            The right class of each position, or `ignore_index`.
        smoothing (`float`, *optional*, defaults to 0.0):
            Share of the probability that is spread evenly over all classes.
        ignore_index (`int`, *optional*, defaults to -100):
            Label of a position that does not count.
        num_items_in_batch (`torch.Tensor` of shape `()` or `int`, *optional*):
            What the sum is divided by, as the `Trainer` gives it: the number of positions that count in all batches of
            one accumulated step. Defaults to the number in `labels`, or the sum of their weights.
        class_weights (`torch.Tensor` of shape `(vocab_size,)`, *optional*):
            How much each class counts.

    Returns:
        `torch.Tensor` of shape `()`. 0 when every position is ignored.

    Raises:
        ValueError: when logits and labels do not belong together.

    Example:

    ```python
    >>> import torch
    >>> from modeling_sigma.model.objectives_sigma import label_smoothed_cross_entropy
    >>> round(label_smoothed_cross_entropy(torch.zeros(1, 2, 4), torch.tensor([[3, -100]]), 0.2).item(), 4)  # log 4
    1.3863

    ```

    Source: arXiv:2509.21223, section on language modelling; equal to `torch.nn.CrossEntropyLoss(label_smoothing=...)`.
    """
    if logits.shape[:-1] != labels.shape:
        raise ValueError(
            "expected logits of shape (*, vocab_size) and labels of shape (*), received "
            f"{tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    logits, labels = _full_precision(logits).reshape(-1, logits.shape[-1]), labels.to(logits.device)
    if class_weights is not None:
        class_weights = class_weights.to(logits)
    total = F.cross_entropy(
        logits,
        labels.reshape(-1),
        weight=class_weights,
        ignore_index=ignore_index,
        reduction="sum",
        label_smoothing=smoothing,
    )
    if num_items_in_batch is None and class_weights is not None:
        is_counted = labels != ignore_index
        weight = class_weights[labels.where(is_counted, 0)].where(is_counted, 0.0).sum()
        return total / torch.where(weight > 0, weight, 1.0)
    if num_items_in_batch is None:
        return total / (labels != ignore_index).sum().clamp(min=1)
    if isinstance(num_items_in_batch, Tensor):
        num_items_in_batch = num_items_in_batch.to(total.device)
    return total / num_items_in_batch


def _full_precision(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
