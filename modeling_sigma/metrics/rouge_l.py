"""ROUGE-L in the variants that sign language papers use. They differ by points: name the one you report.

| variant | tokens | score of a sentence | number in our protocol |
|---|---|---|---|
| `pypi_rouge` | split at dots, then at spaces | F1 over sets of words, union of longest common subsequences | 1 |
| `coco` | split at single spaces | F with beta 1.2 | 3 |
| `rouge_score` | lower-cased, ASCII letters and digits | F1 | 4 |
| `token_f1` | split at white space | F1 | 5 |

The score of a corpus is the mean over its sentences. A pair without a token on either side scores zero.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray


DEFAULT_ROUGE_VARIANT = "pypi_rouge"

_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")


def rouge_l_scores(
    predictions: Sequence[str], references: Sequence[str], variant: str = DEFAULT_ROUGE_VARIANT
) -> tuple[NDArray[np.float64], int]:
    """ROUGE-L of each pair.

    Args:
        predictions, references (`Sequence[str]` of length N):
            The texts.
        variant (`str`, defaults to `"pypi_rouge"`):
            A name of the table above, or its number.

    Returns:
        `tuple`: the F-scores, `np.ndarray` of shape `(N,)`, 0 to 1; and the number of pairs that have no token on one
        of the two sides, where the `rouge` package would raise. They score 0.

    Raises:
        ValueError: for an unknown variant.

    Example:

    ```python
    >>> from modeling_sigma.metrics.rouge_l import rouge_l_scores
    >>> rouge_l_scores(["the cat sat"], ["the cat was here"], variant="token_f1")
    (array([0.57142857]), 0)

    ```
    """
    score = _VARIANTS[resolve_rouge_variant(variant)]
    scores = [score(prediction, reference) for prediction, reference in zip(predictions, references)]
    num_unscorable = sum(value is None for value in scores)
    return np.array([value or 0.0 for value in scores], np.float64), num_unscorable


def resolve_rouge_variant(variant: str | int) -> str:
    """The name of a ROUGE-L variant given by name or number."""
    name = {"1": "pypi_rouge", "3": "coco", "4": "rouge_score", "5": "token_f1"}.get(str(variant), str(variant))
    if name not in _VARIANTS:
        raise ValueError(
            f"expected a ROUGE-L variant of {sorted(_VARIANTS)}, received {variant!r}: "
            f"{DEFAULT_ROUGE_VARIANT!r} is the one of the Sigma / Uni-Sign line"
        )
    return name


def lcs_length(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """The length of the longest common subsequence.

    ```python
    >>> from modeling_sigma.metrics.rouge_l import lcs_length
    >>> lcs_length("the cat sat on".split(), "on the mat sat".split())
    2

    ```
    """
    return len(first) - _lcs_rows(first, second)[-1].bit_count()


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """One longest common subsequence, of several the one that the `rouge` package finds.

    Walking back from the ends over unequal tokens, it steps back in `second`, unless that alone loses length.
    """
    rows = _lcs_rows(first, second)
    i, j = len(first), len(second)
    found: list[str] = []
    while i and j:
        if first[i - 1] == second[j - 1]:
            found.append(first[i - 1])
            i, j = i - 1, j - 1
            continue
        # Zero bits below i count the length that the first i tokens reach.
        below = (1 << i) - 1
        grows_with_first = not rows[j] >> (i - 1) & 1
        grows_with_second = (rows[j] & below).bit_count() < (rows[j - 1] & below).bit_count()
        if grows_with_second and not grows_with_first:
            i -= 1
        else:
            j -= 1
    return found[::-1]


def _lcs_rows(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[int]:
    """The table of LCS lengths as integers, a row for each prefix of `second`: bit i is 0 where the length grows with
    token i of `first`. Integers of any size make thousands of tokens cheap.

    Source: Hyyrö (2004), Bit-parallel LCS-length computation revisited.
    """
    positions: dict[Hashable, int] = {}
    for index, token in enumerate(first):
        positions[token] = positions.get(token, 0) | 1 << index
    full = (1 << len(first)) - 1
    rows = [full]
    for token in second:
        row = rows[-1]
        matches = row & positions.get(token, 0)
        rows.append((row + matches | row - matches) & full)
    return rows


def _f_score(num_common: int, num_predicted: int, num_reference: int, beta: float = 1.0) -> float | None:
    if not num_predicted or not num_reference:
        return None
    if not num_common:
        return 0.0
    precision, recall = num_common / num_predicted, num_common / num_reference
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


def _score_pypi_rouge(prediction: str, reference: str) -> float | None:
    if not prediction.strip() or not reference.strip():
        return None
    # White space between two dots makes an empty word there; the package counts it, so we do.
    sentences, reference_sentences = (
        [sentence.split() or [""] for sentence in text.split(".") if sentence] for text in (prediction, reference)
    )
    if not sentences or not reference_sentences:
        return None
    common = {
        word
        for reference_sentence in reference_sentences
        for sentence in sentences
        for word in longest_common_subsequence(reference_sentence, sentence)
    }
    precision = len(common) / len(set().union(*sentences))
    recall = len(common) / len(set().union(*reference_sentences))
    return 2 * precision * recall / (precision + recall + 1e-8)  # the package's guard against zero


def _score_coco(prediction: str, reference: str) -> float | None:
    if not prediction.strip() or not reference.strip():
        return None
    tokens, reference_tokens = prediction.split(" "), reference.split(" ")
    return _f_score(lcs_length(tokens, reference_tokens), len(tokens), len(reference_tokens), beta=1.2)


def _score_rouge_score(prediction: str, reference: str) -> float | None:
    tokens, reference_tokens = (_NOT_ALPHANUMERIC.sub(" ", text.lower()).split() for text in (prediction, reference))
    return _f_score(lcs_length(tokens, reference_tokens), len(tokens), len(reference_tokens))


def _score_token_f1(prediction: str, reference: str) -> float | None:
    tokens, reference_tokens = prediction.split(), reference.split()
    return _f_score(lcs_length(tokens, reference_tokens), len(tokens), len(reference_tokens))


_VARIANTS = {
    "pypi_rouge": _score_pypi_rouge,
    "coco": _score_coco,
    "rouge_score": _score_rouge_score,
    "token_f1": _score_token_f1,
}
ROUGE_VARIANTS = tuple(_VARIANTS)
"""The names of the ROUGE-L variants."""
