"""`SigmaProcessor`: prompts, texts, words, labels; and what it refuses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DataCollatorForSeq2Seq, DataCollatorWithPadding

from modeling_sigma.model import processing_sigma
from modeling_sigma.model.processing_sigma import PROMPT_TEMPLATE, SigmaProcessor
from modeling_sigma.model.word_spans_sigma import joined_spans, word_spans
from tests.factories import random_clip, random_clips, tiny_processor, tiny_tokenizer


PAD, END = 0, 1


@pytest.fixture(scope="module")
def processor() -> SigmaProcessor:
    return tiny_processor()


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the processor warns of; `warning_once` forgets what it has said before."""
    told: list[str] = []
    type(processing_sigma.logger).warning_once.cache_clear()
    monkeypatch.setattr(processing_sigma.logger, "warning", lambda message, *args, **kwargs: told.append(message))
    return told


def _pieces(ids: torch.Tensor) -> list[str]:
    return tiny_tokenizer().convert_ids_to_tokens(ids.tolist())


def _words(inputs: Any, row: int = 0) -> list[str]:
    """The text of each word of a row, put together from its tokens."""
    tokens, numbers = _pieces(inputs["text_input_ids"][row]), inputs["text_word_ids"][row].tolist()
    words = ["" for _ in range(max(numbers) + 1)]
    for token, number in zip(tokens, numbers):
        if number >= 0:
            words[number] += token
    return [word.replace("▁", "") for word in words]


# --- what comes out


def test_clips_alone(processor: SigmaProcessor) -> None:
    inputs = processor(poses=random_clips((5, 3)))
    assert list(inputs) == ["pose_values", "pose_attention_mask", "prompt_input_ids", "prompt_attention_mask"]
    assert inputs["pose_values"].shape == (2, 5, 69, 3)
    assert all(isinstance(value, torch.Tensor) for value in inputs.values())
    assert processor.model_input_names == list(inputs)


def test_texts_alone(processor: SigmaProcessor) -> None:
    inputs = processor(text=["hello world", "rain"])
    assert list(inputs) == ["text_input_ids", "text_attention_mask", "text_word_ids", "labels"]
    assert {value.dtype for value in inputs.values()} == {torch.int64}
    assert len({value.shape for value in inputs.values()}) == 1


def test_pairs(processor: SigmaProcessor) -> None:
    inputs = processor(poses=random_clips((5, 3)), text=["hello world", "rain"])
    assert len(inputs) == 8 and all(len(value) == 2 for value in inputs.values())
    one = processor(poses=random_clip(5), text="hello world")
    assert torch.equal(one["pose_values"][0], inputs["pose_values"][0])
    assert one["labels"].tolist() == inputs["labels"][:1].tolist()


def test_numpy(processor: SigmaProcessor) -> None:
    inputs = processor(poses=random_clip(2), text="rain", return_tensors="np")
    assert all(isinstance(value, np.ndarray) for value in inputs.values())


def test_prompt(processor: SigmaProcessor) -> None:
    assert PROMPT_TEMPLATE == "Translate sign language video to {language}: "
    inputs = processor(poses=random_clips((2, 2)))
    expected = tiny_tokenizer()("Translate sign language video to English: ")["input_ids"]
    assert expected[-1] == END, "the prompt is closed"
    assert inputs["prompt_input_ids"].tolist() == [expected] * 2
    assert inputs["prompt_attention_mask"].tolist() == [[1] * len(expected)] * 2


def test_a_language_for_each_clip(processor: SigmaProcessor) -> None:
    languages = ["English", "Chinese", "Swiss French"]
    inputs = processor(poses=random_clips((2, 2, 2)), language=languages)
    for row, language in enumerate(languages):
        expected = tiny_tokenizer()(f"Translate sign language video to {language}: ")["input_ids"]
        ids, mask = inputs["prompt_input_ids"][row], inputs["prompt_attention_mask"][row]
        assert ids[mask.bool()].tolist() == expected
        assert (ids[~mask.bool()] == PAD).all()
    assert inputs["prompt_attention_mask"].sum(dim=1).unique().numel() > 1, "they differ in length"


def test_own_prompt_template() -> None:
    base = tiny_processor()
    processor = SigmaProcessor(base.feature_extractor, base.tokenizer, prompt_template="sign in {language}")
    expected = tiny_tokenizer()("sign in Chinese")["input_ids"]
    assert processor(poses=random_clip(2), language="Chinese")["prompt_input_ids"].tolist() == [expected]


