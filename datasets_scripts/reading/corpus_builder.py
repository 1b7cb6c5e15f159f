"""What all corpora have in common: a `datasets` builder over a list of labelled clips.

A corpus says which splits it has and which clips are in them ([`CorpusBuilder.list_clips`]) and reads one clip
([`CorpusBuilder.read_clip`]). Everything else is here: rows of the one schema, a report of what is missing or damaged,
and a cache that notices changed sources.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import datasets
from datasets.exceptions import DatasetGenerationError
from datasets.fingerprint import Hasher

from datasets_scripts.reading.clip_entry import ClipEntry
from datasets_scripts.reading.clip_times import cut_out, frame_rate_of
from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.reading.recordings import read_recording
from datasets_scripts.schema import SPLITS, encode_sample, features
from modeling_sigma.io.load_clip import load_clip
from modeling_sigma.io.reading_errors import is_passing, one_line
from modeling_sigma.jobs.retrying import with_retries
from modeling_sigma.model.pose_clip import PoseClip


logger = logging.getLogger(__name__)

_NUM_NAMED = 5  # names in a message; the full list is in `problems`


@dataclass(frozen=True)
class Problem:
    """A clip that is left out, or something else that a user should know: where, and why."""

    split: str
    sample_id: str
    reason: str


@dataclass
class CorpusConfig(datasets.BuilderConfig):
    """Options of every corpus.

    Args:
        pose_dir, label_dir (`str`, *optional*):
            Folders of the clips and of the label files, if they are not in their usual places below `data_dir`.
        fps (`float`, *optional*):
            Frames per second of clips whose files and labels state none.
        keep_layout (`bool`, *optional*, defaults to `False`):
            Store all keypoints of the detector instead of only the 69 joints.
        pictures (`bool`, *optional*, defaults to `False`):
            Add a column `picture`, four frames of each skeleton, for those who look at the rows: the Hub's viewer
            shows it where it shows keypoints as bytes.
        on_problem (`"report"` or `"raise"`, *optional*, defaults to `"report"`):
            `"report"`: leave out missing and damaged clips, and say which. `"raise"`: stop at the first of them.
        source_state (`str`, *optional*):
            Set by the builder. It changes when the sources do, so that no stale cache is used.
    """

    pose_dir: str | None = None
    label_dir: str | None = None
    fps: float | None = None
    keep_layout: bool = False
    pictures: bool = False
    on_problem: str = "report"
    source_state: str | None = None


class CorpusBuilder(datasets.GeneratorBasedBuilder):
    """Base of all corpora.

    ```python
    builder = Wlasl(config_name="wlasl100", data_dir="/data/WLASL")
    builder.download_and_prepare(num_proc=2)
    dataset = builder.as_dataset(split="train")
    builder.problems  # what was left out, and why
    ```

    What is left out is also logged as a warning. With several processes, `problems` lists missing clips alone, and
    damaged ones are in the warnings; `sigma-slu build-dataset` reports all of them.

    Args:
        cache_dir (`str`, *optional*):
            Folder for the Arrow files; by default the cache of `datasets`.
        config_name (`str`, *optional*):
            One of the corpus's configs.
        data_dir (`str`):
            The folder of the corpus.
        **kwargs:
            Fields of the corpus's config ([`CorpusConfig`]) and arguments of `datasets.DatasetBuilder`.

    Raises:
        ValueError: for an unknown config or option.
    """

    FACTS: ClassVar[CorpusFacts]
    # Of a corpus in a few large files: their names or patterns.
    FILES: ClassVar[tuple[str, ...]] = ()
    FILES_IN_WORDS: ClassVar[str] = "its files"
    VERSION = datasets.Version("1.1.0")
    BUILDER_CONFIG_CLASS = CorpusConfig
    BUILDER_CONFIGS = [CorpusConfig(name="default")]
    DEFAULT_CONFIG_NAME = "default"
    # Rows are some ten kilobytes: small batches keep the memory of a build low.
    DEFAULT_WRITER_BATCH_SIZE = 256

    def __init__(
        self,
        cache_dir: str | os.PathLike[str] | None = None,
        config_name: str | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        folders = {name: kwargs[name] for name in ("pose_dir", "label_dir") if kwargs.get(name) is not None}
        kwargs.update({name: os.fspath(folder) for name, folder in folders.items()})
        directory = None if data_dir is None else os.path.abspath(os.path.expanduser(data_dir))
        if kwargs.get("on_problem", "report") not in ("report", "raise"):
            raise ValueError(f"expected on_problem to be report or raise, received {kwargs['on_problem']!r}")
        if kwargs.get("fps") is not None:
            kwargs["fps"] = frame_rate_of(str(kwargs["fps"]), "option fps")
        unknown = [name for name in kwargs if name not in self._known_options()]
        if unknown:
            raise ValueError(
                f"{type(self).__name__}: unknown option {unknown[0]!r}: expected one of "
                f"{', '.join(sorted(self.BUILDER_CONFIG_CLASS.__dataclass_fields__))}"
            )
        kwargs["source_state"] = self._source_state(directory, kwargs)
        self.problems: list[Problem] = []
        super().__init__(
            cache_dir=None if cache_dir is None else os.fspath(cache_dir),
            config_name=config_name,
            data_dir=directory,
            **kwargs,
        )

    # --- what a corpus defines

    def available_splits(self) -> tuple[str, ...]:
        """The splits whose labels are there, of `train`, `validation` and `test`."""
        raise TypeError(f"{type(self).__name__} has to define available_splits")

    def list_clips(self, split: str) -> list[ClipEntry]:
        """The clips of a split that exist, in a fixed order. What is missing goes through `report_missing`.

        Raises:
            ValueError, OSError: if labels or folders cannot be read.
        """
        raise TypeError(f"{type(self).__name__} has to define list_clips")

    def read_clip(self, entry: ClipEntry) -> PoseClip:
        """The keypoints of a clip.

        Raises:
            ValueError, OSError: if they cannot be read.
        """
        raise TypeError(f"{type(self).__name__} has to define read_clip")

    def source_files(self, data_dir: str | None, options: dict[str, Any]) -> Iterable[str]:
        """Files whose time of change decides whether a cache is stale; missing ones are skipped."""
        return [] if data_dir is None else [str(path) for name in self.FILES for path in Path(data_dir).glob(name)]

    # --- what every corpus does

    def download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        """Like that of `datasets`, but errors are raised as they are, not wrapped in "An error occurred ..."."""
        try:
            super().download_and_prepare(*args, **kwargs)
        except DatasetGenerationError as error:
            raise _first_cause(error) from None

    def read_source(self, entry: ClipEntry, person: int = 0, estimator: Any = None) -> PoseClip:
        """The clip in the file `entry.source`, or the part of that recording that `entry` is.

        Raises:
            ValueError, OSError: if it cannot be read, or has no such part.
        """
        entry = replace(entry, fps=entry.fps or self.config.fps)
        is_part = entry.start is not None or entry.end is not None
        clip = (read_recording if is_part else load_clip)(entry.source, person, estimator)
        return cut_out(clip, entry, self.say)

    def encode(self, entry: ClipEntry) -> dict[str, Any]:
        """The row of a clip. What fails for a reason that may pass is tried again.

        Raises:
            ValueError, OSError, MemoryError: if the clip cannot be read.
        """
        return self.encode_clip(with_retries(lambda: self.read_clip(entry)), entry)

    def encode_clip(self, clip: PoseClip, entry: ClipEntry) -> dict[str, Any]:
        """The row of a clip that was read, with the frame rate of labels or options where its file states none."""
        if clip.fps is None:
            clip = replace(clip, fps=entry.fps or self.config.fps)
        row = encode_sample(
            clip,
            sample_id=entry.sample_id,
            text=entry.text,
            gloss=entry.gloss,
            signer_id=entry.signer_id,
            sign_language=self.sign_language,
            spoken_language=self.spoken_language,
            split=entry.split,
            keep_layout=self.config.keep_layout,
        )
        if self.config.pictures:
            from modeling_sigma.viz.skeleton_thumbnail import thumbnail_png

            row["picture"] = {"bytes": thumbnail_png(clip), "path": None}
        return row

    @property
    def sign_language(self) -> str:
        """The English name of the sign language."""
        return self.FACTS.sign_language

    @property
    def spoken_language(self) -> str:
        """The English name of the language of `text`."""
        return self.FACTS.spoken_language

    @property
    def folder(self) -> Path:
        """`data_dir`, once it is known to exist.

        Raises:
            ValueError: if it was not given.
            FileNotFoundError: if there is no such folder.
        """
        if self.config.data_dir is None:
            raise ValueError(
                f"{self.FACTS.title}: expected data_dir (--data-dir on the command line), the folder with "
                f"{self.FILES_IN_WORDS}, received none; they come from {self.FACTS.homepage}"
            )
        path = Path(self.config.data_dir)
        if not path.is_dir():
            is_fetched = "://" in self.FACTS.homepage
            found = (
                f"get {self.FACTS.title} from {self.FACTS.homepage}, and name its folder with"
                if is_fetched
                else ("check the path in")
            )
            raise FileNotFoundError(f"{path}: no such folder: {found} --data-dir (--data_dir in training)")
        return path

    def find_files(self) -> list[Path]:
        """The files that `FILES` names, each pattern's in alphabetical order.

        Raises:
            FileNotFoundError: if there is none for a name or pattern.
        """
        found = {name: sorted(self.folder.glob(name)) for name in self.FILES}
        for name, paths in found.items():
            if not paths:
                raise FileNotFoundError(f"expected {name} in {self.folder}: give the folder of {self.FACTS.title}")
        return [path for paths in found.values() for path in paths]

    def report(self, split: str, sample_id: str, reason: str) -> None:
        """Notes a clip that is left out; with `on_problem="raise"`, stops.

        Raises:
            ValueError: with `on_problem="raise"`.
        """
        if self.config.on_problem == "raise":
            raise ValueError(f"{self.FACTS.title}, {split}, {sample_id}: {reason}")
        self.problems.append(Problem(split, sample_id, reason))

    def report_missing(self, split: str, missing: list[str], num_labels: int, what: str = "pose files") -> None:
        """Says which clips of a split have a label and no file: "3 of 1077 pose files not found: ...".

        Raises:
            FileNotFoundError: if all are missing, or any with `on_problem="raise"`.
        """
        if not missing:
            return
        names = ", ".join(missing[:_NUM_NAMED]) + (", ..." if len(missing) > _NUM_NAMED else "")
        message = f"{self.FACTS.title}, {split}: {len(missing)} of {num_labels} {what} not found: {names}"
        if len(missing) == num_labels or self.config.on_problem == "raise":
            raise FileNotFoundError(f"{message} (looked in {self.config.pose_dir or self.config.data_dir})")
        self.say(message)
        self.problems.extend(Problem(split, name, "not found") for name in missing)

    def say(self, message: str) -> None:
        """A warning that also becomes part of the data set's description, once."""
        if message in self.info.description.split("\n"):
            return
        logger.warning(message)
        self.info.description = f"{self.info.description}\n{message}".strip()

    def _info(self) -> datasets.DatasetInfo:
        facts = self.FACTS
        columns = features()
        if self.config.pictures:  # first, where viewers begin
            columns = datasets.Features({"picture": datasets.Image(), **columns})
        return datasets.DatasetInfo(
            description=f"{facts.title} as skeletons. {facts.notes}".strip(),
            features=columns,
            homepage=facts.homepage,
            license=facts.license,
            citation=facts.citation,
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        self.problems.clear()
        self.info.description = self._info().description
        clips = {split: self.list_clips(split) for split in SPLITS if split in self.available_splits()}
        _check_unique(self.FACTS.title, clips)
        for split in [split for split, entries in clips.items() if not entries]:
            self.say(f"{self.FACTS.title}: there is no split {split}: {self._why_none(split)}")
            del clips[split]
        if not clips:
            reasons = "; ".join(self.info.description.split("\n")[1:])
            raise ValueError(f"expected clips, found none: {reasons}")
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"entries": entries}) for split, entries in clips.items()
        ]

    def _generate_examples(self, entries: list[ClipEntry]) -> Iterator[tuple[str, dict[str, Any]]]:
        damaged = []
        for entry in entries:
            try:
                row = self.encode(entry)
            except (ValueError, OSError) as error:
                if is_passing(error):
                    raise  # the cache would lack the clip for good
                self.report(entry.split, entry.sample_id, one_line(error))
                damaged.append((entry, one_line(error)))
                continue
            yield entry.sample_id, row
        if damaged:
            first, reason = damaged[0]
            message = f"{self.FACTS.title}, {first.split}: {len(damaged)} of {len(entries)} clips cannot be read"
            if len(damaged) == len(entries):
                raise ValueError(f"{message}, the first: {reason}")
            self.say(f"{message} and are left out: {', '.join(entry.sample_id for entry, _ in damaged)} ({reason})")

    def _why_none(self, split: str) -> str:
        reasons = [problem.reason for problem in self.problems if problem.split == split]
        if not reasons:
            return "its labels name no clips"
        return f"all of its {len(reasons)} clips are left out, the first for this: {reasons[0]}"

    @classmethod
    def _known_options(cls) -> set[str]:
        own = set(cls.BUILDER_CONFIG_CLASS.__dataclass_fields__) - {"source_state"}
        return own | {"dataset_name", "hash", "base_path", "info", "token", "repo_id", "writer_batch_size"}

    def _source_state(self, data_dir: str | None, options: dict[str, Any]) -> str:
        hasher = Hasher()
        for path in sorted(self.source_files(data_dir, options)):
            try:
                status = os.stat(path)
            except OSError:
                continue
            hasher.update(f"{path} {status.st_size} {status.st_mtime_ns}")
        return str(hasher.hexdigest())


def _first_cause(error: BaseException) -> BaseException:
    while isinstance(error, DatasetGenerationError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _check_unique(title: str, clips: dict[str, list[ClipEntry]]) -> None:
    seen: dict[str, ClipEntry] = {}
    for entry in (entry for entries in clips.values() for entry in entries):
        other = seen.setdefault(entry.sample_id, entry)
        if other is not entry:
            raise ValueError(
                f"{title}: two clips have the id {entry.sample_id} ({other.split}: {other.source}, {entry.split}: "
                f"{entry.source}): every clip needs an id of its own"
            )
