"""A page with the moving skeleton and the signs that were found: one file that works without a network."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modeling_sigma.io.annotations import Annotation
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import SCORE_THRESHOLD, select_joints
from modeling_sigma.model.skeleton_layouts import PART_SLICES
from modeling_sigma.viz.picture_style import DARK, LIGHT
from modeling_sigma.viz.skeleton_figure import BONES


_TEMPLATE = Path(__file__).with_name("transcript_page.html")
# A byte for each coordinate; 255 stands for a joint that is not there. Two hours at 12 frames per second are 16 MB.
_STEPS, _MISSING = 254, 255
_FPS, _MOST_FRAMES = 12.5, 90_000


def transcript_page(clip: PoseClip, annotations: Sequence[Annotation], title: str) -> str:
    """The content of a page that plays a recording's skeleton, with a button for each annotation that goes there.

    Everything is in the page, which loads nothing. It follows the reader's choice of light or dark, and can be used
    with the keyboard alone.

    Args:
        clip ([`PoseClip`]):
            The recording, with a frame rate.
        annotations (`Sequence[Annotation]`):
            What is signed in it.
        title (`str`):
            The heading.

    Raises:
        ValueError: for a recording without a frame rate.
    """
    if clip.fps is None or clip.duration is None:
        raise ValueError("expected a recording with a frame rate, to play it, received one without: set its fps")
    num_frames = max(1, min(len(clip), _MOST_FRAMES, round(clip.duration * _FPS)))
    frames = np.linspace(0, len(clip) - 1, num_frames).round().astype(int)
    points, size = _as_bytes(*select_joints(clip.frames(frames)))
    bones = [
        [part, start + PART_SLICES[part].start, stop + PART_SLICES[part].start]
        for part, edges in BONES.items()
        for start, stop in edges
    ]
    rows = sorted(annotations, key=lambda row: (row.start, row.end))
    content = {
        "duration": clip.duration,
        "points": base64.b64encode(points.tobytes()).decode("ascii"),
        "joints": points.shape[1],
        "size": size,
        "bones": bones,
        "annotations": [
            {"start": row.start, "end": row.end, "value": row.value, "tier": row.tier, "scores": row.scores}
            for row in rows
        ],
    }
    text = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")  # no text can end the script element
    return (
        _TEMPLATE.read_text(encoding="utf-8")
        .replace("{{TITLE}}", html.escape(title))
        .replace("{{LIGHT}}", _colors("light"))
        .replace("{{DARK}}", _colors("dark"))
        .replace("{{CONTENT}}", text)
    )


def _as_bytes(keypoints: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Points `(T, 69, 2)` in steps of the box around all, and the box's width and height relative to the longer."""
    seen = scores > SCORE_THRESHOLD
    points = np.full(keypoints.shape, _MISSING, np.uint8)
    if not seen.any():
        return points, [1.0, 1.0]
    low, high = keypoints[seen].min(axis=0), keypoints[seen].max(axis=0)
    side = max(float((high - low).max()), 1e-9)
    steps = ((keypoints - low) / side * _STEPS).round()
    points[seen] = np.clip(steps[seen], 0, _STEPS).astype(np.uint8)
    width, height = np.maximum((high - low) / side, 0.2)
    return points, [float(width), float(height)]


def _colors(mode: str) -> str:
    theme = DARK if mode == "dark" else LIGHT
    colors = {
        "background": theme.background, "panel": theme.panel, "text": theme.text, "faint": theme.faint,
        "grid": theme.grid, "accent": theme.series[0], **theme.parts,
    }  # fmt: skip
    return " ".join(f"--{name.replace('_', '-')}: rgb{color};" for name, color in colors.items())
