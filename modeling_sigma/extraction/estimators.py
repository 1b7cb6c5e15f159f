"""The table of pose estimators. A new one is a file with a class, and a line here."""

from __future__ import annotations

from typing import Any

from modeling_sigma.extraction.estimator_protocol import PoseEstimator
from modeling_sigma.extraction.mediapipe_estimator import MediapipeEstimator
from modeling_sigma.extraction.rtmlib_estimator import RtmlibEstimator
from modeling_sigma.extraction.sapiens2_estimator import Sapiens2Estimator


# By the name that `--estimator` takes; the `options` of each class are what else the command line offers for it.
ESTIMATORS: dict[str, Any] = {
    "rtmlib": RtmlibEstimator,
    "sapiens2": Sapiens2Estimator,
    "mediapipe": MediapipeEstimator,
}


def make_estimator(name: str, **options: Any) -> PoseEstimator:
    """The estimator called `name`.

    Args:
        name (`str`):
            The name of the estimator, from `ESTIMATORS`.
        options:
            The arguments of its class.

    Raises:
        ValueError: for another name, or what the class raises; as `MissingExtraError` if it needs a package that is
            not installed.
    """
    if name not in ESTIMATORS:
        raise ValueError(f"expected estimator {' or '.join(ESTIMATORS)}, received {name!r}")
    estimator: PoseEstimator = ESTIMATORS[name](**options)
    return estimator
