"""`evaluate` module: retrieval between clips and sentences."""

from __future__ import annotations

# The scanner of `evaluate.load` wants one import per line.
from typing import Any

import datasets
import evaluate

from modeling_sigma.metrics.retrieval import retrieval_scores


_DESCRIPTION = "Recall at 1, 5 and 10, median and mean rank between clips and sentences, in both directions."
_INPUTS = """
Args:
    predictions (`list[list[float]]`): the similarity of each clip to every text, a row for each clip.
    references (`list[str]`): the sentence of each clip; identical sentences match each other.
    texts, num_bootstrap, seed: as for `modeling_sigma.metrics.retrieval_scores`.
Returns:
    The dictionary of `modeling_sigma.metrics.retrieval_scores`.
"""


class SignRetrieval(evaluate.Metric):  # type: ignore[misc]
    """Wraps `modeling_sigma.metrics.retrieval_scores`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.List(datasets.Value("float64")),
                    "references": datasets.Value("string"),
                }
            ),
        )

    def _compute(self, predictions: list[list[float]], references: list[str], **options: Any) -> dict[str, Any]:
        return retrieval_scores(predictions, references, **options)
