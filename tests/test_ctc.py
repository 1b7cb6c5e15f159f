"""Continuous recognition with CTC: the loss, the model, decoding against all alignments, times, and the pipeline."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCTC, Trainer, TrainingArguments, pipeline

from modeling_sigma import ContinuousSignRecognitionPipeline, PoseClip, SigmaFeatureExtractor, SigmaForCTC, save_bundle
from modeling_sigma.model.ctc_decoding_sigma import align_glosses, decode_greedily, decode_with_beams
from modeling_sigma.model.ctc_sigma import BLANK, build_gloss_labels, ctc_frames_needed, ctc_loss, encode_glosses
from modeling_sigma.model.pose_transforms import even_frame_indices
from tests.factories import (
    random_clip,
    random_clips,
    take_clip,
    tiny_config,
    tiny_inputs,
    tiny_model,
    tiny_processor,
    tiny_text_config,
)


LENGTHS = (12, 7, 3)
LABELS = torch.tensor([[1, 2, 2], [2, -100, -100], [3, 1, -100]])
GLOSSES = {0: BLANK, 1: "NORTH", 2: "RAIN", 3: "SNOW"}


def collapse(path: tuple[int, ...], blank_id: int = 0) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(path) if label != blank_id)


def by_enumeration(log_probabilities: torch.Tensor, blank_id: int = 0) -> dict[tuple[int, ...], float]:
    """The probability of every sequence, from the definition: the sum over all paths that collapse to it."""
    num_frames, num_labels = log_probabilities.shape
    totals: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(num_labels), repeat=num_frames):
        probability = math.exp(sum(log_probabilities[frame, label].item() for frame, label in enumerate(path)))
        totals[collapse(path, blank_id)] = totals.get(collapse(path, blank_id), 0.0) + probability
    return totals


def random_logits(num_frames: int, num_labels: int, seed: int, scale: float = 2.0) -> torch.Tensor:
    return scale * torch.randn(num_frames, num_labels, generator=torch.Generator().manual_seed(seed))


# --- the loss


def test_loss_by_hand() -> None:
    # Two frames of even scores, one gloss A of two labels: the paths A A, A -, - A of four.
    loss, num_skipped = ctc_loss(torch.zeros(1, 2, 2), torch.tensor([2]), torch.tensor([[1]]))
    assert loss.item() == pytest.approx(-math.log(3 / 4)) and num_skipped == 0


@given(st.integers(1, 4), st.integers(0, 2**20), st.integers(0, 2))
@settings(max_examples=25, deadline=None)
def test_loss_equals_the_sum_over_all_paths(num_frames: int, seed: int, blank_id: int) -> None:
    logits = random_logits(num_frames, 3, seed)
    totals = by_enumeration(logits.log_softmax(dim=-1), blank_id)
    for labels, probability in totals.items():
        if labels:
            loss, _ = ctc_loss(
                logits[None], torch.tensor([num_frames]), torch.tensor([labels]), blank_id, reduction="sum"
            )
            assert loss.item() == pytest.approx(-math.log(probability), rel=1e-4, abs=1e-5)


def test_reductions_equal_those_of_torch() -> None:
    logits, frames = torch.randn(3, 12, 4), torch.tensor(LENGTHS)
    log_probabilities = logits.log_softmax(dim=-1).transpose(0, 1)
    for reduction in ("mean", "sum"):
        expected = torch.nn.functional.ctc_loss(
            log_probabilities, LABELS.clamp(min=0), frames, torch.tensor([3, 1, 2]), reduction=reduction
        )
        for dtype in (torch.float32, torch.float64):
            loss, _ = ctc_loss(logits.to(dtype), frames, LABELS, reduction=reduction)
            assert loss.item() == pytest.approx(expected.item(), rel=1e-5) and loss.dtype == dtype
    half, _ = ctc_loss(logits.bfloat16(), frames, LABELS)
    assert half.dtype == torch.float32


def test_holes_between_labels_do_not_count() -> None:
    logits, frames = torch.randn(1, 6, 4), torch.tensor([6])
    plain, _ = ctc_loss(logits, frames, torch.tensor([[2, 3]]))
    holes, _ = ctc_loss(logits, frames, torch.tensor([[-100, 2, -100, 3, -100]]))
    assert torch.equal(plain, holes)


def test_a_clip_without_glosses_is_all_blank() -> None:
    logits = torch.randn(1, 5, 3)
    expected = -logits.log_softmax(dim=-1)[0, :, 0].sum().item()
    for labels in (torch.tensor([[-100]]), torch.zeros(1, 0, dtype=torch.long)):
        assert ctc_loss(logits, torch.tensor([5]), labels)[0].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("labels", "needed"), [([1], 1), ([1, 2, 3], 3), ([1, 1], 3), ([2, 2, 2, 1, 1], 8), ([-100], 0), ([1, -100, 1], 3)]
)
def test_frames_needed(labels: list[int], needed: int) -> None:
    assert ctc_frames_needed(torch.tensor([labels])).tolist() == [needed]
    if needed > 0:
        loss, _ = ctc_loss(torch.randn(1, needed, 4), torch.tensor([needed]), torch.tensor([labels]))
        assert torch.isfinite(loss), "just enough"
    if needed > 1:
        with pytest.raises(ValueError, match=f"has {needed - 1} frames for .* glosses, which need {needed}"):
            ctc_loss(torch.randn(1, needed - 1, 4), torch.tensor([needed - 1]), torch.tensor([labels]))


def test_short_clips_are_left_out_and_counted() -> None:
    logits = torch.randn(3, 12, 4, requires_grad=True)
    frames, labels = torch.tensor([12, 2, 3]), torch.tensor([[1, 2, 2], [2, 2, -100], [3, 1, 2]])
    loss, num_skipped = ctc_loss(logits, frames, labels, short_clips="skip")
    assert num_skipped == 1
    kept = [0, 2]
    assert loss.item() == pytest.approx(ctc_loss(logits[kept], frames[kept], labels[kept])[0].item(), rel=1e-5)
    loss.backward()
    assert torch.isfinite(logits.grad).all() and not logits.grad[1].any() and logits.grad[0].any()
    nothing, num_skipped = ctc_loss(logits[1:2], frames[1:2], labels[1:2], short_clips="skip")
    assert (nothing.item(), num_skipped.item()) == (0.0, 1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[1, 4]], "gloss numbers below 4, received 4: build the configuration's id2label"),
        ([[1, 0]], "no blank among the labels, received 0 = ctc_blank_id"),
        ([[1], [2]], r"labels of shape \(1, length\), received \(2, 1\)"),
    ],
)
def test_wrong_labels(labels: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ctc_loss(torch.zeros(1, 9, 4), torch.tensor([9]), torch.tensor(labels))


# --- the vocabulary


def test_glosses_become_numbers_and_come_back() -> None:
    id2label = build_gloss_labels([["RAIN", "NORTH"], [], ["SNOW", "RAIN"]])
    assert id2label == GLOSSES
    labels = encode_glosses([["RAIN"], [], ["NORTH", "SNOW"]], {name: number for number, name in id2label.items()})
    assert labels.tolist() == [[2, -100], [-100, -100], [1, 3]]
    assert encode_glosses([[]], {}).shape == (1, 0)


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (["RAIN NORTH"], "a list of glosses per clip, received the string 'RAIN NORTH': split it"),
        ([["RAIN NORTH"]], "glosses without white space"),
        ([["RAIN", ""]], "glosses without white space"),
        ([[BLANK]], "none of them '<blank>'"),
        ([[], []], "at least one gloss, received none"),
    ],
)
def test_wrong_glosses(sentences: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_gloss_labels(sentences)


def test_unknown_glosses_are_named() -> None:
    with pytest.raises(ValueError, match="received 'FOG' in sentence 1: build id2label from all glosses"):
        encode_glosses([["RAIN"], ["RAIN", "FOG"]], {"RAIN": 1})


# --- decoding


def test_the_best_path_by_hand() -> None:
    scores = torch.full((1, 6, 3), -9.0)
    for frame, label in enumerate([0, 2, 2, 0, 2, 1]):
        scores[0, frame, label] = 9.0
    [reading] = decode_greedily(scores)
    assert reading.labels == [2, 2, 1]
    assert [(span.label, span.start, span.end) for span in reading.spans] == [(2, 1, 3), (2, 4, 5), (1, 5, 6)]
    assert all(span.score == pytest.approx(1.0, abs=1e-4) for span in reading.spans)
    assert decode_greedily(scores, torch.tensor([4]))[0].labels == [2], "padding is not read"


@given(st.integers(1, 4), st.integers(0, 2**20), st.integers(0, 2))
@settings(max_examples=25, deadline=None)
def test_a_wide_beam_finds_every_sequence(num_frames: int, seed: int, blank_id: int) -> None:
    logits = random_logits(num_frames, 3, seed)
    totals = by_enumeration(logits.log_softmax(dim=-1), blank_id)
    [readings] = decode_with_beams(logits[None], blank_id=blank_id, num_beams=300, num_hypotheses=300)
    found = {tuple(reading.labels): math.exp(reading.log_probability) for reading in readings}
    assert found == {labels: pytest.approx(probability, rel=1e-4) for labels, probability in totals.items()}
    assert [reading.log_probability for reading in readings] == sorted(
        (reading.log_probability for reading in readings), reverse=True
    )


def test_beams_beat_the_best_path() -> None:
    # The classic case: the single best path is all blank (0.36), but the paths with A add up to 0.64.
    scores = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()
    assert decode_greedily(scores)[0].labels == []
    [[best, second]] = decode_with_beams(scores, num_hypotheses=2)
    assert (best.labels, second.labels) == ([1], [])
    assert math.exp(best.log_probability) == pytest.approx(0.64)


@given(st.integers(1, 5), st.integers(0, 2**20))
@settings(max_examples=25, deadline=None)
def test_alignment_is_the_best_path_of_the_glosses(num_frames: int, seed: int) -> None:
    log_probabilities = random_logits(num_frames, 3, seed).log_softmax(dim=-1)
    best: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {}
    for path in itertools.product(range(3), repeat=num_frames):
        score = sum(log_probabilities[frame, label].item() for frame, label in enumerate(path))
        if score > best.get(collapse(path), (-math.inf, ()))[0]:
            best[collapse(path)] = (score, path)
    for labels, (score, _) in best.items():
        spans = align_glosses(log_probabilities, list(labels))
        assert [span.label for span in spans] == list(labels)
        bounds = [0, *(bound for span in spans for bound in (span.start, span.end)), num_frames]
        assert bounds == sorted(bounds) and all(span.start < span.end for span in spans)
        path = [0] * num_frames
        for span in spans:
            path[span.start : span.end] = [span.label] * (span.end - span.start)
        assert sum(log_probabilities[frame, label].item() for frame, label in enumerate(path)) == pytest.approx(score)
        for span in spans:
            frames = log_probabilities[span.start : span.end, span.label].exp()
            assert span.score == pytest.approx(frames.mean().item(), rel=1e-5)


def test_an_alignment_needs_frames() -> None:
    with pytest.raises(ValueError, match="enough frames for 2 glosses .* received 2"):
        align_glosses(torch.zeros(2, 3).log_softmax(dim=-1), [1, 1])
    assert align_glosses(torch.zeros(2, 3), []) == []


def test_greedy_spans_are_the_best_alignment() -> None:
    for seed in range(10):
        logits = random_logits(12, 4, seed)
        [reading] = decode_greedily(logits[None])
        aligned = align_glosses(logits.log_softmax(dim=-1), reading.labels)
        assert [(span.label, span.start, span.end) for span in aligned] == [
            (span.label, span.start, span.end) for span in reading.spans
        ]


@pytest.mark.parametrize("options", [{"num_beams": 0}, {"num_beams": 2, "num_hypotheses": 3}, {"num_candidates": 0}])
def test_wrong_beams(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="num_beams >= num_hypotheses >= 1"):
        decode_with_beams(torch.zeros(1, 2, 3), **options)
    with pytest.raises(ValueError, match="expected logits of shape"):
        decode_greedily(torch.zeros(2, 3))


# --- the model


def ctc_model(**overrides: Any) -> SigmaForCTC:
    return tiny_model(SigmaForCTC, id2label=GLOSSES, **overrides)


@torch.no_grad()
def test_batch_equals_singles() -> None:
    model, inputs = ctc_model(), tiny_inputs(LENGTHS)
    batch = model(**inputs, labels=LABELS)
    losses = []
    for row, length in enumerate(LENGTHS):
        alone = model(**take_clip(inputs, row), labels=LABELS[row : row + 1])
        assert (alone.logits[0] - batch.logits[row, :length]).abs().max() <= 1e-5
        losses.append(alone.loss.item())
    assert batch.loss.item() == pytest.approx(sum(losses) / 3, rel=1e-5)
    assert batch.num_skipped_clips == 0


@torch.no_grad()
def test_configuration_decides_about_the_loss() -> None:
    inputs = tiny_inputs(LENGTHS, prompt=False)
    losses = [
        ctc_model(use_prompt=False, ctc_loss_reduction=reduction)(**inputs, labels=LABELS).loss.item()
        for reduction in ("mean", "sum")
    ]
    assert losses[1] > 3 * losses[0] / 1.5
    short = torch.tensor([[1, 2, 2], [2, -100, -100], [1, 1, 1]])
    with pytest.raises(ValueError, match="clip 2 of the batch has 3 frames for 3 glosses, which need 5. Raise max_fr"):
        ctc_model(use_prompt=False)(**inputs, labels=short)
    out = ctc_model(use_prompt=False, ctc_short_clips="skip")(**inputs, labels=short)
    assert out.num_skipped_clips == 1 and torch.isfinite(out.loss)
    moved = ctc_model(use_prompt=False, ctc_blank_id=3)
    assert torch.isfinite(moved(**inputs, labels=torch.tensor([[0, 1], [0, -100], [2, 1]])).loss)
    with pytest.raises(ValueError, match="received 3 = ctc_blank_id"):
        moved(**inputs, labels=LABELS)
    with pytest.raises(ValueError, match="ctc_blank_id below the 4 labels, received 4"):
        ctc_model(ctc_blank_id=4)
    with pytest.raises((ValueError, StrictDataclassError), match="ctc_blank_id >= 0"):
        tiny_config(ctc_blank_id=-1)


def test_vocabulary_travels_with_the_model(tmp_path: Path) -> None:
    model = ctc_model(use_prompt=False)
    assert not any(name.startswith("shared") for name in model.state_dict())
    model.save_pretrained(tmp_path)
    loaded, info = AutoModelForCTC.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is SigmaForCTC and not info["missing_keys"] and not info["unexpected_keys"]
    assert loaded.config.id2label == GLOSSES and loaded.num_labels == 4


def test_weights_of_other_models_fit(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path / "writer")
    model, info = SigmaForCTC.from_pretrained(tmp_path / "writer", id2label=GLOSSES, output_loading_info=True)
    assert info["missing_keys"] == {"ctc_head.weight", "ctc_head.bias"} and not info["unexpected_keys"]
    model.save_pretrained(tmp_path / "ctc")
    _, info = type(tiny_model()).from_pretrained(tmp_path / "ctc", output_loading_info=True)
    assert not info["unexpected_keys"]


def test_tuples_on_request_and_arguments_of_text_models() -> None:
    """As the other heads: `return_dict=False`, and PEFT's wrappers, which name what text models read."""
    model = tiny_model(SigmaForCTC, id2label=GLOSSES)
    inputs = {**tiny_inputs(LENGTHS), "labels": LABELS}
    expected = model(**inputs)
    out = model(**inputs, return_dict=False)
    assert isinstance(out, tuple) and torch.equal(out[0], expected.loss) and torch.equal(out[1], expected.logits)
    assert torch.equal(model(**inputs, attention_mask=None, inputs_embeds=None).logits, expected.logits)
    with pytest.raises(ValueError, match="expected pose_values and prompt_input_ids, received attention_mask"):
        model(**inputs, attention_mask=torch.ones(3, 12))


