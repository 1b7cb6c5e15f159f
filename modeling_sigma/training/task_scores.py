"""Scores of a task during training, and its predictions as text files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeling_sigma.metrics.recognition import word_error_rates
from modeling_sigma.metrics.trainer_metrics import build_compute_metrics, decode_token_ids, given_references
from modeling_sigma.training.arguments import DataArguments
from modeling_sigma.training.data.data_collator import targets_of


BLANK_ID = 0  # of the glosses that `build_gloss_labels` numbers


def build_metrics(
    processor: Any, data_args: DataArguments, head: str, labels: Sequence[str] | None
) -> Callable[[Any], dict[str, float]]:
    """The `compute_metrics` of a run: [`build_compute_metrics`], and for CTC word error rates of best paths."""
    if head != "ctc":
        tokenizer = getattr(processor, "tokenizer", None)
        return build_compute_metrics(tokenizer, data_args.task, data_args.preset, label_names=labels)
    glosses = list(labels or ())

    def compute_metrics(evaluation: Any) -> dict[str, float]:
        texts = read_paths(np.asarray(evaluation.predictions), glosses)
        references = given_references(evaluation)
        if references is None:
            references = [
                " ".join(glosses[number] for number in row if number >= 0) for row in np.asarray(evaluation.label_ids)
            ]
        scores = word_error_rates(texts, references, preset=data_args.preset)
        return {name: float(value) for name, value in scores.items() if isinstance(value, (int, float))}

    return compute_metrics


def read_paths(paths: NDArray[Any], glosses: Sequence[str]) -> list[str]:
    """Best paths of CTC as gloss lines: repeated numbers count once, blanks and padding not at all.

    Args:
        paths (`np.ndarray` of shape `(N, T)`, integers):
            The best entry of `glosses` in every frame; negative behind the end of a clip.
        glosses (`Sequence[str]`):
            Names; the blank is the first.
    """
    return [" ".join(glosses[number] for number, _ in groupby(row) if number > BLANK_ID) for row in paths.tolist()]


def keep_scores(logits: Any, labels: Any) -> Any:
    """Of all that a model returns, the label scores alone are gathered."""
    return logits[0] if isinstance(logits, tuple) else logits


def prediction_writer(
    processor: Any, task: str, head: str, labels: Sequence[str] | None
) -> Callable[[Any, Any, Path, str], None]:
    """Writes `predictions_SPLIT.txt` and `references_SPLIT.txt`, one clip a line, for `sigma-slu evaluate`."""

    def write(output: Any, rows: Any, folder: Path, split: str) -> None:
        predictions = np.asarray(output.predictions)
        if head == "classification" and labels is not None:
            texts = [labels[number] for number in predictions.argmax(axis=-1)]
        elif head == "ctc" and labels is not None:
            texts = read_paths(predictions, labels)
        else:
            texts = decode_token_ids(predictions, processor)
        for name, lines in (("predictions", texts), ("references", targets_of(rows, task))):
            content = "".join(" ".join(line.split()) + "\n" for line in lines)
            (folder / f"{name}_{split}.txt").write_text(content, encoding="utf-8")

    return write
