"""Search among so many vectors that comparing with each takes too long: only the clusters nearest to a query are read.

Faiss computes. What is saved are plain arrays, which nobody has to trust a binary format of faiss for. Vectors are
kept as float16, 2 bytes for each number, and read block by block, so that they may lie on a disk.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from modeling_sigma.inference.streamed_tensors import Parts, write_tensors
from modeling_sigma.io.json_fields import check_fields
from modeling_sigma.io.json_text import read_json
from modeling_sigma.io.reading_errors import MissingExtraError, one_line
from modeling_sigma.jobs.atomic_files import write_json
from modeling_sigma.jobs.atomic_folders import atomic_folder


_VECTORS, _FACTS = "clusters.safetensors", "clusters.json"
_NUM_ITERATIONS, _POINTS_PER_CLUSTER, _SEED = 8, 64, 0
# More clusters take longer to choose among than they save in reading.
_MOST_CLUSTERS = 8192
_BLOCK = 65_536  # rows that are converted at a time
# So many stored vectors are searched for to find out how many clusters have to be read.
_NUM_TRIED, _TRIED_K, _WANTED_RECALL = 256, 10, 0.97


class ClusteredVectors:
    """Unit vectors with ids, in clusters. [`ClusteredVectors.build`] makes it, [`ClusteredVectors.load`] reads it.

    Args:
        index (`faiss.IndexIVFScalarQuantizer`):
            The clusters and their vectors.
    """

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: np.ndarray, ids: np.ndarray) -> ClusteredVectors:
        """Clusters vectors, and finds out how many clusters a search has to read.

        Args:
            vectors (`np.ndarray` of shape `(N, hidden_size)`):
                Unit vectors, float32 or float16; they may be a `np.memmap`.
            ids (`np.ndarray` of shape `(N,)`):
                A number for each vector, from 0, none of them twice.

        Raises:
            ValueError: for vectors that are not of length 1, or ids that do not fit.
            ImportError: if the extra `faiss` is not installed.
        """
        faiss = _faiss()
        ids = _checked_ids(vectors.shape, ids)
        if not len(vectors):
            raise ValueError(f"expected vectors of shape (N, hidden_size), received {vectors.shape}")
        num_clusters = max(1, min(int(4 * math.sqrt(len(vectors))), len(vectors) // 4, _MOST_CLUSTERS))
        num_points = min(len(vectors), _POINTS_PER_CLUSTER * num_clusters)
        kmeans = faiss.Kmeans(
            vectors.shape[1],
            num_clusters,
            niter=_NUM_ITERATIONS,
            spherical=True,
            seed=_SEED,
            min_points_per_centroid=1,
            max_points_per_centroid=_POINTS_PER_CLUSTER,
        )
        chosen = np.sort(np.random.default_rng(_SEED).permutation(len(vectors))[:num_points])
        kmeans.train(_checked_block(vectors[chosen]))
        found = cls(_empty_index(kmeans.centroids))
        for start in range(0, len(vectors), _BLOCK):
            block = _checked_block(vectors[start : start + _BLOCK])
            found._index.add_with_ids(block, ids[start : start + _BLOCK])
        found._choose_num_read(vectors)
        return found

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def has_all_rows(self) -> bool:
        """Whether the ids are the numbers from 0 on, as those of the rows of a table."""
        ids = np.concatenate([self._ids(number) for number in range(self._index.nlist)])
        return bool(len(ids) == 0 or ids.max() < len(ids))  # no id is there twice

    @property
    def num_read(self) -> int:
        """The number of clusters that a search reads."""
        return int(self._index.nprobe)

    def search(self, queries: np.ndarray, top_k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """The vectors most like each query, of those in the clusters nearest to it.

        Args:
            queries (`np.ndarray` of shape `(Q, hidden_size)`):
                The unit vectors to search for.
            top_k (`int`, *optional*, defaults to 10):
                The number of results per query; fewer if there are fewer vectors.

        Returns:
            `tuple`: cosines `(Q, top_k)`, best first, and ids `(Q, top_k)`. Where the clusters that were read hold
            fewer vectors, the last ids are -1 and their cosines minus infinity.

        Raises:
            ValueError: for queries of another width, or `top_k` below 1.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self._index.d:
            raise ValueError(f"expected queries (Q, {self._index.d}), received {queries.shape}")
        if top_k < 1:
            raise ValueError(f"expected top_k of at least 1, received {top_k}")
        if not len(self):
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        scores, ids = self._index.search(queries, min(top_k, len(self)))
        scores[ids < 0] = -np.inf
        return scores, ids

    def remove(self, ids: np.ndarray) -> None:
        """Removes vectors. Nothing of them is left, nor in the centres of their clusters, which move to what remains.

        Raises:
            ValueError: for ids that are not there; then nothing is removed.
        """
        wanted = np.unique(np.asarray(ids, np.int64))
        found = [int(np.isin(self._ids(number), wanted).sum()) for number in range(self._index.nlist)]
        if sum(found) != len(wanted):
            raise ValueError(f"expected ids that are stored, received {len(wanted) - sum(found)} others: check them")
        touched = np.flatnonzero(found).tolist()
        self._index.remove_ids(wanted)
        centres = self._centres()
        for number in touched:
            total = self._vectors(number).sum(axis=0, dtype=np.float32)
            centres[number] = total / max(float(np.linalg.norm(total)), 1e-12)  # of an empty one: zeros
        self._index.quantizer.reset()
        self._index.quantizer.add(centres)

    def kept(self, is_kept: np.ndarray) -> ClusteredVectors:
        """The vectors whose ids `is_kept` `(N,)` marks, numbered anew from 0; this object is used up.

        Raises:
            ValueError: unless the ids are 0 to N - 1.
        """
        if len(is_kept) != len(self):
            raise ValueError(f"expected {len(self)} flags, one per vector, received {len(is_kept)}")
        self.remove(np.flatnonzero(~is_kept))
        numbers = np.cumsum(is_kept) - 1
        for number in range(self._index.nlist):
            if size := self._index.invlists.list_size(number):
                ids = _faiss().rev_swig_ptr(self._index.invlists.get_ids(number), size)
                ids[:] = numbers[ids]
        return self

    def save(self, folder: str | Path) -> Path:
        """Writes the folder, whole or not at all.

        Raises:
            ValueError: if another process writes there.
        """
        folder = Path(folder)
        with atomic_folder(folder, key_file=_FACTS) as staged:
            self.write(staged)
        return folder

    def write(self, folder: Path) -> None:
        """Writes both files into a folder, such as the empty one of `atomic_folder`."""
        folder.mkdir(exist_ok=True)
        numbers = range(self._index.nlist)
        centres = self._centres()
        sizes = np.array([self._index.invlists.list_size(number) for number in numbers], np.int64)
        halves, single, whole = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.int64)
        arrays: dict[str, Parts] = {
            "centres": (centres.shape, single, [centres]),
            "sizes": (sizes.shape, whole, [sizes]),
            "vectors": ((len(self), self._index.d), halves, map(self._vectors, numbers)),
            "ids": ((len(self),), whole, map(self._ids, numbers)),
        }
        write_tensors(folder / _VECTORS, arrays)
        write_json(folder / _FACTS, {"num_read": self.num_read, "num_vectors": len(self)}, sync=False)

    @classmethod
    def load(cls, folder: str | Path) -> ClusteredVectors:
        """Reads a folder.

        Raises:
            ValueError: if it is none of ours, or damaged.
            ImportError: if the extra `faiss` is not installed.
        """
        _faiss()
        folder = Path(folder)
        facts = read_json(folder / _FACTS, "the facts of clustered vectors", dict)
        try:
            check_fields(facts, {"num_read": int, "num_vectors": int})
            with safe_open(folder / _VECTORS, framework="numpy") as file:
                centres = np.ascontiguousarray(file.get_tensor("centres"), np.float32)
                sizes, ids = file.get_tensor("sizes"), file.get_tensor("ids")
                vectors = file.get_slice("vectors")
                ids = _checked_ids(tuple(vectors.get_shape()), ids)
                if not (
                    vectors.get_dtype() == "F16"
                    and len(sizes) == len(centres)
                    and (sizes >= 0).all()
                    and sizes.sum() == len(ids) == facts["num_vectors"]
                    and list(centres.shape[1:]) == vectors.get_shape()[1:]
                    and np.isfinite(centres).all()
                    and 1 <= facts["num_read"] <= len(centres)
                ):
                    raise ValueError("its arrays do not fit each other")
                index = _empty_index(centres)
                start = 0
                for number, size in enumerate(sizes.tolist()):
                    if size:  # one cluster at a time, not all vectors twice
                        part = vectors[start : start + size]
                        _checked_block(part)
                        _fill(index, number, part, ids[start : start + size])
                        start += size
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{folder}: the clusters are damaged ({one_line(error)}): build them again") from error
        index.ntotal = len(ids)
        index.nprobe = facts["num_read"]
        return cls(index)

    def _choose_num_read(self, vectors: np.ndarray) -> None:
        """The smallest power of two with which stored vectors find nearly all of their true neighbours."""
        rows = np.sort(np.random.default_rng(_SEED).permutation(len(vectors))[:_NUM_TRIED])
        queries, count = np.asarray(vectors[rows], np.float32), min(_TRIED_K, len(vectors))
        best = np.full((len(rows), count), -np.inf, np.float32)
        for start in range(0, len(vectors), _BLOCK):
            stored = vectors[start : start + _BLOCK].astype(np.float16).astype(np.float32)  # as they are compared
            both = np.concatenate([best, queries @ stored.T], axis=1)
            best = -np.partition(-both, count - 1, axis=1)[:, :count]
        worst = best.min(axis=1)
        self._index.nprobe = 1
        while self._index.nprobe < self._index.nlist:
            scores, _ = self.search(queries, count)
            if (scores >= worst[:, None] - 1e-5).mean() >= _WANTED_RECALL:
                return
            self._index.nprobe = min(2 * self._index.nprobe, self._index.nlist)

    def _vectors(self, number: int) -> np.ndarray:
        """A copy of the vectors of a cluster, float16."""
        size, width = self._index.invlists.list_size(number), self._index.d
        if not size:
            return np.empty((0, width), np.float16)
        codes = _faiss().rev_swig_ptr(self._index.invlists.get_codes(number), size * width * 2)
        copied: np.ndarray = codes.view(np.float16).reshape(size, width).copy()
        return copied

    def _ids(self, number: int) -> np.ndarray:
        """A copy of the ids of a cluster."""
        size = self._index.invlists.list_size(number)
        if not size:
            return np.empty(0, np.int64)
        copied: np.ndarray = _faiss().rev_swig_ptr(self._index.invlists.get_ids(number), size).copy()
        return copied

    def _centres(self) -> np.ndarray:
        centres: np.ndarray = self._index.quantizer.reconstruct_n(0, self._index.nlist)
        return centres


