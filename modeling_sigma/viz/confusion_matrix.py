"""Which signs are mistaken for which: a matrix of true against predicted labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from modeling_sigma.viz.picture_style import (
    draw_arrow,
    draw_title,
    font_for,
    ramp_colors,
    shorten,
    theme_of,
    vertical_text,
    wrap,
)


_BORDER, _MAX_LABEL = 14, 130  # pixels
OTHERS = "(others)"


def draw_confusion_matrix(
    references: Sequence[str],
    predictions: Sequence[str],
    *,
    max_labels: int = 20,
    title: str | None = None,
    dark: bool = False,
) -> Image.Image:
    """Draws how often each label was read as each other one.

    A row is what was signed, a column what was read; the colour is the share of the row, the number the count. Right
    answers lie on the diagonal, which is framed.

    Args:
        references, predictions (`Sequence[str]`):
            The true and the predicted label of each clip.
        max_labels (`int`, *optional*, defaults to 20):
            Number of labels to draw. If there are more, the most confused ones are drawn, and one column gathers all
            others.
        title (`str`, *optional*):
            Title above the picture.
        dark (`bool`, *optional*, defaults to `False`):
            Whether to draw on a dark background.

    Returns:
        `PIL.Image.Image` in mode RGB.

    Raises:
        ValueError: for unequal numbers of labels, for none, or for `max_labels` under 2.
    """
    if len(references) != len(predictions) or not references:
        raise ValueError(
            f"expected one prediction per reference, received {len(predictions)} for {len(references)} references"
        )
    if max_labels < 2:
        raise ValueError(f"expected max_labels of at least 2, received {max_labels}")
    theme = theme_of(dark)
    labels, counts = count_confusions(references, predictions, max_labels)
    columns = labels if counts.shape[1] == len(labels) else [*labels, OTHERS]
    cell = int(np.clip(640 / len(columns), 26, 56))
    font, number_font = font_for(14, "".join(columns)), font_for(12)
    label_width = int(min(_MAX_LABEL, max(font.getlength(label) for label in columns))) + 10
    lines = wrap(title, font_for(17, title), label_width + cell * len(columns)) if title else []
    top_of_labels = _BORDER + 23 * len(lines) + (6 if lines else 0) + 20
    left, top = _BORDER + 20 + label_width, top_of_labels + label_width
    size = (left + cell * len(columns) + _BORDER, top + cell * len(labels) + _BORDER)
    image = Image.new("RGB", size, theme.background)
    draw = ImageDraw.Draw(image)
    draw_title(draw, lines, (_BORDER, _BORDER), theme)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    colors = ramp_colors(shares, theme)
    for row, label in enumerate(labels):
        y = top + row * cell
        draw.text((left - 8, y + cell / 2), shorten(label, font, label_width - 10), theme.text, font, anchor="rm")
        for column in range(len(columns)):
            x = left + column * cell
            color = colors[row, column]
            draw.rectangle((x, y, x + cell - 2, y + cell - 2), fill=tuple(color.tolist()))
            if counts[row, column]:
                ink = (255, 255, 255) if color @ (0.299, 0.587, 0.114) < 140 else (20, 23, 28)
                place = (x + cell / 2 - 1, y + cell / 2 - 1)
                draw.text(place, str(counts[row, column]), fill=ink, font=number_font, anchor="mm")
        draw.rectangle(
            (left + row * cell - 1, y - 1, left + (row + 1) * cell - 1, y + cell - 1), outline=theme.right, width=2
        )
    for column, label in enumerate(columns):
        name = vertical_text(shorten(label, font, label_width - 10), font, theme.text, theme.background)
        image.paste(name, (left + column * cell + cell // 2 - name.width // 2, top - 6 - name.height))
    draw.text((left, top_of_labels - 20), "read as", fill=theme.faint, font=number_font)
    start, level = left + number_font.getlength("read as") + 8, top_of_labels - 12
    draw_arrow(draw, (start, level), (start + 22, level), theme.faint, 1)
    side = vertical_text("signed", number_font, theme.faint, theme.background)
    image.paste(side, (_BORDER, top))
    middle, below = _BORDER + side.width / 2, top + side.height + 6
    draw_arrow(draw, (middle, below), (middle, below + 22), theme.faint, 1)
    return image


def count_confusions(
    references: Sequence[str], predictions: Sequence[str], max_labels: int
) -> tuple[list[str], np.ndarray]:
    """Labels (the most confused first, if not all are shown; else in order) and counts of true against predicted.

    Returns:
        `tuple`: labels, and counts `(num_labels, num_labels)`, with one more column where predictions lie outside.
    """
    labels = sorted(set(references))
    if len(labels) > max_labels:
        mistakes = Counter(true for true, read in zip(references, predictions) if true != read)
        labels = sorted(labels, key=lambda label: (-mistakes[label], label))[:max_labels]
    row_of = {label: row for row, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels) + 1), int)
    for true, read in zip(references, predictions):
        if true in row_of:
            counts[row_of[true], row_of.get(read, len(labels))] += 1
    return labels, counts if counts[:, -1].any() else counts[:, :-1]
