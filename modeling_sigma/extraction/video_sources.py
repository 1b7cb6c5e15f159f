"""Where videos come from: a folder, whatever fsspec opens (`hf://`, `s3://`, `https://`), or a table that lists them.

A source gives every video a name, a relative path of which its clip takes the place, and a file on this machine for as
long as somebody reads it. The names of remote videos hold no user, password or query of an address.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from modeling_sigma.io.json_text import read_json_lines
from modeling_sigma.io.load_clip import VIDEO_SUFFIXES
from modeling_sigma.io.reading_errors import MissingExtraError, PassingError, listed, naming_file, one_line, shown
from modeling_sigma.io.text_files import read_text


TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
# The columns that are tried where none is named.
VIDEO_COLUMNS = ("video", "video_url", "url", "video_path", "path", "file_name", "filename", "file")
_NO_SUFFIX = ".video"  # so that the name of a video always has one to lose
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class LocalVideos:
    """A video on this machine, or all below a folder.

    Args:
        path (`Path`):
            The video or the folder.
    """

    path: Path

    def names(self) -> list[str]:
        """The videos: sorted relative paths with `/`.

        Raises:
            ValueError: if there are none, or two would become one clip.
            OSError: if there is no such folder.
        """
        return find_videos(self.path)

    def num_bytes(self, name: str) -> int | None:
        """The size of a video."""
        return self._file(name).stat().st_size

    @contextmanager
    def fetched(self, name: str, scratch: Path) -> Iterator[Path]:
        """The file of a video."""
        yield self._file(name)

    def _file(self, name: str) -> Path:
        return (self.path.parent if self.path.is_file() else self.path) / name


@dataclass(frozen=True)
class LocatedVideos:
    """Videos at given places.

    Args:
        places (`Mapping[str, str]`):
            Name -> path on this machine, or address that fsspec opens.
        sizes (`Mapping[str, int]`, *optional*):
            Name -> bytes, where these are known without asking for each file.
    """

    places: Mapping[str, str]
    sizes: Mapping[str, int] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The videos, sorted.

        Raises:
            ValueError: if two would become one clip.
        """
        _check_clips(self.places, "give a column of names with --name-column")
        return sorted(self.places)

    def num_bytes(self, name: str) -> int | None:
        """The size of a video; None where it is remote and not known, or missing."""
        place = self.places[name]
        if not is_address(place):
            return os.path.getsize(place) if os.path.isfile(place) else None
        return self.sizes.get(name)

    @contextmanager
    def fetched(self, name: str, scratch: Path) -> Iterator[Path]:
        """The file of a video; a remote one is copied into `scratch`, and removed afterwards.

        Raises:
            OSError: if it is not there or cannot be fetched, as `PassingError` if it may be later.
        """
        place = self.places[name]
        if not is_address(place):
            if not os.path.isfile(place):
                raise FileNotFoundError(f"{name}: no such file")
            yield Path(place)
            return
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            path = Path(folder) / f"video{PurePosixPath(name).suffix}"
            _fetch(place, path, name)
            yield path


VideoSource = LocalVideos | LocatedVideos


def open_videos(where: str, column: str | None = None, name_column: str | None = None) -> VideoSource:
    """The source that a user has named.

    Args:
        where (`str`):
            A video or a folder, on this machine or at an address; or a table (csv, tsv, jsonl, Parquet) of videos.
        column (`str`, *optional*):
            The column of a table with paths, from the folder of the table, or addresses; by default one of
            [`VIDEO_COLUMNS`].
        name_column (`str`, *optional*):
            The column with the names of the clips, without extension; by default they are named after paths and
            addresses.

    Raises:
        ValueError: for a table without this column or without videos, for names that are no relative paths, and for
            an address that fsspec does not open.
        OSError: if there is no such file or folder.
    """
    suffix = PurePosixPath(urlsplit(where).path if is_address(where) else where).suffix.lower()
    if suffix in TABLE_SUFFIXES and not os.path.isdir(where):
        return _listed_videos(where, suffix, column, name_column)
    if column is not None or name_column is not None:
        raise ValueError(f"{where}: --column and --name-column belong to a table ({', '.join(TABLE_SUFFIXES)})")
    return _remote_videos(where) if is_address(where) else LocalVideos(Path(where))


def is_address(place: str) -> bool:
    """Whether this is an address, `protocol://...`, and not a path on this machine."""
    protocol, mark, _ = place.partition("://")
    return bool(mark) and protocol.replace("+", "").isalnum()


def name_of_address(address: str) -> str:
    """The relative path by which a remote file is known here: host and path, without user, query and dots.

    ```python
    >>> from modeling_sigma.extraction.video_sources import name_of_address
    >>> name_of_address("https://me:secret@host.org:8080/signs/a%20b.mp4?key=1")
    'host.org/signs/a b.mp4'

    ```
    """
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2].partition(":")[0]
    return "/".join(part for part in [host, *unquote(parts.path).split("/")] if part not in ("", ".", ".."))


def clip_name(video: str) -> str:
    """The file of the clip of a video."""
    return str(Path(video).with_suffix(".npz").as_posix())


