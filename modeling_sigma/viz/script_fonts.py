"""Fonts of this machine for texts in any script, and what to install where there is none."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterator
from functools import lru_cache

from PIL import ImageFont


# Fonts of many scripts, by the names of their files: Debian and Ubuntu, Windows, macOS.
_WIDE = ("DejaVuSans.ttf", "Nirmala.ttc", "Nirmala.ttf", "segoeui.ttf", "Arial Unicode.ttf", "Arial Unicode MS.ttf")
_EAST_ASIAN = (
    "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "msyh.ttc", "YuGothM.ttc", "malgun.ttf", "PingFang.ttc",
    "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc",
)  # fmt: skip
_EAST_ASIAN_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH", "IDEOGRAPHIC")
_NO_GLYPH = "\U0010ffff"  # is in no font, which draws a box instead


@lru_cache(maxsize=256)
def font_of_script(size: int, text: str) -> ImageFont.FreeTypeFont | None:
    """The font of this machine that has most of a text's characters; a warning names the script that it lacks.

    None if no font is found at all.
    """
    wanted = {character for character in text if not character.isspace() and unicodedata.category(character) != "Mn"}
    best, best_missing = None, wanted
    for name in _candidates(wanted):
        font = _installed(name, size)
        if font is None:
            continue
        missing = _missing(font, wanted)
        if best is None or len(missing) < len(best_missing):
            best, best_missing = font, missing
        if not missing:
            break
    if best_missing:
        missed = "".join(sorted(best_missing))
        scripts = sorted({_script(character).title() for character in best_missing})
        is_asian = any(script.upper() in _EAST_ASIAN_SCRIPTS for script in scripts)
        package = "fonts-noto-cjk" if is_asian else "fonts-noto-core"
        warnings.warn(
            f"no font of this machine can draw {missed[:20]!r} ({', '.join(scripts)}), which become boxes: "
            f"install one, such as Noto Sans (on Debian and Ubuntu `apt install {package}`)",
            stacklevel=3,
        )
    return best


def _installed(name: str, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


def _candidates(characters: set[str]) -> Iterator[str]:
    scripts = {_script(character) for character in characters}
    if scripts & set(_EAST_ASIAN_SCRIPTS):
        yield from _EAST_ASIAN
    for script in sorted(scripts - set(_EAST_ASIAN_SCRIPTS) - {"LATIN"}):
        name = script.title().replace(" ", "")
        yield from (f"NotoSans{name}-Regular.ttf", f"{name} Sangam MN.ttc", f"Lohit-{name}.ttf")
    yield from _WIDE
    yield from _EAST_ASIAN


def _script(character: str) -> str:
    """The script of a character: the first word of its name."""
    return unicodedata.name(character, "UNKNOWN").split()[0].split("-")[0]


def _missing(font: ImageFont.FreeTypeFont, characters: set[str]) -> set[str]:
    """The characters that a font draws as it draws what it does not have."""
    absent = bytes(font.getmask(_NO_GLYPH))
    return {character for character in characters if bytes(font.getmask(character)) == absent}
