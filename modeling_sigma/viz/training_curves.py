"""How a training went: losses and scores over its steps, from a Trainer's log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from modeling_sigma.io.json_text import parsed_json
from modeling_sigma.io.reading_budget import reading_budget
from modeling_sigma.io.reading_errors import naming_file
from modeling_sigma.io.text_files import read_text
from modeling_sigma.viz.curve_kinds import panels_of, short_names
from modeling_sigma.viz.picture_style import Color, Theme, draw_title, font_for, nice_ticks, theme_of, tick_text, wrap


_BORDER, _PANEL_GAP, _TITLE = 14, 40, 24  # pixels: around, below a panel for its steps, above it for its title
_LEFT, _COLUMN_GAP = 52, 26  # for numbers on the left, between two columns
_ONE_COLUMN, _TWO_COLUMNS = (560, 230), (380, 190)  # width and height of a panel: of one or two, and of more
_OVERSAMPLING = 3
# What logs hold besides losses and scores.
_NOT_SHOWN = ("epoch", "step", "total_flos", "learning_rate", "grad_norm", "runtime", "per_second", "num_")
_NOT_SHOWN_NAMES = ("train_loss", "clips", "frames", "padding")

# Name -> (step, value) pairs.
Curves = Mapping[str, Sequence[tuple[float, float]]]


def read_curves(path: str | Path) -> dict[str, list[tuple[float, float]]]:
    """The curves in a `trainer_state.json`, or in a JSON list or JSON lines of logged dicts.

    Raises:
        ValueError: if no logged numbers are in it.
    """
    with reading_budget(path):
        text = read_text(path, "JSON or JSON lines of a training log")
        with naming_file(path, "JSON or JSON lines of a training log"):
            content: Any = parsed_json(text, may_have_lines=True)
            log = content.get("log_history") if isinstance(content, dict) else content
            entries = log if isinstance(log, list) else []
            curves = collect_curves([entry for entry in entries if isinstance(entry, dict)])
    if not curves:
        raise ValueError(f"{path}: expected a trainer_state.json or logged dicts with numbers, found none")
    return curves


def collect_curves(log: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """The `(step, value)` pairs of each number in a Trainer's log. An entry without a step counts by its position."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for number, entry in enumerate(log):
        for name, value in entry.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if is_number and not any(part in name for part in _NOT_SHOWN) and name not in _NOT_SHOWN_NAMES:
                curves.setdefault(name, []).append((float(entry.get("step", number)), float(value)))
    return curves


