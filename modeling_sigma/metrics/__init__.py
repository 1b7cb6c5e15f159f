"""Metrics that reproduce the field's figures: translation, recognition, retrieval, confidence.

Plain functions of texts or arrays; every result carries a signature. The names load on first use, so that importing
this package stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from modeling_sigma.metrics.bootstrap import bootstrap_intervals, paired_bootstrap
    from modeling_sigma.metrics.confidence import (
        ReliabilityBin,
        RiskCoverage,
        brier_score,
        confidence_scores,
        expected_calibration_error,
        reliability_bins,
        risk_coverage,
    )
    from modeling_sigma.metrics.edit_distance import align, count_edits
    from modeling_sigma.metrics.evaluate_modules import evaluate_module_path
    from modeling_sigma.metrics.label_groups import LabelGroups, label_group_scores
    from modeling_sigma.metrics.prediction_sets import prediction_set_scores
    from modeling_sigma.metrics.rank_statistics import known_unknown_auroc, rank_correlation
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
    "ReliabilityBin": "confidence",
    "RetrievalStatistics": "retrieval",
    "RiskCoverage": "confidence",
    "TranslationStatistics": "translation",
    "WordErrorStatistics": "recognition",
    "align": "edit_distance",
    "bootstrap_intervals": "bootstrap",
    "brier_score": "confidence",
    "build_compute_metrics": "trainer_metrics",
    "confidence_scores": "confidence",
    "count_edits": "edit_distance",
    "evaluate_module_path": "evaluate_modules",
    "expected_calibration_error": "confidence",
    "known_unknown_auroc": "rank_statistics",
    "label_group_scores": "label_groups",
    "paired_bootstrap": "bootstrap",
    "prediction_set_scores": "prediction_sets",
    "rank_correlation": "rank_statistics",
    "recognition_scores": "recognition",
    "reliability_bins": "confidence",
    "retrieval_scores": "retrieval",
    "risk_coverage": "confidence",
    "translation_scores": "translation",
    "word_error_rates": "recognition",
}

__all__ = [
    "LabelGroups",
    "ROUGE_VARIANTS",
    "RecognitionStatistics",
    "ReliabilityBin",
    "RetrievalStatistics",
    "RiskCoverage",
    "TranslationStatistics",
    "WordErrorStatistics",
    "align",
    "bootstrap_intervals",
    "brier_score",
    "build_compute_metrics",
    "confidence_scores",
    "count_edits",
    "evaluate_module_path",
    "expected_calibration_error",
    "known_unknown_auroc",
    "label_group_scores",
    "paired_bootstrap",
    "prediction_set_scores",
    "rank_correlation",
    "recognition_scores",
    "reliability_bins",
    "retrieval_scores",
    "risk_coverage",
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
