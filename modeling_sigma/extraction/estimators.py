"""The table of pose estimators. A new one is a file with a class, and a line here."""

from __future__ import annotations

from typing import Any

from modeling_sigma.extraction.estimator_protocol import PoseEstimator
from modeling_sigma.extraction.mediapipe_estimator import MediapipeEstimator
from modeling_sigma.extraction.rtmlib_estimator import RtmlibEstimator
from modeling_sigma.extraction.sapiens2_estimator import Sapiens2Estimator


# By the name that `--estimator` takes; each class says in `options` what else the command line may ask for.
ESTIMATORS: dict[str, Any] = {
    "rtmlib": RtmlibEstimator,
    "sapiens2": Sapiens2Estimator,
    "mediapipe": MediapipeEstimator,
}


def make_estimator(name: str, **options: Any) -> PoseEstimator:
    """The estimator called `name`.

    Args:
        name (`str`):
            A name of `ESTIMATORS`.
        options:
            Arguments of its class.

    Raises:
        ValueError: for another name, or what the class raises; also `MissingExtraError` where it needs a package that
            is not installed.
    """
    if name not in ESTIMATORS:
        raise ValueError(f"expected estimator {' or '.join(ESTIMATORS)}, received {name!r}")
    estimator: PoseEstimator = ESTIMATORS[name](**options)
    return estimator
