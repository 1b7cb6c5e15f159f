"""The CTC loss of gloss sequences, which tells clips that are too short for theirs instead of becoming NaN."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def ctc_frames_needed(labels: Tensor) -> Tensor:
    """The least number of frames that can hold each sequence: one a gloss, and a blank between equal neighbours.

    Args:
        labels (`torch.LongTensor` of shape `(B, L)`):
            Gloss numbers; negative ones (-100) are ignored, wherever they stand.

    Returns:
        `torch.LongTensor` of shape `(B,)`.

    ```python
    >>> import torch
    >>> from modeling_sigma.model.ctc_objective_sigma import ctc_frames_needed
    >>> ctc_frames_needed(torch.tensor([[3, 3, 2], [4, -100, -100]]))
    tensor([4, 1])

    ```
    """
    packed, lengths = _pack(labels)
    inside = torch.arange(1, packed.shape[1], device=labels.device) < lengths[:, None]
    repeats = (packed[:, 1:] == packed[:, :-1]) & inside
    return lengths + repeats.sum(dim=1)


def ctc_loss(
    logits: Tensor,
    num_frames: Tensor,
    labels: Tensor,
    blank_id: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
    short_clips: str = "error",
) -> tuple[Tensor, Tensor]:
    """Connectionist temporal classification: minus the log probability of all alignments of the glosses.

    Args:
        logits (`torch.Tensor` of shape `(B, T, num_labels)`):
            Unnormalised scores of blank and glosses in each frame.
        num_frames (`torch.LongTensor` of shape `(B,)`):
            Real frames of each clip; they come first.
        labels (`torch.LongTensor` of shape `(B, L)`):
            Gloss numbers, never the blank; -100 is ignored.
        blank_id (`int`, *optional*, defaults to 0):
            The label that means "no gloss here".
        reduction (`"mean"` or `"sum"`, *optional*, defaults to `"mean"`):
            Mean over the clips of the loss divided by the number of glosses (1 at least), or the sum over the clips.
        zero_infinity (`bool`, *optional*, defaults to `False`):
            Count infinite losses, and their gradients, as zero.
        short_clips (`"error"` or `"skip"`, *optional*, defaults to `"error"`):
            What to do with clips that have too few frames (see [`ctc_frames_needed`]): refuse them, or leave them out.

    Returns:
        `tuple`: the loss, `()`, float32 at least, 0 when no clip is left; and the number of clips left out, `()`.

    Raises:
        ValueError: for labels that are no glosses, shapes that do not fit, or a clip that is too short.

    Source: Graves et al. (2006), Connectionist temporal classification.
    """
    if reduction not in ("mean", "sum") or short_clips not in ("error", "skip"):
        raise ValueError(
            f"expected a reduction 'mean' or 'sum' and short_clips 'error' or 'skip', received {reduction!r} and "
            f"{short_clips!r}"
        )
    if labels.dim() != 2 or len(labels) != len(logits):
        raise ValueError(f"expected labels of shape ({len(logits)}, length), received {tuple(labels.shape)}")
    _check_labels(labels, logits.shape[-1], blank_id)
    packed, lengths = _pack(labels)
    needed = ctc_frames_needed(labels)
    is_short = needed > num_frames
    if short_clips == "error" and is_short.any():
        raise ValueError(_describe_short(is_short, num_frames, lengths, needed))
    dtype = torch.promote_types(logits.dtype, torch.float32)
    log_probabilities = logits.to(dtype).log_softmax(dim=-1).transpose(0, 1)  # (T, B, num_labels)
    with torch.backends.cudnn.flags(enabled=False):  # cudnn has limits of its own, and another kernel's rounding
        losses = F.ctc_loss(
            log_probabilities,
            packed.clamp(min=0),
            num_frames,
            lengths,
            blank=blank_id,
            reduction="none",
            zero_infinity=zero_infinity or short_clips == "skip",
        )
    if reduction == "mean":
        losses = losses / lengths.clamp(min=1)
    total = losses.masked_fill(is_short, 0.0).sum()
    num_skipped = is_short.sum()
    return (total / (len(losses) - num_skipped).clamp(min=1) if reduction == "mean" else total), num_skipped


def _pack(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The labels of each row side by side, -100 behind them (one column at least); and their number."""
    if labels.shape[1] == 0:
        labels = labels.new_full((len(labels), 1), -100)
    is_real = labels >= 0
    order = (~is_real).long().argsort(dim=1, stable=True)
    return labels.gather(1, order), is_real.sum(dim=1)


def _check_labels(labels: Tensor, num_labels: int, blank_id: int) -> None:
    if labels.numel() and int(labels.max()) >= num_labels:
        raise ValueError(
            f"expected gloss numbers below {num_labels}, received {int(labels.max())}: build the configuration's "
            "id2label from all glosses of the training data"
        )
    if (labels == blank_id).any():
        raise ValueError(
            f"expected no blank among the labels, received {blank_id} = ctc_blank_id: number glosses by label2id"
        )


def _describe_short(is_short: Tensor, num_frames: Tensor, lengths: Tensor, needed: Tensor) -> str:
    row = int(is_short.nonzero()[0])
    return (
        f"expected clips with a frame a gloss at least (and one between equal ones), {int(is_short.sum())} of "
        f"{len(is_short)} are too short: clip {row} of the batch has {int(num_frames[row])} frames for "
        f"{int(lengths[row])} glosses, which need {int(needed[row])}. Raise max_frames, leave the clip out, or set "
        'ctc_short_clips="skip"'
    )
