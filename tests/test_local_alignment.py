"""Word pooling and the frame-word similarity of all pairs: goldens, hand-worked numbers, gradients, masks."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from modeling_sigma.model.local_alignment_sigma import (
    ROW_STRATEGIES,
    SCORE_STRATEGIES,
    local_similarity,
    word_frame_cosines,
)
from modeling_sigma.model.objectives_sigma import contrastive_loss
from modeling_sigma.model.word_pooling_sigma import pool_words, word_pooling_matrix


GOLDENS = Path(__file__).parent / "artifacts" / "similarity_functions.npz"
GOLDEN_ROWS = {"max": "row_max", "mean": "row_avg", "topk_mean": "row_topk_avg", "softmax": "row_softmax_weighted"}
GOLDEN_SCORES = {"softmax": "softmax", "sum": "sum", "mean": "average", "logsumexp": "logsumexp"}
ALL_STRATEGIES = list(itertools.product(ROW_STRATEGIES, SCORE_STRATEGIES))
MAXIMUM_STRATEGIES = [("max", score) for score in SCORE_STRATEGIES]

every_strategy = pytest.mark.parametrize(("row", "score"), ALL_STRATEGIES)


def _batch(
    num_clips: int = 3, num_texts: int = 4, num_frames: int = 7, num_words: int = 5, size: int = 6, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features in float64, and masks of different lengths from the first clip (all frames) on."""
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(num_clips, num_frames, size, generator=generator, dtype=torch.float64)
    words = torch.randn(num_texts, num_words, size, generator=generator, dtype=torch.float64)
    pose_lengths = [max(1, num_frames - 2 * clip) for clip in range(num_clips)]
    word_lengths = [max(1, num_words - text) for text in range(num_texts)]
    return pose, _mask(pose_lengths, num_frames), words, _mask(word_lengths, num_words)


def _mask(lengths: list[int], length: int) -> Tensor:
    return (torch.arange(length) < torch.tensor(lengths)[:, None]).long()


