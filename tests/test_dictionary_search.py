"""The space of a sign dictionary, its search, what is similar enough, and variants: on vectors made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from modeling_sigma.inference import dictionary_search
from modeling_sigma.inference.dictionary_clips import DictionaryClips
from modeling_sigma.inference.dictionary_entries import DictionaryEntry, as_columns, from_columns
from modeling_sigma.inference.dictionary_scores import score_dictionary
from modeling_sigma.inference.dictionary_search import DictionarySearch, learnt_from
from modeling_sigma.inference.growing_rows import GrowingRows
from modeling_sigma.inference.similarity_space import GroupedRows, learn_space, unit_rows


def signs(num_signs: int, per_sign: int, noise: float = 0.3, width: int = 32, seed: int = 0) -> DictionaryClips:
    """Clips around one random direction for each sign."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(num_signs, width))
    vectors, entries = [], []
    for number in range(num_signs * per_sign):
        sign = number % num_signs
        vectors.append(directions[sign] + noise * rng.normal(size=width))
        language = "A" if sign % 2 else None
        entries.append(DictionaryEntry(f"sign{sign}", f"clip{number}", language, layout="coco_wholebody_133"))
    return DictionaryClips(unit_rows(np.array(vectors, np.float32)), entries)


# --- the space


def test_a_space_without_pairs_has_only_a_centre() -> None:
    space = learn_space(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), np.array([0, 1]))
    assert space.projection is None
    assert space.centre == pytest.approx([1 / 12, 1 / 12])  # as if ten more clips were at zero
    placed = space.place(np.array([[1.0, 0.0]]))
    assert placed[0] == pytest.approx(np.array([11, -1]) / np.sqrt(122))


def test_directions_in_which_clips_of_a_sign_differ_count_less() -> None:
    """Two pairs that differ in x alone: scatter diag(S, 0), mean variance S / 4, and 50 pairs before."""
    vectors = np.array([[1.1, 1.0], [0.9, 1.0], [-0.8, 3.0], [-1.2, 3.0]], np.float32)
    space = learn_space(vectors, np.array([5, 5, 9, 9]))
    expected = np.diag(np.sqrt([52 / 54, 52 / 50]))
    assert space.projection == pytest.approx(expected, abs=1e-5)
    copies = learn_space(np.array([[1.0, 0.0]] * 2, np.float32), np.array([0, 0]))
    assert copies.projection is None, "copies say nothing about how clips of a sign differ"


def test_one_clip_is_not_its_own_centre() -> None:
    vector = np.array([[0.6, 0.8]], np.float32)
    assert learn_space(vector, np.array([0])).place(vector)[0] == pytest.approx([0.6, 0.8])


def test_similarities_of_groups_by_hand() -> None:
    rows = np.array([[1.0, 0.0], [0.0, -1.0], [0.0, 1.0]], np.float32)
    grouped = GroupedRows(rows, np.array([7, 3, 7]))
    assert grouped.groups.tolist() == [3, 7]
    assert grouped.similarities(np.array([[1.0, 0.0]], np.float32))[0] == pytest.approx([0.0, (1 + np.sqrt(0.5)) / 2])


def test_what_is_learnt_from_grows_in_steps() -> None:
    assert [learnt_from(number) for number in (1, 63, 64, 65, 100_000)] == [1, 63, 64, 64, 98_304]
    for number in range(1, 5000):
        assert 31 * number <= 32 * learnt_from(number) <= 32 * number


def test_growing_rows() -> None:
    rows = GrowingRows(np.zeros((0, 3)))
    for number in range(40):
        rows.append(np.full(3, number))
    assert rows.array[:, 0].tolist() == list(range(40)) and rows.array.dtype == np.float32
    rows.keep(rows.array[:, 0] % 2 == 0)
    assert len(rows) == 20 and rows.array[-1].tolist() == [38.0] * 3
    assert rows.array.base is None or rows.array.base.shape == (20, 3), "removed rows are not in memory"


# --- the search


def test_two_steps_find_what_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = signs(300, 3)
    found = [DictionarySearch(clips.vectors, clips.entries).search(vector, 4) for vector in clips.vectors[::40]]
    monkeypatch.setattr(dictionary_search, "_SMALL", 10)
    searched = DictionarySearch(clips.vectors, clips.entries)
    for vector, expected in zip(clips.vectors[::40], found):
        again = searched.search(vector, 4)
        assert [(match.sign, match.row) for match in again] == [(match.sign, match.row) for match in expected]
        assert [match.similarity for match in again] == pytest.approx([match.similarity for match in expected])


