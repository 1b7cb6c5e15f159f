"""Stored embeddings and their entries: a folder with one safetensors file and one JSON file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from modeling_sigma.inference.clustered_vectors import ClusteredVectors
from modeling_sigma.inference.model_fingerprint import model_fingerprint
from modeling_sigma.inference.nearest_rows import nearest_rows
from modeling_sigma.inference.vector_folder import damaged, read_vectors, write_vectors
from modeling_sigma.jobs.atomic_folders import atomic_folder


KINDS = ("clips", "texts")
_FIELDS = {"entries": list[str], "kind": str, "model": str, "fingerprint": str}
ENTRIES = "index.json"
# An index of so many entries is searched in clusters, if faiss is installed: fewer are compared in some milliseconds.
CLUSTERED_FROM = 200_000
_CLUSTERS = "clusters"


@dataclass(frozen=True, eq=False)
class EmbeddingIndex:
    """Unit vectors of clips or texts, searched exactly, or in clusters: some 97 of 100 nearest ones, much faster.

    Args:
        embeddings (`np.ndarray` of shape `(N, hidden_size)`):
            Unit vectors, float32.
        entries (`list[str]`):
            The file name or text of each row.
        kind (`"clips"` or `"texts"`):
            Whether the rows are clips or texts.
        model (`str`):
            The folder of the model, or its name on the Hub.
        fingerprint (`str`):
            The fingerprint of the model's weights: vectors of two models cannot be compared.
        clusters ([`ClusteredVectors`], *optional*):
            The rows by their numbers, to search in clusters; see [`clustered`].

    Raises:
        ValueError: for vectors of another shape or length, an unknown kind, or another number of entries than vectors.
    """

    embeddings: np.ndarray
    entries: list[str]
    kind: str
    model: str
    fingerprint: str
    clusters: ClusteredVectors | None = None

    def __post_init__(self) -> None:
        vectors = np.ascontiguousarray(self.embeddings, np.float32)
        if vectors.ndim != 2 or not len(vectors):
            raise ValueError(f"expected embeddings of shape (N, hidden_size), received {vectors.shape}")
        if len(self.entries) != len(vectors):
            raise ValueError(f"expected {len(vectors)} entries, one per row, received {len(self.entries)}")
        if self.kind not in KINDS:
            raise ValueError(f"expected kind clips or texts, received {self.kind!r}")
        lengths = np.linalg.norm(vectors, axis=1)
        if not np.allclose(lengths, 1.0, atol=1e-2):  # NaN fails too
            raise ValueError(f"expected vectors of length 1, received lengths from {lengths.min()} to {lengths.max()}")
        clusters = self.clusters
        if clusters is not None and not (len(clusters) == len(vectors) and clusters.has_all_rows()):
            raise ValueError(f"expected clusters of {len(vectors)} rows, received others: build the index again")
        object.__setattr__(self, "embeddings", vectors)

    def __len__(self) -> int:
        return len(self.entries)

    def search(self, queries: np.ndarray, top_k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """The rows most like each query.

        Args:
            queries (`np.ndarray` of shape `(Q, hidden_size)`):
                The unit vectors to search for.
            top_k (`int`, *optional*, defaults to 10):
                The number of results per query; fewer if the index has fewer entries.

        Returns:
            `tuple`: cosines `(Q, top_k)`, best first, and their rows `(Q, top_k)`. Equal cosines are in row order.

        Raises:
            ValueError: for queries of another width, or `top_k` below 1.
        """
        if self.clusters is None:
            return nearest_rows(queries, self.embeddings, top_k)
        _, rows = self.clusters.search(queries, top_k)
        if (rows < 0).any():  # the clusters that were read hold fewer
            return nearest_rows(queries, self.embeddings, top_k)
        queries = np.asarray(queries, np.float32)
        scores = np.einsum("qkd,qd->qk", self.embeddings[rows], queries)  # clusters compare rounded numbers
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)

    def clustered(self) -> EmbeddingIndex:
        """The same index, searched in clusters from 200,000 entries on, if faiss is installed."""
        if len(self) < CLUSTERED_FROM or self.clusters is not None or find_spec("faiss") is None:
            return self
        return replace(self, clusters=ClusteredVectors.build(self.embeddings, np.arange(len(self))))

    def without(self, entries: Collection[str]) -> EmbeddingIndex:
        """The index without some entries: once saved, nothing of them is left in the folder.

        Raises:
            ValueError: for an entry that it does not have, or if none would be left.
        """
        gone, known = set(entries), set(self.entries)
        if not gone <= known or gone == known:
            wrong = sorted(gone - known)[:1] or ["all of them"]
            raise ValueError(f"expected some of the {len(self)} entries, received {wrong[0]!r}: check the names")
        is_kept = np.array([entry not in gone for entry in self.entries])
        kept = replace(
            self, embeddings=self.embeddings[is_kept], entries=[one for one in self.entries if one not in gone],
            clusters=None,
        )  # fmt: skip
        if self.clusters is None:
            return kept
        clusters = self.clusters.kept(is_kept)
        return replace(kept, clusters=clusters)

    @classmethod
    def joined(cls, parts: Sequence[EmbeddingIndex]) -> EmbeddingIndex:
        """The entries of several indexes, part after part, in clusters anew if there are many.

        Raises:
            ValueError: for no index, indexes of other weights or of another kind, and for an entry in two of them.
        """
        if not parts:
            raise ValueError("expected indexes to join, received none")
        first, names = parts[0], set(parts[0].entries)
        for part in parts[1:]:
            if (part.kind, part.fingerprint) != (first.kind, first.fingerprint):
                raise ValueError(
                    f"expected indexes of {first.kind} by one model ({first.model}), received one of {part.kind} by "
                    f"{part.model}: vectors of two models cannot be compared"
                )
            if twice := names.intersection(part.entries):
                raise ValueError(f"expected every entry in one index, found {min(twice)!r} in two: leave one out")
            names.update(part.entries)
        vectors = np.concatenate([part.embeddings for part in parts])
        entries = [entry for part in parts for entry in part.entries]
        return cls(vectors, entries, first.kind, first.model, first.fingerprint).clustered()

    def save(self, folder: str | Path) -> Path:
        """Writes the folder, whole or not at all.

        Raises:
            ValueError: if another process writes there.
        """
        folder = Path(folder)
        facts = {name: getattr(self, name) for name in ("kind", "model", "fingerprint", "entries")}
        with atomic_folder(folder, key_file=ENTRIES, replaced=(f"{_CLUSTERS}/*",)) as staged:
            write_vectors(staged, self.embeddings, facts, ENTRIES)
            if self.clusters is not None:
                self.clusters.write(staged / _CLUSTERS)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> EmbeddingIndex:
        """Reads a folder.

        Raises:
            ValueError: if it is no index, is damaged, or was written by a newer version.
        """
        folder = Path(folder)
        if not (folder / ENTRIES).is_file():
            raise ValueError(f"{folder}: expected an index, found no {ENTRIES}: build one with `sigma-slu index`")
        vectors, facts = read_vectors(folder, ENTRIES, _FIELDS)
        try:
            has_clusters = (folder / _CLUSTERS).is_dir() and any((folder / _CLUSTERS).iterdir())
            can_search = has_clusters and find_spec("faiss") is not None
            clusters = ClusteredVectors.load(folder / _CLUSTERS) if can_search else None
            return cls(embeddings=vectors, clusters=clusters, **facts)
        except (TypeError, ValueError) as error:
            raise damaged(folder, error) from error

    def search_with(self, pipe: Any, query: Any, kind: str, top_k: int = 10) -> list[dict[str, Any]]:
        """Embeds a clip or a text with a `sign-text-retrieval` pipeline, and searches for it.

        Args:
            pipe ([`SignTextRetrievalPipeline`]):
                A pipeline with the model that made the index.
            query (`PoseClip`, `Path` or `str`):
                The clip or text to search for.
            kind (`"clips"` or `"texts"`):
                Whether the query is a clip or a text.
            top_k (`int`, *optional*, defaults to 10):
                The number of results; fewer if the index has fewer entries.

        Returns:
            `list[dict]`: `"clip"` or `"text"` (the entry) and `"score"` (the cosine), best first.

        Raises:
            ValueError: for a model whose weights are not those that made the index.
        """
        if model_fingerprint(pipe.model) != self.fingerprint:
            raise ValueError(
                f"expected the model that made the index ({self.model}), received one with other weights: build the "
                "index again, or name the model that made it"
            )
        vector = pipe(query, inputs_are=kind)
        scores, rows = self.search(vector.float().cpu().numpy()[None], top_k)
        return [
            {self.kind[:-1]: self.entries[row], "score": round(float(score), 4)}
            for score, row in zip(scores[0], rows[0])
        ]


def build_index(
    pipe: Any, items: Sequence[Any], entries: Sequence[str], kind: str, model: str, batch_size: int = 16
) -> EmbeddingIndex:
    """Embeds clips or texts with a `sign-text-retrieval` pipeline."""
    vectors = pipe(list(items), inputs_are=kind, batch_size=batch_size)
    rows = np.stack([vector.float().cpu().numpy() for vector in vectors])
    return EmbeddingIndex(rows, list(entries), kind, model, model_fingerprint(pipe.model)).clustered()
