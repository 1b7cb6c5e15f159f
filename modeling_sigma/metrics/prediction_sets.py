"""Prediction sets: how often the true label is in the set that a model gives, and how many labels that takes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from modeling_sigma.metrics.recognition import Label
from modeling_sigma.metrics.signature import make_signature


def prediction_set_scores(
    sets: Sequence[Collection[Label]], references: Sequence[Label], nominal_coverage: float
) -> dict[str, Any]:
    """Coverage and size of prediction sets.

    Args:
        sets (`Sequence[Collection]` of length N):
            The labels in the set of each clip.
        references (`Sequence` of length N):
            The true label of each clip.
        nominal_coverage (`float`):
            The coverage that was asked for, in (0, 1).

    Returns:
        `dict`: `coverage` and `nominal_coverage` in percent, `mean_set_size`, `median_set_size`, `largest_set_size`,
        `num_empty_sets`, `num_samples`, `signature`.

    Raises:
        ValueError: for unequal numbers, no set, or a nominal coverage outside (0, 1).

    Example:

    ```python
    >>> from modeling_sigma.metrics import prediction_set_scores
    >>> scores = prediction_set_scores([{"a", "b"}, {"c"}], ["a", "b"], 0.9)
    >>> scores["coverage"], scores["mean_set_size"]
    (50.0, 1.5)

    ```
    """
    if len(sets) != len(references) or not len(sets):
        raise ValueError(f"expected one set for each reference, received {len(sets)} and {len(references)}")
    if not 0 < nominal_coverage < 1:
        raise ValueError(f"expected a coverage between 0 and 1, such as 0.9, received {nominal_coverage}")
    sizes = np.array([len(one) for one in sets])
    covered = np.array([reference in one for one, reference in zip(sets, references)])
    return {
        "coverage": 100 * float(covered.mean()),
        "nominal_coverage": 100 * float(nominal_coverage),
        "mean_set_size": float(sizes.mean()),
        "median_set_size": float(np.median(sizes)),
        "largest_set_size": int(sizes.max()),
        "num_empty_sets": int((sizes == 0).sum()),
        "num_samples": len(sets),
        "signature": make_signature(task="prediction-sets", nominal=nominal_coverage),
    }
