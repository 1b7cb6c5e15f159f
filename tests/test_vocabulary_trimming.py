"""Vocabulary trimming: the same cuts, the same numbers over the kept tokens, and round trips."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import AutoProcessor, MT5Config, PreTrainedTokenizerFast, T5Tokenizer

from modeling_sigma import (
    SigmaConfig,
    SigmaFeatureExtractor,
    SigmaForConditionalGeneration,
    SigmaForPreTraining,
    SigmaForSequenceClassification,
    SigmaModel,
    SigmaProcessor,
    save_bundle,
)
from modeling_sigma.cli import main as cli
from modeling_sigma.conversion.vocabulary_trimming import (
    LANGUAGES,
    tokens_to_keep,
    trim_model,
    trim_tokenizer,
    trim_vocabulary,
)
from tests.factories import random_clips, tiny_model, tiny_text_config


ROOT = Path(__file__).resolve().parents[1]
TEXTS = ["the model reads a clip", "what is signed, and when", "1 frame: 69 joints"]


def large_tokenizer(extra_ids: int = 0) -> T5Tokenizer:
    """Some 500 tokens of English and other scripts, learned from this project's own documentation."""
    return _trained_tokenizer(extra_ids)


@lru_cache(maxsize=2)
def _trained_tokenizer(extra_ids: int) -> T5Tokenizer:
    lines = [
        line
        for name in ("README.md", "CONTRIBUTING.md", "MODEL_CARD.md")
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
    ]
    lines += ["今天天气很好 明天下雨", "погода сегодня хорошая", *(f"<0x{byte:02X}>" for byte in (10, 255))] * 5
    return T5Tokenizer(extra_ids=extra_ids).train_new_from_iterator(lines, vocab_size=500)


def processor(extra_ids: int = 0) -> SigmaProcessor:
    return SigmaProcessor(SigmaFeatureExtractor(max_frames=32), large_tokenizer(extra_ids))


def model_of(cls: type = SigmaForConditionalGeneration, num_spare_rows: int = 12, **overrides: Any) -> Any:
    """As mT5, a model with rows that no token has."""
    size = len(large_tokenizer()) + num_spare_rows
    return tiny_model(cls, text_config=tiny_text_config(vocab_size=size), **overrides)


def renumbered(kept_ids: list[int], ids: list[int]) -> list[int]:
    new_ids = {old: new for new, old in enumerate(kept_ids)}
    return [new_ids[number] for number in ids]


# --- the tokenizer


@pytest.mark.parametrize("extra_ids", [0, 10])
def test_texts_are_cut_as_before(extra_ids: int) -> None:
    tokenizer = large_tokenizer(extra_ids)
    kept_ids = tokens_to_keep(tokenizer, TEXTS)
    trimmed = trim_tokenizer(tokenizer, kept_ids)
    assert type(trimmed) is T5Tokenizer and len(trimmed) == len(kept_ids) < len(tokenizer)
    for text in TEXTS:
        whole, few = tokenizer(text), trimmed(text)
        assert few["input_ids"] == renumbered(kept_ids, whole["input_ids"])
        assert trimmed.decode(few["input_ids"]) == tokenizer.decode(whole["input_ids"])
    for name in ("pad_token_id", "eos_token_id", "unk_token_id"):
        assert getattr(trimmed, name) == renumbered(kept_ids, [getattr(tokenizer, name)])[0]
    for number in range(extra_ids):
        assert trimmed.convert_tokens_to_ids(f"<extra_id_{number}>") != trimmed.unk_token_id


WORDS = " ".join(TEXTS).split()