def _checked_ids(shape: tuple[int, ...], ids: np.ndarray) -> np.ndarray:
    """The ids of vectors of this shape, int64."""
    ids = np.ascontiguousarray(ids)
    if len(shape) != 2 or not shape[1]:
        raise ValueError(f"expected vectors of shape (N, hidden_size), received {shape}")
    if ids.shape != (shape[0],) or ids.dtype.kind not in "iu":
        raise ValueError(f"expected {shape[0]} ids, one whole number per vector, received {ids.dtype} {ids.shape}")
    if len(ids) and (ids.min() < 0 or len(np.unique(ids)) < len(ids)):
        raise ValueError("expected ids from 0, none of them twice, received others: number the vectors")
    return ids.astype(np.int64)


def _checked_block(vectors: np.ndarray) -> np.ndarray:
    vectors = np.ascontiguousarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.allclose(lengths, 1.0, atol=1e-2):  # NaN fails too
        raise ValueError(f"expected vectors of length 1, received lengths from {lengths.min()} to {lengths.max()}")
    return vectors


def _empty_index(centres: np.ndarray) -> Any:
    faiss = _faiss()
    number, width = centres.shape
    quantizer = faiss.IndexFlatIP(width)
    quantizer.add(centres)
    halves, product = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFScalarQuantizer(quantizer, width, number, halves, product, False)  # not minus the centre
    index.own_fields = True  # the index frees the quantizer
    quantizer.this.disown()
    index.is_trained = True
    return index


def _fill(index: Any, number: int, vectors: np.ndarray, ids: np.ndarray) -> None:
    """Puts vectors into a cluster, without looking for the nearest again."""
    faiss = _faiss()
    codes = np.ascontiguousarray(vectors).view(np.uint8)
    index.invlists.add_entries(number, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(codes))


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError(
            f'searching clusters needs faiss ({one_line(error)}): pip install -e ".[faiss]" in the folder of sigma-slu'
        ) from error
    return faiss