def draw_training_curves(curves: Curves, *, title: str | None = None, dark: bool = False) -> Image.Image:
    """Draws curves of one kind into one titled panel, names at the ends of their lines.

    Losses, percentages, ranks and fractions do not share an axis, and no panel has more curves than there are colours.

    Args:
        curves (`Mapping[str, Sequence[tuple[float, float]]]`):
            `(step, value)` pairs, steps rising; `curve_kinds` tells from their names what they are. Values that are
            not finite leave a gap and are marked at the lower edge: a training that broke shows where.
        title (`str`, *optional*):
            Title above the picture.
        dark (`bool`, *optional*, defaults to `False`):
            Whether to draw on a dark background.

    Returns:
        `PIL.Image.Image` in mode RGB. Curves of more than 200 points get a smoothed curve on top.

    Raises:
        ValueError: without a curve that has two finite points.
    """
    shown = {name: np.asarray(points, float) for name, points in curves.items() if len(points) > 1}
    shown = {name: points for name, points in shown.items() if np.isfinite(points[:, 1]).sum() > 1}
    if not shown:
        raise ValueError("expected at least one curve with two finite values, received none: log more often")
    theme = theme_of(dark)
    panels = [
        (panel, {short: shown[name] for name, short in short_names(names, panel).items()})
        for panel, names in panels_of(shown, len(theme.series))
    ]
    num_columns = 1 if len(panels) <= 2 else 2
    size = _ONE_COLUMN if num_columns == 1 else _TWO_COLUMNS
    texts = [_end_text(name, points) for _, members in panels for name, points in members.items()]
    labels = round(max(font_for(13, text).getlength(text) for text in texts)) + 16
    column = _LEFT + size[0] + labels
    width = 2 * _BORDER + num_columns * column + (num_columns - 1) * _COLUMN_GAP
    lines = wrap(title, font_for(17, title), width - 2 * _BORDER) if title else []
    top = _BORDER + 23 * len(lines) + (10 if lines else 0)
    row = _TITLE + size[1] + _PANEL_GAP
    image = Image.new("RGB", (width, top + -(-len(panels) // num_columns) * row), theme.background)
    draw_title(ImageDraw.Draw(image), lines, (_BORDER, _BORDER), theme)
    steps = np.concatenate([points[:, 0] for points in shown.values()])
    for number, (panel, members) in enumerate(panels):
        left = _BORDER + _LEFT + (number % num_columns) * (column + _COLUMN_GAP)
        corner = (left, top + (number // num_columns) * row + _TITLE)
        place = (left, corner[1] - 8)
        ImageDraw.Draw(image).text(place, panel, fill=theme.text, font=font_for(14, panel), anchor="ls")
        _draw_panel(image, members, corner, size, (float(steps.min()), float(steps.max())), theme)
    return image


def _end_text(name: str, points: np.ndarray) -> str:
    return f"{name}  {points[np.isfinite(points[:, 1])][-1, 1]:.3g}"


def _draw_panel(
    image: Image.Image,
    curves: Mapping[str, np.ndarray],
    corner: tuple[int, int],
    size: tuple[int, int],
    steps: tuple[float, float],
    theme: Theme,
) -> None:
    (left, top), (width, height) = corner, size
    values = np.concatenate([points[:, 1] for points in curves.values()])
    values = values[np.isfinite(values)]
    low, high = min(0.0, float(values.min())), float(values.max())
    high = high if high > low else low + 1.0
    large = Image.new("RGB", (width * _OVERSAMPLING, height * _OVERSAMPLING), theme.panel)
    draw, small = ImageDraw.Draw(image), font_for(12)

    def place(points: np.ndarray) -> np.ndarray:
        x = (points[:, 0] - steps[0]) / max(steps[1] - steps[0], 1e-9)
        y = 1 - (points[:, 1] - low) / (high - low)
        margin = 6 / height
        return np.stack([x * (width - 1), (margin + y * (1 - 2 * margin)) * height], axis=1)

    ticks = nice_ticks(low, high)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    grid = ImageDraw.Draw(large)
    for tick in ticks:
        y = float(place(np.array([[steps[0], tick]]))[0, 1])
        grid.line([(0, y * _OVERSAMPLING), (large.width, y * _OVERSAMPLING)], fill=theme.grid, width=_OVERSAMPLING)
        draw.text((left - 8, top + y), tick_text(tick, step), fill=theme.faint, font=small, anchor="rm")
    ends = []
    for color, (name, points) in zip(theme.series, curves.items()):
        _draw_curve(grid, points, place, color, theme)
        finite = points[np.isfinite(points[:, 1])]
        ends.append((float(place(finite[-1:])[0, 1]), _end_text(name, points), color))
    image.paste(large.reduce(_OVERSAMPLING), corner)
    for y, (text, color) in zip(_spread([end[0] for end in ends], height), [end[1:] for end in ends]):
        draw.text((left + width + 10, top + y), text, fill=color, font=font_for(13, text), anchor="lm")
    for number, tick in enumerate(ticks := nice_ticks(*steps)):
        x = left + (tick - steps[0]) / max(steps[1] - steps[0], 1e-9) * (width - 1)
        text = f"{tick:g}" + (" steps" if number == len(ticks) - 1 else "")
        anchor = "ra" if number == len(ticks) - 1 and x > left + width - 40 else "ma"
        draw.text((x, top + height + 6), text, fill=theme.faint, font=small, anchor=anchor)


def _draw_curve(draw: ImageDraw.ImageDraw, points: np.ndarray, place: Any, color: Color, theme: Theme) -> None:
    is_noisy = len(points) > 200
    pale = tuple((2 * panel + channel) // 3 for panel, channel in zip(theme.panel, color))
    where = place(points) * _OVERSAMPLING
    for piece in _finite_pieces(where):
        draw.line([tuple(point) for point in piece], fill=pale if is_noisy else color, width=2 * _OVERSAMPLING)
    if is_noisy:
        for piece in _finite_pieces(place(_smooth(points)) * _OVERSAMPLING):
            draw.line([tuple(point) for point in piece], fill=color, width=2 * _OVERSAMPLING)
    for x in where[~np.isfinite(where[:, 1]), 0]:  # a cross where a value is not finite
        size, y = 4 * _OVERSAMPLING, draw.im.size[1] - 8 * _OVERSAMPLING
        draw.line([(x - size, y - size), (x + size, y + size)], fill=theme.wrong, width=2 * _OVERSAMPLING)
        draw.line([(x - size, y + size), (x + size, y - size)], fill=theme.wrong, width=2 * _OVERSAMPLING)


def _finite_pieces(points: np.ndarray) -> list[np.ndarray]:
    good = np.isfinite(points[:, 1])
    cuts = np.flatnonzero(np.diff(good.astype(int))) + 1
    pieces = np.split(points, cuts)
    return [piece for piece in pieces if len(piece) > 1 and math.isfinite(piece[0, 1])]


def _smooth(points: np.ndarray) -> np.ndarray:
    """A running mean over a fiftieth of the points, of those that are finite."""
    size = max(3, len(points) // 50) | 1
    kernel, values = np.ones(size), points[:, 1]
    good = np.isfinite(values)
    total = np.convolve(np.where(good, values, 0.0), kernel, "same")
    count = np.convolve(good.astype(float), kernel, "same")
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=good & (count > 0))
    return np.stack([points[:, 0], mean], axis=1)


def _spread(wanted: Sequence[float], height: float) -> list[float]:
    """Heights near the wanted ones that leave room for a line of text each."""
    step = 18.0
    order = np.argsort(wanted, kind="stable")
    places = np.array(wanted, float)[order]
    for number in range(1, len(places)):
        places[number] = max(places[number], places[number - 1] + step)
    if len(places):
        places -= max(0.0, places[-1] - (height - 6))
    for number in range(len(places) - 2, -1, -1):
        places[number] = min(places[number], places[number + 1] - step)
    result = np.empty_like(places)
    result[order] = places
    return result.tolist()
