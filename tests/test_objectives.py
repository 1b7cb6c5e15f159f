"""Global alignment, contrast, hard negatives and label smoothing, with numbers worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_sigma.model.objectives_sigma import (
    contrastive_loss,
    draw_hard_negatives,
    global_alignment_logits,
    hierarchical_alignment_loss,
    label_smoothed_cross_entropy,
    same_text,
)


GOLDENS = Path(__file__).parent / "artifacts" / "similarity_functions.npz"


# --- global alignment


def test_global_logits_by_hand() -> None:
    # (3, 4) / 5 = (0.6, 0.8): cosines 0.6 and 0.8 with the axes, times exp(log 10) = 10.
    pose = torch.tensor([[3.0, 4.0]])
    text = torch.tensor([[2.0, 0.0], [0.0, 7.0]])
    logits = global_alignment_logits(pose, text, math.log(10))
    torch.testing.assert_close(logits, torch.tensor([[6.0, 8.0]]))


def test_global_scale_is_clamped_and_learned() -> None:
    pose, text = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    assert global_alignment_logits(pose, text, torch.tensor(20.0)).item() == pytest.approx(100.0)
    log_scale = torch.tensor(math.log(1 / 0.07), requires_grad=True)
    logits = global_alignment_logits(pose, text, log_scale)
    logits.sum().backward()
    assert logits.item() == pytest.approx(1 / 0.07, rel=1e-6)
    assert log_scale.grad is not None and log_scale.grad.item() == pytest.approx(1 / 0.07, rel=1e-6)


def test_a_scale_beyond_the_limit_can_come_back() -> None:
    # Wrong pairs: the loss wants a smaller scale, and must be able to say so.
    pose, text = torch.eye(2), torch.eye(2).flip(0)
    log_scale = torch.tensor(10.0, requires_grad=True)
    logits = global_alignment_logits(pose, text, log_scale)
    assert logits.max().item() == pytest.approx(100.0, rel=1e-6)
    contrastive_loss(logits).backward()
    assert log_scale.grad is not None and log_scale.grad.item() == pytest.approx(100.0, rel=1e-3)


def test_global_logits_stay_in_full_precision_under_autocast() -> None:
    torch.manual_seed(0)
    pose, text = torch.randn(4, 16), torch.randn(3, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = global_alignment_logits(pose, text, 4.0)
    torch.testing.assert_close(logits, global_alignment_logits(pose, text, 4.0), rtol=0, atol=0)
    half = global_alignment_logits(pose.bfloat16(), text.bfloat16(), 4.0)
    assert half.dtype == torch.float32


def test_contrastive_loss_equals_the_golden_global_loss() -> None:
    # The reference normalises nothing; ours does (section 7, row 10), so the golden fixes the loss and not the logits.
    golden = np.load(GOLDENS)
    logits = torch.tensor(golden["global/vis"]) @ torch.tensor(golden["global/txt"]).T
    loss = contrastive_loss(logits * math.exp(float(golden["global/log_scale"])))
    assert loss.item() == pytest.approx(float(golden["global/NLLLoss"]), abs=1e-5)


def test_global_features_of_any_length_are_the_same() -> None:
    torch.manual_seed(1)
    pose, text = torch.randn(3, 8), torch.randn(3, 8)
    stretched = global_alignment_logits(5 * pose, 0.1 * text, 1.0)
    torch.testing.assert_close(stretched, global_alignment_logits(pose, text, 1.0))


# --- contrast


def test_contrastive_loss_by_hand() -> None:
    # Rows (2, 0) and (1, 3), partners on the diagonal.
    # Pose to text: log(1 + e^-2) = 0.126928, log(1 + e^-2) = 0.126928; mean 0.126928.
    # Text to pose, columns (2, 1) and (0, 3): log(1 + e^-1) = 0.313262, log(1 + e^-3) = 0.048587; mean 0.180925.
    loss = contrastive_loss(torch.tensor([[2.0, 0.0], [1.0, 3.0]]))
    assert loss.item() == pytest.approx((0.126928 + 0.180925) / 2, abs=1e-6)


def test_contrastive_loss_temperature_by_hand() -> None:
    # diag(1, 1) / 0.5 = diag(2, 2): log(1 + e^-2).
    assert contrastive_loss(torch.eye(2), temperature=0.5).item() == pytest.approx(0.126928, abs=1e-6)


def test_contrastive_loss_of_a_batch_of_one_is_zero() -> None:
    assert contrastive_loss(torch.tensor([[0.3]])).item() == 0.0


def test_contrastive_loss_of_slices_averages_to_the_whole() -> None:
    torch.manual_seed(2)
    per_pose, per_text = torch.randn(6, 6), torch.randn(6, 6)
    whole = contrastive_loss(per_pose, logits_per_text=per_text)
    halves = [
        contrastive_loss(per_pose[rows], torch.eye(6, dtype=torch.bool)[rows], per_text[rows])
        for rows in (slice(0, 3), slice(3, 6))
    ]
    torch.testing.assert_close(sum(halves) / 2, whole)


def test_equal_sentences_are_positives_by_hand() -> None:
    # Clips 0 and 1 have one sentence. Rows (3, 1, 0), (2, 2, 0), (0, 0, 2); targets (1/2, 1/2, 0) twice, (0, 0, 1).
    # Row 0: log(e^3 + e + 1) - 2 = 1.169846; row 1: log(2 e^2 + 1) - 2 = 0.758624; both without the log 2 = 0.693147
    # of their targets. Row 2: log(2 + e^2) - 2 = 0.239545. Mean (0.476699 + 0.065477 + 0.239545) / 3 = 0.260574.
    # Columns: (3, 2, 0): log(e^3 + e^2 + 1) - 2.5 = 0.849012; (1, 2, 0): log(e + e^2 + 1) - 1.5 = 0.907606;
    # (0, 0, 2): 0.239545. Mean (0.155865 + 0.214459 + 0.239545) / 3 = 0.203290.
    logits = torch.tensor([[3.0, 1.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
    same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    assert contrastive_loss(logits, same).item() == pytest.approx((0.260573 + 0.203290) / 2, abs=1e-5)


def test_perfect_features_reach_zero_whatever_the_batch_repeats() -> None:
    # 16 sentences once and 8 twice: 8 pairs of equal ones among 32.
    texts = torch.cat([torch.arange(24), torch.arange(8)])
    same = texts[:, None] == texts[None, :]
    logits = (30.0 * same).requires_grad_()
    loss = contrastive_loss(logits, same)
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
    assert torch.autograd.grad(loss, logits)[0].abs().max() < 1e-6
    # The diagonal alone: log 2 in half of the rows, and equal sentences are pulled apart.
    loss = contrastive_loss(logits)
    assert loss.item() == pytest.approx(0.347, abs=1e-3)
    assert torch.autograd.grad(loss, logits)[0].abs().max() > 1e-2


@pytest.mark.parametrize(
    ("per_pose", "positives", "per_text", "message"),
    [
        (torch.zeros(2, 3), None, None, "as many clips as sentences"),
        (torch.zeros(2, 3), None, torch.zeros(2, 3), "positives"),
        (torch.zeros(2, 2), None, torch.zeros(3, 2), "one shape"),
        (torch.zeros(2, 2), torch.tensor([0]), torch.zeros(2, 2), "positives"),
    ],
)
def test_contrastive_loss_refuses(
    per_pose: torch.Tensor, positives: torch.Tensor | None, per_text: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        contrastive_loss(per_pose, positives, per_text)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(0, 2**16))
def test_contrastive_loss_does_not_depend_on_the_order_of_the_batch(batch_size: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(batch_size, batch_size, generator=generator)
    order = torch.randperm(batch_size, generator=generator)
    torch.testing.assert_close(contrastive_loss(logits[order][:, order]), contrastive_loss(logits))


def test_hierarchical_loss_by_hand() -> None:
    # 0.75 * 2 + 0.25 * 6
    assert hierarchical_alignment_loss(torch.tensor(2.0), torch.tensor(6.0), 0.25).item() == pytest.approx(3.0)
    with pytest.raises(ValueError, match="alpha"):
        hierarchical_alignment_loss(torch.tensor(2.0), torch.tensor(6.0), 1.5)


# --- the same sentence


def test_same_text_ignores_padding_on_either_side() -> None:
    ids = torch.tensor([[5, 6, 0, 0], [9, 9, 5, 6], [5, 6, 7, 0], [6, 5, 0, 0], [3, 3, 3, 3]])
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    others = torch.tensor([[5, 6], [7, 7]])
    expected = torch.tensor([[True, False], [True, False], [False, False], [False, False], [False, True]])
    other_mask = torch.tensor([[1, 1], [0, 0]])  # the second one is empty, as is the last of the first
    torch.testing.assert_close(same_text(ids, mask, others, other_mask), expected)
    torch.testing.assert_close(same_text(others, other_mask, ids, mask), expected.T)


def test_same_text_tells_the_padding_token_from_padding() -> None:
    ids = torch.tensor([[5, 0], [5, 0]])
    assert same_text(ids, torch.tensor([[1, 1], [1, 0]])).tolist() == [[True, False], [False, True]]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=1, max_size=6), st.data())
def test_same_text_is_equality_of_lists(sentences: list[list[int]], data: st.DataObject) -> None:
    def padded() -> tuple[torch.Tensor, torch.Tensor]:
        length = data.draw(st.integers(4, 6))
        ids, mask = torch.full((len(sentences), length), 7), torch.zeros(len(sentences), length, dtype=torch.long)
        for row, sentence in enumerate(sentences):
            start = data.draw(st.integers(0, length - len(sentence)))
            ids[row, start : start + len(sentence)] = torch.tensor(sentence, dtype=torch.long)
            mask[row, start : start + len(sentence)] = 1
        return ids, mask

    expected = [[one == other for other in sentences] for one in sentences]
    assert same_text(*padded(), *padded()).tolist() == expected


def test_same_text_refuses() -> None:
    ids = torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="one shape"):
        same_text(ids, torch.ones(2, 2))
    with pytest.raises(ValueError, match="both or neither"):
        same_text(ids, torch.ones(2, 3), ids)


# --- hard negatives


def test_negatives_follow_the_softmax() -> None:
    # Candidate 0 is the partner, 4 is forbidden; 1, 2, 3 have logits 0, log 2, log 5: chances 1, 2, 5 of 8.
    num_draws = 8000
    row = torch.tensor([9.0, 0.0, math.log(2), math.log(5), 9.0])
    forbidden = torch.tensor([False, False, False, False, True]).expand(num_draws, -1)
    drawn = draw_hard_negatives(
        row.expand(num_draws, -1),
        torch.zeros(num_draws, dtype=torch.long),
        forbidden,
        torch.Generator().manual_seed(3),
    )
    observed = torch.bincount(drawn, minlength=5).double()
    assert observed[0] == observed[4] == 0
    expected = num_draws * torch.tensor([1, 2, 5], dtype=torch.float64) / 8
    chi_square = ((observed[1:4] - expected) ** 2 / expected).sum().item()
    assert chi_square < 13.8  # 2 degrees of freedom: exceeded once in a thousand draws of this kind


def test_negatives_are_never_the_partner_or_the_same_sentence() -> None:
    torch.manual_seed(4)
    ids = torch.tensor([[5, 6, 0], [7, 0, 0], [0, 5, 6], [8, 8, 8], [7, 0, 0]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1], [1, 0, 0]])
    duplicates = same_text(ids, mask)
    partners = torch.arange(5)
    for _ in range(300):
        drawn = draw_hard_negatives(100 * torch.randn(5, 5), partners, duplicates)
        assert ((drawn >= 0) & (drawn < 5)).all()
        assert not duplicates[partners, drawn].any()


def test_negatives_are_reproducible() -> None:
    torch.manual_seed(5)
    similarity, partners = torch.randn(20, 20), torch.arange(20)
    first, second = (
        draw_hard_negatives(similarity, partners, generator=torch.Generator().manual_seed(6)) for _ in range(2)
    )
    assert first.equal(second)
    assert not first.equal(draw_hard_negatives(similarity, partners, generator=torch.Generator().manual_seed(7)))


def test_negatives_of_one_ranks_rows() -> None:
    # Rows 2 and 3 of a gathered batch of 4, where row 2 may only take column 0 and row 3 only column 1.
    forbidden = torch.tensor([[False, True, False, True], [True, False, True, False]])
    drawn = draw_hard_negatives(torch.zeros(2, 4), torch.tensor([2, 3]), forbidden)
    assert drawn.tolist() == [0, 1]


def test_negatives_where_none_is_admissible() -> None:
    assert draw_hard_negatives(torch.tensor([[1.0]]), torch.tensor([0])).tolist() == [-1]
    forbidden = torch.tensor([[True, True], [False, False]])
    assert draw_hard_negatives(torch.zeros(2, 2), torch.tensor([0, 1]), forbidden).tolist() == [-1, 0]


def test_negatives_of_half_precision_and_of_far_logits() -> None:
    similarity = torch.tensor([[100.0, -100.0, -100.0]], dtype=torch.bfloat16, requires_grad=True)
    drawn = draw_hard_negatives(similarity, torch.tensor([0]))
    assert drawn.item() in (1, 2) and not drawn.requires_grad


def test_negatives_refuse() -> None:
    with pytest.raises(ValueError, match="positives"):
        draw_hard_negatives(torch.zeros(2, 2), torch.tensor([0]))
    with pytest.raises(ValueError, match="forbidden"):
        draw_hard_negatives(torch.zeros(2, 2), torch.tensor([0, 1]), torch.zeros(2, 3, dtype=torch.bool))


# --- label smoothing


def test_label_smoothing_by_hand() -> None:
    # Two classes with log-probabilities log 3/4 and log 1/4, label 0, smoothing 0.2:
    # -(0.9 log 3/4 + 0.1 log 1/4) = 0.258914 + 0.138629
    logits = torch.tensor([[math.log(3.0), 0.0]])
    assert label_smoothed_cross_entropy(logits, torch.tensor([0]), 0.2).item() == pytest.approx(0.397543, abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("ignore_index", [-100, 0])
def test_label_smoothing_equals_torch(smoothing: float, ignore_index: int) -> None:
    torch.manual_seed(8)
    logits = torch.randn(3, 5, 11, requires_grad=True)
    labels = torch.randint(0, 11, (3, 5))
    labels[:, 3:] = ignore_index
    ours = label_smoothed_cross_entropy(logits, labels, smoothing, ignore_index)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=smoothing, ignore_index=ignore_index)
    theirs = criterion(logits.reshape(-1, 11), labels.reshape(-1))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, logits)[0], torch.autograd.grad(theirs, logits)[0])


@pytest.mark.parametrize("as_tensor", [False, True])
def test_accumulated_batches_equal_one_batch(as_tensor: bool) -> None:
    torch.manual_seed(9)
    logits, labels = torch.randn(4, 6, 7, requires_grad=True), torch.randint(0, 7, (4, 6))
    labels[0, 1:] = -100  # the two halves have different numbers of items
    num_items: int | torch.Tensor = int((labels != -100).sum())
    num_items = torch.tensor(num_items) if as_tensor else num_items
    whole = label_smoothed_cross_entropy(logits, labels, 0.2)
    halves = [
        label_smoothed_cross_entropy(logits[rows], labels[rows], 0.2, num_items_in_batch=num_items)
        for rows in (slice(0, 2), slice(2, 4))
    ]
    torch.testing.assert_close(halves[0] + halves[1], whole)
    torch.testing.assert_close(
        torch.autograd.grad(halves[0] + halves[1], logits)[0], torch.autograd.grad(whole, logits)[0]
    )


def test_nothing_to_predict_costs_nothing() -> None:
    logits = torch.randn(2, 3, 5, requires_grad=True)
    loss = label_smoothed_cross_entropy(logits, torch.full((2, 3), -100), 0.2)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None and not logits.grad.any()


def test_label_smoothing_of_half_precision() -> None:
    torch.manual_seed(10)
    logits, labels = torch.randn(2, 3, 50).bfloat16(), torch.randint(0, 50, (2, 3))
    loss = label_smoothed_cross_entropy(logits, labels, 0.2)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, label_smoothed_cross_entropy(logits.float(), labels, 0.2))


def test_label_smoothing_refuses() -> None:
    with pytest.raises(ValueError, match="vocab_size"):
        label_smoothed_cross_entropy(torch.zeros(2, 3, 5), torch.zeros(2, 4, dtype=torch.long))
