"""`evaluate` module: word error rates of continuous sign language recognition."""

from __future__ import annotations

# The scanner of `evaluate.load` wants one import per line.
from typing import Any

import datasets
import evaluate

from modeling_sigma.metrics.recognition import word_error_rates


_DESCRIPTION = "Word error rate with substitution, deletion and insertion rates, aligned as in sign language papers."
_INPUTS = """
Args:
    predictions (`list[str]`): glosses between spaces.
    references (`list[str]`): one reference each.
    costs, preset, unit, num_bootstrap, seed: as for `modeling_sigma.metrics.word_error_rates`.
Returns:
    The dictionary of `modeling_sigma.metrics.word_error_rates`.
"""


class SignWordErrors(evaluate.Metric):  # type: ignore[misc]
    """Wraps `modeling_sigma.metrics.word_error_rates`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: list[str], references: list[str], **options: Any) -> dict[str, Any]:
        return word_error_rates(predictions, references, **options)
