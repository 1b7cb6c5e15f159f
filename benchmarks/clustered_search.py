"""Search among many vectors: exact, in clusters (`ClusteredVectors`), and in faiss's graphs (HNSW), with one thread.

Vectors are invented: unit vectors of 192 numbers, float16 in a file, around the directions of 5,000 signs, and queries
alike. Prints one line of JSON: recall@10 against exact search, median and 95th percentile of the time of one query,
time to build, size on the disk, memory, time to remove one vector. The times of one query are CPU times: other work on
the machine hardly changes them. The exit code is 1 where clusters find less than 95 % of the true neighbours.

    OMP_NUM_THREADS=1 python benchmarks/clustered_search.py [--size 200000] [--graph] [--output x.json]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from reports import machine_facts, print_report

from modeling_sigma.inference.clustered_vectors import ClusteredVectors


WIDTH, NUM_SIGNS, SPREAD, NUM_QUERIES, TOP_K, LIMIT = 192, 5000, 1.0, 500, 10, 0.95
BLOCK, MOST_EXACT = 100_000, 1_000_000  # rows made at a time; beyond the latter, exact search is not timed
Search = Callable[[np.ndarray], np.ndarray]


def main() -> int:
    """Measures, prints, and returns 1 where the limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=200_000, help="number of vectors")
    parser.add_argument("--graph", action="store_true", help="measure HNSW too, whose graph takes long to build")
    parser.add_argument("--scratch", type=Path, help="folder for temporary files")
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    args = parser.parse_args()
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        report = _report(args, Path(scratch))
    print_report(report, args.output)
    return int(report["rows"]["clusters"]["recall_at_10"] < LIMIT)


def _report(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(NUM_SIGNS, WIDTH)).astype(np.float32)
    queries = _around(directions, NUM_QUERIES, rng)
    vectors = np.memmap(scratch / "vectors", np.float16, "w+", shape=(args.size, WIDTH))
    for start in range(0, args.size, BLOCK):
        vectors[start : start + BLOCK] = _around(directions, min(BLOCK, args.size - start), rng)
    truth = _truth(vectors, queries)
    rows: dict[str, dict[str, Any]] = {}
    if args.size <= MOST_EXACT:
        flat = faiss.IndexFlatIP(WIDTH)
        flat.add(np.asarray(vectors, np.float32))
        rows["exact"] = _measure(lambda query: flat.search(query, TOP_K)[1], queries, truth)
        del flat

    start = time.process_time()
    clusters = ClusteredVectors.build(vectors, np.arange(len(vectors)))
    built = time.process_time() - start
    rows["clusters"] = _measure(lambda query: clusters.search(query, TOP_K)[1], queries, truth)
    saved = clusters.save(scratch / "saved")
    size = sum(path.stat().st_size for path in saved.iterdir())
    start = time.process_time()
    clusters.remove(np.array([0]))
    removed = time.process_time() - start
    num_read = clusters.num_read
    del clusters
    start = time.process_time()
    clusters = ClusteredVectors.load(saved)
    loaded = time.process_time() - start
    rows["clusters"].update(
        build_seconds=round(built, 1),
        load_seconds=round(loaded, 1),
        megabytes=round(size / 1e6, 1),
        most_memory_megabytes=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        remove_ms=round(1000 * removed, 1),
        num_clusters_read=num_read,
    )
    if args.graph:
        start = time.process_time()
        graph = faiss.IndexHNSWFlat(WIDTH, 32, faiss.METRIC_INNER_PRODUCT)
        graph.add(np.asarray(vectors, np.float32))
        built = time.process_time() - start
        for effort in (32, 64, 128, 256):
            graph.hnsw.efSearch = effort
            row = _measure(lambda query: graph.search(query, TOP_K)[1], queries, truth)
            rows[f"graph, effort {effort}"] = {**row, "build_seconds": round(built, 1)}
    return {
        "benchmark": "clustered_search",
        "num_vectors": args.size,
        "width": WIDTH,
        "rows": rows,
        "limit": LIMIT,
        **machine_facts("faiss-cpu", "numpy"),
    }


def _truth(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The rows most like each query, found block by block."""
    scores, rows = np.full((len(queries), TOP_K), -np.inf, np.float32), np.zeros((len(queries), TOP_K), np.int64)
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK].astype(np.float32)
        new = queries @ block.T
        near = np.argpartition(-new, TOP_K - 1, axis=1)[:, :TOP_K]
        both = np.concatenate([scores, np.take_along_axis(new, near, axis=1)], axis=1)
        both_rows = np.concatenate([rows, near + start], axis=1)
        best = np.argsort(-both, axis=1)[:, :TOP_K]
        scores, rows = np.take_along_axis(both, best, axis=1), np.take_along_axis(both_rows, best, axis=1)
    return rows


def _around(directions: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors, each near the direction of some sign."""
    found = directions[rng.integers(len(directions), size=number)]
    found += SPREAD * rng.standard_normal(found.shape, np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _measure(search: Search, queries: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    times, hits = [], []
    for query, true in zip(queries, truth, strict=True):
        start = time.process_time_ns()
        (found,) = search(query[None])
        times.append((time.process_time_ns() - start) / 1e6)
        hits.append(len(set(found.tolist()) & set(true.tolist())) / TOP_K)
    return {
        "recall_at_10": round(float(np.mean(hits)), 4),
        "median_ms": round(float(np.median(times)), 2),
        "p95_ms": round(float(np.percentile(times, 95)), 2),
    }


if __name__ == "__main__":
    sys.exit(main())
