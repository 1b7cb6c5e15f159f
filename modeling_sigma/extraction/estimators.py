"""The table of pose estimators. A new one is a file with a class, and a line here."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from modeling_sigma.extraction.estimator_protocol import PoseEstimator
from modeling_sigma.extraction.mediapipe_estimator import MediapipeEstimator
from modeling_sigma.extraction.rtmlib_estimator import RtmlibEstimator
from modeling_sigma.extraction.sapiens2_estimator import Sapiens2Estimator


# By the name that `--estimator` takes; the `options` of each class are what else the command line offers for it.
ESTIMATORS: dict[str, Any] = {
    "mediapipe": MediapipeEstimator,
    "rtmlib": RtmlibEstimator,
    "sapiens2": Sapiens2Estimator,
}
DEFAULT_ESTIMATOR = "mediapipe"


@lru_cache(maxsize=1)
def kept_estimator(name: str = DEFAULT_ESTIMATOR) -> PoseEstimator:
    """The estimator called `name`, as it is without options: made once, and kept for the next video."""
    return make_estimator(name)


def describe_estimator(estimator: PoseEstimator) -> str:
    """An estimator in one line, with what decides its keypoints: for clips."""
    versions = ", ".join(f"{part} {version}" for part, version in getattr(estimator, "versions", {}).items())
    return f"{estimator.name} ({versions})" if versions else estimator.name


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
