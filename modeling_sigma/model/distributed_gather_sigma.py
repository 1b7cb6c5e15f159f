"""Whole-batch losses under data parallelism: gathering across ranks, with gradients.

`DistributedDataParallel` averages the gradients over the R ranks. Two ways of writing a loss over the whole batch then
give exactly the gradients of one process that holds it all, without any further factor:

1. every rank computes the loss L of the gathered batch. The gather's backward pass sums over the ranks, so that a
   rank's slice receives R dL/dfeatures; the average over ranks divides by R;
2. rank r computes the mean L_r over its own rows against the gathered columns, so that L is the mean of the L_r
   (equally many rows on every rank). The slice receives the sum of all dL_s/dfeatures: R dL/dfeatures again.

A parameter used after the gather (`logit_scale`) is right too: its gradients dL (or dL_r) are averaged. A mean over
unequally many items per rank (tokens, matched pairs) comes from [`mean_over_ranks`].

All functions are collective: every rank calls them in the same order, and runs the backward pass.

Source: arXiv:2509.21223, section on hierarchical alignment learning (contrast over the batch).
Departure: gradients flow to all ranks; keeping only those of the own slice divides them by R.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F


def gather_with_gradients(tensor: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """Concatenate the tensors of all ranks.

    Args:
        tensor (`torch.Tensor` of shape `(batch_size, *)`):
            Any dtype; of the same shape on every rank (else see [`gather_ragged`]).
        group (`torch.distributed.ProcessGroup`, *optional*):
            Defaults to all ranks.

    Returns:
        `torch.Tensor` of shape `(world_size * batch_size, *)`, in rank order. Its gradient is summed over the ranks,
        and each rank receives its own slice; integers and booleans have none. Without initialised
        `torch.distributed`, or with one rank, it is `tensor` itself.

    Source: arXiv:2509.21223, section on hierarchical alignment learning.
    """
    if _world_size(group) == 1:
        return tensor
    if tensor.dtype == torch.bool:  # not every backend sends booleans
        return gather_with_gradients(tensor.to(torch.uint8), group).bool()
    return _apply_gather(tensor, group)


def gather_ragged(tensor: Tensor, pad_value: float = 0.0, group: dist.ProcessGroup | None = None) -> Tensor:
    """Concatenate tensors whose lengths differ between ranks.

    Args:
        tensor (`torch.Tensor` of shape `(batch_size, *)`):
            Any dtype. Every dimension may differ between ranks; their number may not.
        pad_value (`float`, *optional*, defaults to 0):
            What shorter tensors are filled up with at the end of a dimension: 0 for features and masks, the padding
            token for ids, -100 for labels, -1 for word ids.
        group (`torch.distributed.ProcessGroup`, *optional*):
            Defaults to all ranks.

    Returns:
        `torch.Tensor` of shape `(sum of the batch sizes, *largest lengths)`, in rank order, with gradients as in
        [`gather_with_gradients`]. The first dimension is not padded.

    Source: arXiv:2509.21223, section on hierarchical alignment learning.
    """
    if _world_size(group) == 1:
        return tensor
    shapes = _gather_integers(tensor.shape, tensor.device, group)  # [rank][dimension]
    largest = [max(sizes) for sizes in zip(*shapes, strict=True)]
    padding: list[int] = []
    for size, wanted in zip(reversed(tensor.shape), reversed(largest), strict=True):
        padding += [0, wanted - size]
    if any(padding):
        tensor = F.pad(tensor, padding, value=pad_value)
    gathered = gather_with_gradients(tensor, group)
    batch_sizes = [shape[0] for shape in shapes]
    if min(batch_sizes) == max(batch_sizes):
        return gathered
    pieces = gathered.split_with_sizes([largest[0]] * len(batch_sizes))
    return torch.cat([piece[:batch_size] for piece, batch_size in zip(pieces, batch_sizes, strict=True)])


def gathered_positions(
    batch_size: int, device: torch.device | str | None = None, group: dist.ProcessGroup | None = None
) -> Tensor:
    """Where this rank's samples are in the gathered batch.

    Args:
        batch_size (`int`):
            Samples of this rank; may differ between ranks.
        device (`torch.device` or `str`, *optional*):
            Where to put the result, and what the backend communicates on (a GPU for NCCL).
        group (`torch.distributed.ProcessGroup`, *optional*):
            Defaults to all ranks.

    Returns:
        `torch.LongTensor` of shape `(batch_size,)`: the `positive_index` of
        [`~objectives_sigma.draw_hard_negatives`] for this rank's rows.
    """
    positions = torch.arange(batch_size, device=device)
    if _world_size(group) == 1:
        return positions
    batch_sizes = [sizes[0] for sizes in _gather_integers([batch_size], positions.device, group)]
    return positions + sum(batch_sizes[: dist.get_rank(group)])


def mean_over_ranks(total: Tensor, count: Tensor | int, group: dist.ProcessGroup | None = None) -> Tensor:
    """The mean over the items of all ranks, whose number may differ between ranks.

    Args:
        total (`torch.Tensor` of shape `()`):
            Sum over this rank's items; its gradient is that of the whole mean (case 1 above).
        count (`torch.Tensor` of shape `()` or `int`):
            Number of this rank's items; may be 0 on some ranks, where `total` must then be 0 with a graph.
        group (`torch.distributed.ProcessGroup`, *optional*):
            Defaults to all ranks.

    Returns:
        `torch.Tensor` of shape `()`, the same on every rank; 0 when there is no item at all.
    """
    counts = torch.as_tensor(count, device=total.device).to(total.dtype).detach()
    totals = gather_with_gradients(total[None], group)
    return totals.sum() / gather_with_gradients(counts[None], group).sum().clamp(min=1)


class _GatherWithGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        ctx.group, ctx.batch_size = group, tensor.shape[0]
        tensor = tensor.contiguous()
        gathered = [torch.empty_like(tensor) for _ in range(dist.get_world_size(group))]
        dist.all_gather(gathered, tensor, group=group)
        return torch.cat(gathered)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        # A copy, since autograd may use `grad` elsewhere; a sum over ranks in half precision would lose digits.
        is_half = grad.dtype in (torch.float16, torch.bfloat16)
        total = grad.to(torch.float32 if is_half else grad.dtype, copy=True, memory_format=torch.contiguous_format)
        dist.all_reduce(total, op=dist.ReduceOp.SUM, group=ctx.group)
        return total.narrow(0, dist.get_rank(ctx.group) * ctx.batch_size, ctx.batch_size).to(grad.dtype), None


_apply_gather: Callable[..., Tensor] = _GatherWithGradients.apply


def _world_size(group: dist.ProcessGroup | None) -> int:
    return dist.get_world_size(group) if dist.is_available() and dist.is_initialized() else 1


def _gather_integers(values: Sequence[int], device: torch.device, group: dist.ProcessGroup | None) -> list[list[int]]:
    own = torch.tensor(list(values), device=device)
    gathered = [torch.empty_like(own) for _ in range(dist.get_world_size(group))]
    dist.all_gather(gathered, own, group=group)
    return [cast(list[int], rank_values.tolist()) for rank_values in gathered]
