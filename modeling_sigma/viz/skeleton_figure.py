"""One frame of a skeleton: parts coloured, joints that were not found hollow or absent."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw

from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import SCORE_THRESHOLD, select_joints
from modeling_sigma.model.skeleton_layouts import PART_EDGES, PART_ORIGINS, PART_SLICES
from modeling_sigma.viz.picture_style import Theme, font_for


PART_LABELS = MappingProxyType({"body": "body", "left_hand": "left hand", "right_hand": "right hand", "face": "face"})

# The bones of the graph, except for the star from the tip of the nose to all of the face, and with the line of the
# shoulders, which the graph lacks.
BONES = MappingProxyType(
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


class SkeletonFigures:
    """Draws frames of one clip, all in the same scale: that of a box around every joint seen in the clip.

    Left and right are the signer's own, so a signer who faces the camera has the left hand on the right.

    Args:
        clip ([`PoseClip`]):
            A clip of any known layout.
        height (`int`):
            Height of a picture in pixels, at least 40.
        theme ([`Theme`]):
            Colours of the picture.

    Attributes:
        size (`tuple[int, int]`): Width and height of the pictures.
        is_empty (`bool`): Whether no joint has a score above 0.3 in the whole clip.

    Raises:
        ValueError: for a height under 40 pixels.
    """

    def __init__(self, clip: PoseClip, height: int, theme: Theme) -> None:
        if height < 40:
            raise ValueError(f"expected a height of at least 40 pixels, received {height}")
        self.theme = theme
        self.keypoints, self.scores = select_joints(clip)
        seen = self.scores > SCORE_THRESHOLD
        self.is_empty = not seen.any()
        if self.is_empty:
            self.size = (max(height, 160), height)
        else:
            self.box = _box(self.keypoints[seen])
            aspect = float(np.clip(self.box[1][0] / self.box[1][1], *_PANEL_ASPECTS))
            self.size = (round(height * aspect), height)

    def draw(self, frame: int) -> Image.Image:
        """The picture of a frame in mode RGB; for an empty clip, a picture that says so."""
        if self.is_empty:
            image = Image.new("RGB", self.size, self.theme.panel)
            middle = (self.size[0] / 2, self.size[1] / 2)
            ImageDraw.Draw(image).text(
                middle, "no joints found", fill=self.theme.faint, font=font_for(14), anchor="mm"
            )
            return image
        corner, size = self.box
        large = np.array(self.size) * _OVERSAMPLING
        scale = float((large / size).min())
        points = (self.keypoints[frame] - corner - size / 2) * scale + large / 2
        image = Image.new("RGB", (int(large[0]), int(large[1])), self.theme.panel)
        draw = ImageDraw.Draw(image)
        for part in ("body", "face", "left_hand", "right_hand"):
            joints = PART_SLICES[part]
            _draw_part(draw, part, points[joints], self.scores[frame, joints], float(large[1]), self.theme)
        return image.reduce(_OVERSAMPLING)


def _box(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper left corner (2,) and size (2,) of a box around points (N, 2), with a margin."""
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max())
    margin = _BOX_MARGIN * side if side > 0 else 1.0  # a single point
    return low - margin, high - low + 2 * margin


def _draw_part(
    draw: ImageDraw.ImageDraw, part: str, points: np.ndarray, scores: np.ndarray, height: float, theme: Theme
) -> None:
    color = theme.parts[part]
    width, radius = _STROKES[part]
    seen = scores > SCORE_THRESHOLD
    where = [(float(x), float(y)) for x, y in points]
    for start, stop in BONES[part]:
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
