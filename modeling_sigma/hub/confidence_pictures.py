"""Two pictures of a model's confidence for its card: the reliability diagram, and risk against coverage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from modeling_sigma.jobs.atomic_files import atomic_file
from modeling_sigma.viz.reliability_diagram import draw_reliability_diagram
from modeling_sigma.viz.risk_coverage_curve import draw_risk_coverage


# File -> what it shows, in words.
CONFIDENCE_PICTURES: Mapping[str, str] = MappingProxyType(
    {
        "reliability_diagram.png": "Accuracy against confidence: bars that end at the diagonal can be believed",
        "risk_coverage.png": "Share of wrong answers against the share of clips that are answered, surest first",
    }
)


def write_confidence_pictures(folder: str | Path, confidences: Mapping[str, Mapping[str, Any]]) -> None:
    """Draws the pictures into a model's folder, in place of older ones.

    Args:
        folder (`str` or `Path`):
            The folder of the model.
        confidences (`Mapping[str, Mapping]`):
            What [`confidence_scores`] returns, by what counts as right, such as `"exact"`; the first is drawn in the
            reliability diagram, all in the other picture.
    """
    first = next(iter(confidences.values()))
    bins = [[one[name] for one in first["bins"]] for name in ("count", "confidence", "accuracy")]
    reliability = draw_reliability_diagram(bins[0], bins[1], bins[2], title="How sure, and how often right")
    curves = {name: tuple(np.array(one["risk_coverage"]).T) for name, one in confidences.items()}
    risks = draw_risk_coverage(curves, title="If it answers only where it is surest")
    for name, picture in zip(CONFIDENCE_PICTURES, (reliability, risks), strict=True):
        _save(picture, Path(folder) / name)


def confidence_pictures_in(folder: str | Path | None) -> dict[str, str]:
    """File -> what it shows, of those pictures that a folder has."""
    if folder is None:
        return {}
    return {name: words for name, words in CONFIDENCE_PICTURES.items() if (Path(folder) / name).is_file()}


def _save(picture: Image.Image, path: Path) -> None:
    with atomic_file(path) as temporary:
        picture.save(temporary)
