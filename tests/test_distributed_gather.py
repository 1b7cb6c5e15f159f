"""Gathering across ranks, by two real processes: values, gradients, and equality with one process."""

import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from modeling_sigma.model.distributed_gather_sigma import (
    gather_ragged,
    gather_with_gradients,
    gathered_positions,
    mean_over_ranks,
)
from modeling_sigma.model.local_alignment_sigma import local_similarity
from modeling_sigma.model.objectives_sigma import (
    contrastive_loss,
    draw_hard_negatives,
    global_alignment_logits,
    hierarchical_alignment_loss,
    label_smoothed_cross_entropy,
)


# Samples 0 to 3 are those of rank 0, samples 4 to 7 those of rank 1, whose clips and sentences are shorter.
FRAMES = [9, 4, 9, 7, 6, 5, 2, 6]
WORDS = [3, 3, 1, 2, 5, 4, 5, 0]
NUM_SAMPLES, NUM_FEATURES, NUM_CLASSES = 8, 5, 6
WORLD_SIZE = 2
Batch = dict[str, Tensor]


class TinyAligner(nn.Module):
    """Everything of pre-training that looks across the batch or counts items, on two linear encoders."""

    def __init__(self, own_rows: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.own_rows = own_rows
        self.pose = nn.Linear(NUM_FEATURES, 7, dtype=torch.float64)
        self.words = nn.Linear(NUM_FEATURES, 7, dtype=torch.float64)
        self.lm_head = nn.Linear(7, NUM_CLASSES, dtype=torch.float64)
        self.logit_scale = nn.Parameter(torch.tensor(1.5, dtype=torch.float64))
        for parameter in self.parameters():
            if parameter.dim() > 0:
                parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)

    def forward(self, batch: Batch) -> Tensor:
        pose, words = self.pose(batch["pose"]), self.words(batch["words"])
        own = {"pose": pose, "pose_mask": batch["pose_mask"], "words": words, "word_mask": batch["word_mask"]}
        own["clip"] = _masked_mean(pose, batch["pose_mask"])
        own["text"] = _masked_mean(words, batch["word_mask"])
        every = {name: gather_ragged(tensor) for name, tensor in own.items()}
        alignment = self.alignment_of_own_rows(own, every) if self.own_rows else self.alignment_of_all_rows(every)

        logits = self.lm_head(own["clip"])
        num_labels = (batch["labels"] != -100).sum()
        lm_sum = label_smoothed_cross_entropy(logits, batch["labels"], 0.2, num_items_in_batch=1)
        return alignment + mean_over_ranks(lm_sum, num_labels)

    def alignment_of_all_rows(self, every: Batch) -> Tensor:
        global_loss = contrastive_loss(global_alignment_logits(every["clip"], every["text"], self.logit_scale))
        similarities = local_similarity(every["pose"], every["pose_mask"], every["words"], every["word_mask"])
        local_loss = contrastive_loss(similarities[0], logits_per_text=similarities[1])
        return hierarchical_alignment_loss(global_loss, local_loss, 0.3)

    def alignment_of_own_rows(self, own: Batch, every: Batch) -> Tensor:
        everyone = torch.arange(every["clip"].shape[0])
        positives = gathered_positions(own["clip"].shape[0])[:, None] == everyone
        global_loss = contrastive_loss(
            global_alignment_logits(own["clip"], every["text"], self.logit_scale),
            positives,
            global_alignment_logits(every["clip"], own["text"], self.logit_scale).T,
        )
        pose_to_text, _ = local_similarity(own["pose"], own["pose_mask"], every["words"], every["word_mask"])
        _, text_to_pose = local_similarity(every["pose"], every["pose_mask"], own["words"], own["word_mask"])
        local_loss = contrastive_loss(pose_to_text, positives, text_to_pose)
        return hierarchical_alignment_loss(global_loss, local_loss, 0.3)


def _masked_mean(features: Tensor, mask: Tensor) -> Tensor:
    return (features * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


def _batch(start: int, stop: int) -> Batch:
    """Samples `start` to `stop`, padded to the longest of them."""
    generator = torch.Generator().manual_seed(1)
    pose = torch.randn(NUM_SAMPLES, max(FRAMES), NUM_FEATURES, generator=generator, dtype=torch.float64)
    words = torch.randn(NUM_SAMPLES, max(WORDS), NUM_FEATURES, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 4, -100, -100, 5])  # four items on rank 0, two on rank 1
    frames, lengths = torch.tensor(FRAMES[start:stop]), torch.tensor(WORDS[start:stop])
    num_frames, num_words = int(frames.max()), int(lengths.max())
    return {
        "pose": pose[start:stop, :num_frames],
        "pose_mask": torch.arange(num_frames) < frames[:, None],
        "words": words[start:stop, :num_words],
        "word_mask": torch.arange(num_words) < lengths[:, None],
        "labels": labels[start:stop],
    }


def _loss_and_gradients(model: nn.Module, batch: Batch) -> dict[str, Any]:
    loss = model(batch)
    loss.backward()
    gradients = {name.removeprefix("module."): parameter.grad for name, parameter in model.named_parameters()}
    return {"loss": loss.detach(), "gradients": gradients}


