"""A square with two axes from 0 to 100 %, for diagrams of shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from modeling_sigma.viz.picture_style import Color, Theme, draw_title, font_for, vertical_text, wrap


_BORDER, _SIZE, _LEFT, _BOTTOM = 14, 380, 66, 50  # pixels
_OVERSAMPLING = 3


@dataclass(frozen=True)
class PercentAxes:
    """A picture with axes, to draw on in shares; use it through [`percent_axes`].

    Args:
        image (`PIL.Image.Image`): The picture.
        square (`PIL.Image.Image`): The square between the axes, larger than it will be.
        corner (`tuple[int, int]`): Where the square belongs.
        theme ([`Theme`]): The colours.
    """

    image: Image.Image
    square: Image.Image
    corner: tuple[int, int]
    theme: Theme

    def line(self, x: np.ndarray, y: np.ndarray, color: Color, width: int = 2) -> None:
        """A line through points, given as shares in [0, 1]."""
        size = self.square.width - 1
        points = [(float(a) * size, (1 - float(b)) * size) for a, b in zip(x, y, strict=True)]
        ImageDraw.Draw(self.square).line(points, fill=color, width=width * _OVERSAMPLING, joint="curve")

    def bar(self, x: tuple[float, float], y: tuple[float, float], color: Color) -> None:
        """A filled box between shares."""
        size = self.square.width - 1
        box = (x[0] * size + _OVERSAMPLING, (1 - max(y)) * size, x[1] * size - _OVERSAMPLING, (1 - min(y)) * size)
        ImageDraw.Draw(self.square).rectangle(box, fill=color)

    def finish(self, legend: Sequence[tuple[str, Color]]) -> Image.Image:
        """The picture, with names and their colours in the upper left corner."""
        self.image.paste(self.square.reduce(_OVERSAMPLING), self.corner)
        draw = ImageDraw.Draw(self.image)
        left, top = self.corner
        for number, (name, color) in enumerate(legend):
            draw.text((left + 12, top + 10 + 19 * number), name, fill=color, font=font_for(13, name))
        return self.image


def percent_axes(x_name: str, y_name: str, title: str | None, theme: Theme) -> PercentAxes:
    """Axes with a grid at every 20 %.

    Args:
        x_name, y_name (`str`): The names of the axes.
        title (`str`, *optional*): Title above the picture.
        theme ([`Theme`]): The colours.
    """
    lines = wrap(title, font_for(17, title), _LEFT + _SIZE) if title else []
    top = _BORDER + 23 * len(lines) + (10 if lines else 0)
    image = Image.new(
        "RGB", (_BORDER + _LEFT + _SIZE + 2 * _BORDER, top + _SIZE + _BOTTOM + _BORDER), theme.background
    )
    draw, font, corner = ImageDraw.Draw(image), font_for(12), (_BORDER + _LEFT, top)
    draw_title(draw, lines, (_BORDER, _BORDER), theme)
    square = Image.new("RGB", (_SIZE * _OVERSAMPLING,) * 2, theme.panel)
    axes = PercentAxes(image, square, corner, theme)
    for share in np.linspace(0, 1, 6):
        axes.line(np.array([0, 1]), np.array([share, share]), theme.grid, 1)
        axes.line(np.array([share, share]), np.array([0, 1]), theme.grid, 1)
        text = f"{100 * share:.0f} %"
        draw.text((corner[0] - 8, top + (1 - share) * _SIZE), text, fill=theme.faint, font=font, anchor="rm")
        draw.text((corner[0] + share * _SIZE, top + _SIZE + 7), text, fill=theme.faint, font=font, anchor="ma")
    draw.text((corner[0] + _SIZE / 2, top + _SIZE + 28), x_name, fill=theme.text, font=font_for(13), anchor="ma")
    label = vertical_text(y_name, font_for(13), theme.text, theme.background)
    image.paste(label, (_BORDER, top + (_SIZE - label.height) // 2))
    return axes
