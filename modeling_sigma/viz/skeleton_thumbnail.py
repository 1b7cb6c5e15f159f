"""A clip in a few kilobytes: four frames of its skeleton, for the rows of a data set that people leaf through."""

from __future__ import annotations

import io

from PIL import Image

from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import even_frame_indices
from modeling_sigma.viz.picture_style import theme_of
from modeling_sigma.viz.skeleton_figure import SkeletonFigures


_NUM_FRAMES, _HEIGHT, _GAP = 4, 80, 3
_NUM_COLOURS = 16  # few are drawn; a palette halves the file


def thumbnail_png(clip: PoseClip) -> bytes:
    """Evenly spaced frames of a clip side by side, 80 pixels high, without any text, as a PNG file."""
    figures = SkeletonFigures(clip, _HEIGHT, theme_of(False))
    frames = [0] if figures.is_empty else even_frame_indices(len(clip), _NUM_FRAMES)
    panels = [figures.draw(int(t)) for t in frames]
    width = figures.size[0] + _GAP
    strip = Image.new("RGB", (len(panels) * width - _GAP, _HEIGHT), figures.theme.background)
    for number, panel in enumerate(panels):
        strip.paste(panel, (number * width, 0))
    file = io.BytesIO()
    strip.quantize(_NUM_COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()