@given(st.lists(st.sampled_from([*WORDS, *(word[:3] for word in WORDS), "Ж", "好", "zq", "…", "a1,"]), max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_text_over_kept_tokens_is_cut_as_before(words: list[str]) -> None:
    tokenizer = large_tokenizer()
    kept_ids = tokens_to_keep(tokenizer, TEXTS)
    trimmed = _trimmed()
    ids = tokenizer(" ".join(words))["input_ids"]
    if set(ids) <= set(kept_ids):  # unknown characters too: their penalty stays
        assert trimmed(" ".join(words))["input_ids"] == renumbered(kept_ids, ids)


@lru_cache(maxsize=1)
def _trimmed() -> Any:
    return trim_tokenizer(large_tokenizer(), tokens_to_keep(large_tokenizer(), TEXTS))


def test_any_english_can_still_be_written() -> None:
    trimmed = _trimmed()
    text = "Zebras quickly vex jumping workflows (0123456789)!"
    known = [character for character in text if character != " " and f"{character}" in large_tokenizer().get_vocab()]
    assert len(known) > 30
    written = trimmed.decode(trimmed("".join(known))["input_ids"], skip_special_tokens=True)
    assert written == "".join(known), "letter by letter"


def test_the_safety_list() -> None:
    tokenizer = large_tokenizer(10)
    kept = {tokenizer.convert_ids_to_tokens(number) for number in tokens_to_keep(tokenizer, ["model"])}
    everything = set(tokenizer.get_vocab())
    assert {"<pad>", "</s>", "<unk>", *(f"<extra_id_{number}>" for number in range(10))} <= kept
    assert {token for token in everything if len(token) == 1 and token.isascii()} <= kept
    assert {"今", "天"} <= everything and not {"今", "天", "п"} & kept, "no text is in these scripts"
    kept = {tokenizer.convert_ids_to_tokens(number) for number in tokens_to_keep(tokenizer, ["今"])}
    assert {"今", "天", "好"} & everything <= kept and "п" not in kept, "every character of the script"
    vocabulary = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"]
    assert min(vocabulary, key=lambda token: token[1])[0] in kept, "the penalty of unknown characters"


def test_prompts_stay_readable() -> None:
    both = processor(), processor()
    report = trim_vocabulary(model_of(), both[0], TEXTS, languages=["English", "Swiss French"])
    assert report.num_tokens == len(both[0].tokenizer)
    for language in ("English", "Swiss French"):
        whole, few = (one(random_clips((3,)), language=language)["prompt_input_ids"][0] for one in (both[1], both[0]))
        texts = (one.tokenizer.decode(ids) for one, ids in ((both[1], whole), (both[0], few)))
        assert len(whole) == len(few) and len(set(texts)) == 1
    assert len(LANGUAGES) == len(set(LANGUAGES)) > 20


def test_size_fills_up_with_the_likeliest() -> None:
    tokenizer = large_tokenizer()
    needed = tokens_to_keep(tokenizer, TEXTS)
    more = tokens_to_keep(tokenizer, TEXTS, size=len(needed) + 20)
    assert set(needed) < set(more) and len(more) == len(needed) + 20
    scores = dict(json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"])
    added = [tokenizer.convert_ids_to_tokens(number) for number in set(more) - set(needed)]
    left = [tokenizer.convert_ids_to_tokens(number) for number in set(range(len(tokenizer))) - set(more)]
    latin = [token for token in left if token.isascii() or token.lstrip("▁").isascii()]
    assert min(scores[token] for token in added) >= max(scores[token] for token in latin)
    for size in (len(needed) - 1, len(tokenizer) + 1):
        with pytest.raises(ValueError, match=f"a size from {len(needed)} .* received {size}"):
            tokens_to_keep(tokenizer, TEXTS, size=size)


def test_added_tokens_stay() -> None:
    tokenizer = T5Tokenizer(extra_ids=0).train_new_from_iterator(TEXTS * 9, vocab_size=80)
    tokenizer.add_tokens(["<sign>", "<spell>"])
    kept_ids = tokens_to_keep(tokenizer, ["clip"])
    trimmed = trim_tokenizer(tokenizer, kept_ids)
    text = "clip <sign> clip <spell>"
    assert trimmed(text)["input_ids"] == renumbered(kept_ids, tokenizer(text)["input_ids"])
    assert len(trimmed) == len(kept_ids) < len(tokenizer)


def test_other_kinds_of_tokenizers_are_refused() -> None:
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")))
    with pytest.raises(ValueError, match="expected a Unigram tokenizer .* of the kind WordLevel"):
        tokens_to_keep(words, ["a"])
    with pytest.raises(ValueError, match="at least one text"):
        tokens_to_keep(large_tokenizer(), [])


# --- the model


@torch.no_grad()
@pytest.mark.parametrize("model_type", ["mt5", "t5"])
def test_outputs_over_the_kept_tokens_are_the_same(model_type: str) -> None:
    size = len(large_tokenizer()) + 12
    model, trimmed = (tiny_model(text_config=tiny_text_config(model_type, vocab_size=size)) for _ in range(2))
    whole_processor, few_processor = processor(), processor()
    kept_ids = tokens_to_keep(
        large_tokenizer(), TEXTS, [whole_processor.prompt_template.format(language=name) for name in LANGUAGES]
    )
    report = trim_vocabulary(trimmed, few_processor, TEXTS)
    assert report.num_tokens == len(kept_ids) and report.num_tokens_before == size
    inputs, few = (one(random_clips(), TEXTS) for one in (whole_processor, few_processor))
    logits = model(**_without_text(inputs)).logits
    found = trimmed(**_without_text(few)).logits
    assert found.shape == (3, logits.shape[1], len(kept_ids))
    assert (found - logits[..., kept_ids]).abs().max() <= 1e-6


def _without_text(inputs: Any) -> dict[str, torch.Tensor]:
    return {name: value for name, value in inputs.items() if not name.startswith("text_")}


@torch.no_grad()
@pytest.mark.parametrize("cls", [SigmaForSequenceClassification, SigmaModel, SigmaForPreTraining])
def test_models_without_an_output_matrix_stay_the_same(cls: type) -> None:
    model, trimmed, few_processor = model_of(cls), model_of(cls), processor()
    trim_vocabulary(trimmed, few_processor, TEXTS)
    names = ("pose_values", "pose_attention_mask", "prompt_input_ids", "prompt_attention_mask")
    inputs, few = processor()(random_clips(), TEXTS), few_processor(random_clips(), TEXTS)
    if cls is SigmaForSequenceClassification:
        expected, found = (one(**{n: i[n] for n in names}).logits for one, i in ((model, inputs), (trimmed, few)))
    else:
        names += ("text_input_ids", "text_attention_mask", "text_word_ids")
        expected, found = (
            SigmaModel.forward(one, **{n: i[n] for n in names}).logits_per_pose
            for one, i in ((model, inputs), (trimmed, few))
        )
    assert (found - expected).abs().max() <= 1e-6


def test_token_ids_of_the_configurations_follow() -> None:
    model = model_of()
    model.config.text_config.eos_token_id = model.generation_config.eos_token_id = 7
    model.generation_config.forced_eos_token_id = [1, 7]
    trim_model(model, [0, 1, 7, 9, 10])
    assert model.config.text_config.vocab_size == model.shared.num_embeddings == model.lm_head.out_features == 5
    assert (model.config.text_config.eos_token_id, model.generation_config.eos_token_id) == (2, 2)
    assert model.generation_config.forced_eos_token_id == [1, 2]


def test_a_model_of_another_tokenizer_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a model with the tokenizer's .* tokens, received one with 50"):
        trim_vocabulary(tiny_model(text_config=tiny_text_config(vocab_size=50)), processor(), TEXTS)


def test_more_than_half_of_a_large_model_goes() -> None:
    """mT5-base from 250,112 to 30,000 tokens, counted without memory."""
    sizes = {"d_model": 768, "d_kv": 64, "d_ff": 2048, "num_layers": 12, "num_heads": 12}
    config = SigmaConfig(text_config=MT5Config(vocab_size=250_112, decoder_start_token_id=0, **sizes))
    with torch.device("meta"):
        model = SigmaForConditionalGeneration(config)
    before = sum(parameter.numel() for parameter in model.parameters())
    trim_model(model, range(30_000))
    after = sum(parameter.numel() for parameter in model.parameters())
    assert before - after == 2 * 768 * (250_112 - 30_000)
    assert after < before / 2


# --- the command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trim")
    model = model_of(seed=4)
    model.generation_config.max_new_tokens = 6
    save_bundle(model, processor(), folder / "whole")
    (folder / "whole" / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    (folder / "texts.txt").write_text("\n".join(TEXTS[:2]) + "\n")
    (folder / "glosses.json").write_text(json.dumps([{"id": "a", "gloss": TEXTS[2].split()}]))
    return folder


def test_the_command_saves_a_model_that_loads(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    argv = ["trim-vocabulary", "--model", "whole", "--texts", "texts.txt", "glosses.json", "--out", "small"]
    assert cli.main([*argv, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["num_texts"] == 3 and report["num_tokens"] < report["num_tokens_before"]
    assert 0 < report["removed_share"] < 1
    model = SigmaForConditionalGeneration.from_pretrained("small")
    loaded = AutoProcessor.from_pretrained("small", trust_remote_code=False)
    assert len(loaded.tokenizer) == report["num_tokens"] == model.config.text_config.vocab_size
    assert sum(parameter.numel() for parameter in model.parameters()) == report["num_parameters"]
    whole = SigmaForConditionalGeneration.from_pretrained("whole")
    with torch.no_grad():
        losses = [
            one(**_without_text(reader(random_clips(), TEXTS))).logits
            for one, reader in ((whole, processor()), (model, loaded))
        ]
    kept = [large_tokenizer().convert_tokens_to_ids(token) for token in loaded.tokenizer.convert_ids_to_tokens(
        range(report["num_tokens"]))]  # fmt: skip
    assert (losses[0][..., kept] - losses[1]).abs().max() <= 1e-6
    assert "cc-by-nc-4.0" in Path("small/README.md").read_text()
    assert cli.main([*argv[:-1], "other", "--size", str(report["num_tokens"] + 5)]) == 0
    printed = capsys.readouterr().out
    assert f"{report['num_tokens'] + 5:,}" in printed and "removed)" in printed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--out": "whole"}, "expected --out to differ from --model"),
        ({"--texts": "nothing.txt"}, "nothing.txt"),
        ({"--size": "3"}, "expected a size from"),
        ({"--texts": "numbers.json"}, "expected texts, found 3"),
        ({"--texts": "empty.txt"}, "expected at least one text"),
        ({"--model": "head"}, "this label head has no vocabulary to trim"),
    ],
)
def test_errors_take_one_line(
    change: dict[str, str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    Path("numbers.json").write_text("[3]")
    Path("empty.txt").write_text("\n")
    if "--model" in change:
        head = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=3)
        save_bundle(head, SigmaFeatureExtractor(), "head")
    options = {"--model": "whole", "--texts": "texts.txt", "--out": "new", **change}
    assert cli.main(["trim-vocabulary", *(word for pair in options.items() for word in pair)]) == 1
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
