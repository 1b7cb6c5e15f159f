"""Which files and folders are clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from modeling_sigma.io.load_clip import READERS, VIDEO_SUFFIXES, clip_names
from modeling_sigma.io.many_clips import SEPARATOR
from modeling_sigma.io.numpy_file import is_frame_folder
from modeling_sigma.io.openpose_json import is_openpose_folder


# Extensions that say nothing about the content: in a folder, such files are taken only if they can be read as clips.
_GENERAL_SUFFIXES = (".json", ".csv", ".parquet")
# Files with many clips.
_SUFFIXES_OF_MANY = (*_GENERAL_SUFFIXES, ".pkl", ".pickle", ".npz", ".npy", ".skels")


def is_clip(path: Path) -> bool:
    """Whether `load_clip` would take this for a skeleton file, a video or the folder of one clip's frames."""
    if path.is_dir():
        return is_openpose_folder(path) or is_frame_folder(path)
    suffix = path.suffix.lower()
    if suffix in _GENERAL_SUFFIXES:
        try:
            clip_names(path)
        except (ValueError, OSError):
            return False
        return True
    return suffix in READERS or suffix in VIDEO_SUFFIXES


def clip_paths(path: Path, is_wanted: Callable[[Path], bool] = is_clip) -> Iterator[Path]:
    """The clips that a path stands for: itself, all those in it (`file::name`), or all those below a folder.

    A path that does not exist, or is no clip, is left for the reader to refuse. Clips come in the order of their
    names, or in that of the file that holds them.

    Raises:
        ValueError: for a folder without clips.
    """
    if not path.is_dir() or is_clip(path):
        yield from _clips_in(path)
        return
    below: list[Path] = []
    folders: set[Path] = set()
    for inside in sorted(path.rglob("*")):
        if not folders.isdisjoint(inside.parents):
            continue  # a frame
        if is_wanted(inside):
            below.append(inside)
            if inside.is_dir():
                folders.add(inside)
    if not below and any(path.glob("*.json")):
        below = [path]  # perhaps the frames of one clip: their reader says what is wrong with them
    if not below:
        raise ValueError(f"expected skeleton files or videos in the folder {path}, found {_instead(path)}")
    for inside in below:
        yield from _clips_in(inside)


def _clips_in(path: Path) -> Iterator[Path]:
    names = None
    if path.is_file() and path.suffix.lower() in _SUFFIXES_OF_MANY:
        try:
            names = clip_names(path)
        except (ValueError, OSError):
            pass  # the reader says what is wrong with it
    if names is None:
        yield path
    else:
        yield from (Path(f"{path}{SEPARATOR}{name}") for name in names)


def _instead(folder: Path) -> str:
    """What a folder without clips holds, and what to do."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    if not files:
        return "none: it is empty, name another"
    suffixes = {file.suffix.lower() for file in files}
    if suffixes & {".jpg", ".jpeg", ".png"}:
        advice = "make a video of the pictures, and let extract-poses find the keypoints in it"
    else:
        advice = "name the files, or convert them with PoseClip and save_clip"
    return f"none among {len(files):,} files, such as {files[0].name}: {advice}"
