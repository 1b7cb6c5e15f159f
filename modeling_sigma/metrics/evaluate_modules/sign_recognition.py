"""`evaluate` module: top-1 and top-5 accuracies of isolated sign recognition, per instance and per class."""

from __future__ import annotations

# The scanner of `evaluate.load` wants one import per line.
from typing import Any

import datasets
import evaluate

from modeling_sigma.metrics.recognition import recognition_scores


_DESCRIPTION = "Top-1 and top-5 accuracy per instance and per class, with the most frequent confusions."
_INPUTS = """
Args:
    predictions (`list[str]` or `list[int]`): labels; with the configuration "candidates" a list of labels for each
    sample,
        best first, which gives top-5 too.
    references (`list[str]` or `list[int]`): the true labels.
    vocabulary, num_confusions, num_bootstrap, seed: as for `modeling_sigma.metrics.recognition_scores`.
Returns:
    The dictionary of `modeling_sigma.metrics.recognition_scores`.
"""


class SignRecognition(evaluate.Metric):  # type: ignore[misc]
    """Wraps `modeling_sigma.metrics.recognition_scores`."""

    def _info(self) -> evaluate.MetricInfo:
        features = []
        for kind in ("int64", "string"):
            label = datasets.Value(kind)
            prediction = datasets.List(label) if self.config_name == "candidates" else label
            features.append(datasets.Features({"predictions": prediction, "references": label}))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=features,
        )

    def _compute(self, predictions: list[Any], references: list[Any], **options: Any) -> dict[str, Any]:
        return recognition_scores(predictions, references, **options)
