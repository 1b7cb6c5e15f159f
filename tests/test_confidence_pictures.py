"""Pictures of confidence: what they show is where it belongs, and what makes no picture is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from modeling_sigma.metrics import reliability_bins, risk_coverage
from modeling_sigma.viz.picture_style import DARK, LIGHT
from modeling_sigma.viz.reliability_diagram import draw_reliability_diagram
from modeling_sigma.viz.risk_coverage_curve import draw_risk_coverage


def num_pixels(image: Any, color: tuple[int, int, int]) -> int:
    return int((np.asarray(image) == color).all(axis=-1).sum())


def test_reliability_diagram_shows_the_gaps() -> None:
    bins = reliability_bins([0.9, 0.9, 0.3, 0.3], [True, False, True, True])
    arguments = [[getattr(one, name) for one in bins] for name in ("count", "confidence", "accuracy")]
    image = draw_reliability_diagram(*arguments, title="calibration of my signs — überall")
    right, surer, less_sure = LIGHT.series[:3]
    # Bars are as wide as each other: 0.5 and 0.3 of right answers, 0.4 too sure, 0.7 not sure enough.
    assert num_pixels(image, less_sure) / num_pixels(image, surer) == pytest.approx(0.7 / 0.4, rel=0.25)
    assert num_pixels(image, right) > num_pixels(image, surer)
    dark = draw_reliability_diagram(*arguments, dark=True)
    assert dark.height < image.height and dark.getpixel((0, 0)) == DARK.background


def test_risk_coverage_curves() -> None:
    curve = risk_coverage([0.9, 0.8, 0.7, 0.1], [True, True, False, False])
    one = draw_risk_coverage({"mine": (curve.coverages, curve.risks)})
    two = draw_risk_coverage({"mine": (curve.coverages, curve.risks), "theirs": ([0.5, 1.0], [0.9, 0.9])}, title="two")
    assert num_pixels(one, LIGHT.series[0]) > 100
    assert num_pixels(one, LIGHT.series[1]) == 0 < num_pixels(two, LIGHT.series[1])
    assert draw_risk_coverage({"a": ([1.0], [0.5])}, dark=True).size == one.size


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: draw_reliability_diagram([], [], []), "expected counts, confidences and accuracies of the same bins"),
        (lambda: draw_reliability_diagram([1], [0.5], [0.5, 0.5]), "received 1, 1 and 2"),
        (lambda: draw_reliability_diagram([0], [0.5], [0.5]), "with answers in them"),
        (lambda: draw_reliability_diagram([1], [50.0], [0.5]), "give shares, not percent"),
        (lambda: draw_reliability_diagram([1], [np.nan], [0.5]), "give shares, not percent"),
        (lambda: draw_risk_coverage({}), "expected one to 6 curves, received 0"),
        (lambda: draw_risk_coverage({str(number): ([1], [1]) for number in range(7)}), "received 7"),
        (lambda: draw_risk_coverage({"a": ([1.0], [50.0])}), "a: expected equally many coverages and risks"),
        (lambda: draw_risk_coverage({"a": ([], [])}), "a: expected equally many"),
        (lambda: draw_risk_coverage({"a": ([0.5], [0.5, 0.6])}), "a: expected equally many"),
    ],
)
def test_what_makes_no_picture(draw: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