def _pair_similarity(pose: Tensor, words: Tensor, row: str, score: str) -> tuple[Tensor, Tensor]:
    """One pair without padding, written down from the definition."""
    cosines = F.normalize(pose, dim=-1) @ F.normalize(words, dim=-1).T  # (T, W)
    rows = {
        "max": lambda values: values.max(-1).values,
        "mean": lambda values: values.mean(-1),
        "topk_mean": lambda values: values.topk(max(1, values.shape[-1] // 3), dim=-1).values.mean(-1),
        "softmax": lambda values: (values.softmax(-1) * values).sum(-1),
    }
    scores = {
        "softmax": lambda values: (values.softmax(-1) * values).sum(-1),
        "sum": lambda values: values.sum(-1),
        "mean": lambda values: values.mean(-1),
        "logsumexp": lambda values: values.logsumexp(-1),
    }
    return scores[score](rows[row](cosines)), scores[score](rows[row](cosines.T))


def _all_pairs(
    pose: Tensor, pose_mask: Tensor, words: Tensor, word_mask: Tensor, row: str, score: str
) -> tuple[Tensor, Tensor]:
    """The python double loop over the pairs."""
    pairs = [
        [_pair_similarity(clip[clip_mask.bool()], text[text_mask.bool()], row, score) for text, text_mask in texts]
        for texts in [list(zip(words, word_mask, strict=True))]
        for clip, clip_mask in zip(pose, pose_mask, strict=True)
    ]
    pose_to_text = torch.stack([torch.stack([pair[0] for pair in line]) for line in pairs])
    text_to_pose = torch.stack([torch.stack([pair[1] for pair in line]) for line in pairs]).T
    return pose_to_text, text_to_pose


# --- words


def test_pooling_matrix_by_hand() -> None:
    # [CLS] sig ns speak </s>   and   [CLS] yes </s> <pad> <pad>
    matrix = word_pooling_matrix(torch.tensor([[-1, 0, 0, 1, -1], [-1, 0, -1, -1, -1]]))
    assert matrix.tolist() == [
        [[0, 1, 1, 0, 0], [0, 0, 0, 1, 0]],
        [[0, 1, 0, 0, 0], [0, 0, 0, 0, 0]],
    ]


def test_pooled_words_by_hand() -> None:
    states = torch.tensor([[[9.0, 9.0], [1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    features, mask = pool_words(states, torch.tensor([[-1, 0, 0, 1]]))
    assert features.tolist() == [[[4.0, 6.0], [5.0, 6.0]]]  # 1 + 3, 2 + 4; 5, 6
    assert mask.tolist() == [[True, True]]
    weighted, mask = pool_words(states, torch.tensor([[[0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]]))
    assert weighted.tolist() == [[[2.0, 3.0], [0.0, 0.0]]]
    assert mask.tolist() == [[True, False]]


def test_pooling_of_empty_sentences_keeps_one_masked_word() -> None:
    features, mask = pool_words(torch.ones(2, 3, 4), torch.full((2, 3), -1))
    assert features.shape == (2, 1, 4) and not features.any()
    assert mask.tolist() == [[False], [False]]
    assert word_pooling_matrix(torch.zeros(2, 0, dtype=torch.long)).shape == (2, 1, 0)


def test_pooling_of_words_out_of_order_and_missing() -> None:
    # Word 1 was cut away, and the tokens of word 2 are not neighbours.
    features, mask = pool_words(torch.tensor([[[1.0], [10.0], [100.0]]]), torch.tensor([[2, 0, 2]]))
    assert features.tolist() == [[[10.0], [0.0], [101.0]]]
    assert mask.tolist() == [[True, False, True]]


def test_pooling_keeps_the_dtype_and_refuses_other_shapes() -> None:
    assert pool_words(torch.ones(1, 2, 3).bfloat16(), torch.tensor([[0, 0]]))[0].dtype == torch.bfloat16
    with pytest.raises(ValueError, match="word ids"):
        pool_words(torch.ones(1, 2, 3), torch.zeros(2, 2, dtype=torch.long))
    with pytest.raises(ValueError, match="integer"):
        word_pooling_matrix(torch.zeros(1, 2))


# --- the similarity


def test_similarity_by_hand() -> None:
    # Frames e1, e2, (e1 + e2) / sqrt 2; words e1, -e2; r = 1 / sqrt 2 = 0.707107.
    # Cosines (3 x 2): [1, 0], [0, -1], [r, -r].
    # Row maxima 1, 0, r weighted by e^1, e^0, e^r = 2.718282, 1, 2.028115 (sum 5.746397):
    #   (2.718282 * 1 + 1 * 0 + 2.028115 * 0.707107) / 5.746397 = 0.722604.
    # Column maxima 1, 0: (2.718282 * 1 + 1 * 0) / 3.718282 = 0.731059.
    pose = torch.tensor([[[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]]])
    words = torch.tensor([[[5.0, 0.0], [0.0, -1.0]]])
    pose_to_text, text_to_pose = local_similarity(pose, torch.ones(1, 3), words, torch.ones(1, 2))
    assert pose_to_text.item() == pytest.approx(0.722604, abs=1e-5)
    assert text_to_pose.item() == pytest.approx(0.731059, abs=1e-5)


@pytest.mark.parametrize(
    ("row", "score", "expected"),
    [
        # One frame e1, four words with cosines 1, 0.6, 0, -1 (its largest third is 1 word: 1). Row values:
        ("max", "sum", 1.0),
        ("mean", "sum", 0.15),
        ("topk_mean", "sum", 1.0),
        # exp: 2.718282 1.822119 1 0.367879, sum 5.908280; (2.718282 + 1.093271 - 0.367879) / 5.908280
        ("softmax", "sum", 0.582855),
        ("max", "logsumexp", 1.0),
    ],
)
def test_row_strategies_by_hand(row: str, score: str, expected: float) -> None:
    words = torch.tensor([[[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]]])
    pose_to_text, _ = local_similarity(
        torch.tensor([[[1.0, 0.0]]]), torch.ones(1, 1), words, torch.ones(1, 4), row, score
    )
    assert pose_to_text.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        # Two frames with maxima 1 and 0.
        ("softmax", 0.731059),  # e / (e + 1)
        ("sum", 1.0),
        ("mean", 0.5),
        ("logsumexp", 1.313262),  # log(e + 1)
    ],
)
def test_score_strategies_by_hand(score: str, expected: float) -> None:
    pose, words = torch.eye(2)[None], torch.tensor([[[1.0, 0.0]]])
    pose_to_text, _ = local_similarity(pose, torch.ones(1, 2), words, torch.ones(1, 1), score_strategy=score)
    assert pose_to_text.item() == pytest.approx(expected, abs=1e-6)


def test_temperature_by_hand() -> None:
    # Maxima 1 and 0 at temperature 0.5: e^2 / (e^2 + 1) = 0.880797; 0.5 log(e^2 + 1) = 1.063464.
    pose, words = torch.eye(2)[None], torch.tensor([[[1.0, 0.0]]])
    for score, expected in (("softmax", 0.880797), ("logsumexp", 1.063464)):
        similarity, _ = local_similarity(
            pose, torch.ones(1, 2), words, torch.ones(1, 1), score_strategy=score, temperature=0.5
        )
        assert similarity.item() == pytest.approx(expected, abs=1e-6)
    # In the row: one frame, two words with cosines 1 and 0.
    similarity, _ = local_similarity(
        pose[:, :1], torch.ones(1, 1), torch.eye(2)[None], torch.ones(1, 2), "softmax", "sum", temperature=0.5
    )
    assert similarity.item() == pytest.approx(0.880797, abs=1e-6)


@every_strategy
def test_goldens(row: str, score: str) -> None:
    golden = np.load(GOLDENS)
    name = f"{GOLDEN_ROWS[row]}+{GOLDEN_SCORES[score]}"
    # Unit vectors already, of which the zero rows took part unmasked; the gradients are those of the unit vectors.
    pose = torch.tensor(golden["vis"], requires_grad=True)
    words = torch.tensor(golden["txt"], requires_grad=True)
    pose_to_text, text_to_pose = local_similarity(
        pose, torch.ones(5, 11), words, torch.ones(5, 7), row, score, do_normalize=False
    )
    loss = contrastive_loss(pose_to_text, logits_per_text=text_to_pose)
    loss.backward()
    tolerance = {"rtol": 0.0, "atol": 1e-5}
    torch.testing.assert_close(pose_to_text, torch.tensor(golden[f"{name}/sim_s2t"]), **tolerance)
    torch.testing.assert_close(text_to_pose, torch.tensor(golden[f"{name}/sim_t2s"]), **tolerance)
    assert loss.item() == pytest.approx(float(golden[f"{name}+NLLLoss/loss"]), abs=1e-5)
    torch.testing.assert_close(pose.grad, torch.tensor(golden[f"{name}+NLLLoss/grad_vis"]), rtol=0, atol=1e-6)
    torch.testing.assert_close(words.grad, torch.tensor(golden[f"{name}+NLLLoss/grad_txt"]), rtol=0, atol=1e-6)


@every_strategy
def test_batch_equals_the_double_loop_over_pairs(row: str, score: str) -> None:
    pose, pose_mask, words, word_mask = _batch()
    leaves = [features.clone().requires_grad_() for features in (pose, words, pose, words)]
    ours = local_similarity(leaves[0], pose_mask, leaves[1], word_mask, row, score)
    theirs = _all_pairs(leaves[2], pose_mask, leaves[3], word_mask, row, score)
    weights = [torch.randn_like(values) for values in ours]
    for mine, loop in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, loop)
    sum((mine * weight).sum() for mine, weight in zip(ours, weights, strict=True)).backward()
    sum((loop * weight).sum() for loop, weight in zip(theirs, weights, strict=True)).backward()
    torch.testing.assert_close(leaves[0].grad, leaves[2].grad)
    torch.testing.assert_close(leaves[1].grad, leaves[3].grad)


@pytest.mark.parametrize(("row", "score"), [*MAXIMUM_STRATEGIES, ("topk_mean", "softmax"), ("softmax", "mean")])
@pytest.mark.parametrize("do_normalize", [True, False])
def test_gradcheck(row: str, score: str, do_normalize: bool) -> None:
    pose, pose_mask, words, word_mask = _batch(2, 3, 4, 3, 3)
    word_mask[1] = 0  # an empty sentence

    def similarity(pose: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        return local_similarity(pose, pose_mask, words, word_mask, row, score, 0.7, 1, do_normalize)

    assert torch.autograd.gradcheck(similarity, (pose.requires_grad_(), words.requires_grad_()))


def test_gradient_of_one_side_alone() -> None:
    pose, pose_mask, words, word_mask = _batch()
    both = [pose.clone().requires_grad_(), words.clone().requires_grad_()]
    sum(values.square().sum() for values in local_similarity(both[0], pose_mask, both[1], word_mask)).backward()
    for side in range(2):
        alone = [pose.clone(), words.clone()]
        alone[side].requires_grad_()
        sum(values.square().sum() for values in local_similarity(alone[0], pose_mask, alone[1], word_mask)).backward()
        torch.testing.assert_close(alone[side].grad, both[side].grad)
        assert alone[1 - side].grad is None


@every_strategy
def test_padding_changes_nothing_and_gets_no_gradient(row: str, score: str) -> None:
    pose, pose_mask, words, word_mask = _batch()
    leaves = [pose.clone().requires_grad_(), words.clone().requires_grad_()]
    results = local_similarity(leaves[0], pose_mask, leaves[1], word_mask, row, score)
    sum(values.square().sum() for values in results).backward()
    # Longer, with large numbers in all padding.
    longer = [
        F.pad(features.masked_fill(mask[..., None] == 0, -50.0), (0, 0, 0, 4), value=50.0).requires_grad_()
        for features, mask in ((pose, pose_mask), (words, word_mask))
    ]
    masks = [F.pad(mask, (0, 4)) for mask in (pose_mask, word_mask)]
    padded_results = local_similarity(longer[0], masks[0], longer[1], masks[1], row, score)
    sum(values.square().sum() for values in padded_results).backward()
    for result, padded in zip(results, padded_results, strict=True):
        torch.testing.assert_close(padded, result)
    for leaf, long_leaf, mask in zip(leaves, longer, (pose_mask, word_mask), strict=True):
        assert leaf.grad is not None and long_leaf.grad is not None
        torch.testing.assert_close(long_leaf.grad[:, : leaf.shape[1]], leaf.grad)
        assert not leaf.grad[mask == 0].any() and not long_leaf.grad[:, leaf.shape[1] :].any()


@every_strategy
def test_nothing_to_compare_is_similarity_zero_without_gradient(row: str, score: str) -> None:
    pose, pose_mask, words, word_mask = _batch()
    pose_mask[1] = 0  # no frame
    word_mask[2] = 0  # an empty sentence
    pose.requires_grad_()
    words.requires_grad_()
    pose_to_text, text_to_pose = local_similarity(pose, pose_mask, words, word_mask, row, score, temperature=2.0)
    for similarities in (pose_to_text, text_to_pose.T):
        assert not similarities[1].any() and not similarities[:, 2].any()
        assert similarities[0, :2].all()
    contrastive_loss(pose_to_text[:, 1:], logits_per_text=text_to_pose[1:]).backward()
    for leaf, empty in ((pose, 1), (words, 2)):
        assert leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad[0 if empty == 1 else 1].any()
        assert not leaf.grad[empty].any()


def test_features_without_length_are_similar_to_nothing() -> None:
    pose, pose_mask, words, word_mask = _batch()
    pose[0, 0], words[0, 0] = 0.0, 0.0
    pose.requires_grad_()
    words.requires_grad_()
    sum(values.sum() for values in local_similarity(pose, pose_mask, words, word_mask)).backward()
    for leaf in (pose, words):
        assert leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad.abs().max() < 100
        assert not leaf.grad[0, 0].any()


@pytest.mark.parametrize("row", ROW_STRATEGIES)
def test_chunks_change_nothing(row: str) -> None:
    pose, pose_mask, words, word_mask = _batch(num_clips=5)
    expected: list[Tensor] | None = None
    for chunk_size in (None, 1, 2, 3, 5, 100):
        leaves = [pose.clone().requires_grad_(), words.clone().requires_grad_()]
        results = local_similarity(leaves[0], pose_mask, leaves[1], word_mask, row, chunk_size=chunk_size)
        sum(values.square().sum() for values in results).backward()
        found = [*results, *(leaf.grad for leaf in leaves if leaf.grad is not None)]
        expected = expected or found
        assert len(found) == 4
        for mine, other in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, other)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**16), st.data())
def test_permuting_the_batch_permutes_the_similarities(
    num_clips: int, num_texts: int, num_frames: int, num_words: int, seed: int, data: st.DataObject
) -> None:
    pose, pose_mask, words, word_mask = _batch(num_clips, num_texts, num_frames, num_words, seed=seed)
    clips = data.draw(st.permutations(range(num_clips)))
    texts = data.draw(st.permutations(range(num_texts)))
    row, score = data.draw(st.sampled_from(ALL_STRATEGIES))
    pose_to_text, text_to_pose = local_similarity(pose, pose_mask, words, word_mask, row, score)
    permuted = local_similarity(pose[clips], pose_mask[clips], words[texts], word_mask[texts], row, score)
    torch.testing.assert_close(permuted[0], pose_to_text[clips][:, texts])
    torch.testing.assert_close(permuted[1], text_to_pose[texts][:, clips])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.data())
def test_frames_and_words_may_come_in_any_order_and_roles_exchange(seed: int, data: st.DataObject) -> None:
    pose, pose_mask, words, word_mask = _batch(seed=seed)
    row, score = data.draw(st.sampled_from(ALL_STRATEGIES))
    pose_to_text, text_to_pose = local_similarity(pose, pose_mask, words, word_mask, row, score)
    frames = data.draw(st.permutations(range(pose.shape[1])))
    shuffled = local_similarity(pose[:, frames], pose_mask[:, frames], words, word_mask, row, score)
    exchanged = local_similarity(words, word_mask, pose, pose_mask, row, score)
    torch.testing.assert_close(shuffled, (pose_to_text, text_to_pose))
    torch.testing.assert_close(exchanged, (text_to_pose, pose_to_text))
    if score in ("softmax", "mean"):
        assert max(pose_to_text.abs().max(), text_to_pose.abs().max()) <= 1 + 1e-12


@pytest.mark.parametrize("row", ROW_STRATEGIES)
def test_half_precision(row: str) -> None:
    pose, pose_mask, words, word_mask = _batch(num_clips=4)
    half = [features.bfloat16().requires_grad_() for features in (pose, words)]
    full = [features.detach().float().requires_grad_() for features in half]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = local_similarity(half[0], pose_mask, half[1], word_mask, row)
        contrastive_loss(results[0], logits_per_text=results[1]).backward()
    expected = local_similarity(full[0], pose_mask, full[1], word_mask, row)
    contrastive_loss(expected[0], logits_per_text=expected[1]).backward()
    for result, wanted in zip(results, expected, strict=True):
        assert result.dtype == torch.float32
        torch.testing.assert_close(result, wanted)
    for leaf, wanted in zip(half, full, strict=True):
        assert leaf.grad is not None and wanted.grad is not None and leaf.grad.dtype == torch.bfloat16
        torch.testing.assert_close(leaf.grad.float(), wanted.grad, rtol=0.02, atol=1e-3)


def test_backward_keeps_no_tensor_of_all_cosines() -> None:
    pose, pose_mask, words, word_mask = (torch.as_tensor(x) for x in _batch(8, 8, 32, 16, 24))
    kept: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        local_similarity(pose.requires_grad_(), pose_mask, words.requires_grad_(), word_mask)
    assert max(kept) < 8 * 8 * 32 * 16 / 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"row_strategy": "median"}, "row_strategy.*median"),
        ({"score_strategy": "median"}, "score_strategy.*median"),
        ({"temperature": 0.0}, "temperature"),
        ({"chunk_size": 0}, "chunk_size"),
        ({"pose_mask": torch.ones(3, 6)}, "pose features"),
        ({"word_mask": torch.ones(4, 5, 1)}, "word features"),
        ({"word_features": torch.ones(4, 5, 7)}, "hidden size"),
        ({"word_features": torch.ones(4, 0, 6), "word_mask": torch.ones(4, 0)}, "at least one word"),
    ],
)
def test_similarity_refuses(arguments: dict[str, object], message: str) -> None:
    pose, pose_mask, words, word_mask = _batch()
    inputs = {"pose_features": pose, "pose_mask": pose_mask, "word_features": words, "word_mask": word_mask}
    with pytest.raises(ValueError, match=message):
        local_similarity(**(inputs | arguments))  # type: ignore[arg-type]


