"""What one person may ask of the page, so that everybody else is served too."""

from __future__ import annotations

from collections.abc import Sequence

from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.viz.skeleton_animation import DEFAULT_FPS


MAX_FILE_SIZE = "50mb"
MAX_SECONDS, MAX_FRAMES = 60, 3600  # of a clip; without a frame rate, at that of the moving skeleton
MAX_DRAWN = 600  # frames: a long clip moves in larger steps
MAX_TEXTS, MAX_TEXT, MAX_CHARACTERS = 500, 500, 10_000  # texts, and characters of one and of all
MAX_PRODUCT = 5_000_000  # frames times characters: each text is compared with each frame
# Of reading one file, drawing included. Poses are estimated in videos first.
WORK_SECONDS, VIDEO_SECONDS = 60, 300
WORK_MEMORY = 2_000_000_000  # bytes, on top of what a worker needs at rest
MAX_WAITING = 20  # people; the next ones are told to come back


def check_clip(clip: PoseClip) -> None:
    """Refuses a clip that is too long.

    Raises:
        ValueError: if it is.
    """
    seconds = len(clip) / (clip.fps or DEFAULT_FPS)
    if seconds > MAX_SECONDS or len(clip) > MAX_FRAMES:
        raise ValueError(
            f"This clip has {len(clip)} frames ({seconds:.0f} seconds): please cut it to {MAX_SECONDS} seconds and "
            f"{MAX_FRAMES} frames."
        )


def check_texts(texts: Sequence[str], clip: PoseClip | None = None) -> None:
    """Refuses more texts than can be compared, with the frames of a clip once it is known.

    Raises:
        ValueError: for too many.
    """
    length, longest = sum(map(len, texts)), max(map(len, texts), default=0)
    if len(texts) > MAX_TEXTS or longest > MAX_TEXT or length > MAX_CHARACTERS:
        raise ValueError(
            f"These are {len(texts)} texts of {length} characters, up to {longest} in one: please choose among up to "
            f"{MAX_TEXTS} texts of {MAX_CHARACTERS} characters in all and {MAX_TEXT} in one."
        )
    if clip is not None and length * len(clip) > MAX_PRODUCT:
        raise ValueError(
            f"A clip of {len(clip)} frames can be compared with {MAX_PRODUCT // len(clip)} characters here, and these "
            f"texts have {length}: please shorten one or the other."
        )