def _work_of_rank(rank: int, folder: str) -> None:
    """What each of the two processes does; the results are compared in the tests."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=WORLD_SIZE,
        timeout=datetime.timedelta(seconds=60),
    )
    results: dict[str, Any] = {}
    batch = _batch(4 * rank, 4 * rank + 4)
    for own_rows in (False, True):
        # No name holds the wrapped model: were it the last owner of the process group, gloo's thread and the
        # destructor would wait for each other.
        results[f"aligner_{own_rows}"] = _loss_and_gradients(DistributedDataParallel(TinyAligner(own_rows)), batch)

    leaf = torch.tensor([[1.0 + rank], [10.0 + rank]], requires_grad=True)
    gathered = gather_with_gradients(leaf)
    (gathered.square().sum() * (rank + 1)).backward()
    results["gathered"], results["gathered_gradient"] = gathered.detach(), leaf.grad

    half = torch.full((2, 3), 0.5, dtype=torch.bfloat16, requires_grad=True)
    gather_with_gradients(half).sum().backward()
    results["half_gradient"] = half.grad

    ids = torch.full((2 - rank, 2 + rank), 5 + rank)  # 2 x 2 tokens on rank 0, 1 x 3 on rank 1
    results["ids"] = gather_ragged(ids, pad_value=-1)
    results["mask"] = gather_ragged(torch.ones_like(ids, dtype=torch.bool))
    results["positions"] = gathered_positions(ids.shape[0])
    ragged = torch.full((2 - rank, 2 + rank), 1.0, requires_grad=True)
    weights = torch.arange(9.0).view(3, 3)
    (gather_ragged(ragged) * weights).sum().backward()
    results["ragged_gradient"] = ragged.grad

    # Rank 1 has nothing to count.
    total = torch.tensor(6.0 if rank == 0 else 0.0, requires_grad=True)
    mean = mean_over_ranks(total, 3 if rank == 0 else 0)
    mean.backward()
    results["mean"], results["mean_gradient"] = mean.detach(), total.grad

    similarity = gather_with_gradients(torch.randn(4, 8, generator=torch.Generator().manual_seed(rank)))
    drawn = draw_hard_negatives(similarity, torch.arange(8), generator=torch.Generator().manual_seed(7))
    results["negatives"] = drawn[gathered_positions(4)]

    torch.save(results, f"{folder}/results_{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The results of both processes."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(_work_of_rank, args=(str(folder),), nprocs=WORLD_SIZE, daemon=True)
    return [torch.load(Path(folder) / f"results_{rank}.pt", weights_only=True) for rank in range(WORLD_SIZE)]


@pytest.mark.parametrize("own_rows", [False, True], ids=["every rank the whole loss", "every rank its own rows"])
def test_two_processes_equal_one_with_the_whole_batch(ranks: list[dict[str, Any]], own_rows: bool) -> None:
    single = _loss_and_gradients(TinyAligner(own_rows=False), _batch(0, NUM_SAMPLES))
    assert len(single["gradients"]) == 7 and all(gradient.any() for gradient in single["gradients"].values())
    found = [rank[f"aligner_{own_rows}"] for rank in ranks]
    torch.testing.assert_close((found[0]["loss"] + found[1]["loss"]) / 2, single["loss"], rtol=0, atol=1e-10)
    if not own_rows:
        torch.testing.assert_close(found[0]["loss"], found[1]["loss"], rtol=0, atol=1e-10)
    for rank in found:
        torch.testing.assert_close(rank["gradients"], single["gradients"], rtol=0, atol=1e-10)


def test_own_rows_of_one_process_are_all_rows() -> None:
    batch = _batch(0, NUM_SAMPLES)
    results = [_loss_and_gradients(TinyAligner(own_rows), batch) for own_rows in (False, True)]
    torch.testing.assert_close(results[0], results[1])


def test_gathered_by_hand(ranks: list[dict[str, Any]]) -> None:
    # Rank r weights the sum of squares by r + 1: each slice x receives (1 + 2) * 2 x.
    for rank, results in enumerate(ranks):
        assert results["gathered"].tolist() == [[1.0], [10.0], [2.0], [11.0]]
        assert results["gathered_gradient"].tolist() == [[6.0 * (1 + rank)], [6.0 * (10 + rank)]]
        assert results["half_gradient"].dtype == torch.bfloat16
        assert (results["half_gradient"] == 2.0).all()


def test_ragged_by_hand(ranks: list[dict[str, Any]]) -> None:
    for rank, results in enumerate(ranks):
        assert results["ids"].tolist() == [[5, 5, -1], [5, 5, -1], [6, 6, 6]]
        assert results["ids"].dtype == torch.int64
        assert results["mask"].tolist() == [[True, True, False], [True, True, False], [True, True, True]]
        assert results["positions"].tolist() == ([0, 1], [2])[rank]
        # Twice its part of the weights, since both ranks use the gathered tensor.
        assert results["ragged_gradient"].tolist() == ([[0.0, 2.0], [6.0, 8.0]], [[12.0, 14.0, 16.0]])[rank]


def test_mean_over_ranks_by_hand(ranks: list[dict[str, Any]]) -> None:
    # 6 / 3 on both ranks. The gradient is 1/3 on each, summed over the two; averaging over ranks takes the 2 away.
    for results in ranks:
        assert results["mean"].item() == 2.0
        assert results["mean_gradient"].item() == pytest.approx(2 / 3)


def test_equally_seeded_ranks_draw_what_one_process_draws(ranks: list[dict[str, Any]]) -> None:
    similarity = torch.cat([torch.randn(4, 8, generator=torch.Generator().manual_seed(rank)) for rank in range(2)])
    expected = draw_hard_negatives(similarity, torch.arange(8), generator=torch.Generator().manual_seed(7))
    assert torch.cat([results["negatives"] for results in ranks]).equal(expected)


def test_without_processes_nothing_is_gathered() -> None:
    tensor = torch.ones(2, 3, requires_grad=True)
    assert gather_with_gradients(tensor) is tensor
    assert gather_ragged(tensor) is tensor
    assert gathered_positions(3).tolist() == [0, 1, 2]
    assert mean_over_ranks(torch.tensor(6.0), 4).item() == 1.5
    assert mean_over_ranks(torch.tensor(0.0), 0).item() == 0.0