def test_labels_are_the_tokens_and_ignore_padding(processor: SigmaProcessor) -> None:
    inputs = processor(text=["hello world", "rain", ""])
    ids, mask, labels = inputs["text_input_ids"], inputs["text_attention_mask"].bool(), inputs["labels"]
    assert (labels[mask] == ids[mask]).all() and (labels[~mask] == -100).all()
    assert (~mask).any() and (ids[~mask] == PAD).all()
    assert [row[keep][-1].item() for row, keep in zip(ids, mask)] == [END] * 3
    assert labels[2].tolist() == [END] + [-100] * (labels.shape[1] - 1)


def test_pose_arguments_reach_the_extractor() -> None:
    processor = tiny_processor(max_frames=10, augmentation={"noise": 0.1})
    clip = random_clip(30)
    assert processor(poses=clip)["pose_values"].shape[1] == 10
    assert processor(poses=clip, max_frames=4)["pose_values"].shape[1] == 4
    drawn = [processor(poses=clip, training=True, generator=seed)["pose_values"] for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_decoding(processor: SigmaProcessor) -> None:
    ids = processor(text=["hello world", "rain in the north"])["text_input_ids"]
    assert processor.batch_decode(ids, skip_special_tokens=True) == ["hello world", "rain in the north"]
    assert processor.decode(ids[0], skip_special_tokens=True) == "hello world"


# --- words


def test_words_of_tokens(processor: SigmaProcessor) -> None:
    text = "the unbelievable  weather\tis nice"
    inputs = processor(text=text)
    assert (inputs["text_input_ids"] != 2).all(), "no unknown tokens: the words can be put together again"
    assert inputs["text_input_ids"].shape[1] > len(text.split()) + 1, "words have several tokens"
    assert _words(inputs) == ["the", "unbelievable", "weather", "is", "nice"]


def test_special_tokens_and_padding_are_no_words(processor: SigmaProcessor) -> None:
    inputs = processor(text=["hello world", "rain", ""])
    ids, numbers = inputs["text_input_ids"], inputs["text_word_ids"]
    assert (numbers[(ids == END) | (ids == PAD)] == -1).all()
    assert (numbers[0][ids[0] > END] >= 0).all()
    assert [int(row.max()) + 1 for row in numbers] == [2, 1, 0]


def test_word_numbers_start_at_zero_and_never_fall(processor: SigmaProcessor) -> None:
    numbers = processor(text="rain in the north and snow in the south")["text_word_ids"][0]
    content = numbers[numbers >= 0]
    assert content[0] == 0 and set(content.diff().tolist()) <= {0, 1}
    assert content.max() == 8, "a word that occurs twice is two words"


def test_unsegmented_text_is_one_word_without_a_segmenter(processor: SigmaProcessor) -> None:
    numbers = processor(text="今天天气很好")["text_word_ids"][0]
    assert set(numbers.tolist()) == {0, -1}


def test_segmenter_for_unsegmented_text(processor: SigmaProcessor) -> None:
    words = {"今天天气很好": ["今天", "天气", "很", "好"], "天气好": ["天气", "好"]}

    def segmenter(text: str) -> Sequence[str]:
        return words[text]

    inputs = processor(text=list(words), word_segmenter=segmenter)
    assert [_words(inputs, row) for row in range(2)] == list(words.values())


def test_segmenter_may_leave_characters_out(processor: SigmaProcessor) -> None:
    inputs = processor(text="今天, 天气", word_segmenter=lambda text: ["今天", " ", "天气"])
    numbers = inputs["text_word_ids"][0]
    assert _words(inputs) == ["今天", "天气"]
    assert (numbers[:-1] == -1).any(), "the comma is in no word"


def test_entities_are_one_word(tmp_path: Path) -> None:
    plain = tiny_processor()
    processor = SigmaProcessor(
        plain.feature_extractor, plain.tokenizer, entities=["hello world", "hello world rain", " "]
    )
    assert _words(processor(text="the hello world is rain")) == ["the", "helloworld", "is", "rain"]
    assert _words(processor(text="hello world rain snow")) == ["helloworldrain", "snow"], "the longest wins"
    assert _words(processor(text="hello worlds")) == ["hello", "worlds"], "no part of a word"
    processor.save_pretrained(tmp_path)
    assert SigmaProcessor.from_pretrained(tmp_path).entities == ["hello world", "hello world rain"]


def _spans(text: str, entities: list[str], words: Sequence[str] | None = None) -> list[str]:
    segmenter = None if words is None else lambda _: words
    return [text[slice(*span)] for span in joined_spans(text, word_spans(text, segmenter), entities)]


@pytest.mark.parametrize(
    ("text", "entities", "words", "expected"),
    [
        ("我在北京大学学习", ["北京大学"], ["我", "在", "北京", "大学", "学习"], ["我", "在", "北京大学", "学习"]),
        ("我在北京大学学习", ["北京大学"], ["我", "在北", "京", "大学学习"], ["我", "在", "北京大学", "学习"]),
        ("我在北京大学学习", ["北京大学"], None, ["我在", "北京大学", "学习"]),
        ("北京大学。", ["北京大学"], None, ["北京大学。"]),
        ("北京大学和北京 大学", ["北京", "北京大学"], None, ["北京大学", "和", "北京", "大学"]),
        ("住在New York市", ["New York"], None, ["住在", "New York", "市"]),
        ("東京タワーに行く", ["東京タワー"], ["東京", "タワー", "に", "行く"], ["東京タワー", "に", "行く"]),
        ("ผมอยู่เชียงใหม่ครับ", ["เชียงใหม่"], ["ผม", "อยู่", "เชียง", "ใหม่", "ครับ"], ["ผม", "อยู่", "เชียงใหม่", "ครับ"]),
        ("คนึง", ["คน"], None, ["คนึง"]),  # the vowel above belongs to the letter before it
        ("the New Yorker", ["New York"], None, ["the", "New", "Yorker"]),
        ("a New York-based one", ["New York"], None, ["a", "New York-based", "one"]),
        ("서울대학교에서", ["서울"], None, ["서울대학교에서"]),  # Korean writes spaces
    ],
)
def test_entities_of_scripts_without_spaces(
    text: str, entities: list[str], words: list[str] | None, expected: list[str]
) -> None:
    assert _spans(text, entities, words) == expected


def test_an_entity_in_unsegmented_text_is_a_word() -> None:
    plain = tiny_processor()
    processor = SigmaProcessor(plain.feature_extractor, plain.tokenizer, entities=["天气"])
    assert _words(processor(text="今天天气很好")) == ["今天", "天气", "很好"]


def test_segmenter_that_invents_words(processor: SigmaProcessor) -> None:
    with pytest.raises(ValueError, match="the word segmenter returned '明天', which does not follow in '今天天气'"):
        processor(text="今天天气", word_segmenter=lambda text: ["今天", "明天"])
    with pytest.raises(ValueError, match="which does not follow"):
        processor(text="今天天气", word_segmenter=lambda text: ["天气", "今天"])


def test_words_of_truncated_texts() -> None:
    processor = tiny_processor(max_text_length=6)
    numbers = processor(text=["rain in the north and snow in the south", "rain"])["text_word_ids"]
    assert numbers.shape == (2, 6)
    content = numbers[0][numbers[0] >= 0]
    assert content[0] == 0 and set(content.diff().tolist()) <= {0, 1} and numbers[0, -1] == -1


# --- truncation


def test_truncation_keeps_the_end_token_and_is_told_once(warnings: list[str]) -> None:
    processor = tiny_processor(max_text_length=6)
    for _ in range(3):
        inputs = processor(text=["rain in the north and snow in the south", "rain"])
        assert inputs["labels"].shape == (2, 6) and inputs["labels"][0, -1] == END
    assert len(warnings) == 1
    length = len(tiny_tokenizer()("rain in the north and snow in the south")["input_ids"])
    assert f"a text of {length} tokens was cut to max_text_length=6" in warnings[0]


def test_a_text_that_just_fits_is_not_cut(warnings: list[str]) -> None:
    length = len(tiny_tokenizer()("rain in the north")["input_ids"])
    ids = tiny_processor(max_text_length=length)(text="rain in the north")["text_input_ids"]
    assert ids.shape == (1, length) and warnings == []


# --- mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "expected poses or text, received neither"),
        ({"text": ["a", "b", "c"]}, "expected one text per clip, received 3 texts for 2 clips"),
        ({"text": "a"}, "expected one text per clip, received 1 texts for 2 clips"),
        ({"language": ["English"]}, "expected one language or 2, received 1"),
        ({"language": ["English", "French", "Chinese"]}, "expected one language or 2, received 3"),
        ({"text": []}, "expected text as a string or a list of strings"),
        ({"text": [1, 2]}, "expected strings for text, received 1 of type int"),
        ({"text": ["a", None]}, "expected strings for text, received None"),
        ({"text": ["a", "b\ud800"]}, "expected whole characters in text, received half of one"),
        ({"text": {"a": "b"}}, "expected text as a list of strings, received {'a': 'b'}"),
        ({"language": ["English", "\udfff"]}, "expected whole characters in language"),
        ({"language": 3}, "expected language as a list of strings, received 3"),
    ],
)
def test_mistakes(processor: SigmaProcessor, arguments: dict[str, Any], message: str) -> None:
    poses = {"poses": random_clips((3, 2))} if arguments else {}
    with pytest.raises(ValueError, match=message):
        processor(**poses, **arguments)


