"""Retrieval between clips and sentences: recall at 1, 5, 10, median and mean rank, in both directions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeling_sigma.metrics.bootstrap import DEFAULT_SEED, Progress, Weights, bootstrap_intervals
from modeling_sigma.metrics.signature import make_signature


RECALL_AT = (1, 5, 10)


@dataclass(frozen=True)
class RetrievalStatistics:
    """The rank of the first right answer to each query of one direction, for [`bootstrap_intervals`].

    Args:
        ranks (`np.ndarray` of shape `(num_queries,)`, int64):
            1 is the best.
    """

    ranks: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ranks)

    def score(self, weights: Weights | None = None) -> dict[str, float]:
        """`r1`, `r5`, `r10` in percent, `median_rank`, `mean_rank`."""
        ranks = self.ranks if weights is None else np.repeat(self.ranks, weights.astype(np.int64))
        scores = {f"r{k}": 100 * float((ranks <= k).mean()) for k in RECALL_AT}
        return {**scores, "median_rank": float(np.median(ranks)), "mean_rank": float(ranks.mean())}


def retrieval_scores(
    similarity: ArrayLike,
    pose_texts: Sequence[Hashable] | None = None,
    texts: Sequence[Hashable] | None = None,
    *,
    num_bootstrap: int = 0,
    seed: int = DEFAULT_SEED,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Scores of retrieval from poses to text and from text to poses.

    Args:
        similarity (`array` of shape `(num_poses, num_texts)`):
            Higher is more alike, for example `logits_per_pose` over a whole test set.
        pose_texts (`Sequence` of length `num_poses`, *optional*):
            The sentence (or its id) of each clip. Identical ones count as matches of each other. By default clip i
            belongs to text i alone.
        texts (`Sequence` of length `num_texts`, *optional*):
            The sentence of each column; by default `pose_texts`. Give the distinct sentences, and as many columns, to
            search among these.
        num_bootstrap (`int`, defaults to 0):
            Resamples of the queries for `intervals`, 95 % confidence intervals; 0 leaves them out.
        seed (`int`, defaults to 12345):
            The seed of the resampling.
        progress (`Callable[[int, int], None]`, *optional*):
            Called with resamples done and their total.

    Returns:
        `dict`: with the prefixes `pose_to_text_` and `text_to_pose_`: `r1`, `r5`, `r10` (percent of the queries with a
        match among the first 1, 5, 10), `median_rank` and `mean_rank` (of the first match, 1 is best); `num_poses`,
        `num_texts`, `num_distinct_texts`, `signature`.

        A candidate that is no match but just as similar comes before the match, so that a model that cannot tell them
        apart scores like a bad one. Matches never stand in each other's way.

    Raises:
        ValueError: for a similarity that is no matrix or not finite, sentences of a wrong number, or a query without a
            match.

    Example:

    ```python
    >>> from modeling_sigma.metrics import retrieval_scores
    >>> scores = retrieval_scores([[0.9, 0.1, 0.3], [0.2, 0.4, 0.5], [0.1, 0.0, 0.7]])
    >>> scores["pose_to_text_r1"], scores["pose_to_text_mean_rank"], scores["text_to_pose_r1"]
    (66.66..., 1.33..., 100.0)

    ```
    """
    matrix = np.asarray(similarity, np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(
            f"expected a similarity of shape (num_poses, num_texts), received {matrix.shape}: one row for each clip"
        )
    if not np.isfinite(matrix).all():
        raise ValueError("expected finite similarities, received NaN or infinity: look for the cause in the model")
    matches = _find_matches(matrix.shape, pose_texts, texts)
    directions = {
        "pose_to_text": RetrievalStatistics(_first_match_ranks(matrix, matches)),
        "text_to_pose": RetrievalStatistics(_first_match_ranks(matrix.T, matches.T)),
    }
    columns = texts if texts is not None else pose_texts
    result: dict[str, Any] = {
        **_prefixed({name: statistics.score() for name, statistics in directions.items()}),
        "num_poses": matrix.shape[0],
        "num_texts": matrix.shape[1],
        "num_distinct_texts": matrix.shape[1] if columns is None else len(set(columns)),
        "signature": make_signature(
            task="retrieval",
            matches="pairs" if pose_texts is None else "identical_texts",
            ties="against",
            bootstrap=f"{num_bootstrap}@{seed}" if num_bootstrap else None,
        ),
    }
    if num_bootstrap:
        result["intervals"] = _prefixed(
            {
                name: bootstrap_intervals(statistics, num_bootstrap, seed, progress=progress)
                for name, statistics in directions.items()
            }
        )
    return result


def _prefixed(by_direction: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        f"{direction}_{name}": value for direction, scores in by_direction.items() for name, value in scores.items()
    }


def _find_matches(
    shape: tuple[int, ...], pose_texts: Sequence[Hashable] | None, texts: Sequence[Hashable] | None
) -> NDArray[np.bool_]:
    """Which clip belongs to which text, shape `(num_poses, num_texts)`."""
    if pose_texts is None:
        if texts is not None:
            raise ValueError(
                "expected `pose_texts` together with `texts`, received none: say which sentence each clip has"
            )
        pose_texts = range(shape[0])
    texts = pose_texts if texts is None else texts
    for sentences, count, name in ((pose_texts, shape[0], "pose_texts"), (texts, shape[1], "texts")):
        if len(sentences) != count:
            raise ValueError(
                f"expected {count} {name} for a similarity of shape {shape}, received {len(sentences)}: "
                "rows are clips, columns are texts"
            )
    numbers: dict[Hashable, int] = {}
    pose_numbers, text_numbers = (
        np.array([numbers.setdefault(text, len(numbers)) for text in sentences]) for sentences in (pose_texts, texts)
    )
    matches: NDArray[np.bool_] = pose_numbers[:, None] == text_numbers[None, :]
    for has_match, name in ((matches.any(axis=1), "clip"), (matches.any(axis=0), "text")):
        if not has_match.all():
            raise ValueError(
                f"expected a match for every {name}, received none for {name} {int(has_match.argmin())}: "
                "leave it out, or check the sentences for differences in white space"
            )
    return matches


def _first_match_ranks(similarity: NDArray[np.float64], matches: NDArray[np.bool_]) -> NDArray[np.int64]:
    """1 + the number of candidates without a match that are at least as similar as the best match, for each row."""
    best = np.where(matches, similarity, -np.inf).max(axis=1, keepdims=True)
    ranks: NDArray[np.int64] = 1 + ((similarity >= best) & ~matches).sum(axis=1, dtype=np.int64)
    return ranks
