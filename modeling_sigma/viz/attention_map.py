"""Where a model looks while it generates text: for each word a curve over the clip, and the frame at its peak."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.viz.picture_style import (
    Theme,
    draw_title,
    font_for,
    nice_ticks,
    shorten,
    theme_of,
    tick_text,
    wrap,
)
from modeling_sigma.viz.skeleton_figure import SkeletonFigures


_BORDER, _ROW = 14, 84  # pixels: around, of a word
_MAX_WORD_WIDTH = 150
_OVERSAMPLING = 3


def draw_attention_map(
    weights: np.ndarray,
    words: Sequence[str],
    clip: PoseClip,
    *,
    frames: Sequence[int] | np.ndarray | None = None,
    title: str | None = None,
    width: int = 560,
    dark: bool = False,
) -> Image.Image:
    """Draws the attention of each written word over the frames.

    Args:
        weights (`np.ndarray` of shape `(num_words, num_frames)`):
            Attention weights, not negative. All rows share one scale: a flat row looks flat.
        words (`Sequence[str]`):
            The words that were written, one per row.
        clip ([`PoseClip`]):
            The clip that was read.
        frames (`Sequence[int]`, *optional*):
            The frame of the clip that each column stands for; by default, its number.
        title (`str`, *optional*):
            Title above the picture.
        width (`int`, *optional*, defaults to 560):
            Width of the curves in pixels.
        dark (`bool`, *optional*, defaults to `False`):
            Whether to draw on a dark background.

    Returns:
        `PIL.Image.Image` in mode RGB.

    Raises:
        ValueError: for weights of another shape, weights that are negative or not finite, or wrong numbers of words or
            frames.
    """
    weights = np.asarray(weights, float)
    if weights.ndim != 2 or weights.size == 0 or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"expected weights (num_words, num_frames), not negative, received {weights.shape}")
    if len(words) != len(weights):
        raise ValueError(f"expected {len(weights)} words, one per row, received {len(words)}")
    columns = np.arange(weights.shape[1]) if frames is None else np.asarray(frames)
    if len(columns) != weights.shape[1]:
        raise ValueError(f"expected {weights.shape[1]} frames, one per column, received {len(columns)}")
    theme = theme_of(dark)
    figures = SkeletonFigures(clip, _ROW - 6, theme)
    font = font_for(16, "".join(words))
    word_width = int(min(_MAX_WORD_WIDTH, max(font.getlength(word) for word in words))) + 12
    title_lines = wrap(title, font_for(17, title), word_width + width) if title else []
    left, top = _BORDER + word_width, _BORDER + 23 * len(title_lines) + (6 if title_lines else 0)
    right = left + width
    size = (right + 16 + figures.size[0] + _BORDER, top + len(words) * _ROW + 28 + _BORDER)
    image = Image.new("RGB", size, theme.background)
    draw = ImageDraw.Draw(image)
    draw_title(draw, title_lines, (_BORDER, _BORDER), theme)
    highest = float(weights.max()) or 1.0
    for row, word in enumerate(words):
        y = top + row * _ROW
        curve, peak = _curve(weights[row] / highest, (width, _ROW - 6), theme)
        image.paste(curve, (left, y))
        shown = shorten(word, font, word_width - 12)
        draw.text((left - 10, y + _ROW / 2 - 3), shown, fill=theme.text, font=font, anchor="rm")
        image.paste(figures.draw(int(columns[weights[row].argmax()])), (right + 16, y))
        tip = (left + peak[0], y + peak[1])
        draw.line([tip, (right + 15, tip[1])], fill=theme.series[1], width=1)
        draw.ellipse((tip[0] - 4, tip[1] - 4, tip[0] + 4, tip[1] + 4), fill=theme.series[1])
        box = (right + 15, y - 1, right + 16 + figures.size[0], y + _ROW - 6)
        draw.rectangle(box, outline=theme.series[1])
    times = columns / clip.fps if clip.fps else columns.astype(float)
    ticks = nice_ticks(float(times[0]), float(times[-1]), 6)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    for number, tick in enumerate(ticks):
        x = left + (float(np.interp(tick, times, np.arange(len(times)))) + 0.5) * width / len(times)
        unit = (" s" if clip.fps else " frames") if number == len(ticks) - 1 else ""
        place = (x, top + len(words) * _ROW + 2)
        draw.text(place, tick_text(tick, step) + unit, fill=theme.faint, font=font_for(12), anchor="ma")
    return image


def _curve(shares: np.ndarray, size: tuple[int, int], theme: Theme) -> tuple[Image.Image, tuple[float, float]]:
    """A filled curve of values in [0, 1], and where its peak is in the picture."""
    width, height = size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING
    image = Image.new("RGB", (width, height), theme.panel)
    draw = ImageDraw.Draw(image)
    x = (np.arange(len(shares)) + 0.5) * width / len(shares)
    y = height - 1 - shares * (height - 8 * _OVERSAMPLING)
    points = [(0.0, float(y[0])), *zip(x.tolist(), y.tolist()), (float(width), float(y[-1]))]
    fill = tuple((2 * panel + color) // 3 for panel, color in zip(theme.panel, theme.series[0]))
    draw.polygon([(0.0, float(height)), *points, (float(width), float(height))], fill=fill)
    draw.line(points, fill=theme.series[0], width=2 * _OVERSAMPLING, joint="curve")
    peak = int(shares.argmax())
    return image.reduce(_OVERSAMPLING), (float(x[peak]) / _OVERSAMPLING, float(y[peak]) / _OVERSAMPLING)
