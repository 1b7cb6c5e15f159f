"""Training clips read from Parquet shards while they are needed: what is in memory does not grow with the corpus.

The rows of a window are held together, shuffled, and put into batches of clips of similar length; then comes the next
window. Where a stream was left is known exactly: the rows before the window, and the batches taken from it. So a run
that goes on in the middle of an epoch sees the very batches that it would have seen.

`datasets` has a shuffle buffer of its own, whose content is lost when a stream goes on elsewhere: only the order of
the shards is left to it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import datasets
import numpy as np
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from datasets_scripts.corpora import load_corpus
from modeling_sigma.training.data.clip_dataset import ClipSample, frames_read
from modeling_sigma.training.data.frame_budget import FrameBudgetSampler


@dataclass(frozen=True)
class StreamedCorpus:
    """A training split that is read as a stream, of one corpus or of several.

    Args:
        sources (`Sequence[tuple]`):
            Name, config and data folder of each corpus; see `load_corpus`.
        split (`str`):
            The split.
        weights (`Sequence[float]`, *optional*):
            How often each corpus is drawn from, for several.
        window (`int`, *optional*, defaults to 1000):
            The number of clips that each reader holds and shuffles.
        options (`dict`, *optional*):
            Options of the corpora.

    Raises:
        ValueError: without a weight for each of several corpora.
    """

    sources: Sequence[tuple[str, str | None, str | None]]
    split: str
    weights: Sequence[float] | None = None
    window: int = 1000
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        weights = self.weights or [1.0] * (len(self.sources) == 1)
        if len(weights) != len(self.sources) or min(weights) <= 0:
            raise ValueError(
                f"expected a positive weight for each of {len(self.sources)} streamed corpora, received "
                f"{list(self.weights or [])}: set corpus_weights"
            )
        if self.window < 1:
            raise ValueError(f"expected a shuffle_window of at least 1 clip, received {self.window}")

    def rows(self, seed: int, epoch: int, rank: int = 0, world_size: int = 1) -> datasets.IterableDataset:
        """The rows that one of several processes reads in an epoch: shards in random order, corpora mixed by weight.

        An epoch ends when the rows of every corpus have come at least once.
        """
        parts = [
            # One file at a time: `datasets` 5.2 cannot go on in a worker that mixes files.
            split_dataset_by_node(
                part.shuffle(seed=seed + epoch, buffer_size=1, max_buffer_input_shards=1), rank, world_size
            )
            for part in self._parts()
        ]
        if len(parts) == 1:
            return parts[0]
        weights = np.asarray(self.weights, np.float64)
        return datasets.interleave_datasets(
            parts, list(weights / weights.sum()), seed=seed + epoch, stopping_strategy="all_exhausted"
        )

    def select_columns(self, names: list[str]) -> Iterator[dict[str, Any]]:
        """All rows once, in order, without the other columns. All of it is read."""
        for part in self._parts():
            yield from part.select_columns(names)

    def unique(self, name: str) -> list[Any]:
        """The values of a column, each once. All of it is read."""
        return list(dict.fromkeys(row[name] for row in self.select_columns([name])))

    def facts(self) -> dict[str, Any]:
        """What tells this data from other data, without reading it."""
        parts = self._parts()
        return {
            "streamed": [":".join(filter(None, source[:2])) for source in self.sources],
            "split": self.split,
            "num_shards": [part.num_shards for part in parts],
        }

    def _parts(self) -> list[datasets.IterableDataset]:
        return [
            load_corpus(name, config, split=self.split, data_dir=folder, streaming=True, **self.options)
            for name, config, folder in self.sources
        ]


class StreamedClips(IterableDataset):
    """Batches of training clips without end, epoch after epoch; can go on where it was left.

    Args:
        corpus ([`StreamedCorpus`]):
            What is read.
        seed (`int`, *optional*, defaults to 0):
            The seed of the order and of everything random about a clip.
    """

    def __init__(self, corpus: StreamedCorpus, seed: int = 0) -> None:
        self.corpus, self.seed = corpus, seed
        self.rank, self.world_size = 0, 1
        self.starts: Sequence[dict[str, Any] | None] = ()
        self.num_ahead = 0
        self._extractor: Any = None
        self._batching: dict[str, Any] = {}

    def prepare(self, extractor: Any, rank: int, world_size: int, **batching: Any) -> None:
        """Says how batches are made, and of which part of the corpus.

        Args:
            extractor ([`SigmaFeatureExtractor`]):
                What decides how many frames of a clip are read.
            rank (`int`), world_size (`int`):
                Which of how many processes this is.
            **batching:
                Arguments of [`FrameBudgetSampler`], which makes the batches of each window.
        """
        self._extractor, self.rank, self.world_size, self._batching = extractor, rank, world_size, batching

    def __iter__(self) -> Iterator[Any]:
        """Yields `(reader, place, samples)`: the number of this reader, and where its stream is after these samples.
        Readers that are a batch ahead of others begin with None."""
        worker = get_worker_info()
        reader = 0 if worker is None else worker.id
        if reader < self.num_ahead:
            yield None
        start = self.starts[reader] if self.starts else None
        epoch, state, number, taken = (
            (0, None, 0, 0) if start is None else (start[name] for name in ("epoch", "rows", "window", "taken"))
        )
        while True:
            stream = self.corpus.rows(self.seed, epoch, self.rank, self.world_size)
            num_readers = 1 if worker is None else worker.num_workers
            if stream.num_shards < num_readers:
                raise ValueError(
                    f"expected a Parquet file for each reader, received {stream.num_shards} for {num_readers} of this "
                    "process: lower dataloader_num_workers, or build the data set with fewer clips per shard"
                )
            if state is not None:
                stream.load_state_dict(state)
            rows = iter(stream)
            before = state  # None for the beginning of an epoch: before it is read, a stream does not know its shards
            while window := list(islice(rows, self.corpus.window)):
                after = stream.state_dict()
                batches = self._batches(window, epoch, number)
                for place in range(taken, len(batches)):
                    left = {"epoch": epoch, "rows": before, "window": number, "taken": place + 1}
                    yield reader, left, [self._sample(window[index], epoch) for index in batches[place]]
                before, number, taken = after, number + 1, 0
            if not number:
                raise ValueError(f"expected clips in the {self.corpus.split} split, received none")
            epoch, state, number = epoch + 1, None, 0

    def _batches(self, window: Sequence[Any], epoch: int, number: int) -> list[list[int]]:
        if len(window) < self._batching.get("num_parts", 1):
            return []  # the last clips of an epoch, which do not fill a step
        lengths = frames_read([row["num_frames"] for row in window], self._extractor)
        sampler = FrameBudgetSampler(lengths, seed=self.seed + 7919 * epoch, **self._batching)
        sampler.set_epoch(number)
        return [[index for _, index in batch] for batch in sampler]

    def _sample(self, row: Any, epoch: int) -> ClipSample:
        # By the name of the clip: wherever it comes in whichever stream, it is augmented alike in an epoch.
        name = zlib.crc32(row["sample_id"].encode())
        return ClipSample.from_row(row, np.random.default_rng([self.seed, epoch, name]))


class StreamLoader(DataLoader):
    """Loads the batches of [`StreamedClips`], and knows where the stream is after each batch that it has given out.

    Args:
        dataset ([`StreamedClips`]):
            The stream.
        collate (`Callable`):
            Makes a batch of samples.
        num_workers (`int`):
            The number of processes that read.
        place (`dict`, *optional*):
            Where to go on: the `place` of another loader with as many workers.
        **options:
            Further arguments of `DataLoader`.

    Raises:
        ValueError: for a place of a loader with another number of workers or processes.
    """

    def __init__(
        self,
        dataset: StreamedClips,
        collate: Any,
        num_workers: int,
        place: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        num_readers = max(1, num_workers)
        facts = {"num_readers": num_readers, "world_size": dataset.world_size, "corpus_window": dataset.corpus.window}
        self.place: dict[str, Any] = {**facts, "num_batches": 0, "readers": [None] * num_readers}
        if place is not None:
            for name, now in facts.items():
                if place[name] != now:
                    raise ValueError(
                        f"expected {name} {place[name]}, as when the checkpoint was written, received {now}: the "
                        "stream would not go on where it was"
                    )
            self.place = {**place, "readers": list(place["readers"])}
            dataset.starts, dataset.num_ahead = self.place["readers"], self.place["num_batches"] % num_readers
        super().__init__(dataset, batch_size=None, collate_fn=_Collate(collate), num_workers=num_workers, **options)

    def __iter__(self) -> Any:
        for item in super().__iter__():
            if item is None:
                continue
            reader, left, batch = item
            self.place["readers"][reader] = left
            self.place["num_batches"] += 1
            yield batch


@dataclass(frozen=True)
class _Collate:
    collate: Any

    def __call__(self, item: Any) -> Any:
        return None if item is None else (*item[:2], self.collate(item[2]))
