"""Search among clustered vectors: against exact search, after removals, after saving, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest


pytest.importorskip("faiss", reason='needs faiss: pip install -e ".[faiss]"')

from safetensors.numpy import load_file, save_file  # noqa: E402

from modeling_sigma.inference.clustered_vectors import ClusteredVectors  # noqa: E402


def signs(num_vectors: int, width: int = 32, num_signs: int = 200, seed: int = 0) -> np.ndarray:
    """Unit vectors around the directions of some signs, as clips of the same sign lie."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(num_signs, width))
    vectors = centres[rng.integers(num_signs, size=num_vectors)] + 0.6 * rng.normal(size=(num_vectors, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def stored() -> tuple[np.ndarray, np.ndarray]:
    vectors = signs(5000)
    return vectors, np.random.default_rng(1).permutation(50_000)[:5000]


def recall(found: np.ndarray, queries: np.ndarray, vectors: np.ndarray, ids: np.ndarray, top_k: int = 10) -> float:
    exact = ids[np.argsort(-(queries @ vectors.T), axis=1)[:, :top_k]]
    return float(np.mean([len(set(one) & set(other)) / top_k for one, other in zip(found, exact, strict=True)]))


def test_it_finds_what_exact_search_finds(stored: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, ids = stored
    found = ClusteredVectors.build(vectors, ids)
    queries = signs(200, seed=7)
    scores, numbers = found.search(queries, 10)
    assert len(found) == 5000 and found.num_read < 282 // 2
    assert recall(numbers, queries, vectors, ids) >= 0.95
    assert (np.diff(scores, axis=1) <= 0).all()
    row_of = {number: row for row, number in enumerate(ids.tolist())}
    expected = [[vectors[row_of[number]] @ query for number in row] for row, query in zip(numbers.tolist(), queries)]
    np.testing.assert_allclose(scores, expected, atol=5e-4)  # numbers of half precision


def test_equal_vectors_give_equal_clusters(stored: tuple[np.ndarray, np.ndarray]) -> None:
    queries = signs(20, seed=7)
    first, second = (ClusteredVectors.build(*stored).search(queries, 5) for _ in range(2))
    np.testing.assert_array_equal(first[1], second[1])


def test_what_is_removed_is_gone(stored: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    """From answers, from the files, and from the centres of clusters, one of which had this vector alone."""
    vectors, ids = stored
    lone = np.zeros((1, 32), np.float32)
    lone[0, 0] = -1
    found = ClusteredVectors.build(np.concatenate([vectors, lone]), np.concatenate([ids, [99_999]]))
    assert found.search(lone, 1)[1].tolist() == [[99_999]]
    gone = np.concatenate([ids[:500], [99_999]])
    found.remove(gone)
    assert len(found) == 4500
    queries = np.concatenate([vectors[:500], lone])
    assert not np.isin(found.search(queries, 10)[1], gone).any()
    assert recall(found.search(queries, 10)[1], queries, vectors[500:], ids[500:]) >= 0.9
    found.save(tmp_path / "saved")
    content = (tmp_path / "saved" / "clusters.safetensors").read_bytes()
    assert vectors[600].astype(np.float16).tobytes() in content
    assert not any(one.astype(np.float16).tobytes() in content for one in [*vectors[:500], lone[0]])


def test_all_can_be_removed(stored: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    vectors, ids = stored
    found = ClusteredVectors.build(vectors, ids)
    found.remove(ids)
    for one in (found, ClusteredVectors.load(found.save(tmp_path / "saved"))):
        assert len(one) == 0
        scores, numbers = one.search(vectors[:3], 5)
        assert scores.shape == numbers.shape == (3, 0)


def test_saved_and_loaded_it_answers_alike(stored: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    found = ClusteredVectors.build(*stored)
    found.remove(stored[1][:10])
    loaded = ClusteredVectors.load(found.save(tmp_path / "saved"))
    queries = signs(50, seed=7)
    for one, other in zip(found.search(queries), loaded.search(queries), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(loaded) == len(found) and loaded.num_read == found.num_read
    loaded.remove(stored[1][10:20])
    assert len(ClusteredVectors.load(loaded.save(tmp_path / "saved"))) == 4980


def test_a_few_vectors() -> None:
    found = ClusteredVectors.build(np.eye(3, dtype=np.float32), np.array([7, 8, 9]))
    scores, ids = found.search(np.eye(3, dtype=np.float32)[:2], 10)
    assert ids[:, 0].tolist() == [7, 8] and scores[:, 0].tolist() == [1, 1] and ids.shape == (2, 3)
    one = ClusteredVectors.build(np.ones((1, 1), np.float32), np.array([0]))
    assert one.search(np.ones((1, 1)), 1)[1].tolist() == [[0]]


@pytest.mark.parametrize(
    ("vectors", "ids", "message"),
    [
        (np.empty((0, 4)), np.empty(0, int), "expected vectors of shape"),
        (np.ones(4), np.arange(4), "expected vectors of shape"),
        (np.eye(4), np.arange(3), "expected 4 ids"),
        (np.eye(4), np.arange(4) / 2, "expected 4 ids"),
        (np.eye(4), np.array([0, 1, 2, 2]), "none of them twice"),
        (np.eye(4), np.array([0, 1, 2, -1]), "expected ids from 0"),
        (2 * np.eye(4), np.arange(4), "expected vectors of length 1"),
        (np.full((4, 4), np.nan), np.arange(4), "expected vectors of length 1"),
    ],
)
def test_what_cannot_be_stored(vectors: np.ndarray, ids: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClusteredVectors.build(vectors, ids)


def test_what_cannot_be_asked() -> None:
    found = ClusteredVectors.build(np.eye(4, dtype=np.float32), np.arange(4))
    with pytest.raises(ValueError, match=r"expected queries \(Q, 4\), received \(4,\)"):
        found.search(np.ones(4))
    with pytest.raises(ValueError, match="expected top_k of at least 1"):
        found.search(np.eye(4), 0)
    with pytest.raises(ValueError, match="received 1 others"):
        found.remove(np.array([0, 17]))
    assert len(found) == 4


def test_a_damaged_folder_is_told(tmp_path: Path) -> None:
    folder = ClusteredVectors.build(signs(100), np.arange(100)).save(tmp_path / "saved")
    file, facts = folder / "clusters.safetensors", folder / "clusters.json"
    whole, arrays = file.read_bytes(), load_file(file)
    file.write_bytes(whole[:1000])
    with pytest.raises(ValueError, match="the clusters are damaged"):
        ClusteredVectors.load(folder)
    for name, wrong in (
        ("sizes", arrays["sizes"][:-1]),
        ("sizes", -arrays["sizes"]),
        ("ids", np.zeros_like(arrays["ids"])),
        ("centres", arrays["centres"][:, :-1].copy()),
        ("centres", arrays["centres"] * np.nan),
        ("vectors", arrays["vectors"][:-1]),
    ):
        save_file({**arrays, name: wrong}, file)
        with pytest.raises(ValueError, match="the clusters are damaged"):
            ClusteredVectors.load(folder)
    file.write_bytes(whole)
    facts.write_text(json.dumps({"num_read": 10**9, "num_vectors": 100}))
    with pytest.raises(ValueError, match="the clusters are damaged"):
        ClusteredVectors.load(folder)
    facts.unlink()
    with pytest.raises(OSError):
        ClusteredVectors.load(folder)


def test_without_faiss_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"\.\[faiss\]"):
        ClusteredVectors.build(np.eye(4), np.arange(4))


def test_an_index_of_many_entries_is_searched_in_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same form as without clusters, after saving too; what is taken out is gone from answers and files."""
    from modeling_sigma.inference import embedding_index
    from modeling_sigma.inference.embedding_index import EmbeddingIndex

    vectors, queries = signs(3000), signs(40, seed=7)
    exact = EmbeddingIndex(vectors, [f"{number}.npz" for number in range(3000)], "clips", "model", "f")
    assert exact.clustered() is exact  # too few
    monkeypatch.setattr(embedding_index, "CLUSTERED_FROM", 3000)
    index = EmbeddingIndex.load(exact.clustered().save(tmp_path / "index"))
    assert index.clusters is not None
    scores, rows = index.search(queries, 10)
    assert recall(rows, queries, vectors, np.arange(3000)) >= 0.95
    wanted, wanted_rows = exact.search(queries, 10)
    is_same = rows == wanted_rows
    np.testing.assert_allclose(scores[is_same], wanted[is_same], atol=1e-6)  # sums in another order
    assert is_same.mean() > 0.9 and scores.dtype == wanted.dtype and rows.dtype == wanted_rows.dtype
    assert index.search(queries[:2], 3000)[1].shape == (2, 3000)  # more than the clusters that are read hold

    gone = {index.entries[row] for row in rows[0]}
    less = EmbeddingIndex.load(index.without(gone).save(tmp_path / "index"))
    assert less.clusters is not None and len(less) == 2990
    found = [less.entries[row] for row in less.search(queries, 10)[1].ravel()]
    assert not gone & set(found)
    names = [entry for entry in index.entries if entry not in gone]
    assert recall(less.search(queries, 10)[1], queries, vectors[[int(n[:-4]) for n in names]], np.arange(2990)) >= 0.9
    content = b"".join(path.read_bytes() for path in (tmp_path / "index").rglob("*") if path.is_file())
    for row in rows[0]:
        assert vectors[row].tobytes() not in content
        assert vectors[row].astype(np.float16).tobytes() not in content
    with pytest.raises(ValueError, match="received 'nobody'"):
        less.without(["nobody"])
    (tmp_path / "index" / "clusters" / "clusters.json").unlink()
    with pytest.raises(OSError):
        EmbeddingIndex.load(tmp_path / "index")
    less.without([names[0]]).save(tmp_path / "index")
    monkeypatch.setattr(embedding_index, "find_spec", lambda name: None)
    assert EmbeddingIndex.load(tmp_path / "index").clusters is None  # without faiss: exactly, and as well
