"""What a model gets wrong if it may stay silent where it is not sure: risk against coverage."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from modeling_sigma.viz.percent_axes import percent_axes
from modeling_sigma.viz.picture_style import theme_of


def draw_risk_coverage(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str | None = None, dark: bool = False
) -> Image.Image:
    """Draws the share of wrong answers against the share of clips that are answered.

    Args:
        curves (`Mapping[str, tuple[array, array]]`):
            Name -> coverages and risks, each of shape `(N,)` in [0, 1]; up to six curves.
        title (`str`, *optional*):
            Title above the picture.
        dark (`bool`, *optional*, defaults to `False`):
            Whether to draw on a dark background.

    Returns:
        `PIL.Image.Image` in mode RGB.

    Raises:
        ValueError: without a curve, for more than six, or for values outside [0, 1].
    """
    theme = theme_of(dark)
    if not 0 < len(curves) <= len(theme.series):
        raise ValueError(f"expected one to {len(theme.series)} curves, received {len(curves)}")
    axes = percent_axes("clips that are answered, surest first", "answers that are wrong", title, theme)
    legend = []
    for (name, (coverages, risks)), color in zip(curves.items(), theme.series):
        x, y = np.asarray(coverages, float), np.asarray(risks, float)
        if x.ndim != 1 or x.shape != y.shape or not len(x) or not ((x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)).all():
            raise ValueError(
                f"{name}: expected equally many coverages and risks in [0, 1], received {x.shape} and {y.shape}"
            )
        axes.line(np.concatenate([x[:1], x]), np.concatenate([y[:1], y]), color)  # a line has two points at least
        legend.append((name, color))
    return axes.finish(legend)