# --- what is saved


def test_save_and_load(tmp_path: Path) -> None:
    base = tiny_processor(max_frames=9, scale_reference="hands", fill_wrists=True, augmentation={"flip": 0.5})
    processor = SigmaProcessor(
        base.feature_extractor, base.tokenizer, prompt_template="to {language}:", max_text_length=7
    )
    processor.save_pretrained(tmp_path)
    loaded = SigmaProcessor.from_pretrained(tmp_path)
    assert type(loaded) is SigmaProcessor
    assert (loaded.prompt_template, loaded.max_text_length) == ("to {language}:", 7)
    extractor = loaded.feature_extractor
    assert (extractor.max_frames, extractor.scale_reference, extractor.fill_wrists) == (9, "hands", True)
    assert extractor.augmentation == {"flip": 0.5}
    arguments = {
        "poses": random_clips((20, 5)),
        "text": ["rain in the north and snow", "hello"],
        "language": "Chinese",
    }
    before, after = processor(**arguments), loaded(**arguments)
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


# --- options of the tokenizer


def test_options_of_the_tokenizer_by_themselves_or_in_text_kwargs() -> None:
    processor, texts = tiny_processor(), ["hello world", "rain in the north"]
    plain = processor(text=texts)
    padding = {"padding": "max_length", "max_length": 30}
    for options in (padding, {"text_kwargs": padding}):
        padded = processor(text=texts, **options)
        length = plain["labels"].shape[1]
        assert padded["text_input_ids"].shape == (2, 30)
        for name in ("text_input_ids", "text_attention_mask", "text_word_ids", "labels"):
            assert padded[name][:, :length].equal(plain[name]), name
        assert (padded["labels"][:, length:] == -100).all() and (padded["text_word_ids"][:, length:] == -1).all()
    assert processor(text=texts, max_length=3)["labels"].shape == (2, 3)
    assert processor(text=texts, pad_to_multiple_of=8, max_length=48)["labels"].shape[1] % 8 == 0
    both = processor(poses=random_clips((4, 4)), text=texts, max_length=3)
    assert both["labels"].shape[1] == 3 and both["prompt_input_ids"].shape[1] > 3, "prompts are never cut"
    with pytest.raises(TypeError, match="arguments that it does not know: colour. Of the tokenizer's"):
        processor(text=texts, colour="red")


def test_pads_what_it_made_clip_by_clip(processor: SigmaProcessor) -> None:
    clips, texts = random_clips((6, 9)), ["hello world", "rain"]
    batch = processor(poses=clips, text=texts, language=["English", "Chinese"])
    one_by_one = [
        processor(poses=clip, text=text, language=language)
        for clip, text, language in zip(clips, texts, ["English", "Chinese"])
    ]
    for features in (one_by_one, [{name: value[0] for name, value in one.items()} for one in one_by_one]):
        padded = DataCollatorWithPadding(processor)(features)
        assert padded.keys() == batch.keys()
        for name, value in batch.items():
            torch.testing.assert_close(padded[name], value)
    collated = DataCollatorForSeq2Seq(processor)(features)
    torch.testing.assert_close(collated["labels"], batch["labels"])
    torch.testing.assert_close(collated["pose_values"], batch["pose_values"])