def test_a_narrow_copy_finds_what_all_numbers_find(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    middles = rng.standard_normal((300, 260), dtype=np.float32)
    numbers = np.arange(900) % 300
    vectors = unit_rows(middles[numbers] + 0.7 * rng.standard_normal((900, 260), dtype=np.float32))
    entries = [DictionaryEntry(f"{number}", f"{row}", "AB"[number % 2]) for row, number in enumerate(numbers)]
    monkeypatch.setattr(dictionary_search, "_SMALL", 10)
    monkeypatch.setattr(dictionary_search, "_SHORTLIST", 20)
    monkeypatch.setattr(dictionary_search, "_COARSE_SHORTLIST", 60)
    wide = DictionarySearch(vectors[:800], entries[:800])
    monkeypatch.setattr(dictionary_search, "_LARGE", 700)
    narrow = DictionarySearch(vectors[:800], entries[:800])
    for searched in (wide, narrow):
        for vector, entry in zip(vectors[800:805], entries[800:805]):
            assert searched.append(vector, entry)
    products = narrow._coarse.products(narrow.rows.array[803])  # type: ignore[union-attr]
    assert products.shape == (805,) and int(products.argmax()) == 803, "rows that were added are in the copy too"
    for row in (0, 299, 450, 801, 804):
        for language in (None, entries[row].sign_language):
            assert wide.search(vectors[row], 1, language) == narrow.search(vectors[row], 1, language)


def test_a_stored_clip_finds_itself_and_its_language() -> None:
    clips = signs(40, 2)
    for row in (0, 1, 41):
        best = clips.searched.search(clips.vectors[row], 1)[0]
        assert best.sign == clips.entries[row].sign and best.row == row
    of_language = clips.searched.search(clips.vectors[0], 100, "A")
    assert len(of_language) == 20 and {match.sign[0] for match in of_language} == {"A"}
    assert clips.searched.search(clips.vectors[0], 3, "B") == []


def test_search_and_scores_agree() -> None:
    clips = signs(30, 3)
    names, similarities = clips.searched.sign_similarities(clips.vectors[:5])
    for row in range(5):
        for match in clips.searched.search(clips.vectors[row], 30):
            assert similarities[row, names.index(match.sign)] == pytest.approx(match.similarity, abs=1e-5)


def test_adding_one_by_one_answers_like_reading_all_at_once() -> None:
    source = signs(50, 3)
    clips = DictionaryClips(np.zeros((0, 0), np.float32), [])
    for vector, entry in zip(source.vectors, source.entries):
        clips.append(vector, entry)
        clips.searched.threshold(0.1)
    fresh = DictionaryClips(clips.vectors.copy(), clips.entries)
    assert clips.searched.threshold(0.1) == pytest.approx(fresh.searched.threshold(0.1))
    for vector in source.vectors[:10]:
        assert clips.searched.search(vector, 3) == fresh.searched.search(vector, 3)


# --- what is similar enough


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
def test_false_alarms_are_as_stated(rate: float) -> None:
    """Signs that are in no dictionary, like those in it."""
    alarms = []
    for seed in range(4):
        every = signs(1200, 2, seed=seed)
        is_known = np.array([int(entry.label[4:]) < 400 for entry in every.entries])
        known = DictionaryClips(every.vectors[is_known], [e for e, kept in zip(every.entries, is_known) if kept])
        threshold = known.searched.threshold(rate)
        _, similarities = known.searched.sign_similarities(every.vectors[~is_known])
        alarms.append(similarities.max(axis=1) > threshold)
    assert float(np.mean(alarms)) == pytest.approx(rate, abs=0.02 + 0.2 * rate)


def test_few_signs_tell_nothing() -> None:
    assert signs(9, 3).searched.threshold(0.2) is None
    assert signs(10, 3).searched.threshold(0.2) is not None
    assert signs(12, 3).searched.threshold(0.05) is None, "1 / 0.05 = 20 signs"
    assert signs(30, 3).searched.threshold(0.1, "A") is not None
    assert signs(16, 3).searched.threshold(0.1, "A") is None, "eight signs of A"


def test_scores_by_hand() -> None:
    """Three signs at right angles; the fourth clip is nearest to the wrong one, the fifth is of no sign of them."""
    vectors = np.eye(3, 4, dtype=np.float32)
    clips = DictionaryClips(vectors, [DictionaryEntry(name, name) for name in "abc"])
    queries = np.array([[1, 0.1, 0, 0], [0, 1, 0.1, 0], [0, 0, 1, 0], [0.5, 1, 0, 0], [0, 0, 0, 1]], np.float32)
    scores = score_dictionary(clips.searched, unit_rows(queries), ["a", "b", "c", "a", "d"])
    assert (scores["num_known"], scores["num_unknown"], scores["num_labels"]) == (4, 1, 3)
    assert (scores["r1"], scores["r5"], scores["mrr"]) == (75.0, 100.0, 100 * (3 + 1 / 2) / 4)
    assert scores["false_alarms"] is None and scores["taken_for_unknown"] is None, "three signs are too few to tell"
    alike = DictionaryClips(np.ones((2, 1), np.float32), [DictionaryEntry(name, name) for name in "ab"])
    assert score_dictionary(alike.searched, np.ones((1, 1), np.float32), ["a"])["r1"] == 0.0, "a tie is no success"


# --- variants


def test_clips_unlike_their_label_are_a_variant() -> None:
    clips = signs(20, 2)
    rng = np.random.default_rng(1)
    sign = clips.entries[0].sign
    alike = unit_rows(clips.vectors[:1] + 0.02 * rng.normal(size=(1, 32)))[0].astype(np.float32)
    unlike = -clips.vectors[0]

    def add(vector: np.ndarray, name: str) -> DictionaryEntry:
        return clips.append(vector, DictionaryEntry("sign0", name, sign[0]))

    assert add(alike, "alike").variant == 1
    assert add(unlike, "unlike").variant == 2
    assert add(unit_rows((unlike + 0.02 * rng.normal(size=32))[None])[0].astype(np.float32), "again").variant == 2
    assert clips.searched.num_variants(sign) == 2
    best = clips.searched.search(unlike, 1)[0]
    assert (best.sign, best.variant, clips.entries[best.row].sample_id) == (sign, 2, "unlike")


def test_labels_of_two_languages_are_two_signs() -> None:
    clips = signs(20, 2)
    entry = clips.append(-clips.vectors[0], DictionaryEntry("sign0", "elsewhere", "B"))
    assert entry.variant == 1 and clips.languages == ["A", "B"]
    assert [match.sign for match in clips.searched.search(-clips.vectors[0], 1)] == [("B", "sign0")]


# --- entries


def test_columns_survive() -> None:
    entries = [
        DictionaryEntry("Straße", "a/1", None, 1, "x", {"signer_id": "7"}),
        DictionaryEntry("你好", "b", "Chinese Sign Language", 2, "y", {"age": 30, "is_deaf": True, "note": None}),
    ]
    assert from_columns(as_columns(entries), 2) == entries


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", ["a"], "expected 2 values of label"),
        ("label", ["a", ""], "expected a label as text"),
        ("label", ["a", 3], "expected a label as text"),
        ("variant", [1, 0], "expected variants from 1 on"),
        ("facts", [{}, {"a": float("inf")}], "expected the fact a as a text or number"),
    ],
)
def test_damaged_columns_are_refused(column: str, value: list[object], message: str) -> None:
    good = as_columns([DictionaryEntry("a", "1"), DictionaryEntry("b", "2")])
    with pytest.raises(ValueError, match=message):
        from_columns({**good, column: value}, 2)


def test_fifty_thousand_labels() -> None:
    vectors = np.random.default_rng(0).normal(size=(50_000, 16)).astype(np.float32)
    clips = DictionaryClips(unit_rows(vectors), [DictionaryEntry(f"label {row}", str(row)) for row in range(50_000)])
    assert [match.row for match in clips.searched.search(clips.vectors[49_999], 2)][0] == 49_999
    assert clips.searched.threshold(0.1) is not None
    new = clips.append(unit_rows(np.ones((1, 16), np.float32))[0], DictionaryEntry("new", "new"))
    assert clips.searched.search(clips.vectors[-1], 1)[0].sign == new.sign
    clips.keep(np.array([entry.label != "new" for entry in clips.entries]))
    assert len(clips) == 50_000
