"""A clip at a glance: evenly spaced frames of its skeleton side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from modeling_sigma.pose_clip import PoseClip
from modeling_sigma.pose_transforms import even_frame_indices, select_joints
from modeling_sigma.skeleton_layouts import PART_EDGES, PART_ORIGINS, PART_SLICES


SCORE_THRESHOLD = 0.3

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Color = tuple[int, int, int]


@dataclass(frozen=True)
class _Theme:
    """Colours of a picture. Those of the parts can be told apart with every common colour blindness."""

    background: Color
    panel: Color
    text: Color
    faint: Color
    parts: MappingProxyType[str, Color]


_LIGHT = _Theme(
    background=(255, 255, 255),
    panel=(245, 246, 248),
    text=(32, 36, 42),
    faint=(128, 134, 144),
    parts=MappingProxyType(
        {"body": (101, 116, 139), "left_hand": (213, 94, 0), "right_hand": (0, 114, 178), "face": (0, 158, 115)}
    ),
)
_DARK = _Theme(
    background=(20, 23, 28),
    panel=(31, 35, 42),
    text=(232, 235, 240),
    faint=(140, 147, 158),
    parts=MappingProxyType(
        {"body": (148, 163, 184), "left_hand": (255, 148, 61), "right_hand": (86, 180, 233), "face": (52, 211, 153)}
    ),
)

_PART_LABELS = MappingProxyType({"body": "body", "left_hand": "left hand", "right_hand": "right hand", "face": "face"})

# The bones of the graph, except for the star from the tip of the nose to all of the face, and with the line of the
# shoulders, which the graph lacks.
_BONES = MappingProxyType(
    {
        **PART_EDGES,
        "body": (*PART_EDGES["body"], (3, 4)),
        "face": tuple(edge for edge in PART_EDGES["face"] if PART_ORIGINS["face"] not in edge),
    }
)
# Line width and radius of a joint, as a share of a panel's height. What meets in the nose is thin, to show the face.
_STROKES = MappingProxyType(
    {"body": (0.012, 0.0125), "left_hand": (0.0075, 0.0065), "right_hand": (0.0075, 0.0065), "face": (0.007, 0.005)}
)
_NOSE, _NOSE_WIDTH = 0, 0.005

_BOX_MARGIN = 0.07  # around the joints, as a share of the box's longer side
_PANEL_ASPECTS = (0.6, 1.35)  # narrowest and widest panel
_OVERSAMPLING = 3  # Pillow draws without smoothing
_FALLBACK_FONTS = ("NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "DejaVuSans.ttf")


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
            Height of a panel in pixels. The picture is higher, by titles, captions and legend.
        captions (`str` or `Sequence[str]`, *optional*):
            One text under the whole strip, or one for each panel.
        title (`str`, *optional*):
            A line above the strip.
        dark (`bool`, *optional*, defaults to `False`):
            Light figures on a dark ground.

    Returns:
        `PIL.Image.Image` in mode RGB. Joints with a score of 0.3 or less are hollow, those with score 0 absent; a clip
        without any joint above 0.3 gives one empty panel that says so.

    Raises:
        ValueError: for fewer than 1 frame, a height under 40 pixels, or captions that are not as many as the panels.

    Example:

    ```python
    >>> import numpy as np
    >>> from modeling_sigma.pose_clip import PoseClip
    >>> from modeling_sigma.viz.skeleton_strip import draw_skeleton_strip
    >>> clip = PoseClip(np.random.default_rng(0).random((10, 133, 2)), np.ones((10, 133)), fps=25.0)
    >>> draw_skeleton_strip(clip, num_frames=4, title="noise").mode
    'RGB'

    ```
    """
    if num_frames < 1:
        raise ValueError(f"expected num_frames of at least 1, received {num_frames}")
    if height < 40:
        raise ValueError(f"expected a height of at least 40 pixels, received {height}")
    theme = _DARK if dark else _LIGHT
    frames = even_frame_indices(len(clip), num_frames)
    if captions is not None and not isinstance(captions, str) and len(captions) != len(frames):
        raise ValueError(
            f"expected one caption for each of the {len(frames)} panels, received {len(captions)}: pass a single "
            "string for a text under the strip"
        )

    keypoints, scores = select_joints(clip)
    seen = scores > SCORE_THRESHOLD
    if seen.any():
        corner, size = _box(keypoints[seen])
        width = round(height * float(np.clip(size[0] / size[1], *_PANEL_ASPECTS)))
        panels = [_draw_panel(keypoints[t], scores[t], (corner, size), (width, height), theme) for t in frames]
        labels = [_frame_label(int(t), clip.fps) for t in frames]
    else:
        panels, labels = [_draw_empty_panel((max(height, 160), height), theme)], [""]
        captions = captions if isinstance(captions, str) else None
    return _arrange(panels, labels, captions, title, theme)


