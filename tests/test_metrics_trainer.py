"""`compute_metrics` for trainers."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from modeling_sigma import metrics
from modeling_sigma.metrics import build_compute_metrics, recognition_scores, translation_scores, word_error_rates


class WordTokenizer:
    """Ids are positions in a list of words; id 0 is padding, id 1 the end."""

    pad_token_id: int | None = 0

    def __init__(self, words: str) -> None:
        self.words = ["<pad>", "</s>", *words.split()]

    def encode(self, texts: list[str], length: int) -> np.ndarray:
        ids = np.full((len(texts), length), -100)
        for row, text in zip(ids, texts):
            tokens = [self.words.index(word) for word in text.split()] + [1]
            row[: len(tokens)] = tokens
        return ids

    def batch_decode(self, ids: np.ndarray, skip_special_tokens: bool) -> list[str]:
        assert skip_special_tokens and ids.min() >= 0
        return [" " + " ".join(self.words[index] for index in row if index > 1) + " " for row in ids]


TOKENIZER = WordTokenizer("the cat sat on a mat . REGEN WIND book drink")


def evaluation(predictions: Any, label_ids: Any) -> SimpleNamespace:
    return SimpleNamespace(predictions=predictions, label_ids=label_ids)


def numbers(result: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in result.items() if isinstance(value, int | float)}


def test_translation(caplog: pytest.LogCaptureFixture) -> None:
    predictions, references = ["the cat sat on the mat .", "a mat"], ["the cat sat on a mat .", "the mat ."]
    inputs = evaluation(TOKENIZER.encode(predictions, 9), TOKENIZER.encode(references, 12))
    with caplog.at_level(logging.INFO):
        scores = build_compute_metrics(TOKENIZER, "slt", "openasl", rouge_variant="coco")(inputs)
    expected = translation_scores(predictions, references, "openasl", "coco")
    assert scores == numbers(expected)
    assert all(type(value) is float for value in scores.values())
    assert expected["signature"] in caplog.text


def test_continuous_recognition_with_a_processor() -> None:
    predictions, references = ["REGEN WIND", "WIND"], ["REGEN", "WIND WIND"]
    inputs = evaluation((TOKENIZER.encode(predictions, 4), "hidden states"), TOKENIZER.encode(references, 4))
    processor = SimpleNamespace(tokenizer=TOKENIZER)
    for preset in ("none", "phoenix2014"):
        scores = build_compute_metrics(processor, "cslr", preset, costs="levenshtein")(inputs)
        assert scores == numbers(word_error_rates(predictions, references, "levenshtein", preset))


def test_isolated_recognition_by_scores_and_by_generation() -> None:
    logits, labels = np.random.default_rng(0).normal(size=(30, 7)), np.arange(30) % 7
    expected = numbers(recognition_scores(None, labels, scores=logits))
    assert "top5_per_class" in expected
    assert build_compute_metrics(None, "islr")(evaluation(logits, labels)) == expected
    named = build_compute_metrics(None, "islr", label_names=list("abcdefg"))
    assert named(evaluation((logits, None), labels)) == expected
    inputs = evaluation(TOKENIZER.encode(["book", "book"], 3), TOKENIZER.encode(["book", "drink"], 3))
    assert build_compute_metrics(TOKENIZER, "islr")(inputs)["top1_per_instance"] == 50


def test_a_trainer_may_give_the_references() -> None:
    """Label ids may be cut off, or lack what the tokenizer does not know."""
    inputs = evaluation(TOKENIZER.encode(["book", "book", ""], 3), TOKENIZER.encode(["book", "book", ""], 3))
    # Nothing can be said of a text without known words: such a clip is no success.
    assert build_compute_metrics(TOKENIZER, "islr")(inputs)["top1_per_instance"] == pytest.approx(200 / 3)
    inputs.references = ["book", "book drink", "\u0436"]
    assert build_compute_metrics(TOKENIZER, "islr")(inputs)["top1_per_instance"] == pytest.approx(100 / 3)
    assert build_compute_metrics(TOKENIZER, "cslr")(inputs)["wer"] == 50
    inputs.references = ["book"]
    with pytest.raises(ValueError, match="as many predictions as references, received 3 and 1"):
        build_compute_metrics(TOKENIZER, "slt")(inputs)


def test_another_decoder() -> None:
    def decode(frames: np.ndarray) -> list[str]:
        return [" ".join(TOKENIZER.words[index] for index in row if index) for row in frames.argmax(axis=2)]

    frames = np.eye(13)[[[0, 9, 0, 10]]]
    inputs = evaluation(frames, TOKENIZER.encode(["REGEN WIND"], 4))
    assert build_compute_metrics(TOKENIZER, "cslr", decode=decode)(inputs)["wer"] == 0


def test_errors_say_what_to_set() -> None:
    logits = np.zeros((2, 3, 13))
    with pytest.raises(ValueError, match="received float64 of shape .*predict_with_generate=True"):
        build_compute_metrics(TOKENIZER, "slt")(evaluation(logits, np.zeros((2, 3), int)))
    with pytest.raises(ValueError, match="a tokenizer with a padding token, received NoneType"):
        build_compute_metrics(None, "slt")(evaluation(np.zeros((2, 3), int), np.zeros((2, 3), int)))
    with pytest.raises(ValueError, match="expected a task"):
        build_compute_metrics(TOKENIZER, "s2t")
    with pytest.raises(ValueError, match="expected a preset"):
        build_compute_metrics(TOKENIZER, "slt", "phoenix2014")


@pytest.mark.slow
def test_in_a_seq2seq_trainer(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    sentences = ["the cat sat on the mat.", "a dog ran.", "rain and wind in the north."]
    base = transformers.T5Tokenizer(extra_ids=0)
    tokenizer = base.train_new_from_iterator(sentences * 5, vocab_size=60)
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    torch.manual_seed(0)
    model = transformers.T5ForConditionalGeneration(config)
    model.generation_config.max_length = 12
    samples = [{"input_ids": tokenizer(text).input_ids, "labels": tokenizer(text).input_ids} for text in sentences]
    trainer = transformers.Seq2SeqTrainer(
        model=model,
        args=transformers.Seq2SeqTrainingArguments(
            output_dir=str(tmp_path), predict_with_generate=True, use_cpu=True, report_to=[], disable_tqdm=True
        ),
        data_collator=transformers.DataCollatorForSeq2Seq(tokenizer, model),
        processing_class=tokenizer,
        compute_metrics=build_compute_metrics(tokenizer, "slt"),
    )
    metrics = trainer.evaluate(samples)
    assert metrics["eval_num_sentences"] == 3
    assert 0 <= metrics["eval_bleu4"] <= 100


def test_importing_the_metrics_stays_light() -> None:
    """For the command line, which leaves the models unregistered: a name loads what it needs, and no more."""
    script = (
        "import json, sys\n"
        "sys.argv = ['sigma-slu']\n"
        "heavy = {'numpy', 'torch', 'transformers', 'datasets', 'evaluate', 'sacrebleu'}\n"
        "def loaded(): return sorted(heavy & set(sys.modules))\n"
        "import modeling_sigma.metrics as metrics\n"
        "found = [loaded()]\n"
        "metrics.word_error_rates\n"
        "found.append(loaded())\n"
        "metrics.translation_scores\n"
        "print(json.dumps([*found, loaded()]))\n"
    )
    # What was found is judged here: with PYTHONOPTIMIZE an assert over there would not be run.
    root = Path(__file__).resolve().parents[1]
    result = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == [[], ["numpy"], ["numpy", "sacrebleu"]]


def test_every_name_of_the_metrics_loads() -> None:
    assert sorted(metrics._MODULES) == dir(metrics) == sorted(metrics.__all__)
    assert all(getattr(metrics, name) is not None for name in metrics.__all__)
