"""Label-constrained decoding: the trie, the likelihood of all labels, and the pipeline of a model that writes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import pipeline

from modeling_sigma import IsolatedSignRecognitionPipeline, SigmaForSequenceClassification, save_bundle
from modeling_sigma.model.label_search_sigma import LEFT_OUT, score_labels
from modeling_sigma.model.label_trie_sigma import LabelTrie
from tests.factories import random_clip, random_clips, tiny_inputs, tiny_model, tiny_processor, tiny_tokenizer


# One is the beginning of another, and "today" has no token of its own.
SIGNS = ["hello", "hello world", "rain", "rain in the north", "snow", "tomorrow", "world", "the weather", "today"]
LENGTHS = (12, 7, 1)


@pytest.fixture(scope="module")
def trie() -> LabelTrie:
    return LabelTrie.from_labels(SIGNS, tiny_tokenizer())


@pytest.fixture(scope="module")
def writer() -> Any:
    return tiny_model(seed=3)


# --- the trie


def test_trie_by_hand() -> None:
    trie = LabelTrie([[5, 6, 1], [5, 1], [7, 1]], pad_token_id=0)
    following = {(): [5, 7], (5,): [1, 6], (5, 6): [1], (5, 6, 1): [0], (5, 1): [0], (9,): [0], (5, 1, 0, 0): [0]}
    for ids, allowed in following.items():
        assert trie(0, torch.tensor([0, *ids])) == allowed
    assert [trie.label_of([0, *ids]) for ids in ([5, 6, 1], [5, 1, 1, 1], [7, 1, 0, 0])] == [0, 1, 2]
    assert [trie.label_of([0, *ids]) for ids in ([], [5], [6, 1], [5, 6, 0])] == [None] * 4
    assert len(trie) == 3 and trie.max_length == 3


@pytest.mark.parametrize(
    ("token_ids", "message"),
    [
        ([], "at least one label"),
        ([[5, 1], []], r"received '\[\]', which has no tokens"),
        ([[5, 1], [5, 1]], r"tells apart, received '\[5, 1\]', which reads the same tokens as '\[5, 1\]'"),
        ([[5, 1], [5, 1, 6, 1]], "end in the closing token, and to hold it nowhere else"),
    ],
)
def test_wrong_tries(token_ids: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabelTrie(token_ids, pad_token_id=0)


def test_labels_that_a_tokenizer_cannot_tell_apart() -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer("Ж")["input_ids"] == tokenizer("Щ")["input_ids"]
    with pytest.raises(ValueError, match="received 'Щ', which reads the same tokens as 'Ж': rename or merge them"):
        LabelTrie.from_labels(["hello", "Ж", "Щ"], tokenizer)
    with pytest.raises(ValueError, match="received '', which has no tokens"):
        LabelTrie.from_labels(["hello", ""], tokenizer)
    with pytest.raises(ValueError, match="expected labels as a list of strings, received 'hello'"):
        LabelTrie.from_labels("hello", tokenizer)
    with pytest.raises(ValueError, match="at least one label"):
        LabelTrie.from_labels([], tokenizer)


@pytest.mark.parametrize("options", [{"num_beams": 1}, {"num_beams": 4}, {"num_beams": 1, "do_sample": True}])
def test_only_labels_are_written(writer: Any, trie: LabelTrie, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    for _ in range(3):
        ids = writer.generate(**tiny_inputs(LENGTHS), prefix_allowed_tokens_fn=trie, max_new_tokens=30, **options)
        texts = tiny_tokenizer().batch_decode(ids, skip_special_tokens=True)
        numbers = [trie.label_of(row) for row in ids.tolist()]
        assert texts == [SIGNS[number] for number in numbers]
    free = writer.generate(**tiny_inputs(LENGTHS), max_new_tokens=30, **options)
    assert all(trie.label_of(row) is None for row in free.tolist()), "without the trie it babbles"


# --- the likelihood of all labels


def by_teacher_forcing(model: Any, inputs: dict[str, torch.Tensor], trie: LabelTrie) -> torch.Tensor:
    columns = []
    for ids in trie.token_ids:
        labels = torch.tensor([ids] * len(inputs["pose_values"]))
        with torch.no_grad():
            log_probabilities = model(**inputs, labels=labels).logits.log_softmax(dim=-1)
        columns.append(log_probabilities.gather(-1, labels[..., None]).sum(dim=(1, 2)))
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("nodes_at_a_time", [1, 9, 256])
@pytest.mark.parametrize("model_type", ["mt5", "t5"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_scores_equal_those_of_each_label_alone(
    trie: LabelTrie, nodes_at_a_time: int, model_type: str, attention: str
) -> None:
    from tests.factories import tiny_text_config

    model = tiny_model(seed=3, text_config=tiny_text_config(model_type))
    model.set_attn_implementation(attention)
    inputs = tiny_inputs(LENGTHS)
    encoded = model.encode_poses(**inputs)
    scores = score_labels(model, encoded, trie, nodes_at_a_time=nodes_at_a_time)
    assert (scores - by_teacher_forcing(model, inputs, trie)).abs().max() <= 5e-5
    assert scores.shape == (3, len(SIGNS)) and (scores < 0).all()


def nodes_read(model: Any, trie: LabelTrie, **options: Any) -> tuple[int, int, torch.Tensor]:
    """How often the encoder ran, how many tokens the decoder read, and the scores."""
    rows: dict[str, list[int]] = {"encoder": [], "decoder": []}
    hooks = [
        stack.block[0].layer[-1].register_forward_hook(lambda _, __, out, n=name: rows[n].append(out.shape[-2]))
        for name, stack in (("encoder", model.encoder), ("decoder", model.decoder))
    ]
    scores = score_labels(model, model.encode_poses(**tiny_inputs(LENGTHS)), trie, **options)
    for hook in hooks:
        hook.remove()
    return len(rows["encoder"]), sum(rows["decoder"]), scores


def test_the_encoder_runs_once_and_shared_beginnings_too(writer: Any, trie: LabelTrie) -> None:
    num_beginnings = len({tuple(ids[:stop]) for ids in trie.token_ids for stop in range(len(ids))})
    assert nodes_read(writer, trie)[:2] == (1, len(LENGTHS) * num_beginnings)
    assert num_beginnings < sum(map(len, trie.token_ids))


@pytest.mark.parametrize(("top_k", "nodes_at_a_time"), [(1, 8), (1, None), (5, 20), (40, None)])
def test_beginnings_that_cannot_matter_are_left_out(writer: Any, top_k: int, nodes_at_a_time: int | None) -> None:
    words = ["rain", "snow", "hello", "world", "north", "weather", "sign"]
    many = [" ".join(pair) for number in (1, 2, 3) for pair in itertools.product(words, repeat=number)]
    trie = LabelTrie.from_labels(many, tiny_tokenizer())
    _, num_all, scores = nodes_read(writer, trie)
    _, num_read, found = nodes_read(writer, trie, top_k=top_k, nodes_at_a_time=nodes_at_a_time)
    assert torch.isfinite(scores).all() and num_read < num_all / 2
    is_found = torch.isfinite(found)
    assert (found - scores)[is_found].abs().max() <= 5e-5
    left_out = scores.masked_fill(is_found, -torch.inf)
    assert (left_out.logsumexp(dim=1) - scores.logsumexp(dim=1)).exp().max() <= LEFT_OUT
    best, expected = found.softmax(dim=1).topk(top_k), scores.softmax(dim=1).topk(top_k)
    assert best.indices.tolist() == expected.indices.tolist()
    assert torch.allclose(best.values, expected.values, rtol=1e-4, atol=0)


def test_an_exhaustive_beam_search_agrees(writer: Any, trie: LabelTrie) -> None:
    inputs = tiny_inputs((9,))
    found = writer.generate(
        **inputs,
        prefix_allowed_tokens_fn=trie,
        num_beams=len(trie),
        num_return_sequences=len(trie),
        max_new_tokens=trie.max_length,
        length_penalty=0.0,
        return_dict_in_generate=True,
        output_scores=True,
    )
    scores = score_labels(writer, writer.encode_poses(**inputs), trie)[0]
    order = [trie.label_of(row) for row in found.sequences.tolist()]
    assert order == scores.argsort(descending=True).tolist()
    assert (found.sequences_scores - scores[order]).abs().max() <= 1e-4


def test_half_precision_stays_close(writer: Any, trie: LabelTrie) -> None:
    inputs = tiny_inputs(LENGTHS)
    full = score_labels(writer, writer.encode_poses(**inputs), trie)
    half = tiny_model(seed=3).bfloat16()
    inputs["pose_values"] = inputs["pose_values"].bfloat16()
    scores = score_labels(half, half.encode_poses(**inputs), trie)
    assert scores.dtype == torch.float32 and ((scores - full) / full).abs().max() <= 0.05


# --- the pipeline


@pytest.fixture(scope="module")
def recognize(writer: Any) -> Any:
    return pipeline("isolated-sign-recognition", model=writer, processor=tiny_processor())


@pytest.mark.parametrize("batch_size", [1, 3])
def test_pipeline_ranks_labels_by_likelihood(recognize: Any, writer: Any, trie: LabelTrie, batch_size: int) -> None:
    clips = random_clips(LENGTHS)
    chances = score_labels(writer, writer.encode_poses(**tiny_inputs(LENGTHS)), trie).softmax(dim=-1)
    for row, result in enumerate(recognize(clips, labels=SIGNS, top_k=4, batch_size=batch_size)):
        best = chances[row].topk(4)
        assert [entry["label"] for entry in result] == [SIGNS[number] for number in best.indices.tolist()]
        assert [entry["score"] for entry in result] == pytest.approx(best.values.tolist(), rel=1e-3)
    assert len(recognize(clips[0], labels=SIGNS)) == 5, "top_k is 5"


def test_a_list_of_labels_may_change(recognize: Any) -> None:
    clip, labels = random_clip(5), list(SIGNS)
    expected = recognize(clip, labels=labels, top_k=3)
    labels.reverse()
    for changed in (labels, tuple(labels)):
        result = recognize(clip, labels=changed, top_k=3)
        assert [entry["label"] for entry in result] == [entry["label"] for entry in expected]


@pytest.mark.parametrize("num_beams", [1, 3, 50])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_pipeline_searches_labels(recognize: Any, num_beams: int, batch_size: int) -> None:
    clips = random_clips(LENGTHS)
    results = recognize(clips, labels=SIGNS, num_beams=num_beams, top_k=3, batch_size=batch_size)
    for result in results:
        assert len(result) == min(3, num_beams)
        assert {entry["label"] for entry in result} <= set(SIGNS)
    if num_beams == 50:
        everything = recognize(clips, labels=SIGNS, top_k=3)
        assert [[entry["label"] for entry in result] for result in results] == [
            [entry["label"] for entry in result] for result in everything
        ]
        assert results[0][0]["score"] == pytest.approx(everything[0][0]["score"], rel=1e-3)


def test_labels_of_the_configuration(tmp_path: Path) -> None:
    model = tiny_model(seed=3, id2label=dict(enumerate(SIGNS)))
    save_bundle(model, tiny_processor(), tmp_path)
    recognize = pipeline(
        "isolated-sign-recognition", model=str(tmp_path), pipeline_class=IsolatedSignRecognitionPipeline
    )
    assert recognize.model.can_generate(), "the folder says that its model writes"
    clip = random_clip(9)
    assert recognize(clip, top_k=9) == recognize(clip, top_k=9, labels=SIGNS)
    assert len(recognize(clip, labels=SIGNS[:2])) == 2, "the call's labels come first"


def test_labels_given_when_the_pipeline_is_made(writer: Any) -> None:
    recognize = pipeline("isolated-sign-recognition", model=writer, processor=tiny_processor(), labels=SIGNS[:3])
    assert sorted(entry["label"] for entry in recognize(random_clip(9))) == sorted(SIGNS[:3])


def test_mistakes_are_told(recognize: Any) -> None:
    with pytest.raises(ValueError, match=r"expected labels=\[\.\.\.\], received none: this model writes text"):
        recognize(random_clip())
    with pytest.raises(ValueError, match="expected num_beams as an integer >= 1, received 0"):
        recognize(random_clip(), labels=SIGNS, num_beams=0)
    head = tiny_model(SigmaForSequenceClassification, num_labels=3)
    with pytest.raises(ValueError, match="num_beams is for generative models"):
        pipeline("isolated-sign-recognition", model=head, processor=tiny_processor())(random_clip(), num_beams=2)
    alone = pipeline("isolated-sign-recognition", model=head)
    with pytest.raises(ValueError, match="expected a processor or a feature_extractor, received neither"):
        alone(random_clip())
