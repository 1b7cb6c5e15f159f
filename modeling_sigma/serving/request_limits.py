"""What one request may ask for, so that everybody else is served too."""

from __future__ import annotations

from collections.abc import Sequence

from modeling_sigma.model.pose_clip import PoseClip


MAX_SECONDS, MAX_FRAMES = 60, 3600  # of a clip
ASSUMED_FPS = 25.0  # of a clip that states no frame rate
MAX_TEXTS, MAX_TEXT, MAX_CHARACTERS = 500, 500, 10_000  # texts, and characters of one and of all
MAX_PRODUCT = 5_000_000  # frames times characters: each text is compared with each frame
WORK_MEMORY = 2_000_000_000  # bytes of a worker, on top of what it needs at rest


def check_clip(clip: PoseClip, max_frames: int = MAX_FRAMES) -> None:
    """Refuses a clip that is too long.

    Raises:
        ValueError: if it has more frames, or more seconds than so many frames have at 60 frames per second.
    """
    seconds, max_seconds = len(clip) / (clip.fps or ASSUMED_FPS), max_frames * MAX_SECONDS / MAX_FRAMES
    if seconds > max_seconds or len(clip) > max_frames:
        raise ValueError(
            f"This clip has {len(clip)} frames ({seconds:.0f} seconds): please cut it to {max_seconds:.0f} seconds "
            f"and {max_frames} frames."
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
