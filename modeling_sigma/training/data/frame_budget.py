"""Batches by number of frames: many short clips, or few long ones.

The cost of a batch is the number of its clips times the length of the longest, padding included. The sampler fills
every batch up to a budget of such frames, so that all steps need about the same time and memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import BatchSampler


# Lengths within this ratio count as equal: a trade-off between padding and how freely clips mix.
_LENGTH_RATIO = 1.125


class FrameBudgetSampler(BatchSampler):
    """Yields batches of `(epoch, index)`, so that the dataset knows the epoch in which a clip is read.

    A training step reads `num_parts` batches (processes times accumulated batches). Its clips are chosen together and
    then divided among the parts: a step of two processes holds the clips that one process would accumulate or, without
    a budget of frames, would read in batches of twice the size. The parts follow each other, which is how `accelerate`
    shards: batch i goes to process i modulo their number.

    Every clip comes once per epoch, and all epochs have the same number of batches. The order depends on `seed` and
    epoch alone. The very first step is the largest, so that a lack of memory shows at once.

    Args:
        lengths (`Sequence[int]`):
            The number of frames of each clip as the model reads it.
        max_clips (`int`):
            The largest number of clips in a batch.
        frames_per_batch (`int`, *optional*):
            The largest number of frames in a batch, padding included; by default only `max_clips` limits a batch.
        num_parts (`int`, *optional*, defaults to 1):
            The number of batches per step.
        length_grouping (`bool`, *optional*, defaults to `True`):
            Whether to put clips of similar length together. Otherwise clips of all lengths are mixed, and the budget
            counts every clip as the longest.
        seed (`int`, *optional*, defaults to 0):
            The seed of the order.
        drop_last (`bool`, *optional*, defaults to `False`):
            Whether to leave out an incomplete last step, which holds random short clips, different ones each epoch.

    Raises:
        ValueError: without clips, with fewer clips than parts, or for a clip longer than the budget.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        max_clips: int,
        frames_per_batch: int | None = None,
        num_parts: int = 1,
        length_grouping: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.lengths = np.asarray(lengths, np.int64)
        if self.lengths.ndim != 1 or len(self.lengths) < max(1, num_parts) or (self.lengths < 1).any():
            raise ValueError(
                f"expected at least {max(1, num_parts)} clips of 1 frame or more, received {len(self.lengths)}: train "
                "with fewer processes and accumulation steps"
            )
        if max_clips < 1:
            raise ValueError(f"expected at least one clip per batch, received {max_clips}")
        longest = int(self.lengths.max())
        if frames_per_batch is not None and longest > frames_per_batch:
            raise ValueError(
                f"expected frames_per_batch of at least the longest clip, {longest} frames, received "
                f"{frames_per_batch}: raise it, or lower the extractor's max_frames"
            )
        self.num_parts = num_parts
        self.seed = seed
        self.epoch = 0
        # Read by accelerate: batches have no fixed size, and their number is a multiple of that of the processes.
        self.batch_size = None  # type: ignore[assignment]
        self.drop_last = False
        self._edges = _length_edges(self.lengths, longest) if length_grouping else None
        costs = np.full(len(self.lengths), longest) if self._edges is None else self._edges
        self._starts = _step_starts(np.sort(costs)[::-1], max_clips, frames_per_batch, num_parts, drop_last)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return (len(self._starts) - 1) * self.num_parts

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:  # type: ignore[override]
        for step in self._steps():
            # Joined, the parts have the order of a single one: losses that compare clips draw the same negatives.
            for part in np.array_split(step, self.num_parts):
                yield [(self.epoch, int(index)) for index in part]

    def _steps(self) -> list[np.ndarray]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.lengths))
        if self._edges is not None:
            # Longest first, random among lengths that count as equal: every epoch is cut in the same places.
            order = order[np.argsort(-self._edges[order], kind="stable")]
        steps = [order[start:stop] for start, stop in zip(self._starts[:-1], self._starts[1:])]
        if len(steps[-1]) < self.num_parts:
            # No part may be empty: clips of this epoch come a second time.
            missing = self.num_parts - len(steps[-1])
            steps[-1] = np.concatenate([steps[-1], rng.choice(order[: len(order) - len(steps[-1])], missing, False)])
        steps = [rng.permutation(step) for step in steps]
        places = rng.permutation(len(steps))
        if self.epoch == 0:
            frames = [len(step) * int(self.lengths[step].max()) for step in steps]
            largest = int(np.flatnonzero(places == int(np.argmax(frames)))[0])
            places[[0, largest]] = places[[largest, 0]]
        return [steps[place] for place in places]


def _length_edges(lengths: np.ndarray, longest: int) -> np.ndarray:
    """For each clip, the upper edge of its class of lengths; clips of one class are interchangeable."""
    edges = [min(8, longest)]
    while edges[-1] < longest:
        edges.append(min(longest, int(edges[-1] * _LENGTH_RATIO)))
    return np.array(edges)[np.searchsorted(edges, lengths)]


def _step_starts(
    costs: np.ndarray, max_clips: int, frames_per_batch: int | None, num_parts: int, drop_last: bool
) -> list[int]:
    """Where each step begins, and where the last ends, for clips from the most expensive to the cheapest."""
    starts, full = [0], 0
    while starts[-1] < len(costs):
        start = starts[-1]
        fitting = max_clips if frames_per_batch is None else frames_per_batch // int(costs[start])
        full = num_parts * max(1, min(max_clips, fitting))
        starts.append(min(len(costs), start + full))
    size = starts[-1] - starts[-2]
    if size == full or len(starts) < 3:
        return starts
    if drop_last:
        return starts[:-1]
    if 2 * size < full:
        # The gradient of a last step of few clips is noise: even out the last two. In multiples of 4 or 2, so that the
        # result is the same for one part and for several.
        both, unit = starts[-1] - starts[-3], math.lcm(4 if full >= 16 else 2, num_parts)
        first = min(max(round(both / 2 / unit), 1) * unit, starts[-2] - starts[-3])
        starts[-2] = starts[-3] + first
    return starts
