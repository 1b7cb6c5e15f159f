"""Pieces of the page as HTML: a sentence, ranked labels, glosses with times, the moving skeleton, a picture."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from limits import MAX_DRAWN
from PIL import Image

from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.viz.skeleton_animation import DEFAULT_FPS, Caption, save_animation


def headline(what: str, why: str) -> str:
    """The answer in words, and what to think of it. Both are HTML."""
    return f'<p class="sentence">{what}</p>' + (f'<p class="why">{why}</p>' if why else "")


def sentence(text: str) -> str:
    """A text that was written."""
    return headline(escape(text), "")


def ranking(title: str, found: Sequence[dict[str, Any]], unit: str | None) -> str:
    """Labels, best first: with bars and calibrated shares of 1 ("share"), with cosines ("cosine"), or their order."""
    form = {"share": ".0%", "cosine": ".2f"}
    rows = (
        f'<tr><th scope="row">{escape(one["label"])}</th>'
        + ("" if unit is None else f"{_bar(0, one['score'])}<td>{one['score']:{form[unit]}}</td>")
        + "</tr>"
        for one in found
    )
    return f"<table><caption>{escape(title)}</caption>{''.join(rows)}</table>"


def word_list(title: str, words: Sequence[str], promise: str) -> str:
    """A prediction set, with what it promises."""
    return f"<h3>{escape(title)}</h3><p>{escape(', '.join(words))}</p><p class='why'>{escape(promise)}</p>"


def notes(title: str, messages: Sequence[str]) -> str:
    """Warnings that arose while a clip was read, each once."""
    items = "".join(f"<li>{escape(message[:1].upper() + message[1:])}.</li>" for message in dict.fromkeys(messages))
    return f'<div class="notes" role="note"><strong>{escape(title)}</strong><ul>{items}</ul></div>' if items else ""


def alert(message: str) -> str:
    """Something that went wrong."""
    return f'<div class="alert" role="alert">{escape(message)}</div>'


def gloss_table(spans: Sequence[dict[str, Any]], clip: PoseClip) -> str:
    """Glosses, each with a bar on the clip's time line and its times."""
    rows = (
        f'<tr><th scope="row">{escape(one["gloss"])}</th>{_bar(one["start"] / len(clip), one["end"] / len(clip))}'
        f"<td>{_times(one, clip.fps)}</td></tr>"
        for one in spans
    )
    return f"<table><caption>Signs, and when the model saw them</caption>{''.join(rows)}</table>"


def _times(span: dict[str, Any], fps: float | None) -> str:
    if fps is None:  # no seconds are invented
        return f"frames {span['start'] + 1} to {span['end']}"
    return f"{span['start'] / fps:.2f} to {span['end'] / fps:.2f} s"


def gloss_captions(spans: Sequence[dict[str, Any]], clip: PoseClip) -> list[Caption]:
    """The same as captions: a sign is recognised in a few frames, and its caption stays until the next."""
    fps = clip.fps or DEFAULT_FPS
    ends = [*(one["start"] for one in spans[1:]), len(clip)]
    return [(one["gloss"], one["start"] / fps, end / fps) for one, end in zip(spans, ends)]


def moving_skeleton(clip: PoseClip, captions: str | list[Caption], dark: bool) -> str:
    """The clip as GIF, with what was read as its captions, in the picture and for those who hear the page."""
    said = captions if isinstance(captions, str) else " ".join(text for text, _, _ in captions)
    step = -(-len(clip) // MAX_DRAWN)  # so few frames that the picture stays small, at the same speed
    drawn = replace(clip.frames(slice(None, None, step)), fps=None if clip.fps is None else clip.fps / step)
    if clip.fps is None and not isinstance(captions, str):
        captions = [(text, start / step, stop / step) for text, start, stop in captions]
    with tempfile.TemporaryDirectory() as folder:
        path = save_animation(Path(folder) / "clip.gif", drawn, height=300, captions=captions, dark=dark)
        return image_tag(path.read_bytes(), "gif", f"Moving skeleton of {len(clip)} frames, read as: {said}")


def figure(image: Image.Image, caption: str) -> str:
    """A picture with its explanation, which is also what a screen reader says."""
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    return f"<figure><figcaption>{caption}</figcaption>{image_tag(data.getvalue(), 'png', caption)}</figure>"


def image_tag(data: bytes, kind: str, alt: str) -> str:
    """An `img` that holds its picture itself."""
    return f'<img alt="{escape(alt, quote=True)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def _bar(start: float, stop: float) -> str:
    """A table cell with a bar from one share of its width to another."""
    style = f"margin-left: {start:.1%}; width: {max(0.0, stop - start):.1%}"
    return f'<td class="track" aria-hidden="true"><div style="{style}"></div></td>'
