"""How pictures look: light and dark colours, fonts, lines of text, colour ramps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from modeling_sigma.viz.script_fonts import font_of_script


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Color = tuple[int, int, int]


@dataclass(frozen=True)
class Theme:
    """Colours of a picture. Those of the parts can be told apart with every common colour blindness.

    Args:
        background, panel, text, faint, grid (`tuple[int, int, int]`): Colours of the background, the panels on it,
            text, less important text, and grid lines.
        parts (`Mapping[str, Color]`): Colour of each part of a skeleton.
        ramp (`tuple[Color, ...]`): Colours of values from low to high.
        series (`tuple[Color, ...]`): Colours of the lines in one diagram.
        right, wrong (`tuple[int, int, int]`): Colours of right and wrong results, which also carry a mark.
    """

    background: Color
    panel: Color
    text: Color
    faint: Color
    grid: Color
    parts: MappingProxyType[str, Color]
    ramp: tuple[Color, ...]
    series: tuple[Color, ...]
    right: Color
    wrong: Color


LIGHT = Theme(
    background=(255, 255, 255),
    panel=(245, 246, 248),
    text=(32, 36, 42),
    faint=(104, 110, 120),
    grid=(222, 225, 230),
    parts=MappingProxyType(
        {"body": (101, 116, 139), "left_hand": (213, 94, 0), "right_hand": (0, 114, 178), "face": (0, 158, 115)}
    ),
    ramp=((247, 248, 250), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107)),
    series=((0, 114, 178), (213, 94, 0), (0, 158, 115), (170, 51, 119), (101, 116, 139), (148, 103, 20)),
    right=(0, 128, 90),
    wrong=(176, 58, 46),
)
DARK = Theme(
    background=(20, 23, 28),
    panel=(31, 35, 42),
    text=(232, 235, 240),
    faint=(152, 159, 170),
    grid=(52, 58, 68),
    parts=MappingProxyType(
        {"body": (148, 163, 184), "left_hand": (255, 148, 61), "right_hand": (86, 180, 233), "face": (52, 211, 153)}
    ),
    ramp=((31, 35, 42), (22, 64, 104), (30, 120, 180), (96, 190, 235), (240, 249, 255)),
    series=((86, 180, 233), (255, 148, 61), (52, 211, 153), (230, 140, 200), (148, 163, 184), (230, 200, 90)),
    right=(52, 211, 153),
    wrong=(255, 120, 105),
)

_LAST_LATIN, _IN_OURS = "\u024f", "–—‘’“”…·"  # what Pillow's own font has


def theme_of(dark: bool) -> Theme:
    """The dark or the light theme."""
    return DARK if dark else LIGHT


def ramp_colors(values: np.ndarray, theme: Theme) -> np.ndarray:
    """Colours `(..., 3)` uint8 of values in [0, 1]; values beyond are the ends of the ramp."""
    ramp = np.asarray(theme.ramp, float)
    places = np.linspace(0, 1, len(ramp))
    channels = [np.interp(values, places, ramp[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def font_for(size: int, text: str = "") -> Font:
    """Pillow's own font, or for texts beyond Latin letters a font of this machine; see [`font_of_script`]."""
    letters = {character for character in text if character not in _IN_OURS}
    if max(letters, default="") <= _LAST_LATIN:
        return ImageFont.load_default(size)
    return font_of_script(size, "".join(sorted(letters))) or ImageFont.load_default(size)


def font_size(font: Font) -> float:
    """Size of a font in pixels."""
    return float(font.size) if isinstance(font, ImageFont.FreeTypeFont) else 11.0


def shorten(text: str, font: Font, width: float) -> str:
    """`text`, or its beginning and an ellipsis, in at most `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def wrap(text: str, font: Font, width: float) -> list[str]:
    """Lines of at most `width` pixels, broken at spaces, or inside words that are longer than a line."""
    lines = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in paragraph.split():
            while word:
                candidate = f"{line} {word}" if line else word
                if font.getlength(candidate) <= width:
                    line, word = candidate, ""
                elif line:
                    lines.append(line)
                    line = ""
                else:
                    fitting = _fitting_length(word, font, width)
                    lines.append(word[:fitting])
                    word = word[fitting:]
        if line or not paragraph.strip():
            lines.append(line)
    return lines


def _fitting_length(word: str, font: Font, width: float) -> int:
    """How many characters of a word fit into a line, at least 1."""
    length = 1
    while length < len(word) and font.getlength(word[: length + 1]) <= width:
        length += 1
    return length


def nice_ticks(low: float, high: float, num_ticks: int = 5) -> list[float]:
    """Round numbers inside [low, high], about `num_ticks` of them."""
    if high <= low:
        return [low]
    step = 10.0 ** np.floor(np.log10((high - low) / num_ticks))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= num_ticks)
    first = np.ceil(low / step - 1e-9)
    count = int(np.floor(high / step + 1e-9) - first) + 1
    return [float((first + number) * step) for number in range(count)]


def tick_text(value: float, step: float) -> str:
    """A tick's number, with as many decimals as its step needs."""
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-9))) if step > 0 else 0
    return f"{value:.{decimals}f}"


def draw_title(draw: ImageDraw.ImageDraw, lines: Sequence[str], corner: tuple[int, int], theme: Theme) -> int:
    """Draws lines of a title and returns the y below them."""
    font = font_for(17, "".join(lines))
    x, y = corner
    for line in lines:
        draw.text((x, y), line, fill=theme.text, font=font)
        y += 23
    return y + 6 if lines else y


def vertical_text(text: str, font: Font, color: Color, background: Color) -> Image.Image:
    """A picture of `text` that reads from bottom to top."""
    size = (int(np.ceil(font.getlength(text))) + 2, int(1.35 * font_size(font)))
    image = Image.new("RGB", size, background)
    ImageDraw.Draw(image).text((0, 0), text, fill=color, font=font)
    return image.transpose(Image.Transpose.ROTATE_90)


def draw_arrow(
    draw: ImageDraw.ImageDraw, start: tuple[float, float], stop: tuple[float, float], color: Color, width: int = 2
) -> None:
    """An arrow to the right or downwards."""
    draw.line([start, stop], fill=color, width=width)
    (x, y), size = stop, 5
    tips = [(x + 4, y), (x - 4, y - size), (x - 4, y + size)]
    if start[0] == stop[0]:
        tips = [(x, y + 4), (x - size, y - 4), (x + size, y - 4)]
    draw.polygon(tips, fill=color)
