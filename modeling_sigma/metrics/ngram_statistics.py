"""BLEU and chrF from the n-gram counts of each sentence.

The counts of sentences add up to those of a corpus: that is what makes the bootstrap fast. Tokenisation and the
formula of BLEU are sacrebleu's own; every score equals sacrebleu's.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a


BLEU_ORDER = 4
CHRF_CHARACTER_ORDER = 6
CHRF_WORD_ORDER = 2  # chrF++ alone; chrF counts characters only
CHRF_BETA = 2


def bleu_statistics(predictions: Sequence[str], references: Sequence[str]) -> NDArray[np.int64]:
    """Counts what BLEU needs of each sentence, with the tokenizer 13a.

    Args:
        predictions, references (`Sequence[str]` of length N):
            The texts, cased.

    Returns:
        `np.ndarray` of shape `(N, 10)`: tokens of the prediction, tokens of the reference, matching n-grams for
        n = 1 to 4, n-grams of the prediction for n = 1 to 4.
    """
    tokenize: Callable[[str], str] = Tokenizer13a()  # type: ignore[no-untyped-call]
    rows = np.zeros((len(references), 2 + 2 * BLEU_ORDER), np.int64)
    for row, prediction, reference in zip(rows, predictions, references):
        tokens, reference_tokens = tokenize(prediction.rstrip()).split(), tokenize(reference.rstrip()).split()
        row[:2] = len(tokens), len(reference_tokens)
        for order in range(1, BLEU_ORDER + 1):
            ngrams = Counter(zip(*(tokens[start:] for start in range(order))))
            reference_ngrams = Counter(zip(*(reference_tokens[start:] for start in range(order))))
            row[1 + order] = _num_common(ngrams, reference_ngrams)
            row[1 + BLEU_ORDER + order] = max(len(tokens) - order + 1, 0)
    return rows


def bleu_scores(counts: NDArray[np.int64] | NDArray[np.float64]) -> dict[str, float]:
    """BLEU-1 to BLEU-4 of summed counts, with exponential smoothing.

    Args:
        counts (`np.ndarray` of shape `(10,)`):
            A sum of rows of [`bleu_statistics`].

    Returns:
        `dict[str, float]`: `bleu1` to `bleu4`, 0 to 100. BLEU-n is the geometric mean over 1 to n times the brevity
        penalty.
    """
    values = [int(value) for value in counts]
    correct, total = values[2 : 2 + BLEU_ORDER], values[2 + BLEU_ORDER :]
    return {
        f"bleu{order}": BLEU.compute_bleu(
            correct=correct[:order],
            total=total[:order],
            sys_len=values[0],
            ref_len=values[1],
            smooth_method="exp",
            max_ngram_order=order,
        ).score
        for order in range(1, BLEU_ORDER + 1)
    }


def chrf_statistics(predictions: Sequence[str], references: Sequence[str]) -> NDArray[np.int64]:
    """Counts what chrF and chrF++ need of each sentence.

    Args:
        predictions, references (`Sequence[str]` of length N):
            The texts, cased; white space is not counted.

    Returns:
        `np.ndarray` of shape `(N, 8, 3)`: n-grams of the prediction, of the reference, and common ones, for characters
        of order 1 to 6, then words of order 1 and 2.
    """
    rows = np.zeros((len(references), CHRF_CHARACTER_ORDER + CHRF_WORD_ORDER, 3), np.int64)
    for row, prediction, reference in zip(rows, predictions, references):
        pairs = zip(_chrf_ngrams(prediction), _chrf_ngrams(reference), strict=True)
        for cell, (ngrams, reference_ngrams) in zip(row, pairs):
            # As in sacrebleu: where the reference is too short for an order, the order is left out.
            num_ngrams = ngrams.total() if reference_ngrams else 0
            cell[:] = num_ngrams, reference_ngrams.total(), _num_common(ngrams, reference_ngrams)
    return rows


def chrf_score(counts: NDArray[np.int64] | NDArray[np.float64]) -> float:
    """The F-score, 0 to 100, of summed counts: mean precision and mean recall over the orders that exist.

    Args:
        counts (`np.ndarray` of shape `(orders, 3)`):
            A sum of rows of [`chrf_statistics`]: all 8 orders for chrF++, the first 6 for chrF.

    Source: Popović (2015), chrF: character n-gram F-score for automatic MT evaluation, with beta 2.
    """
    exists = (counts[:, 0] > 0) & (counts[:, 1] > 0)
    if not exists.any():
        return 0.0
    num_ngrams, num_reference_ngrams, num_common = counts[exists].T.astype(np.float64)
    precision, recall = float((num_common / num_ngrams).mean()), float((num_common / num_reference_ngrams).mean())
    if precision + recall == 0:
        return 0.0
    factor = CHRF_BETA**2
    return 100 * (1 + factor) * precision * recall / (factor * precision + recall)


def _chrf_ngrams(text: str) -> list[Counter[str]]:
    characters = "".join(text.split())
    words = _separate_punctuation(text)
    ngrams = [
        Counter(characters[start : start + order] for start in range(len(characters) - order + 1))
        for order in range(1, CHRF_CHARACTER_ORDER + 1)
    ]
    ngrams += [
        Counter(" ".join(words[start : start + order]) for start in range(len(words) - order + 1))
        for order in range(1, CHRF_WORD_ORDER + 1)
    ]
    return ngrams


def _separate_punctuation(text: str) -> list[str]:
    """Words, with one ASCII punctuation mark split off: the last character, or else the first."""
    words: list[str] = []
    for word in text.split():
        if len(word) > 1 and word[-1] in string.punctuation:
            words += [word[:-1], word[-1]]
        elif len(word) > 1 and word[0] in string.punctuation:
            words += [word[0], word[1:]]
        else:
            words.append(word)
    return words


def _num_common(ngrams: Counter[Any], other: Counter[Any]) -> int:
    return sum(min(count, other[ngram]) for ngram, count in ngrams.items() if ngram in other)
