"""The `evaluate` modules load offline from their files, and wrap the functions."""

from pathlib import Path
from typing import Any

import pytest

from modeling_sigma.metrics import (
    evaluate_module_path,
    recognition_scores,
    retrieval_scores,
    translation_scores,
    word_error_rates,
)
from modeling_sigma.metrics.evaluate_modules import EVALUATE_MODULES


evaluate = pytest.importorskip("evaluate")


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load_module(name: str, **options: Any) -> Any:
        return evaluate.load(evaluate_module_path(name), cache_dir=str(tmp_path), **options)

    return load_module


def test_every_module_has_a_path() -> None:
    for name in EVALUATE_MODULES:
        assert Path(evaluate_module_path(name)).is_file()
    with pytest.raises(ValueError, match="expected an evaluate module"):
        evaluate_module_path("bleu")


def test_one_import_on_a_line() -> None:
    for name in EVALUATE_MODULES:
        source = Path(evaluate_module_path(name)).read_text(encoding="utf-8")
        imports = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
        assert len(imports) > 3 and not any("," in line or "(" in line for line in imports)


def test_translation_in_batches(load: Any) -> None:
    predictions, references = ["今天五", "你好", "我去"], ["今天几", "你好吗", "我去了"]
    metric = load("sign_translation")
    metric.add_batch(predictions=predictions[:2], references=references[:2])
    metric.add(prediction=predictions[2], reference=references[2])
    scores = metric.compute(preset="csl_daily", rouge_variant="coco")
    assert scores == translation_scores(predictions, references, "csl_daily", "coco")


def test_word_errors(load: Any) -> None:
    predictions, references = ["A B", "C"], ["A", "C D"]
    scores = load("sign_word_errors").compute(predictions=predictions, references=references, costs="levenshtein")
    assert scores == word_error_rates(predictions, references, "levenshtein")


@pytest.mark.parametrize(
    ("config_name", "predictions", "references"),
    [
        (None, ["a", "b"], ["a", "c"]),
        (None, [1, 2], [1, 3]),
        ("candidates", [["a", "b"], ["b", "c"]], ["a", "c"]),
        ("candidates", [[1, 2], [2, 3]], [1, 3]),
    ],
)
def test_recognition(load: Any, config_name: str | None, predictions: list[Any], references: list[Any]) -> None:
    scores = load("sign_recognition", config_name=config_name).compute(predictions=predictions, references=references)
    assert scores == recognition_scores(predictions, references)


def test_retrieval(load: Any) -> None:
    similarity, texts = [[0.9, 0.1, 0.2], [0.3, 0.2, 0.8], [0.2, 0.3, 0.1]], ["yes", "no", "yes"]
    assert load("sign_retrieval").compute(predictions=similarity, references=texts) == retrieval_scores(
        similarity, texts
    )


def test_combined(load: Any) -> None:
    predictions, references = ["a b c", "d"], ["a b", "d e"]
    combined = evaluate.combine([load("sign_translation"), load("sign_word_errors")])
    combined.add_batch(predictions=predictions, references=references)
    scores = combined.compute()
    assert scores["bleu1"] == translation_scores(predictions, references)["bleu1"]
    assert scores["wer"] == word_error_rates(predictions, references)["wer"]
    assert scores["sign_word_errors_signature"] == word_error_rates(predictions, references)["signature"]
