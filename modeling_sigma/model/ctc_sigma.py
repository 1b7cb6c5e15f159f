"""CTC in training: the gloss vocabulary and the loss. Decoding is in `ctc_decoding_sigma`.

The loss names clips that are too short for their glosses instead of becoming NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


BLANK = "<blank>"


def build_gloss_labels(sentences: Iterable[Sequence[str]]) -> dict[int, str]:
    """Numbers the glosses of a training set: the blank is 0, the glosses follow in alphabetical order.

    Args:
        sentences (`Iterable[Sequence[str]]`):
            The glosses of each clip, as the corpora's column `gloss` holds them.

    Returns:
        `dict[int, str]`: the `id2label` of a [`SigmaConfig`] with `ctc_blank_id=0`.

    Raises:
        ValueError: for a sentence that is one string, glosses that are empty or contain white space, or no gloss.

    Example:

    ```python
    >>> from modeling_sigma.model.ctc_sigma import build_gloss_labels
    >>> build_gloss_labels([["RAIN", "NORTH"], ["RAIN"]])
    {0: '<blank>', 1: 'NORTH', 2: 'RAIN'}

    ```
    """
    glosses: set[str] = set()
    for sentence in sentences:
        if isinstance(sentence, str):
            raise ValueError(f"expected a list of glosses per clip, received the string {sentence!r:.60}: split it")
        glosses.update(sentence)
    bad = sorted(gloss for gloss in glosses if not gloss or gloss.split() != [gloss] or gloss == BLANK)
    if bad:
        raise ValueError(f"expected glosses without white space, none of them {BLANK!r}, received {bad[0]!r}")
    if not glosses:
        raise ValueError("expected at least one gloss, received none: does the corpus have gloss annotations?")
    return {0: BLANK, **dict(enumerate(sorted(glosses), start=1))}


def encode_glosses(sentences: Sequence[Sequence[str]], label2id: Mapping[str, int]) -> Tensor:
    """The `labels` of [`SigmaForCTC`].

    Args:
        sentences (`Sequence[Sequence[str]]` of length B):
            The glosses of each clip.
        label2id (`Mapping[str, int]`):
            Gloss to number, from the model's configuration.

    Returns:
        `torch.LongTensor` of shape `(B, L)`: -100 after the last gloss of a clip.

    Raises:
        ValueError: for a gloss that the vocabulary does not have.
    """
    rows = []
    for row, sentence in enumerate(sentences):
        unknown = [gloss for gloss in sentence if gloss not in label2id]
        if unknown:
            raise ValueError(
                f"expected glosses of the vocabulary of {len(label2id)}, received {unknown[0]!r} in sentence {row}: "
                "build id2label from all glosses that are trained on, or leave the sentence out"
            )
        rows.append([label2id[gloss] for gloss in sentence])
    labels = torch.full((len(rows), max(map(len, rows), default=0)), -100)
    for row, numbers in enumerate(rows):
        labels[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.long)
    return labels


def ctc_frames_needed(labels: Tensor) -> Tensor:
    """The least number of frames that can hold each sequence: one per gloss, and a blank between equal neighbours.

    Args:
        labels (`torch.LongTensor` of shape `(B, L)`):
            Gloss numbers; negative ones (-100) are ignored, wherever they stand.

    Returns:
        `torch.LongTensor` of shape `(B,)`.

    ```python
    >>> import torch
    >>> from modeling_sigma.model.ctc_sigma import ctc_frames_needed
    >>> ctc_frames_needed(torch.tensor([[3, 3, 2], [4, -100, -100]]))
    tensor([4, 1])

    ```
    """
    packed, lengths = _pack(labels)
    inside = torch.arange(1, packed.shape[1], device=labels.device) < lengths[:, None]
    repeats = (packed[:, 1:] == packed[:, :-1]) & inside
    return lengths + repeats.sum(dim=1)


@torch.compiler.disable  # torch's own loss has shapes that depend on values
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
            Numbers of the glosses, never that of the blank; -100 is ignored.
        blank_id (`int`, *optional*, defaults to 0):
            The label that means "no gloss here".
        reduction (`"mean"` or `"sum"`, *optional*, defaults to `"mean"`):
            `"mean"`: mean over the clips of the loss divided by the number of glosses (at least 1). `"sum"`: sum over
            the clips.
        zero_infinity (`bool`, *optional*, defaults to `False`):
            Count infinite losses, and their gradients, as zero.
        short_clips (`"error"` or `"skip"`, *optional*, defaults to `"error"`):
            What to do with clips that have too few frames (see [`ctc_frames_needed`]): refuse them, or leave them out.

    Returns:
        `tuple`: the loss, `()`, at least float32, 0 when no clip is left; and the number of clips left out, `()`.

    Raises:
        ValueError: for labels that are not glosses, shapes that do not fit, or a clip that is too short.

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
    """The labels of each row side by side, -100 after them (at least one column); and how many there are."""
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
        f"expected clips with at least one frame per gloss (and one between equal ones), {int(is_short.sum())} of "
        f"{len(is_short)} are too short: clip {row} of the batch has {int(num_frames[row])} frames for "
        f"{int(lengths[row])} glosses, which need {int(needed[row])}. Raise max_frames, leave the clip out, or set "
        'ctc_short_clips="skip"'
    )
