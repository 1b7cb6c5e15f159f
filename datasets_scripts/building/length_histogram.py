"""A picture of how long the clips of each split are, drawn with Pillow: equal counts give equal bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from datasets_scripts.building.clip_statistics import length_quantile


WIDTH, ROW_HEIGHT = 720, 150
NUM_BARS = 40
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 26, 34
_INK, _QUIET, _BAR, _GROUND = (30, 30, 30), (150, 150, 150), (46, 110, 142), (255, 255, 255)


def draw_length_histogram(lengths: Mapping[str, Mapping[str, int]]) -> bytes:
    """Draws one histogram per split, one below the other, with a common scale of frames.

    Args:
        lengths (`dict[str, dict[str, int]]`):
            Split to length in frames (as text) to number of clips, as `clip_statistics.count_clips` gives it.

    Returns:
        `bytes`: a PNG. The last bar also holds the longest clips, above the 99 % quantile of all splits.
    """
    rows = {split: counts for split, counts in lengths.items() if counts}
    longest = max((length_quantile(counts, 0.99) for counts in rows.values()), default=1)
    frames_in_bar = -(-max(longest, 1) // NUM_BARS)
    picture = Image.new("RGB", (WIDTH, ROW_HEIGHT * max(len(rows), 1) + 20), _GROUND)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    for number, (split, counts) in enumerate(rows.items()):
        _draw_row(draw, font, ROW_HEIGHT * number, split, counts, frames_in_bar)
    draw.text((WIDTH // 2, ROW_HEIGHT * len(rows) + 4), "frames", _INK, font, anchor="ma")
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=False)
    return out.getvalue()


def _draw_row(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    top: int,
    split: str,
    counts: Mapping[str, int],
    frames_in_bar: int,
) -> None:
    bars = [0] * NUM_BARS
    for length, count in counts.items():
        bars[min((int(length) - 1) // frames_in_bar, NUM_BARS - 1)] += count
    highest, total = max(bars), sum(bars)
    left, right = _LEFT, WIDTH - _RIGHT
    base, height = top + ROW_HEIGHT - _BOTTOM, ROW_HEIGHT - _TOP - _BOTTOM
    bar_width = (right - left) / NUM_BARS
    median = length_quantile(counts, 0.5)
    draw.text((left, top + 6), f"{split}: {total:,} clips, median {median} frames", _INK, font)
    for number, count in enumerate(bars):
        if count:
            x = left + number * bar_width
            bar_height = max(round(height * count / highest), 1)
            draw.rectangle((round(x), base - bar_height, round(x + bar_width) - 2, base), _BAR)
    draw.line((left, base + 1, right, base + 1), _QUIET)
    draw.text((left - 6, base - height), f"{highest:,}", _INK, font, anchor="ra")
    draw.text((left - 6, base - 6), "0", _INK, font, anchor="ra")
    for number in range(0, NUM_BARS + 1, 10):
        x = left + number * bar_width
        more = "+" if number == NUM_BARS else ""
        draw.line((x, base + 1, x, base + 4), _QUIET)
        draw.text((x, base + 6), f"{number * frames_in_bar}{more}", _INK, font, anchor="ma")
