"""Which frames belong to which word: a heat map below the skeleton, with one row per word."""

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
    ramp_colors,
    shorten,
    theme_of,
    tick_text,
    wrap,
)
from modeling_sigma.viz.skeleton_figure import SkeletonFigures


_BORDER, _ROW, _GAP = 14, 34, 4  # pixels: around, of a word's row, between rows
_FIGURE = 104  # height of the skeletons
_MAX_WORD_WIDTH = 150


def draw_alignment_map(
    values: np.ndarray,
    words: Sequence[str],
    *,
    clip: PoseClip | None = None,
    frames: Sequence[int] | np.ndarray | None = None,
    fps: float | None = None,
    title: str | None = None,
    width: int = 720,
    dark: bool = False,
) -> Image.Image:
    """Draws how much each word and each frame belong together.

    The frame that fits a word best is framed in its row, and drawn above: the figure of a word stands over its frame,
    joined to it by a line.

    Args:
        values (`np.ndarray` of shape `(num_words, num_frames)`):
            Cosines or weights. In each row, the colours reach from the smallest to the largest value.
        words (`Sequence[str]`):
            The words, one per row.
        clip ([`PoseClip`], *optional*):
            The clip, for the figures above.
        frames (`Sequence[int]`, *optional*):
            The frame of the clip that each column stands for; by default, its number.
        fps (`float`, *optional*):
            Frames per second, for an axis in seconds; the clip's own by default.
        title (`str`, *optional*):
            Title above the picture.
        width (`int`, *optional*, defaults to 720):
            Width of the map in pixels, without the words.
        dark (`bool`, *optional*, defaults to `False`):
            Whether to draw on a dark background.

    Returns:
        `PIL.Image.Image` in mode RGB.

    Raises:
        ValueError: for values of another shape, values that are not finite, or wrong numbers of words or frames.
    """
    values = np.asarray(values, float)
    if values.ndim != 2 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"expected finite values of shape (num_words, num_frames), received {values.shape}")
    if len(words) != len(values):
        raise ValueError(f"expected {len(values)} words, one per row, received {len(words)}")
    columns = np.arange(values.shape[1]) if frames is None else np.asarray(frames)
    if len(columns) != values.shape[1]:
        raise ValueError(f"expected {values.shape[1]} frames, one per column, received {len(columns)}")
    theme = theme_of(dark)
    rate = fps if fps is not None else clip.fps if clip is not None else None
    font = font_for(16, "".join(words))
    word_width = int(min(_MAX_WORD_WIDTH, max(font.getlength(word) for word in words))) + 12
    title_lines = wrap(title, font_for(17, title), word_width + width) if title else []
    left, map_height = _BORDER + word_width, len(words) * (_ROW + _GAP) - _GAP
    figures_top = _BORDER + 23 * len(title_lines) + (6 if title_lines else 0)
    map_top = figures_top + (_FIGURE + 22 if clip is not None else 0)
    image = Image.new("RGB", (left + width + _BORDER, map_top + map_height + 46), theme.background)
    draw = ImageDraw.Draw(image)
    draw_title(draw, title_lines, (_BORDER, _BORDER), theme)
    column_width = width / values.shape[1]
    best = values.argmax(axis=1)
    for row, word in enumerate(words):
        top = map_top + row * (_ROW + _GAP)
        image.paste(_row_picture(values[row], width, theme), (left, top))
        shown = shorten(word, font, word_width - 12)
        draw.text((left - 10, top + _ROW / 2), shown, fill=theme.text, font=font, anchor="rm")
    if clip is not None:
        draw_figures(image, clip, columns, best, (left, figures_top), column_width, map_top, theme)
    for row, column in enumerate(best):
        top = map_top + row * (_ROW + _GAP)
        x = left + column * column_width
        box = (x - 1, top - 1, max(x + column_width, x + 4), top + _ROW)
        draw.rectangle(box, outline=theme.series[1], width=2)
    _draw_axis(draw, columns, rate, (left, map_top + map_height + 4), column_width, theme)
    _draw_ramp(image, (left + width - 200, map_top + map_height + 30), theme)
    return image


def draw_figures(
    image: Image.Image,
    clip: PoseClip,
    columns: np.ndarray,
    best: np.ndarray,
    corner: tuple[int, int],
    column_width: float,
    map_top: int,
    theme: Theme,
) -> None:
    """Puts the figure of each word's best frame above the map, in order of time, and a line down to its column."""
    figures = SkeletonFigures(clip, _FIGURE, theme)
    draw = ImageDraw.Draw(image)
    left, top = corner
    chosen = sorted({int(column) for column in best})
    right = image.width - _BORDER
    room = max(1, (right - left) // (figures.size[0] + 6))
    if len(chosen) > room:
        chosen = [chosen[index] for index in np.linspace(0, len(chosen) - 1, room).round().astype(int)]
    wanted = [left + (column + 0.5) * column_width - figures.size[0] / 2 for column in chosen]
    for column, x in zip(chosen, _apart(wanted, figures.size[0] + 6, left, right - figures.size[0])):
        image.paste(figures.draw(int(columns[column])), (round(x), top))
        middle, foot = left + (column + 0.5) * column_width, top + _FIGURE
        row = int(np.flatnonzero(best == column)[0])
        draw.line(
            [(x + figures.size[0] / 2, foot), (middle, foot + 14), (middle, map_top + row * (_ROW + _GAP))],
            fill=theme.series[1],
            width=1,
        )


def _apart(wanted: list[float], step: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones (in order), at least `step` apart, inside [low, high]."""
    places: list[float] = []
    for number, place in enumerate(wanted):
        latest = high - step * (len(wanted) - 1 - number)
        earliest = places[-1] + step if places else low
        places.append(max(earliest, min(place, latest)))
    return places


def _row_picture(values: np.ndarray, width: int, theme: Theme) -> Image.Image:
    low, high = float(values.min()), float(values.max())
    shares = (values - low) / (high - low) if high > low else np.zeros_like(values)
    colors = ramp_colors(shares, theme)[None]  # (1, T, 3)
    return Image.fromarray(colors).resize((width, _ROW), Image.Resampling.NEAREST)


def _draw_axis(
    draw: ImageDraw.ImageDraw,
    columns: np.ndarray,
    fps: float | None,
    corner: tuple[int, int],
    column_width: float,
    theme: Theme,
) -> None:
    font = font_for(12)
    left, top = corner
    times = columns / fps if fps else columns.astype(float)
    ticks = nice_ticks(float(times[0]), float(times[-1]), 6)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    for number, tick in enumerate(ticks):
        x = left + (float(np.interp(tick, times, np.arange(len(times)))) + 0.5) * column_width
        draw.line([(x, top - 2), (x, top + 3)], fill=theme.faint)
        unit = (" s" if fps else " frames") if number == len(ticks) - 1 else ""
        draw.text((x, top + 5), tick_text(tick, step) + unit, fill=theme.faint, font=font, anchor="ma")


def _draw_ramp(image: Image.Image, corner: tuple[int, int], theme: Theme) -> None:
    draw, font = ImageDraw.Draw(image), font_for(12)
    x, y = corner
    draw.text((x - 6, y + 5), "less", fill=theme.faint, font=font, anchor="rm")
    ramp = Image.fromarray(ramp_colors(np.linspace(0, 1, 160), theme)[None]).resize((160, 10))
    image.paste(ramp, (x, y))
    draw.rectangle((x - 1, y - 1, x + 160, y + 10), outline=theme.grid)
    draw.text((x + 166, y + 5), "more", fill=theme.faint, font=font, anchor="lm")