def test_it_learns_to_tell_signs_apart_in_time(tmp_path: Path) -> None:
    """Clips of three hand positions in a row, in every order: the trainer takes it to a word error rate of zero."""
    orders = [list(order) for order in itertools.permutations([1, 2, 3])]
    places = {1: (-0.6, 0.5), 2: (0.6, -0.5), 3: (0.0, -0.9)}
    rows = []
    for order in orders:
        pose_values = torch.zeros(18, 69, 3)
        for turn, label in enumerate(order):
            pose_values[turn * 6 : turn * 6 + 5, :, :2] = torch.tensor(places[label])
        pose_values[..., 2] = 1.0
        rows.append({"pose_values": pose_values, "labels": torch.tensor(order)})
    torch.manual_seed(0)
    text_config = tiny_text_config(dropout_rate=0.0)
    model = SigmaForCTC(tiny_config(id2label=GLOSSES, use_prompt=False, text_config=text_config))

    def collate(batch: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        return {name: torch.stack([row[name] for row in batch]) for name in batch[0]}

    options: dict[str, Any] = {"use_cpu": True, "report_to": [], "disable_tqdm": True, "remove_unused_columns": False}
    arguments = TrainingArguments(
        str(tmp_path),
        max_steps=150,
        per_device_train_batch_size=6,
        learning_rate=5e-3,
        save_strategy="no",
        logging_steps=30,
        **options,
    )
    trainer = Trainer(model, arguments, train_dataset=rows, eval_dataset=rows, data_collator=collate)
    trainer.train()
    logits = trainer.predict(rows).predictions
    logits = torch.as_tensor(logits[0] if isinstance(logits, tuple) else logits)
    assert [reading.labels for reading in decode_greedily(logits)] == orders
    for order, [reading] in zip(orders, decode_with_beams(logits), strict=True):
        assert reading.labels == order
        for turn, span in enumerate(reading.spans):
            assert turn * 6 - 1 <= span.start < (turn + 1) * 6, "near the sign, not elsewhere"


# --- the pipeline


@pytest.fixture(scope="module")
def recognize() -> Any:
    return pipeline("continuous-sign-recognition", model=ctc_model(seed=1), processor=tiny_processor())


def expected_reading(clip: PoseClip, num_beams: int) -> Any:
    model, inputs = ctc_model(seed=1), tiny_processor()(clip)
    with torch.no_grad():
        logits = model(**inputs).logits
    return decode_greedily(logits)[0] if num_beams == 1 else decode_with_beams(logits, num_beams=num_beams)[0][0]


@pytest.mark.parametrize("num_beams", [1, 5])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_pipeline_names_glosses_with_their_times(recognize: Any, num_beams: int, batch_size: int) -> None:
    clips = random_clips((12, 7, 20))
    results = recognize(clips, num_beams=num_beams, batch_size=batch_size)
    assert any(result["glosses"] for result in results)
    for clip, result in zip(clips, results, strict=True):
        reading = expected_reading(clip, num_beams)
        assert result["glosses"] == [GLOSSES[label] for label in reading.labels]
        assert result["text"] == " ".join(result["glosses"])
        for span, found in zip(reading.spans, result["spans"], strict=True):
            assert (found["gloss"], found["start"], found["end"]) == (GLOSSES[span.label], span.start, span.end)
            assert found["score"] == pytest.approx(span.score, abs=1e-5)
            assert (found["start_seconds"], found["end_seconds"]) == (span.start / 25, span.end / 25)


def test_times_are_those_of_the_clip_not_of_the_frames_that_were_read(recognize: Any) -> None:
    clip = random_clip(100)
    [long] = recognize([clip], num_beams=1)
    frames = even_frame_indices(100, 32).tolist()
    reading = expected_reading(clip, 1)
    assert [(span["start"], span["end"]) for span in long["spans"]] == [
        (frames[span.start], [*frames, 100][span.end]) for span in reading.spans
    ]
    assert len(frames) == 32 and reading.spans


def test_inputs_without_a_frame_rate_have_no_seconds(recognize: Any) -> None:
    clip = random_clip(12, fps=None)
    array = np.concatenate([clip.keypoints, clip.scores[..., None]], axis=-1)
    for inputs in (clip, array, {"keypoints": clip.keypoints, "scores": clip.scores}):
        spans = recognize(inputs)["spans"]
        assert spans and all(set(span) == {"gloss", "start", "end", "score"} for span in spans)


def test_wrong_options(recognize: Any) -> None:
    message = (
        r"expected language, max_frames, allow_unseen, coordinates, aspect_ratio or num_beams, received \['beams'\]"
    )
    with pytest.raises(ValueError, match=message):
        recognize(random_clip(), beams=3)


def test_pipeline_of_a_model_that_writes_glosses() -> None:
    recognize = pipeline("continuous-sign-recognition", model=tiny_model(seed=2), processor=tiny_processor())
    clips = random_clips((12, 7, 9))
    beams = {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 6}
    singles = [recognize(clip, **beams) for clip in clips]
    assert all(len(single) == 2 and single[0]["text"] != single[1]["text"] for single in singles), "best first"
    assert recognize(clips, batch_size=3, **beams) == singles, "no clip of a batch gets another's"
    clips = random_clips()
    translate = pipeline("sign-language-translation", model=tiny_model(seed=2), processor=tiny_processor())
    texts = [result["text"] for result in translate(clips, max_new_tokens=6)]
    results = recognize(clips, max_new_tokens=6, batch_size=2)
    assert results == [{"glosses": text.split(), "text": " ".join(text.split())} for text in texts]


def test_a_bundle_without_a_tokenizer(tmp_path: Path) -> None:
    save_bundle(ctc_model(use_prompt=False), SigmaFeatureExtractor(max_frames=32), tmp_path)
    recognize = pipeline(
        "continuous-sign-recognition", model=str(tmp_path), pipeline_class=ContinuousSignRecognitionPipeline
    )
    assert type(recognize.model) is SigmaForCTC
    assert set(recognize(random_clip(12))) == {"glosses", "text", "spans"}