def _box(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper left corner (2,) and size (2,) of a box around points (N, 2), with a margin."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max())
    margin = _BOX_MARGIN * side if side > 0 else 1.0  # a single point
    return low - margin, high - low + 2 * margin


def _draw_panel(
    keypoints: np.ndarray,
    scores: np.ndarray,
    box: tuple[np.ndarray, np.ndarray],
    panel_size: tuple[int, int],
    theme: _Theme,
) -> Image.Image:
    """One frame: keypoints (69, 2) in the clip's coordinates and scores (69,)."""
    corner, size = box
    large = np.array(panel_size) * _OVERSAMPLING
    scale = float((large / size).min())
    points = (keypoints - corner - size / 2) * scale + large / 2
    image = Image.new("RGB", (int(large[0]), int(large[1])), theme.panel)
    draw = ImageDraw.Draw(image)
    for part in ("body", "face", "left_hand", "right_hand"):
        joints = PART_SLICES[part]
        _draw_part(draw, part, points[joints], scores[joints], float(large[1]), theme)
    return image.reduce(_OVERSAMPLING)


def _draw_part(
    draw: ImageDraw.ImageDraw, part: str, points: np.ndarray, scores: np.ndarray, height: float, theme: _Theme
) -> None:
    color = theme.parts[part]
    width, radius = _STROKES[part]
    seen = scores > SCORE_THRESHOLD
    where = [(float(x), float(y)) for x, y in points]
    for start, stop in _BONES[part]:
        if seen[start] and seen[stop]:
            share = _NOSE_WIDTH if part == "body" and start == _NOSE else width
            draw.line([where[start], where[stop]], fill=color, width=max(_OVERSAMPLING, round(share * height)))
    radius = max(_OVERSAMPLING, radius * height)
    for joint, (x, y) in enumerate(where):
        circle = (x - radius, y - radius, x + radius, y + radius)
        if seen[joint]:
            draw.ellipse(circle, fill=color)
        elif scores[joint] > 0:
            draw.ellipse(circle, fill=theme.panel, outline=color, width=max(1, _OVERSAMPLING // 2))


def _draw_empty_panel(size: tuple[int, int], theme: _Theme) -> Image.Image:
    image = Image.new("RGB", size, theme.panel)
    draw = ImageDraw.Draw(image)
    draw.text((size[0] / 2, size[1] / 2), "no joints found", fill=theme.faint, font=_font(14), anchor="mm")
    return image


def _frame_label(frame: int, fps: float | None) -> str:
    return f"frame {frame}" if fps is None else f"{frame} · {frame / fps:.2f} s"


def _arrange(
    panels: list[Image.Image],
    labels: list[str],
    captions: str | Sequence[str] | None,
    title: str | None,
    theme: _Theme,
) -> Image.Image:
    """Panels in a row, with the title above and labels, captions and legend below."""
    width, height = panels[0].size
    gap, border = 6, 14
    row = len(panels) * width + (len(panels) - 1) * gap
    title_font, text_font, label_font = _font(17, title or ""), _font(13), _font(12)

    title_lines = _wrap(title, title_font, row) if title else []
    panel_captions: list[list[str]] = []
    text_lines: list[str] = []
    if isinstance(captions, str):
        text_font = _font(13, captions)
        text_lines = _wrap(captions, text_font, row)
    elif captions is not None:
        text_font = _font(13, "".join(captions))
        panel_captions = [_wrap(caption, text_font, width - 4) for caption in captions]
    legend_rows = _legend_rows(label_font, row)

    title_step, text_step, label_step = (round(1.35 * _size(font)) for font in (title_font, text_font, label_font))
    top = border + (len(title_lines) * title_step + 6 if title_lines else 0)
    below = top + height + 5
    labels_height = label_step + 2 if any(labels) else 0
    captions_top = below + labels_height
    captions_height = max((len(lines) for lines in panel_captions), default=len(text_lines)) * text_step
    legend_top = captions_top + (captions_height + 4 if captions_height else 0) + 4
    total = legend_top + len(legend_rows) * (label_step + 2) + border - 4

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
    for number, entries in enumerate(legend_rows):
        _draw_legend_row(draw, entries, (border, legend_top + number * (label_step + 2)), label_font, theme)
    return image


_MARK, _MARK_GAP, _ENTRY_GAP = 9, 5, 16  # pixels of the legend


def _legend_rows(font: Font, width: int) -> list[list[str]]:
    """The entries of the legend (parts, then the empty string for joints not found), row by row."""
    rows: list[list[str]] = [[]]
    used = 0.0
    for entry in (*_PART_LABELS, ""):
        needed = _MARK + _MARK_GAP + font.getlength(_legend_text(entry))
        if rows[-1] and used + _ENTRY_GAP + needed > width:
            rows.append([])
            used = 0.0
        used += needed + (_ENTRY_GAP if rows[-1] else 0)
        rows[-1].append(entry)
    return rows


def _legend_text(entry: str) -> str:
    return _PART_LABELS.get(entry, "not found")


def _draw_legend_row(
    draw: ImageDraw.ImageDraw, entries: list[str], position: tuple[int, int], font: Font, theme: _Theme
) -> None:
    x, y = float(position[0]), position[1]
    middle = y + _size(font) / 2 + 1
    for entry in entries:
        circle = (x, middle - _MARK / 2, x + _MARK, middle + _MARK / 2)
        if entry:
            draw.ellipse(circle, fill=theme.parts[entry])
        else:
            draw.ellipse(circle, outline=theme.faint)
        text = _legend_text(entry)
        draw.text((x + _MARK + _MARK_GAP, middle), text, fill=theme.faint, font=font, anchor="lm")
        x += _MARK + _MARK_GAP + font.getlength(text) + _ENTRY_GAP


def _font(size: int, text: str = "") -> Font:
    """Pillow's own font; for texts beyond Latin letters one of the system, where there is any."""
    if any(ord(character) > 0x24F for character in text):
        for name in _FALLBACK_FONTS:
            try:
                return ImageFont.truetype(name, size)
            except OSError:  # not installed: try the next
                continue
    return ImageFont.load_default(size)


def _size(font: Font) -> float:
    return float(font.size) if isinstance(font, ImageFont.FreeTypeFont) else 11.0


def _wrap(text: str, font: Font, width: float) -> list[str]:
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
