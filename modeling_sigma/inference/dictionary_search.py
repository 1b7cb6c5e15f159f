"""The vectors of a sign dictionary in their space, ready to be searched; and what is similar enough, learnt from them.

All that is learnt comes from the first clips, 31 of 32 of them or more: adding a clip seldom means learning again,
and a dictionary that was read from a file gives the same answers as the one that was written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modeling_sigma.inference.coarse_rows import COARSE_WIDTH, CoarseRows
from modeling_sigma.inference.dictionary_entries import DictionaryEntry
from modeling_sigma.inference.growing_rows import GrowingRows
from modeling_sigma.inference.similarity_space import GroupedRows, learn_space


Sign = tuple[str | None, str]  # language and label

# Larger dictionaries are searched in two steps: the signs of so many nearest clips are compared in full.
_SMALL = 5000
_SHORTLIST = 200
# In large ones of wide vectors, so many clips that may be the nearest are found in a narrow copy first.
_LARGE = 20_000
_COARSE_SHORTLIST = 2000
# How alike different signs are is learnt from so many pairs of clips, and from so many clips of a large dictionary; of
# each clip, so many signs count for what is unlike.
_PAIRS, _FEWEST_CLIPS, _SIGNS_PER_CLIP = 30_000_000, 256, 2000
# A clip that resembles its sign less than nine tenths of other signs resemble each other is another variant.
_UNLIKE = 0.9
# Fewer signs tell nothing about how alike different signs are.
_FEWEST_SIGNS = 10


@dataclass(frozen=True)
class Match:
    """A sign that was found: its best variant, and the row of the nearest clip of that."""

    sign: Sign
    variant: int
    row: int
    similarity: float


class DictionarySearch:
    """What a [`SignDictionary`] searches.

    Args:
        vectors (`np.ndarray` of shape `(N, hidden_size)`):
            Unit vectors of a model, of one clip at least.
        entries (`Sequence[DictionaryEntry]`):
            The entry of each row.
    """

    def __init__(self, vectors: np.ndarray, entries: Sequence[DictionaryEntry]) -> None:
        self._variants: list[tuple[Sign, int]] = []  # of each group: clips of one sign, made in the same way
        self._numbers: dict[tuple[Sign, int], int] = {}
        self._groups_of: dict[Sign, list[int]] = {}
        self._signs_of_language: Counter[str | None] = Counter()
        self.groups = np.array([self._group(entry) for entry in entries])  # (N,)
        self.num_learnt = learnt_from(len(entries))
        self.space = learn_space(vectors[: self.num_learnt], self.groups[: self.num_learnt])
        self.rows = GrowingRows(self.space.place(vectors))
        is_wide = vectors.shape[1] >= 2 * COARSE_WIDTH and self.num_learnt >= _LARGE
        self._coarse = CoarseRows(self.rows.array, self.num_learnt) if is_wide else None
        self._other_signs: dict[str | None, tuple[np.ndarray, float]] = {}

    def append(self, vector: np.ndarray, entry: DictionaryEntry) -> bool:
        """Adds a row; False if so many were added that the space is to be learnt again."""
        if learnt_from(len(self.groups) + 1) != self.num_learnt:
            return False
        self.rows.append(self.space.place(vector[None])[0])
        if self._coarse is not None:
            self._coarse.append(self.rows.array[-1])
        self.groups = np.append(self.groups, self._group(entry))
        return True

    def search(self, vector: np.ndarray, top_k: int, sign_language: str | None = None) -> list[Match]:
        """The signs most like a vector of the model `(hidden_size,)`, best first; one match per sign."""
        query = self.space.place(vector[None])
        kept = self._rows_of_language(sign_language)
        if len(kept) == 0:
            return []
        rows = self.rows.array
        if len(kept) > _SMALL:
            near = self._nearest(query[0], kept, max(_SHORTLIST, 20 * top_k))
            is_near = np.zeros(len(self._variants), bool)
            is_near[self.groups[near]] = True
            kept = kept[is_near[self.groups[kept]]]
        grouped = GroupedRows(rows[kept], self.groups[kept])
        (similarities,) = grouped.similarities(query)
        matches: dict[Sign, Match] = {}
        for place in np.argsort(-similarities, kind="stable"):
            sign, variant = self._variants[grouped.groups[place]]
            if sign not in matches:
                own = kept[self.groups[kept] == grouped.groups[place]]
                row = int(own[np.argmax(rows[own] @ query[0])])
                matches[sign] = Match(sign, variant, row, float(similarities[place]))
                if len(matches) == top_k:
                    break
        return list(matches.values())

    def sign_similarities(
        self, vectors: np.ndarray, sign_language: str | None = None
    ) -> tuple[list[Sign], np.ndarray]:
        """All signs, and how alike vectors of the model `(Q, hidden_size)` and each of them are: `(Q, signs)`."""
        kept = self._rows_of_language(sign_language)
        grouped = GroupedRows(self.rows.array[kept], self.groups[kept])
        similarities = grouped.similarities(self.space.place(vectors))
        numbers: dict[Sign, int] = {}
        columns = [numbers.setdefault(self._variants[group][0], len(numbers)) for group in grouped.groups]
        best = np.full((len(numbers), len(vectors)), -np.inf, np.float32)
        np.maximum.at(best, columns, similarities.T)
        return list(numbers), best.T

    def threshold(self, false_alarm_rate: float, sign_language: str | None = None) -> float | None:
        """The similarity above which a sign counts as known.

        Every clip is compared with the signs that are not its own, as if its own were not in the dictionary: a share
        of `false_alarm_rate` of them finds a sign more similar than this. None for too few signs to tell.
        """
        nearest, _ = self._compare_signs(sign_language)
        if len(nearest) == 0 or self._num_signs(sign_language) < max(_FEWEST_SIGNS, 1 / false_alarm_rate):
            return None
        return float(np.quantile(nearest, 1 - false_alarm_rate, method="higher"))

    def variant_for(self, vector: np.ndarray, sign: Sign) -> int:
        """The variant of a sign that a vector of the model belongs to: the most similar, or a new one."""
        groups_of_sign = self._groups_of.get(sign)
        if groups_of_sign is None:
            return 1
        rows = np.flatnonzero(np.isin(self.groups, groups_of_sign))
        grouped = GroupedRows(self.rows.array[rows], self.groups[rows])
        (similarities,) = grouped.similarities(self.space.place(vector[None]))
        best = int(np.argmax(similarities))
        variants = [self._variants[group][1] for group in grouped.groups]
        if self._num_signs(None) >= _FEWEST_SIGNS and similarities[best] < self._compare_signs(None)[1]:
            return max(variants) + 1
        return variants[best]

    def num_variants(self, sign: Sign) -> int:
        """In how many ways a sign is made."""
        return len(self._groups_of[sign])

    def _nearest(self, query: np.ndarray, kept: np.ndarray, number: int) -> np.ndarray:
        """The rows among `kept` that are most like a query `(width,)`, in any order."""

        def best(candidates: np.ndarray, products: np.ndarray, size: int) -> np.ndarray:
            size = min(size, len(candidates))
            chosen: np.ndarray = candidates[np.argpartition(products, len(candidates) - size)[-size:]]
            return chosen

        rows = self.rows.array
        if self._coarse is None:
            return best(kept, (rows @ query)[kept], number)
        near = best(kept, self._coarse.products(query)[kept], max(_COARSE_SHORTLIST, 10 * number))
        return best(near, rows[near] @ query, number)

    def _group(self, entry: DictionaryEntry) -> int:
        key = (entry.sign, entry.variant)
        if key not in self._numbers:
            self._numbers[key] = len(self._variants)
            self._variants.append(key)
            if entry.sign not in self._groups_of:
                self._groups_of[entry.sign] = []
                self._signs_of_language[entry.sign_language] += 1
            self._groups_of[entry.sign].append(self._numbers[key])
        return self._numbers[key]

    def _num_signs(self, sign_language: str | None) -> int:
        return len(self._groups_of) if sign_language is None else self._signs_of_language[sign_language]

    def _rows_of_language(self, sign_language: str | None) -> np.ndarray:
        if sign_language is None:
            return np.arange(len(self.groups))
        is_of_language = np.array([sign[0] == sign_language for sign, _ in self._variants])
        return np.flatnonzero(is_of_language[self.groups])

    def _compare_signs(self, sign_language: str | None) -> tuple[np.ndarray, float]:
        """How alike clips and signs that are not theirs are: the most similar sign of each clip, and a similarity that
        `_UNLIKE` of all pairs stay below."""
        if sign_language not in self._other_signs:
            kept = self._rows_of_language(sign_language)
            kept = kept[kept < self.num_learnt]
            rows, groups = self.rows.array[kept], self.groups[kept]
            numbers = {sign: number for number, sign in enumerate(self._groups_of)}
            sign_of = np.array([numbers[sign] for sign, _ in self._variants])
            nearest, pairs = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
            num_clips = min(len(kept), max(_FEWEST_CLIPS, _PAIRS // max(len(kept), 1)))
            clips = np.linspace(0, len(kept) - 1, num_clips).round().astype(int)
            grouped = GroupedRows(rows, groups)
            for start in range(0, len(clips), 64):
                some = clips[start : start + 64]
                similarities = grouped.similarities(rows[some])
                is_own = sign_of[groups[some]][:, None] == sign_of[grouped.groups]
                similarities = np.where(is_own, -np.inf, similarities)
                nearest.append(similarities.max(axis=1))
                step = -(-len(grouped.groups) // _SIGNS_PER_CLIP)
                pairs.append(similarities[:, ::step][~is_own[:, ::step]])
            joined, all_pairs = np.concatenate(nearest), np.concatenate(pairs)
            joined = joined[np.isfinite(joined)]  # a language with one sign has no other
            unlike = float(np.quantile(all_pairs, _UNLIKE)) if len(all_pairs) else -1.0
            self._other_signs[sign_language] = joined, unlike
        return self._other_signs[sign_language]


def learnt_from(num_clips: int) -> int:
    """Of how many clips the first ones are learnt from: all of up to 63, and never less than 31 / 32 of them."""
    return num_clips - num_clips % (1 << max(num_clips.bit_length() - 6, 0))