def find_videos(folder: Path) -> list[str]:
    """The videos in a folder and its subfolders: sorted relative paths with `/`. Of a video, its name.

    Raises:
        ValueError: if there are none, or two would become one clip.
        OSError: if there is no such folder.
    """
    if folder.is_file():
        if folder.suffix.lower() not in VIDEO_SUFFIXES:
            raise ValueError(f"{folder}: expected a video ({', '.join(VIDEO_SUFFIXES)}), or a folder of videos")
        return [folder.name]
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such file or folder: give a video, or the folder of the videos")
    videos = _videos_among(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    if not videos:
        raise ValueError(f"{folder}: expected videos ({', '.join(VIDEO_SUFFIXES)}), found none")
    _check_clips(videos, "rename all but one", f"{folder}: ")
    return videos


def _videos_among(names: Iterable[str]) -> list[str]:
    paths = [PurePosixPath(name) for name in names]
    return sorted(
        path.as_posix()
        for path in paths
        if path.suffix.lower() in VIDEO_SUFFIXES and not any(part.startswith(".") for part in path.parts)
    )


def _check_clips(videos: Iterable[str], advice: str, where: str = "") -> None:
    videos = list(videos)
    for clip, count in Counter(map(clip_name, videos)).items():
        if count > 1:
            same = ", ".join(video for video in videos if clip_name(video) == clip)
            raise ValueError(f"{where}{same} would all become {clip}: {advice}")


def _remote_videos(address: str) -> LocatedVideos:
    files, path = _file_system(address)
    try:
        if files.isfile(path):
            return LocatedVideos({PurePosixPath(name_of_address(address)).name: address})
        found = files.find(path, detail=True)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{address}: no such file or folder") from error
    except Exception as error:  # of each protocol's own library
        raise PassingError(f"{address}: cannot be listed ({type(error).__name__}: {one_line(error)[:200]})") from error
    root = files._strip_protocol(path).rstrip("/")
    by_name = {name[len(root) :].lstrip("/"): (name, facts) for name, facts in found.items()}
    names = _videos_among(by_name)
    if not names:
        raise ValueError(f"{address}: expected videos ({', '.join(VIDEO_SUFFIXES)}), found none")
    places = {name: files.unstrip_protocol(by_name[name][0]) for name in names}
    sizes = {name: by_name[name][1].get("size") for name in names}
    return LocatedVideos(places, {name: size for name, size in sizes.items() if size is not None})


def _listed_videos(where: str, suffix: str, column: str | None, name_column: str | None) -> LocatedVideos:
    if is_address(where):
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / f"table{suffix}"
            _fetch(where, table, where)
            rows = _read_rows(table, suffix, where)
        base = where.rpartition("/")[0]
    else:
        rows = _read_rows(Path(where), suffix, where)
        base = os.path.dirname(where)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    column = column or next((name for name in VIDEO_COLUMNS if name in columns), None)
    for wanted, flag in ((column, "--column"), (name_column, "--name-column")):
        if wanted not in columns and (wanted is not None or flag == "--column"):
            expected = f"the column {shown(wanted)}" if wanted else f"a column of videos ({', '.join(VIDEO_COLUMNS)})"
            raise ValueError(f"{where}: expected {expected}, received {listed(columns)}: name it with {flag}")
    places: dict[str, str] = {}
    for row in rows:
        cell = str(row.get(str(column)) or "").strip()
        if not cell:
            continue
        name = _name_of(where, cell, None if name_column is None else row.get(name_column))
        place = cell if is_address(cell) or os.path.isabs(cell) else f"{base}/{cell}" if base else cell
        if places.setdefault(name, place) != place:
            raise ValueError(f"{where}: two videos have the name {shown(name)}: name others with --name-column")
    if not places:
        raise ValueError(f"{where}: expected videos in the column {shown(column)}, found none")
    return LocatedVideos(places)


def _name_of(where: str, cell: str, given: Any) -> str:
    suffix = PurePosixPath(urlsplit(cell).path if is_address(cell) else cell).suffix
    suffix = suffix if suffix.lower() in VIDEO_SUFFIXES else ""  # a name may have dots
    if given is not None:
        name = f"{str(given).strip()}{suffix or _NO_SUFFIX}" if str(given).strip() else ""
    else:
        name = name_of_address(cell) if is_address(cell) else cell.replace("\\", "/").removeprefix("./")
        name += "" if suffix or not name else _NO_SUFFIX
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or any(part.startswith(".") for part in path.parts):
        raise ValueError(
            f"{where}: expected a relative path to name a clip after, received {shown(given or cell)}: give a column "
            "of names with --name-column"
        )
    return path.as_posix()


def _read_rows(path: Path, suffix: str, where: str) -> list[dict[str, Any]]:
    if suffix == ".parquet":
        from pyarrow import parquet

        if not path.is_file():
            raise FileNotFoundError(f"{where}: no such file: give a table of videos")
        with naming_file(where, "a Parquet table"):
            schema = parquet.read_schema(path)
            flat = [field.name for field in schema if not hasattr(field.type, "fields")]
            rows: list[dict[str, Any]] = parquet.read_table(path, columns=flat).to_pylist()
            return rows
    if suffix == ".jsonl":
        return [row for row in read_json_lines(path, "videos") if isinstance(row, dict)]
    text = read_text(path, "videos")
    header = text.partition("\n")[0]
    with naming_file(where, "a table of videos"):
        return list(csv.DictReader(text.split("\n"), delimiter=max(_DELIMITERS, key=header.count)))


def _file_system(address: str) -> tuple[Any, str]:
    import fsspec

    protocol = address.partition("://")[0]
    try:
        files, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise MissingExtraError(f"{protocol}:// needs another package: {one_line(error)}") from error
    except ValueError as error:
        raise ValueError(f"{shown(address)}: cannot be opened ({one_line(error)})") from error
    return files, path


def _fetch(address: str, path: Path, name: str) -> None:
    files, remote = _file_system(address)
    try:
        files.get_file(remote, os.fspath(path))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name}: no such file") from error
    except PermissionError as error:
        raise PermissionError(f"{name}: you may not read it") from error
    except Exception as error:  # of each protocol's own library
        message = one_line(error).replace(address, name)[:200]
        raise PassingError(f"{name}: could not be fetched now ({type(error).__name__}: {message})") from error
