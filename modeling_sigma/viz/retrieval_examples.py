"""What a search found: the query on the left, then the results, most similar first, with right ones marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw

from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import even_frame_indices
from modeling_sigma.viz.picture_style import Theme, draw_arrow, draw_title, font_for, theme_of, wrap
from modeling_sigma.viz.skeleton_figure import SkeletonFigures


# A sentence or a clip.
Item = str | PoseClip

_BORDER, _FIGURE, _CARD_GAP, _ROW_GAP = 14, 96, 10, 18  # pixels
_CARD_WIDTH, _LINE, _BAR = 236, 20, 6
_NUM_RESULTS = 4  # per row


@dataclass(frozen=True)
class RetrievalExample:
    """One query and what was found for it.

    Args:
        query (`str` or [`PoseClip`]): The text or clip that was searched for.
        results (`list[tuple[Item, float]]`): Found items with their similarity, best first.
        is_right (`list[bool]`, *optional*): Whether each result belongs to the query.
    """

    query: Item
    results: list[tuple[Item, float]]
    is_right: list[bool] | None = None


def draw_retrieval_examples(
    examples: Sequence[RetrievalExample], *, title: str | None = None, dark: bool = False
) -> Image.Image:
    """Draws one row per query, with the four best results.

    Three frames stand for a clip. The length of a result's bar is its similarity relative to the best of its row; a
    result that belongs to the query has a tick and a frame.

    Args:
        examples (`Sequence[RetrievalExample]`):
            The queries: texts, clips, or both.

        title (`str`, *optional*):
            Title above the picture.
        dark (`bool`, *optional*, defaults to `False`):
            Whether to draw on a dark background.

    Returns:
        `PIL.Image.Image` in mode RGB.

    Raises:
        ValueError: without an example, for one without a result, or for marks that do not fit the results.
    """
    if not examples:
        raise ValueError("expected at least one example, received none")
    for example in examples:
        if not example.results:
            raise ValueError("expected at least one result per query, received none")
        if example.is_right is not None and len(example.is_right) != len(example.results):
            raise ValueError(
                f"expected {len(example.results)} marks, one per result, received {len(example.is_right)}"
            )
    theme = theme_of(dark)
    rows = [_row(example, theme) for example in examples]
    lines = wrap(title, font_for(17, title), rows[0].width) if title else []
    top = _BORDER + 23 * len(lines) + (8 if lines else 0)
    width = max(row.width for row in rows) + 2 * _BORDER
    height = top + sum(row.height for row in rows) + _ROW_GAP * (len(rows) - 1) + _BORDER
    image = Image.new("RGB", (width, height), theme.background)
    draw_title(ImageDraw.Draw(image), lines, (_BORDER, _BORDER), theme)
    for row in rows:
        image.paste(row, (_BORDER, top))
        top += row.height + _ROW_GAP
    return image


def _row(example: RetrievalExample, theme: Theme) -> Image.Image:
    best = max((score for _, score in example.results), default=1.0)
    marks = example.is_right or [False] * len(example.results)
    cards = [
        _card(item, theme, score=score, share=max(0.0, score / best) if best > 0 else 0.0, is_right=mark)
        for (item, score), mark in list(zip(example.results, marks))[:_NUM_RESULTS]
    ]
    query = _card(example.query, theme)
    height = max(query.height, *(card.height for card in cards))
    arrow = 40
    width = query.width + arrow + _NUM_RESULTS * (_CARD_WIDTH + _CARD_GAP)
    image = Image.new("RGB", (width, height), theme.background)
    image.paste(query, (0, 0))
    draw, y = ImageDraw.Draw(image), height // 2
    draw_arrow(draw, (query.width + 8, y), (query.width + arrow - 8, y), theme.faint)
    for number, card in enumerate(cards):
        image.paste(card, (query.width + arrow + number * (_CARD_WIDTH + _CARD_GAP), 0))
    return image


def _card(
    item: Item, theme: Theme, score: float | None = None, share: float = 0.0, is_right: bool = False
) -> Image.Image:
    """A result, or (without a score) the query."""
    content = _text_content(item, theme) if isinstance(item, str) else _clip_content(item, theme)
    foot = 0 if score is None else _BAR + 24
    image = Image.new("RGB", (_CARD_WIDTH, content.height + foot + 8), theme.panel)
    image.paste(content, ((_CARD_WIDTH - content.width) // 2, 4))
    draw = ImageDraw.Draw(image)
    if score is not None:
        color = theme.right if is_right else theme.faint
        y = content.height + 8
        draw.rectangle((8, y, _CARD_WIDTH - 9, y + _BAR), fill=theme.grid)
        draw.rectangle((8, y, 8 + share * (_CARD_WIDTH - 17), y + _BAR), fill=color)
        draw.text((_CARD_WIDTH - 8, y + _BAR + 4), f"{score:.2f}", fill=theme.faint, font=font_for(12), anchor="ra")
        if is_right:
            tick = [(10, y + _BAR + 11), (14, y + _BAR + 16), (23, y + _BAR + 6)]
            draw.line(tick, fill=theme.right, width=3, joint="curve")
    outline = theme.text if score is None else theme.right if is_right else theme.grid
    draw.rectangle((0, 0, image.width - 1, image.height - 1), outline=outline, width=2 if is_right else 1)
    return image


def _text_content(text: str, theme: Theme) -> Image.Image:
    font = font_for(15, text)
    lines = wrap(f"“{text}”", font, _CARD_WIDTH - 20)
    image = Image.new("RGB", (_CARD_WIDTH - 4, max(_FIGURE, _LINE * len(lines))), theme.panel)
    draw = ImageDraw.Draw(image)
    top = (image.height - _LINE * len(lines)) / 2
    for number, line in enumerate(lines):
        place = (image.width / 2, top + _LINE * number)
        draw.text(place, line, fill=theme.text, font=font, anchor="ma")
    return image


def _clip_content(clip: PoseClip, theme: Theme) -> Image.Image:
    figures = SkeletonFigures(clip, _FIGURE, theme)
    # The middles of three equal parts: hands rest at both ends of a clip.
    frames = sorted({int(frame) for frame in even_frame_indices(len(clip), 5)[1:4]}) or [0]
    step = min(figures.size[0], (_CARD_WIDTH - 8 - figures.size[0]) // max(1, len(frames) - 1))
    image = Image.new("RGB", (_CARD_WIDTH - 4, _FIGURE), theme.panel)
    left = (image.width - figures.size[0] - step * (len(frames) - 1)) // 2
    for number, frame in enumerate(frames):
        figure = figures.draw(frame)
        mask = figure.convert("L").point(lambda value: 255)
        if step < figures.size[0]:  # overlapping figures: only their strokes
            ground = Image.new("RGB", figure.size, theme.panel)
            mask = ImageChops.difference(figure, ground).convert("L").point(lambda value: 255 if value > 6 else 0)
        image.paste(figure, (left + number * step, 0), mask)
    return image
