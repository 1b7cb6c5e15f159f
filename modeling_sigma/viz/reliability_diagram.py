"""Whether a model is as often right as it is sure: accuracy against confidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from modeling_sigma.viz.percent_axes import percent_axes
from modeling_sigma.viz.picture_style import theme_of


def draw_reliability_diagram(
    counts: Sequence[int],
    confidences: Sequence[float],
    accuracies: Sequence[float],
    *,
    title: str | None = None,
    dark: bool = False,
) -> Image.Image:
    """Draws the share of right answers in bins of confidence, and how many answers each bin has.

    A bar is the accuracy of a bin; its gap to the mean confidence is drawn in another colour. Bars that end at the
    diagonal belong to a model whose confidence can be believed. The thin bars at the bottom are the shares of all
    answers.

    Args:
        counts (`Sequence[int]`):
            The number of answers in each bin; the bins divide [0, 1] evenly.
        confidences, accuracies (`Sequence[float]`):
            The mean confidence and the share of right answers in each bin; not looked at where a bin is empty.
        title (`str`, *optional*):
            Title above the picture.
        dark (`bool`, *optional*, defaults to `False`):
            Whether to draw on a dark background.

    Returns:
        `PIL.Image.Image` in mode RGB.

    Raises:
        ValueError: for unequal lengths, no answer at all, or shares outside [0, 1].
    """
    if not len(counts) == len(confidences) == len(accuracies) or not sum(counts):
        raise ValueError(
            "expected counts, confidences and accuracies of the same bins with answers in them, received "
            f"{len(counts)}, {len(confidences)} and {len(accuracies)}"
        )
    filled = [number for number, count in enumerate(counts) if count]
    shown = np.array([[confidences[number], accuracies[number]] for number in filled])
    if not ((shown >= 0) & (shown <= 1)).all():
        raise ValueError("expected confidences and accuracies in [0, 1], received others: give shares, not percent")
    theme = theme_of(dark)
    axes = percent_axes("how sure the model is", "how often it is right", title, theme)
    width = 1 / len(counts)
    for number in filled:
        sides = (number * width, (number + 1) * width)
        axes.bar(sides, (accuracies[number], confidences[number]), theme.series[1])
        axes.bar(sides, (0.0, min(accuracies[number], confidences[number])), theme.series[0])
        if accuracies[number] > confidences[number]:
            axes.bar(sides, (confidences[number], accuracies[number]), theme.series[2])
        middle = (sides[0] + 0.35 * width, sides[1] - 0.35 * width)
        axes.bar(middle, (0.0, counts[number] / sum(counts)), theme.text)
    axes.line(np.array([0, 1]), np.array([0, 1]), theme.faint)
    legend = [
        ("right", theme.series[0]),
        ("surer than right", theme.series[1]),
        ("less sure than right", theme.series[2]),
        ("share of the answers", theme.text),
    ]
    return axes.finish(legend)
