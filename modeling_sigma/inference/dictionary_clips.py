"""The clips of a sign dictionary: an entry and a vector each. They are added and removed one by one, and searched."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from modeling_sigma.inference.clip_vectors import ANY_LAYOUT
from modeling_sigma.inference.dictionary_entries import DictionaryEntry, checked_text
from modeling_sigma.inference.dictionary_search import DictionarySearch
from modeling_sigma.inference.growing_rows import GrowingRows


# Cosines above this are of one clip: what is left is rounding.
_SAME_CLIP = 1 - 1e-6


class DictionaryClips:
    """What a [`SignDictionary`] holds.

    Args:
        vectors (`np.ndarray` of shape `(N, hidden_size)`):
            Unit vectors of a model; `(0, 0)` for an empty dictionary.
        entries (`Sequence[DictionaryEntry]`):
            The entry of each.

    Raises:
        ValueError: for vectors of another shape or length, or two clips of one name.
    """

    def __init__(self, vectors: np.ndarray, entries: Sequence[DictionaryEntry]) -> None:
        if vectors.ndim != 2 or len(vectors) != len(entries):
            raise ValueError(f"expected one vector for each of {len(entries)} clips, found shape {vectors.shape}")
        if len(entries) and not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-2):  # NaN fails too
            raise ValueError("expected vectors of length 1, found others")
        self.entries = list(entries)
        self._vectors = GrowingRows(vectors)
        self._count()
        if len(self._names) < len(entries):
            raise ValueError("expected one clip per sample_id, found several")
        self._search: DictionarySearch | None = None

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def vectors(self) -> np.ndarray:
        """The vectors `(N, hidden_size)`: a view, good until the next change."""
        return self._vectors.array

    @property
    def languages(self) -> list[str]:
        """The sign languages that are stated, sorted."""
        return sorted(language for language in self._languages if language is not None)

    @property
    def searched(self) -> DictionarySearch:
        """The vectors, ready to be searched."""
        if self._search is None:
            self._search = DictionarySearch(self.vectors, self.entries)
        return self._search

    def names_for(self, label: str, num_clips: int, given: Sequence[str] | None) -> list[str]:
        """The names of new clips: as given, or the label and the first numbers that are free.

        Raises:
            ValueError: for another number of names than clips, or a name that is taken.
        """
        if given is None:
            numbers = (f"{label}/{number}" for number in range(1, len(self) + num_clips + 1))
            free = (name for name in numbers if name not in self._names)
            return [next(free) for _ in range(num_clips)]
        names = [checked_text(name, "a sample_id") for name in ([given] if isinstance(given, str) else given)]
        if len(names) != num_clips or len(set(names)) != num_clips:
            raise ValueError(f"expected a sample_id of its own for each of {num_clips} clips, received {len(names)}")
        taken = [name for name in names if name in self._names]
        if taken:
            raise ValueError(
                f"expected sample_ids that no clip has yet, received {taken[0]!r} again: remove that clip first"
            )
        return names

    def append(self, vector: np.ndarray, entry: DictionaryEntry) -> DictionaryEntry:
        """Adds a clip, and returns its entry with the variant of the sign that it belongs to.

        Raises:
            ValueError: for a clip that this label has already.
        """
        if not self.entries:
            self._vectors = GrowingRows(vector[None])
        else:
            self._refuse_copy(vector, entry)
            entry = replace(entry, variant=self.searched.variant_for(vector, entry.sign))
            self._vectors.append(vector)
            if not self.searched.append(vector, entry):
                self._search = None
        self.entries.append(entry)
        self._names.add(entry.sample_id)
        self._layouts[entry.layout] += 1
        self._languages[entry.sign_language] += 1
        return entry

    def keep(self, is_kept: np.ndarray) -> None:
        """Removes the clips where `is_kept` `(N,)` is false."""
        self._vectors.keep(is_kept)
        self.entries = [entry for entry, kept in zip(self.entries, is_kept) if kept]
        self._search = None
        self._count()

    def warn_of_layout(self, layout: str) -> None:
        """Warns of a clip whose keypoints are by another estimator than those of the others."""
        known = self._layouts.keys() - {ANY_LAYOUT}
        if known and layout not in (*known, ANY_LAYOUT):
            warnings.warn(
                f"the keypoints of this clip are by another estimator ({layout}) than those of the dictionary "
                f"({', '.join(sorted(known))}): the same sign is less similar then",
                stacklevel=3,
            )

    def _count(self) -> None:
        self._names = {entry.sample_id for entry in self.entries}
        self._layouts = Counter(entry.layout for entry in self.entries)
        self._languages = Counter(entry.sign_language for entry in self.entries)

    def _refuse_copy(self, vector: np.ndarray, entry: DictionaryEntry) -> None:
        """The same clip twice under a label teaches nothing; under two labels it may be meant so."""
        width = self.vectors.shape[1]
        if len(vector) != width:
            raise ValueError(f"expected vectors of {width} numbers, the model makes {len(vector)}: it is another one")
        copies = [self.entries[row] for row in np.flatnonzero(self.vectors @ vector > _SAME_CLIP)]
        for copy in copies:
            if copy.sign == entry.sign:
                raise ValueError(
                    f"expected a clip that {entry.label!r} does not have yet, received a copy of {copy.sample_id!r}: "
                    "leave it out"
                )
        if copies:
            warnings.warn(
                f"one clip stands for two signs: {copies[0].label!r} ({copies[0].sample_id}) and {entry.label!r} "
                f"({entry.sample_id}); a search cannot tell them apart",
                stacklevel=4,
            )
