"""Which skeleton file belongs to which name: an index of a folder, and the spellings that names have on disk.

Names with `::` are looked at here alone: `datasets` takes them for chains of archives in modules that have builders.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from datasets_scripts.reading.label_tables import SPLIT_NAMES
from modeling_sigma.io.load_clip import READERS, VIDEO_SUFFIXES
from modeling_sigma.io.many_clips import split_name
from modeling_sigma.io.numpy_file import is_frame_folder


# Readable files that are often something else: features, notes, labels. Other files of the same name go before them.
_AMBIGUOUS = (".npy", ".json", ".parquet", ".csv")
_PLAIN = tuple(suffix for suffix in READERS if suffix not in _AMBIGUOUS)

# Bytes of a file's name, and of the extension that may be added to it.
_LONGEST_NAME, _LONGEST_SUFFIX = 255, 8

# What `:` becomes where a file system or a script does not allow it.
_COLON_SPELLINGS = (":", "%", "_", "-", "")


def walk_clips(folder: str | os.PathLike[str]) -> Iterator[tuple[str, os.DirEntry[str] | Path]]:
    """Names without extension and entries of all skeleton files below `folder`, folders in alphabetical order.

    A folder of OpenPose's `*_keypoints.json`, or of numbered `.npy` frames, is one clip with the folder's name.
    """
    pending = [os.fspath(folder)]
    while pending:
        current = pending.pop()
        with os.scandir(current) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        is_clip = any(entry.name.endswith("_keypoints.json") for entry in listed)
        if is_clip or (any(entry.name.endswith(".npy") for entry in listed) and is_frame_folder(Path(current))):
            yield os.path.basename(current), Path(current)
            continue
        for entry in listed:
            stem, suffix = os.path.splitext(entry.name)
            if suffix.lower() in READERS:
                yield stem, entry
        pending.extend(entry.path for entry in reversed(listed) if entry.is_dir() and not entry.name.startswith("."))


class PoseFiles:
    """The skeleton files below a folder, by name.

    Args:
        folder (`str` or `os.PathLike`):
            The folder to search, with all its subfolders.
        alias (`Callable[[str], str]`, *optional*):
            Function from a file's name to another name that it is found by, for names with suffixes of their own.
    """

    def __init__(self, folder: str | os.PathLike[str], alias: Callable[[str], str] | None = None) -> None:
        self.folder = Path(folder)
        self._paths: dict[str, list[str]] = {}
        aliases: dict[str, list[str]] = {}
        for name, entry in walk_clips(folder):
            path = os.fspath(entry)
            self._paths.setdefault(name, []).append(path)
            if alias is not None and alias(name) != name:
                aliases.setdefault(alias(name), []).append(path)
        for name, paths in aliases.items():
            self._paths.setdefault(name, paths)  # a file of exactly that name goes first

    def __len__(self) -> int:
        return sum(map(len, self._paths.values()))

    def find(self, names: Iterable[str], split: str) -> str | None:
        """The path of the first of `names` that exists; of files in several folders the one of `split`.

        Raises:
            ValueError: if several files have the name.
        """
        for name in names:
            paths = self._paths.get(name, [])
            paths = [path for path in paths if not path.lower().endswith(_AMBIGUOUS)] or paths
            if len(paths) > 1:
                paths = [path for path in paths if split in _splits_in(path)] or paths
            if len(paths) > 1:
                raise ValueError(
                    f"{len(paths)} files are called {name}: {', '.join(paths[:3])}: give pose_dir, the folder to take"
                )
            if paths:
                return paths[0]
        return None


def state_of_clips(folder: str | os.PathLike[str]) -> str:
    """Changes when a skeleton file below `folder` is added, removed or written again."""
    hasher = hashlib.blake2b(digest_size=8)
    for _, entry in walk_clips(folder):
        for file in files_of(entry):
            status = os.stat(file)
            hasher.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    return hasher.hexdigest()


def files_of(clip: str | os.PathLike[str]) -> list[str]:
    """What a clip is read from: its file, or all frames of its folder.

    The folder alone would not do for a fingerprint: its time stays when a file in it is written again.
    """
    file, _ = split_name(clip)
    if not file.is_dir():
        return [os.fspath(file)]
    return sorted(entry.path for entry in os.scandir(file) if entry.name.lower().endswith((".json", ".npy")))


def clip_exists(source: str) -> bool:
    """Whether the file or folder of a clip exists; whether a clip among others is in its file, reading it tells."""
    return split_name(source)[0].exists()


def file_of_clip(folder: str, name: str, prefers_video: bool = False) -> str:
    """The clip that a name stands for, which may lack its extension or have that of the video.

    Pictures, features, notes and other files with the clip's name may lie beside it: a skeleton file goes first, then
    a folder of frames, then a file that may be something else, then a video.

    Args:
        folder (`str`):
            The folder that the name is relative to.
        name (`str`):
            A file, with or without its extension, or a folder; also `annotations.pkl::clip_01`.
        prefers_video (`bool`, *optional*, defaults to `False`):
            Whether a path to a video means the video, although there are skeletons of that name.

    Returns:
        `str`: the path of the clip; whether it exists is another question.
    """
    path = Path(folder, name.replace("\\", "/"))
    file, name_within = split_name(path)
    suffix = file.suffix.lower()
    is_meant = suffix in READERS or (prefers_video and suffix in VIDEO_SUFFIXES)
    if name_within is not None or (is_meant and file.is_file()):
        return os.fspath(path)
    stems = [file.name, file.stem] if suffix in VIDEO_SUFFIXES else [file.name]
    candidates = [file.with_name(stem + plain) for stem in stems for plain in _PLAIN]
    candidates += [frames for stem in stems if (frames := file.with_name(stem)).is_dir() and files_of(frames)]
    if suffix not in VIDEO_SUFFIXES or not file.is_file():
        candidates += [file.with_name(stem + other) for stem in stems for other in (*_AMBIGUOUS, *VIDEO_SUFFIXES)]
    return os.fspath(next((candidate for candidate in candidates if candidate.exists()), path))


def unusable_path(name: str) -> str | None:
    """Why there can be no file of this name, whatever the folder; None for an ordinary name."""
    try:
        parts = os.fsencode(name).split(b"/")
    except UnicodeEncodeError:
        return "half of a character"
    if not name.strip("/\\"):
        return "slashes alone"
    if "\0" in name:
        return "one with a zero byte"
    longest = max(map(len, parts))
    return f"one with a name of {longest:,} bytes" if longest > _LONGEST_NAME - _LONGEST_SUFFIX else None


def spellings(name: str) -> tuple[str, ...]:
    """How a clip's name may stand on disk: without folder and extension, and with `:` as `%`, `_`, `-` or nothing."""
    plain = clip_name(name)
    if ":" not in plain:
        return (plain,)
    return tuple(plain.replace(":", spelling) for spelling in _COLON_SPELLINGS)


def clip_name(name: str) -> str:
    """A clip's name without folder and without the extension of a video or skeleton file."""
    return without_suffix(name.rstrip("/\\")).rsplit("/", 1)[-1]


def without_suffix(name: str) -> str:
    """A clip's path without the extension of a video or skeleton file, with slashes between folders."""
    path = name.replace("\\", "/")
    stem, suffix = os.path.splitext(path)
    return stem if suffix.lower() in (*VIDEO_SUFFIXES, *READERS) else path


def _splits_in(path: str) -> set[str]:
    return {SPLIT_NAMES[part] for part in Path(path).parent.parts if part in SPLIT_NAMES}
