"""Search among so many vectors that comparing with each takes too long: only the clusters nearest to a query are read.

Faiss computes. What is saved are plain arrays, which nobody has to trust a binary format of faiss for.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from modeling_sigma.io.json_fields import check_fields
from modeling_sigma.io.json_text import read_json
from modeling_sigma.io.reading_errors import MissingExtraError, one_line
from modeling_sigma.jobs.atomic_files import write_json
from modeling_sigma.jobs.atomic_folders import atomic_folder


_VECTORS, _FACTS = "clusters.safetensors", "clusters.json"
_NUM_ITERATIONS, _POINTS_PER_CLUSTER, _SEED = 8, 64, 0
# So many stored vectors are searched for to find out how many clusters have to be read.
_NUM_TRIED, _TRIED_K, _WANTED_RECALL = 256, 10, 0.97


class ClusteredVectors:
    """Unit vectors with ids, in clusters. [`ClusteredVectors.build`] makes it, [`ClusteredVectors.load`] reads it.

    Args:
        index (`faiss.IndexIVFFlat`):
            The clusters and their vectors.
    """

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: np.ndarray, ids: np.ndarray) -> ClusteredVectors:
        """Clusters vectors, and finds out how many clusters a search has to read.

        Args:
            vectors (`np.ndarray` of shape `(N, hidden_size)`):
                Unit vectors, float32.
            ids (`np.ndarray` of shape `(N,)`):
                A number for each vector, from 0, none of them twice.

        Raises:
            ValueError: for vectors that are not of length 1, or ids that do not fit.
            ImportError: if the extra `faiss` is not installed.
        """
        faiss = _faiss()
        vectors, ids = _checked(vectors, ids)
        num_clusters = max(1, min(int(4 * math.sqrt(len(vectors))), len(vectors) // 4))
        kmeans = faiss.Kmeans(
            vectors.shape[1],
            num_clusters,
            niter=_NUM_ITERATIONS,
            spherical=True,
            seed=_SEED,
            min_points_per_centroid=1,
            max_points_per_centroid=_POINTS_PER_CLUSTER,
        )
        kmeans.train(vectors)
        found = cls(_empty_index(kmeans.centroids))
        found._index.add_with_ids(vectors, ids)
        found._choose_num_read(vectors)
        return found

    def __len__(self) -> int:
        return int(self._index.ntotal)

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
        clusters = {number: self._members(number) for number in range(self._index.nlist)}
        touched = [number for number, (_, members) in clusters.items() if np.isin(members, wanted).any()]
        found = sum(int(np.isin(clusters[number][1], wanted).sum()) for number in touched)
        if found != len(wanted):
            raise ValueError(f"expected ids that are stored, received {len(wanted) - found} others: check them")
        self._index.remove_ids(wanted)
        centres = self._centres()
        for number in touched:
            total = self._members(number)[0].sum(axis=0)
            centres[number] = total / max(float(np.linalg.norm(total)), 1e-12)  # of an empty one: zeros
        self._index.quantizer.reset()
        self._index.quantizer.add(centres)

    def save(self, folder: str | Path) -> Path:
        """Writes the folder, whole or not at all.

        Raises:
            ValueError: if another process writes there.
        """
        folder = Path(folder)
        members = [self._members(number) for number in range(self._index.nlist)]
        arrays = {
            "centres": self._centres(),
            "sizes": np.array([len(ids) for _, ids in members], np.int64),
            "vectors": np.concatenate([vectors for vectors, _ in members]),
            "ids": np.concatenate([ids for _, ids in members]),
        }
        with atomic_folder(folder, key_file=_FACTS) as staged:
            save_file(arrays, staged / _VECTORS)
            write_json(staged / _FACTS, {"num_read": self.num_read, "num_vectors": len(self)}, sync=False)
        return folder

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
                arrays = {name: file.get_tensor(name) for name in ("centres", "sizes", "vectors", "ids")}
            centres, sizes = np.ascontiguousarray(arrays["centres"], np.float32), arrays["sizes"]
            vectors, ids = _checked(arrays["vectors"], arrays["ids"], may_be_empty=True)
            if not (
                len(sizes) == len(centres)
                and (sizes >= 0).all()
                and sizes.sum() == len(ids) == facts["num_vectors"]
                and centres.shape[1:] == vectors.shape[1:]
                and np.isfinite(centres).all()
                and 1 <= facts["num_read"] <= len(centres)
            ):
                raise ValueError("its arrays do not fit each other")
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{folder}: the clusters are damaged ({one_line(error)}): build them again") from error
        index = _empty_index(centres)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        for number, (start, end) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
            if end > start:
                _fill(index, number, vectors[start:end], ids[start:end])
        index.ntotal = len(ids)
        index.nprobe = facts["num_read"]
        return cls(index)

    def _choose_num_read(self, vectors: np.ndarray) -> None:
        """The smallest power of two with which stored vectors find nearly all of their true neighbours."""
        rows = np.random.default_rng(_SEED).permutation(len(vectors))[:_NUM_TRIED]
        queries, count = vectors[rows], min(_TRIED_K, len(vectors))
        worst = -np.sort(-(queries @ vectors.T), axis=1)[:, count - 1]
        self._index.nprobe = 1
        while self._index.nprobe < self._index.nlist:
            scores, _ = self.search(queries, count)
            if (scores >= worst[:, None] - 1e-5).mean() >= _WANTED_RECALL:
                return
            self._index.nprobe = min(2 * self._index.nprobe, self._index.nlist)

    def _members(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the vectors and ids of a cluster."""
        faiss, lists, width = _faiss(), self._index.invlists, self._index.d
        size = lists.list_size(number)
        if not size:
            return np.empty((0, width), np.float32), np.empty(0, np.int64)
        codes = faiss.rev_swig_ptr(lists.get_codes(number), size * width * 4)
        return codes.view(np.float32).reshape(size, width).copy(), faiss.rev_swig_ptr(
            lists.get_ids(number), size
        ).copy()

    def _centres(self) -> np.ndarray:
        centres: np.ndarray = self._index.quantizer.reconstruct_n(0, self._index.nlist)
        return centres


def _checked(vectors: np.ndarray, ids: np.ndarray, may_be_empty: bool = False) -> tuple[np.ndarray, np.ndarray]:
    vectors, ids = np.ascontiguousarray(vectors, np.float32), np.ascontiguousarray(ids)
    if vectors.ndim != 2 or not vectors.shape[1] or not (len(vectors) or may_be_empty):
        raise ValueError(f"expected vectors of shape (N, hidden_size), received {vectors.shape}")
    if ids.shape != (len(vectors),) or ids.dtype.kind not in "iu":
        raise ValueError(f"expected {len(vectors)} ids, one whole number per vector, received {ids.dtype} {ids.shape}")
    if len(ids) and (ids.min() < 0 or len(np.unique(ids)) < len(ids)):
        raise ValueError("expected ids from 0, none of them twice, received others: number the vectors")
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.allclose(lengths, 1.0, atol=1e-2):  # NaN fails too
        raise ValueError(f"expected vectors of length 1, received lengths from {lengths.min()} to {lengths.max()}")
    return vectors, ids.astype(np.int64)


def _empty_index(centres: np.ndarray) -> Any:
    faiss = _faiss()
    number, width = centres.shape
    quantizer = faiss.IndexFlatIP(width)
    quantizer.add(centres)
    index = faiss.IndexIVFFlat(quantizer, width, number, faiss.METRIC_INNER_PRODUCT)
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
