"""Metrics that reproduce the field's figures: translation, recognition, retrieval.

Plain functions of texts or arrays; every result carries a signature. The names load on first use, so that importing
this package stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from modeling_sigma.metrics.bootstrap import bootstrap_intervals, paired_bootstrap
    from modeling_sigma.metrics.edit_distance import align, count_edits
    from modeling_sigma.metrics.evaluate_modules import evaluate_module_path
    from modeling_sigma.metrics.label_groups import LabelGroups, label_group_scores
    from modeling_sigma.metrics.recognition import (
        RecognitionStatistics,
        WordErrorStatistics,
        recognition_scores,
        word_error_rates,
    )
    from modeling_sigma.metrics.retrieval import RetrievalStatistics, retrieval_scores
    from modeling_sigma.metrics.rouge_l import ROUGE_VARIANTS
    from modeling_sigma.metrics.trainer_metrics import build_compute_metrics
    from modeling_sigma.metrics.translation import TranslationStatistics, translation_scores

# Public name -> module that defines it.
_MODULES = {
    "LabelGroups": "label_groups",
    "ROUGE_VARIANTS": "rouge_l",
    "RecognitionStatistics": "recognition",
    "RetrievalStatistics": "retrieval",
    "TranslationStatistics": "translation",
    "WordErrorStatistics": "recognition",
    "align": "edit_distance",
    "bootstrap_intervals": "bootstrap",
    "build_compute_metrics": "trainer_metrics",
    "count_edits": "edit_distance",
    "evaluate_module_path": "evaluate_modules",
    "label_group_scores": "label_groups",
    "paired_bootstrap": "bootstrap",
    "recognition_scores": "recognition",
    "retrieval_scores": "retrieval",
    "translation_scores": "translation",
    "word_error_rates": "recognition",
}

__all__ = [
    "LabelGroups",
    "ROUGE_VARIANTS",
    "RecognitionStatistics",
    "RetrievalStatistics",
    "TranslationStatistics",
    "WordErrorStatistics",
    "align",
    "bootstrap_intervals",
    "build_compute_metrics",
    "count_edits",
    "evaluate_module_path",
    "label_group_scores",
    "paired_bootstrap",
    "recognition_scores",
    "retrieval_scores",
    "translation_scores",
    "word_error_rates",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
