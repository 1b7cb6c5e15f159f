"""Batches by frames: every clip once an epoch, never over the budget, the same steps however they are divided."""

from __future__ import annotations

import numpy as np
import pytest
from accelerate.data_loader import BatchSamplerShard, SkipBatchSampler
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_sigma.training.data.frame_budget import FrameBudgetSampler


LENGTHS = np.random.default_rng(0).integers(5, 120, 301).tolist()


def _clips(batches: list[list[tuple[int, int]]]) -> list[int]:
    return sorted(index for batch in batches for _, index in batch)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=4, max_size=120),
    max_clips=st.integers(1, 20),
    extra=st.integers(0, 300),
    num_parts=st.integers(1, 4),
    length_grouping=st.booleans(),
)
def test_every_clip_once_and_never_over_the_budget(
    lengths: list[int], max_clips: int, extra: int, num_parts: int, length_grouping: bool
) -> None:
    budget = max(lengths) + extra
    sampler = FrameBudgetSampler(lengths, max_clips, budget, num_parts, length_grouping, seed=3)
    for epoch in (0, 1, 5):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler) and len(batches) % num_parts == 0
        assert all(batch and len(batch) <= max_clips for batch in batches)
        assert all(len(batch) * max(lengths[index] for _, index in batch) <= budget for batch in batches)
        clips = _clips(batches)
        assert set(clips) == set(range(len(lengths)))
        assert len(clips) - len(lengths) < num_parts  # clips that fill the parts of the last step
        assert {number for batch in batches for number, _ in batch} == {epoch}


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first, second = (FrameBudgetSampler(LENGTHS, 16, 600, seed=1) for _ in range(2))
    assert list(first) == list(second)
    second.set_epoch(1)
    assert [index for batch in first for _, index in batch] != [index for batch in second for _, index in batch]
    other_seed = FrameBudgetSampler(LENGTHS, 16, 600, seed=2)
    assert list(first) != list(other_seed)


def test_batches_change_their_composition_from_epoch_to_epoch() -> None:
    sampler = FrameBudgetSampler(LENGTHS, 8)
    partners = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        partners.append({frozenset(index for _, index in batch) for batch in sampler})
    assert len(partners[0] & partners[1]) < 0.1 * len(partners[0])


@pytest.mark.parametrize("num_parts", [2, 4])
def test_steps_hold_the_same_clips_however_they_are_divided(num_parts: int) -> None:
    whole = FrameBudgetSampler(LENGTHS, 16, seed=1)
    parts = list(FrameBudgetSampler(LENGTHS, 16 // num_parts, num_parts=num_parts, seed=1))
    steps = [_clips(parts[i : i + num_parts]) for i in range(0, len(parts), num_parts)]
    assert [_clips([batch]) for batch in whole] == steps


def test_accelerate_shards_it_without_losing_or_repeating_a_clip() -> None:
    sampler = FrameBudgetSampler(LENGTHS, 8, 600, num_parts=3, seed=1)
    shards = [list(BatchSamplerShard(sampler, num_processes=3, process_index=rank)) for rank in range(3)]
    assert {len(shard) for shard in shards} == {len(sampler) // 3}
    assert len(BatchSamplerShard(sampler, num_processes=3, process_index=2)) == len(sampler) // 3
    assert _clips([batch for shard in shards for batch in shard]) == list(range(len(LENGTHS)))
    frames = np.array([[len(b) * max(LENGTHS[i] for _, i in b) for b in shard] for shard in shards])
    assert (frames.max(axis=0) / frames.min(axis=0)).mean() < 1.15  # processes wait little for each other


def test_skipping_batches_continues_where_a_run_stopped() -> None:
    sampler = FrameBudgetSampler(LENGTHS, 8, 600, num_parts=2, seed=1)
    sampler.set_epoch(4)
    shard = BatchSamplerShard(sampler, num_processes=2, process_index=1)
    assert list(SkipBatchSampler(shard, 7)) == list(shard)[7:]


def test_padding_is_small_and_the_first_step_is_the_largest() -> None:
    def padding(batches: list[list[tuple[int, int]]]) -> float:
        frames = sum(len(batch) * max(LENGTHS[index] for _, index in batch) for batch in batches)
        return 1 - sum(LENGTHS[index] for batch in batches for _, index in batch) / frames

    grouped = list(FrameBudgetSampler(LENGTHS, 64, 960))
    mixed = list(FrameBudgetSampler(LENGTHS, 8, length_grouping=False))
    assert padding(grouped) < 0.1 < 0.35 < padding(mixed)
    sizes = [len(batch) * max(LENGTHS[index] for _, index in batch) for batch in grouped]
    assert sizes[0] == max(sizes)


def test_last_step_shares_with_the_one_before() -> None:
    # 17 clips of one length, 16 a batch: 8 and 9 instead of 16 and 1.
    assert sorted(map(len, FrameBudgetSampler([10] * 17, 16))) == [8, 9]
    assert list(map(len, FrameBudgetSampler([10] * 17, 16, drop_last=True))) == [16]
    assert sorted(map(len, FrameBudgetSampler([10] * 5, 2, num_parts=2))) == [1, 1, 1, 2]
    # 3 clips for 2 parts of 1: the part that would be empty gets a clip a second time.
    batches = list(FrameBudgetSampler([10] * 3, 1, num_parts=2))
    assert list(map(len, batches)) == [1, 1, 1, 1] and set(_clips(batches)) == set(range(3))


def test_mistakes_are_told() -> None:
    with pytest.raises(ValueError, match="frames_per_batch of at least the longest clip, 50 frames, received 40"):
        FrameBudgetSampler([10, 50], 4, 40)
    with pytest.raises(ValueError, match="at least 4 clips"):
        FrameBudgetSampler([10, 50], 4, num_parts=4)
    with pytest.raises(ValueError, match="at least one clip per batch"):
        FrameBudgetSampler([10, 50], 0)
