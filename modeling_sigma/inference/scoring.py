"""The scores of a task: which metrics, with which options, for predictions and their references."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


# Predictions and their references, in the same order.
Pairs = tuple[Sequence[Any], Sequence[Any]]


@dataclass(frozen=True)
class Scoring:
    """Which metrics are computed, and how: see [`translation_scores`], [`word_error_rates`], [`recognition_scores`].

    Args:
        task (`str`): What was predicted: `"slt"`, `"cslr"` or `"islr"`.
        preset (`str`, *optional*, defaults to `"none"`): The text normalisation.
        rouge_variant (`str`, *optional*, defaults to `"pypi_rouge"`): The variant of ROUGE-L for translation.
        bleurt_checkpoint (`str`, *optional*): The folder of a checkpoint that adds BLEURT for translation.
        costs (`str`, *optional*, defaults to `"3/3/4"`): The edit costs for continuous recognition.
        unit (`str`, *optional*, defaults to `"word"`): What continuous recognition counts errors in.
        num_confusions (`int`, *optional*, defaults to 10): The number of confusions listed for isolated recognition.
        num_resamples (`int`, *optional*, defaults to 0): The number of resamples for intervals; 0 computes none.
        seed (`int`, *optional*, defaults to 12345): The seed of the resampling.
        progress (`Callable[[int, int], None]`, *optional*): Called with the number of resamples done and in all.
    """

    task: str
    preset: str = "none"
    rouge_variant: str = "pypi_rouge"
    bleurt_checkpoint: str | None = None
    costs: str = "3/3/4"
    unit: str = "word"
    num_confusions: int = 10
    num_resamples: int = 0
    seed: int = 12345
    progress: Callable[[int, int], None] | None = None

    def scores(self, pairs: Pairs, constraint: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The scores of one system.

        Args:
            pairs (`tuple`):
                The predictions and the references, in the same order.
            constraint (`Mapping`, *optional*):
                For isolated recognition, `vocabulary` and `is_constrained` of [`recognition_scores`].
        """
        from modeling_sigma.metrics import recognition_scores, translation_scores, word_error_rates
        from modeling_sigma.metrics.text_normalization import get_preset

        options: dict[str, Any] = {
            "num_bootstrap": self.num_resamples,
            "seed": self.seed,
            "progress": self.progress,
        }
        if self.task == "slt":
            return translation_scores(
                *pairs, self.preset, self.rouge_variant, bleurt_checkpoint=self.bleurt_checkpoint, **options
            )
        if self.task == "cslr":
            return word_error_rates(*pairs, self.costs, self.preset, unit=self.unit, **options)
        get_preset(self.preset, "islr")
        options.update(constraint or {}, num_confusions=self.num_confusions)
        return recognition_scores(*pairs, **options)

    def compare(self, pairs: Pairs, other_pairs: Pairs) -> dict[str, Any]:
        """Each score of both systems, and their difference under a paired bootstrap: see [`paired_bootstrap`]."""
        from modeling_sigma.metrics import paired_bootstrap

        statistics, other_statistics = self._statistics(pairs), self._statistics(other_pairs)
        return paired_bootstrap(statistics, other_statistics, self.num_resamples, self.seed, progress=self.progress)

    def _statistics(self, pairs: Pairs) -> Any:
        from modeling_sigma.metrics import RecognitionStatistics, TranslationStatistics, WordErrorStatistics

        if self.task == "slt":
            return TranslationStatistics.from_texts(*pairs, self.preset, self.rouge_variant, self.bleurt_checkpoint)
        if self.task == "cslr":
            return WordErrorStatistics.from_texts(*pairs, self.costs, self.preset, self.unit)
        return RecognitionStatistics.from_labels(*pairs)
