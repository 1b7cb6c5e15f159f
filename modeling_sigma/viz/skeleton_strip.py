"""A clip at a glance: evenly spaced frames of its skeleton side by side."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import even_frame_indices
from modeling_sigma.viz.part_legend import draw_legend_row, legend_rows
from modeling_sigma.viz.picture_style import Theme, font_for, font_size, theme_of, wrap
from modeling_sigma.viz.skeleton_figure import SkeletonFigures


def draw_skeleton_strip(
    clip: PoseClip,
    *,
    num_frames: int = 8,
    height: int = 240,
    captions: str | Sequence[str] | None = None,
    title: str | None = None,
    dark: bool = False,
) -> Image.Image:
    """Draws evenly spaced frames of a clip side by side.

    All panels have the same scale: that of a box around every joint seen in the clip. Left and right are the signer's
    own, so a signer who faces the camera has the left hand on the right.

    Args:
        clip ([`PoseClip`]):
            A clip of any known layout.
        num_frames (`int`, *optional*, defaults to 8):
            Number of panels; a shorter clip has one for each of its frames.
        height (`int`, *optional*, defaults to 240):
            Height of a panel in pixels. Title, captions and legend add to it.
        captions (`str` or `Sequence[str]`, *optional*):
            One text under the whole strip, or one for each panel.
        title (`str`, *optional*):
            Title above the strip.
        dark (`bool`, *optional*, defaults to `False`):
            Whether to draw light figures on a dark background.

    Returns:
        `PIL.Image.Image` in mode RGB. Joints with a score of 0.3 or less are hollow, those with score 0 absent; a clip
        without any joint above 0.3 gives one empty panel that says so.

    Raises:
        ValueError: for fewer than 1 frame, a height under 40 pixels, or captions that are not as many as the panels.

    Example:

    ```python
    >>> import numpy as np
    >>> from modeling_sigma.model.pose_clip import PoseClip
    >>> from modeling_sigma.viz.skeleton_strip import draw_skeleton_strip
    >>> clip = PoseClip(np.random.default_rng(0).random((10, 133, 2)), np.ones((10, 133)), fps=25.0)
    >>> draw_skeleton_strip(clip, num_frames=4, title="noise").mode
    'RGB'

    ```
    """
    if num_frames < 1:
        raise ValueError(f"expected num_frames of at least 1, received {num_frames}")
    theme = theme_of(dark)
    figures = SkeletonFigures(clip, height, theme)
    frames = even_frame_indices(len(clip), num_frames)
    if captions is not None and not isinstance(captions, str) and len(captions) != len(frames):
        raise ValueError(
            f"expected one caption for each of the {len(frames)} panels, received {len(captions)}: pass a single "
            "string for a text under the strip"
        )
    if figures.is_empty:
        panels, labels = [figures.draw(0)], [""]
        captions = captions if isinstance(captions, str) else None
    else:
        panels = [figures.draw(int(t)) for t in frames]
        labels = [_frame_label(int(t), clip.fps) for t in frames]
    return _arrange(panels, labels, captions, title, theme)


def _frame_label(frame: int, fps: float | None) -> str:
    return f"frame {frame}" if fps is None else f"{frame} · {frame / fps:.2f} s"


def _arrange(
    panels: list[Image.Image],
    labels: list[str],
    captions: str | Sequence[str] | None,
    title: str | None,
    theme: Theme,
) -> Image.Image:
    """Panels in a row, with the title above and labels, captions and legend below."""
    width, height = panels[0].size
    gap, border = 6, 14
    row = len(panels) * width + (len(panels) - 1) * gap
    title_font, text_font, label_font = font_for(17, title or ""), font_for(13), font_for(12)

    title_lines = wrap(title, title_font, row) if title else []
    panel_captions: list[list[str]] = []
    text_lines: list[str] = []
    if isinstance(captions, str):
        text_font = font_for(13, captions)
        text_lines = wrap(captions, text_font, row)
    elif captions is not None:
        text_font = font_for(13, "".join(captions))
        panel_captions = [wrap(caption, text_font, width - 4) for caption in captions]
    legend = legend_rows(label_font, row)

    title_step, text_step, label_step = (round(1.35 * font_size(font)) for font in (title_font, text_font, label_font))
    top = border + (len(title_lines) * title_step + 6 if title_lines else 0)
    below = top + height + 5
    labels_height = label_step + 2 if any(labels) else 0
    captions_top = below + labels_height
    captions_height = max((len(lines) for lines in panel_captions), default=len(text_lines)) * text_step
    legend_top = captions_top + (captions_height + 4 if captions_height else 0) + 4
    total = legend_top + len(legend) * (label_step + 2) + border - 4

    image = Image.new("RGB", (row + 2 * border, total), theme.background)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(title_lines):
        draw.text((border, border + number * title_step), line, fill=theme.text, font=title_font)
    for number, panel in enumerate(panels):
        left = border + number * (width + gap)
        image.paste(panel, (left, top))
        draw.text((left + width / 2, below), labels[number], fill=theme.faint, font=label_font, anchor="ma")
        for place, line in enumerate(panel_captions[number] if panel_captions else []):
            position = (left + width / 2, captions_top + place * text_step)
            draw.text(position, line, fill=theme.text, font=text_font, anchor="ma")
    for number, line in enumerate(text_lines):
        draw.text((border, captions_top + number * text_step), line, fill=theme.text, font=text_font)
    for number, entries in enumerate(legend):
        draw_legend_row(draw, entries, (border, legend_top + number * (label_step + 2)), label_font, theme)
    return image