def test_word_frame_cosines_by_hand() -> None:
    pose = torch.tensor([[[3.0, 4.0], [0.0, 2.0], [9.0, 9.0]]])
    words = torch.tensor([[[1.0, 0.0], [9.0, 9.0]]])
    cosines = word_frame_cosines(pose, torch.tensor([[1, 1, 0]]), words, torch.tensor([[1, 0]]))
    torch.testing.assert_close(cosines, torch.tensor([[[0.6, 0.0, 0.0], [0.0, 0.0, 0.0]]]))
    with pytest.raises(ValueError, match="one sentence per clip"):
        word_frame_cosines(pose, torch.ones(1, 3), words.expand(2, -1, -1), torch.ones(2, 2))


def test_alignment_learns_which_words_belong_to_which_frames() -> None:
    # Three clips whose frames show their own two of six signs; free word vectors find them by the contrast alone.
    torch.manual_seed(0)
    signs = torch.linalg.qr(torch.randn(6, 6)).Q
    pose = torch.stack([signs[[2 * clip, 2 * clip, 2 * clip + 1]] for clip in range(3)])
    words = torch.randn(3, 2, 6, requires_grad=True)
    optimizer = torch.optim.Adam([words], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        per_pose, per_text = local_similarity(pose, torch.ones(3, 3), words, torch.ones(3, 2))
        loss = contrastive_loss(per_pose, logits_per_text=per_text, temperature=0.1)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05 < math.log(3)
    assert per_pose.argmax(1).tolist() == per_text.argmax(1).tolist() == [0, 1, 2]
