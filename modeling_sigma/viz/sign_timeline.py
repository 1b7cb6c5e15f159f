"""A recording at a glance: which signs were found when, in rows of equal length."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from modeling_sigma.io.annotations import Annotation
from modeling_sigma.viz.picture_style import Theme, draw_title, font_for, nice_ticks, shorten, theme_of, wrap


_ROW_SECONDS, _MOST_ROWS = 20.0, 120
_LEFT, _BORDER, _BAR, _AXIS, _GAP = 14, 14, 26, 20, 10


def draw_sign_timeline(
    annotations: Sequence[Annotation],
    duration: float,
    *,
    width: int = 1200,
    title: str | None = None,
    dark: bool = False,
) -> Image.Image:
    """Draws annotations over time, a line for each tier, in rows of 20 seconds (more in recordings over 40 minutes).

    Args:
        annotations (`Sequence[Annotation]`):
            What was found. The fuller a bar, the higher the score of its value.
        duration (`float`):
            The length of the recording in seconds.
        width (`int`, *optional*, defaults to 1200):
            Width of the picture in pixels, at least 200.
        title (`str`, *optional*):
            Title above the picture.
        dark (`bool`, *optional*, defaults to `False`):
            Whether to draw on a dark background.

    Returns:
        `PIL.Image.Image` in mode RGB.

    Raises:
        ValueError: for a width under 200 pixels or a length that is not positive.
    """
    if width < 200:
        raise ValueError(f"expected a width of at least 200 pixels, received {width}")
    if not 0 < duration < math.inf:
        raise ValueError(f"expected the length of the recording in seconds, received {duration}")
    theme = theme_of(dark)
    tiers = list(dict.fromkeys(row.tier for row in annotations)) or [""]
    seconds = max(_ROW_SECONDS, duration / _MOST_ROWS)
    num_rows = math.ceil(duration / seconds)
    title_lines = wrap(title, font_for(17, title), width - 2 * _BORDER) if title else []
    row_height = len(tiers) * (_BAR + 3) + _AXIS + _GAP
    top = _BORDER + (23 * len(title_lines) + 6 if title_lines else 0)
    image = Image.new("RGB", (width, top + num_rows * row_height + _BORDER), theme.background)
    draw = ImageDraw.Draw(image)
    draw_title(draw, title_lines, (_BORDER, _BORDER), theme)
    scale = (width - 2 * _LEFT) / seconds
    for row in range(num_rows):
        start = row * seconds
        length = min(seconds, duration - start)
        y = top + row * row_height
        for place in range(len(tiers)):
            line = y + place * (_BAR + 3)
            draw.rectangle((_LEFT, line, _LEFT + length * scale, line + _BAR), fill=theme.panel)
        _draw_axis(draw, start, length, scale, y + len(tiers) * (_BAR + 3), theme)
    for annotation in annotations:
        place = tiers.index(annotation.tier)
        color = theme.series[place % len(theme.series)]
        for row in range(int(annotation.start // seconds), num_rows):
            first, last = (min(max(t - row * seconds, 0), seconds) for t in (annotation.start, annotation.end))
            if annotation.end <= row * seconds:
                break
            y = top + row * row_height + place * (_BAR + 3)
            box = (_LEFT + first * scale, y, _LEFT + max(first * scale + 2, last * scale), y + _BAR)
            _draw_bar(draw, annotation, box, color, theme)
    return image


def _draw_bar(
    draw: ImageDraw.ImageDraw,
    annotation: Annotation,
    box: tuple[float, float, float, float],
    color: tuple[int, int, int],
    theme: Theme,
) -> None:
    score = dict(annotation.scores).get(annotation.value, 1.0)
    fill = tuple(round(p + (0.15 + 0.35 * score) * (c - p)) for p, c in zip(theme.panel, color))
    draw.rectangle(box, fill=fill, outline=color)
    font = font_for(12, annotation.value)
    text = shorten(" ".join(annotation.value.split()), font, box[2] - box[0] - 6)
    if len(text) > 1 or text == annotation.value:
        draw.text((box[0] + 4, box[1] + _BAR / 2), text, fill=theme.text, font=font, anchor="lm")


def _draw_axis(draw: ImageDraw.ImageDraw, start: float, length: float, scale: float, y: float, theme: Theme) -> None:
    font = font_for(11)
    for tick in nice_ticks(start, start + length, 10):
        x = _LEFT + (tick - start) * scale
        draw.line((x, y, x, y + 4), fill=theme.faint)
        draw.text((x, y + 5), clock(tick), fill=theme.faint, font=font, anchor="ma")


def clock(seconds: float) -> str:
    """`1:02:03.5`, as short as it can be."""
    tenths = round(10 * seconds)
    hours, minutes, rest = tenths // 36_000, tenths // 600 % 60, tenths % 600
    text = f"{rest // 10:02d}" + (f".{rest % 10}" if rest % 10 else "")
    return f"{hours}:{minutes:02d}:{text}" if hours else f"{minutes}:{text}"
