"""A clip as a moving picture: GIF, MP4, or the frames themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.viz.part_legend import draw_legend_row, legend_rows
from modeling_sigma.viz.picture_style import Theme, font_for, theme_of, wrap
from modeling_sigma.viz.skeleton_figure import SkeletonFigures


# A text, and from which to which second it is shown.
Caption = tuple[str, float, float]

DEFAULT_FPS = 25.0
_BORDER, _BAR, _LINE = 12, 4, 22  # pixels: around, of the bar of time, of a line of text
_GIF_COLORS = 64


def skeleton_frames(
    clip: PoseClip,
    *,
    height: int = 360,
    captions: str | Sequence[Caption] | None = None,
    title: str | None = None,
    dark: bool = False,
) -> Iterator[Image.Image]:
    """Draws every frame of a clip, with a bar that fills as time passes.

    Args:
        clip ([`PoseClip`]):
            A clip of any known layout.
        height (`int`, *optional*, defaults to 360):
            Height of the figure in pixels. Texts, time bar and legend add to it.
        captions (`str` or `Sequence[tuple[str, float, float]]`, *optional*):
            One text for the whole clip, or texts with their start and end in seconds, of which a clip without a frame
            rate has 25 frames.
        title (`str`, *optional*):
            Title above the figure.
        dark (`bool`, *optional*, defaults to `False`):
            Whether to draw light figures on a dark background.

    Yields:
        `PIL.Image.Image` in mode RGB, all of one size with an even number of pixels in both directions.

    Raises:
        ValueError: for a height under 40 pixels, or a caption that ends before it starts.
    """
    theme = theme_of(dark)
    figures = SkeletonFigures(clip, height, theme)
    fps = clip.fps or DEFAULT_FPS
    timed = [(captions, 0.0, np.inf)] if isinstance(captions, str) else list(captions or [])
    for text, start, stop in timed:
        if stop < start:
            raise ValueError(f"expected the caption {text!r} to end after its start, received {start} to {stop} s")
    layout = _Layout(figures, timed, title, theme)
    for frame in range(len(clip)):
        texts = [text for text, start, stop in timed if start <= frame / fps < stop]
        # A clip that states no frame rate has frames, and no seconds.
        moment = f"frame {frame + 1} of {len(clip)}" if clip.fps is None else f"{frame / fps:.1f} s"
        yield layout.picture(figures.draw(frame), " ".join(texts), (frame + 1) / len(clip), moment)


def save_animation(path: str | Path, clip: PoseClip, *, fps: float | None = None, **options: Any) -> Path:
    """Writes a clip as `.gif` or `.mp4`.

    Args:
        path (`str` or `Path`):
            The file to write; its extension decides the format.
        clip ([`PoseClip`]):
            A clip of any known layout.
        fps (`float`, *optional*):
            Frames per second; by default the clip's own, or 25 if that is unknown.
        options:
            Arguments of [`skeleton_frames`].

    Raises:
        ValueError: for another extension, or for `.mp4` if PyAV is not installed.
    """
    path = Path(path)
    rate = fps or clip.fps or DEFAULT_FPS
    if rate <= 0 or not np.isfinite(rate):
        raise ValueError(f"expected a positive number of frames per second, received {fps}")
    writers = {".gif": _write_gif, ".mp4": _write_mp4}
    if path.suffix.lower() not in writers:
        raise ValueError(f"{path}: expected a .gif or .mp4 file, received {path.suffix or 'no extension'}")
    writers[path.suffix.lower()](path, skeleton_frames(clip, **options), rate)
    return path


class _Layout:
    """Where figure, texts, bar and legend are, the same in all frames."""

    def __init__(self, figures: SkeletonFigures, timed: list[Caption], title: str | None, theme: Theme) -> None:
        self.theme = theme
        texts = [text for text, _, _ in timed]
        self.text_font, self.small_font = font_for(17, "".join([title or "", *texts])), font_for(12)
        width = max(figures.size[0], 260)
        self.title_lines = wrap(title, self.text_font, width) if title else []
        num_lines = max((len(wrap(text, self.text_font, width)) for text in texts), default=0)
        self.legend = legend_rows(self.small_font, width)
        self.left = _BORDER + (width - figures.size[0]) // 2
        self.top = _BORDER + _LINE * len(self.title_lines)
        self.bar_top = self.top + figures.size[1] + 8
        self.text_top = self.bar_top + _BAR + 24
        self.legend_top = self.text_top + _LINE * num_lines + (6 if num_lines else 0)
        size = (width + 2 * _BORDER, self.legend_top + 18 * len(self.legend) + _BORDER - 4)
        self.width, self.size = width, (size[0] + size[0] % 2, size[1] + size[1] % 2)  # video wants even sizes

    def picture(self, figure: Image.Image, text: str, share: float, moment: str) -> Image.Image:
        theme = self.theme
        image = Image.new("RGB", self.size, theme.background)
        draw = ImageDraw.Draw(image)
        middle = self.size[0] / 2
        for number, line in enumerate(self.title_lines):
            place = (middle, _BORDER + _LINE * number)
            draw.text(place, line, fill=theme.text, font=self.text_font, anchor="ma")
        draw.rectangle((_BORDER, self.top, _BORDER + self.width - 1, self.bar_top - 9), fill=theme.panel)
        image.paste(figure, (self.left, self.top))
        right = _BORDER + self.width - 1
        draw.rectangle((_BORDER, self.bar_top, right, self.bar_top + _BAR - 1), fill=theme.grid)
        done = _BORDER + round(share * (self.width - 1))
        draw.rectangle((_BORDER, self.bar_top, done, self.bar_top + _BAR - 1), fill=theme.text)
        draw.text((right, self.bar_top + _BAR + 4), moment, fill=theme.faint, font=self.small_font, anchor="ra")
        for number, line in enumerate(wrap(text, self.text_font, self.width) if text else []):
            place = (middle, self.text_top + _LINE * number)
            draw.text(place, line, fill=theme.text, font=self.text_font, anchor="ma")
        for number, entries in enumerate(self.legend):
            draw_legend_row(draw, entries, (_BORDER, self.legend_top + 18 * number), self.small_font, theme)
        return image


def _write_gif(path: Path, frames: Iterator[Image.Image], fps: float) -> None:
    # One palette for all frames: half the size, and colours do not flicker.
    pictures = list(frames)
    palette = pictures[len(pictures) // 2].quantize(_GIF_COLORS)
    first, *rest = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    # Durations are whole hundredths of a second: carry what rounding leaves over.
    ends = [round(100 * (number + 1) / fps) for number in range(len(pictures))]
    durations = [10 * max(2, stop - start) for start, stop in zip([0, *ends], ends)]
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)


def _write_mp4(path: Path, frames: Iterator[Image.Image], fps: float) -> None:
    try:
        import av
    except ImportError as error:
        raise ValueError(
            f'{path}: writing a video needs PyAV: pip install -e ".[video]" in the folder of sigma-slu, or write '
            "a .gif"
        ) from error
    from fractions import Fraction

    with av.open(str(path), "w") as container:
        stream: Any = None
        for picture in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
                stream.width, stream.height = picture.size
                stream.pix_fmt = "yuv420p"  # what browsers and phones play
                stream.options = {"crf": "18"}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")))
        container.mux(stream.encode())
