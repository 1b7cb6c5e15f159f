"""`evaluate` module: BLEU-1 to BLEU-4, ROUGE-L, chrF and chrF++ of sign language translation."""

from __future__ import annotations

# The scanner of `evaluate.load` wants one import per line.
from typing import Any

import datasets
import evaluate

from modeling_sigma.metrics.translation import translation_scores


_DESCRIPTION = "BLEU-1 to BLEU-4, ROUGE-L, chrF and chrF++ with the text normalisation of sign language corpora."
_INPUTS = """
Args:
    predictions (`list[str]`): translations.
    references (`list[str]`): one reference each.
    preset, rouge_variant, num_bootstrap, seed: as for `modeling_sigma.metrics.translation_scores`.
Returns:
    The dictionary of `modeling_sigma.metrics.translation_scores`.
"""


class SignTranslation(evaluate.Metric):  # type: ignore[misc]
    """Wraps `modeling_sigma.metrics.translation_scores`."""

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
        return translation_scores(predictions, references, **options)
