"""Translation: BLEU-1 to BLEU-4, ROUGE-L, chrF, chrF++ and, where it is installed, BLEURT."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeling_sigma.metrics.bootstrap import DEFAULT_SEED, Progress, Weights, bootstrap_intervals
from modeling_sigma.metrics.ngram_statistics import (
    CHRF_CHARACTER_ORDER,
    bleu_scores,
    bleu_statistics,
    chrf_score,
    chrf_statistics,
)
from modeling_sigma.metrics.rouge_l import DEFAULT_ROUGE_VARIANT, resolve_rouge_variant, rouge_l_scores
from modeling_sigma.metrics.signature import make_signature, package_version
from modeling_sigma.metrics.text_pairs import TextPairs, make_text_pairs, warn_if_unsegmented


@dataclass(frozen=True)
class TranslationStatistics:
    """What each sentence contributes to the scores, for [`bootstrap_intervals`] and [`paired_bootstrap`].

    Args:
        pairs ([`TextPairs`]):
            The normalised texts.
        bleu (`np.ndarray` of shape `(N, 10)`):
            Counts, see [`bleu_statistics`].
        chrf (`np.ndarray` of shape `(N, 8, 3)`):
            Counts, see [`chrf_statistics`].
        rouge_l (`np.ndarray` of shape `(N,)`):
            F-scores of sentences, 0 to 1.
        num_rouge_unscorable (`int`):
            Pairs without a token for ROUGE-L on one of the sides; they score 0.
        bleurt (`np.ndarray` of shape `(N,)`, *optional*):
            Scores of sentences, roughly 0 to 1.
    """

    pairs: TextPairs
    bleu: NDArray[np.int64]
    chrf: NDArray[np.int64]
    rouge_l: NDArray[np.float64]
    num_rouge_unscorable: int
    bleurt: NDArray[np.float64] | None = None

    @classmethod
    def from_texts(
        cls,
        predictions: Iterable[str],
        references: Iterable[str],
        preset: str = "none",
        rouge_variant: str | int = DEFAULT_ROUGE_VARIANT,
        bleurt_checkpoint: str | None = None,
    ) -> TranslationStatistics:
        """Counts everything once; arguments as for [`translation_scores`]."""
        variant = resolve_rouge_variant(rouge_variant)
        pairs = make_text_pairs(predictions, references, preset, "slt")
        warn_if_unsegmented(pairs, "use the preset 'csl_daily', which separates characters")
        rouge_l, num_unscorable = rouge_l_scores(pairs.predictions, pairs.references, variant)
        # Empty texts have had their warning; the other pairs are in a script that the variant does not know.
        num_unreadable = num_unscorable - pairs.num_empty_predictions - pairs.num_empty_references
        if num_unreadable > len(pairs) / 2:
            warnings.warn(
                f"ROUGE-L as {variant!r} finds no token in {num_unreadable} of {len(pairs)} pairs, which score zero: "
                f"use the variant {DEFAULT_ROUGE_VARIANT!r} for this script",
                stacklevel=3,
            )
        return cls(
            pairs,
            bleu_statistics(pairs.predictions, pairs.references),
            chrf_statistics(pairs.predictions, pairs.references),
            rouge_l,
            num_unscorable,
            None if bleurt_checkpoint is None else _bleurt_scores(pairs, bleurt_checkpoint),
        )

    def __len__(self) -> int:
        return len(self.pairs)

    def sentence_chrf(self) -> NDArray[np.float64]:
        """chrF of each sentence, `(N,)`, 0 to 100."""
        return np.array([chrf_score(one) for one in self.chrf[:, :CHRF_CHARACTER_ORDER]], np.float64)

    def score(self, weights: Weights | None = None) -> dict[str, float]:
        """All scores, 0 to 100."""
        weights = np.ones(len(self)) if weights is None else weights
        chrf = np.tensordot(weights, self.chrf, axes=1)  # (8, 3)
        scores = {
            **bleu_scores(weights @ self.bleu),
            "rouge_l": 100 * float(weights @ self.rouge_l / weights.sum()),
            "chrf": chrf_score(chrf[:CHRF_CHARACTER_ORDER]),
            "chrf_plus_plus": chrf_score(chrf),
        }
        if self.bleurt is not None:
            scores["bleurt"] = 100 * float(weights @ self.bleurt / weights.sum())
        return scores


def translation_scores(
    predictions: Iterable[str],
    references: Iterable[str],
    preset: str = "none",
    rouge_variant: str | int = DEFAULT_ROUGE_VARIANT,
    *,
    bleurt_checkpoint: str | None = None,
    num_bootstrap: int = 0,
    seed: int = DEFAULT_SEED,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Scores of sign language translation, as the field's papers report them.

    Args:
        predictions, references (`Iterable[str]`):
            One sentence for each sample, in the same order.
        preset (`str`, defaults to `"none"`):
            The text normalisation of a corpus: `"csl_daily"`, `"how2sign"`, `"how2sign_repaired"`, `"openasl"`,
            `"phoenix2014t"`, or `"none"`.
        rouge_variant (`str` or `int`, defaults to `"pypi_rouge"`):
            `"pypi_rouge"`, `"coco"`, `"rouge_score"` or `"token_f1"`: they differ by points, see
            `modeling_sigma.metrics.rouge_l`.
        bleurt_checkpoint (`str`, *optional*):
            Folder of a BLEURT checkpoint, such as BLEURT-20; needs the package `bleurt`.
        num_bootstrap (`int`, defaults to 0):
            Resamples for `intervals`, 95 % confidence intervals of every score; 0 leaves them out.
        seed (`int`, defaults to 12345):
            The seed of the resampling.
        progress (`Callable[[int, int], None]`, *optional*):
            Called with resamples done and their total.

    Returns:
        `dict`: `bleu1`, `bleu2`, `bleu3`, `bleu4` (cumulative, tokenizer 13a, cased, exponential smoothing), `rouge_l`
        (mean over sentences), `chrf`, `chrf_plus_plus` and, with a checkpoint, `bleurt`, all 0 to 100;
        `num_sentences`, `num_empty_predictions`, `num_empty_references`, `num_rouge_unscorable` (pairs without a token
        for ROUGE-L on one of the sides; these score zero), `signature`, and `intervals` where asked for.

    Raises:
        ValueError: for unequal numbers, no pair, entries that are no strings, references that are all empty, or an
            unknown preset or variant.
        ImportError: where BLEURT is asked for and not installed.

    Example:

    ```python
    >>> from modeling_sigma.metrics import translation_scores
    >>> scores = translation_scores(["the cat sat on the mat"], ["the cat sat on a mat"])
    >>> {name: round(scores[name], 2) for name in ("bleu1", "bleu4", "rouge_l", "chrf")}
    {'bleu1': 83.33, 'bleu4': 53.73, 'rouge_l': 90.91, 'chrf': 72.08}
    >>> scores["signature"]
    'task:slt|preset:none|nrefs:1|case:mixed|tok:13a|smooth:exp|rouge_l:pypi_rouge|chrf:nc6,beta2|...'

    ```
    """
    statistics = TranslationStatistics.from_texts(predictions, references, preset, rouge_variant, bleurt_checkpoint)
    result: dict[str, Any] = {
        **statistics.score(),
        **statistics.pairs.counts(),
        "num_rouge_unscorable": statistics.num_rouge_unscorable,
        "signature": make_signature(
            task="slt",
            preset=preset,
            nrefs=1,
            case="mixed",
            tok="13a",
            smooth="exp",
            rouge_l=resolve_rouge_variant(rouge_variant),
            chrf="nc6,beta2",
            chrf_plus_plus="nc6,nw2,beta2",
            bleurt=None if bleurt_checkpoint is None else _checkpoint_name(bleurt_checkpoint),
            bootstrap=f"{num_bootstrap}@{seed}" if num_bootstrap else None,
            sacrebleu=package_version("sacrebleu"),
        ),
    }
    if num_bootstrap:
        result["intervals"] = bootstrap_intervals(statistics, num_bootstrap, seed, progress=progress)
    return result


def _checkpoint_name(checkpoint: str) -> str:
    return checkpoint.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]


def _bleurt_scores(pairs: TextPairs, checkpoint: str) -> NDArray[np.float64]:
    try:
        bleurt_score = importlib.import_module("bleurt.score")
    except ImportError as error:
        raise ImportError(
            "expected the package `bleurt` for BLEURT scores, received none: install it from "
            "https://github.com/google-research/bleurt, or leave the checkpoint out"
        ) from error
    scores = bleurt_score.BleurtScorer(checkpoint).score(references=pairs.references, candidates=pairs.predictions)
    # An empty prediction scores zero here too, whatever score BLEURT gives it.
    return np.array([score if text.strip() else 0.0 for score, text in zip(scores, pairs.predictions)], np.float64)
