"""What the colours of a skeleton mean: a legend in rows."""

from __future__ import annotations

from PIL import ImageDraw

from modeling_sigma.viz.picture_style import Font, Theme, font_size
from modeling_sigma.viz.skeleton_figure import PART_LABELS


_MARK, _MARK_GAP, _ENTRY_GAP = 9, 5, 16  # pixels


def legend_rows(font: Font, width: int) -> list[list[str]]:
    """The entries of the legend (parts, then the empty string for joints not found), row by row."""
    rows: list[list[str]] = [[]]
    used = 0.0
    for entry in (*PART_LABELS, ""):
        needed = _MARK + _MARK_GAP + font.getlength(_legend_text(entry))
        if rows[-1] and used + _ENTRY_GAP + needed > width:
            rows.append([])
            used = 0.0
        used += needed + (_ENTRY_GAP if rows[-1] else 0)
        rows[-1].append(entry)
    return rows


def draw_legend_row(
    draw: ImageDraw.ImageDraw, entries: list[str], position: tuple[int, int], font: Font, theme: Theme
) -> None:
    """Draws one row; `position` is its upper left corner."""
    x, y = float(position[0]), position[1]
    middle = y + font_size(font) / 2 + 1
    for entry in entries:
        circle = (x, middle - _MARK / 2, x + _MARK, middle + _MARK / 2)
        if entry:
            draw.ellipse(circle, fill=theme.parts[entry])
        else:
            draw.ellipse(circle, outline=theme.faint)
        text = _legend_text(entry)
        draw.text((x + _MARK + _MARK_GAP, middle), text, fill=theme.faint, font=font, anchor="lm")
        x += _MARK + _MARK_GAP + font.getlength(text) + _ENTRY_GAP


def _legend_text(entry: str) -> str:
    return PART_LABELS.get(entry, "not found")
