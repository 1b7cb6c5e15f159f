"""How long a search takes: one query, and 32 together, among 100,000 stored vectors; exact.

Prints a table, then one line of JSON with versions and hardware. The exit code is 1 if a limit is exceeded.

    python benchmarks/retrieval_search.py [--output results.json]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from reports import machine_facts, print_report

from modeling_sigma.inference.embedding_index import EmbeddingIndex


NUM_STORED, TOP_K = 100_000, 10
LIMIT = 0.020  # seconds for one query
WIDTHS = {"mT5-small, T5-small": 512, "mT5-base": 768}


def make_index(width: int) -> EmbeddingIndex:
    """Random unit vectors, without structure that a shortcut could use."""
    vectors = np.random.default_rng(0).standard_normal((NUM_STORED, width), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return EmbeddingIndex(vectors, [str(row) for row in range(NUM_STORED)], "clips", "random", "random")


def measure(index: EmbeddingIndex, num_queries: int, repeats: int) -> tuple[float, float]:
    """Fastest and median seconds of a search with `num_queries` queries."""
    queries = index.embeddings[:num_queries]
    index.search(queries, TOP_K)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        _, rows = index.search(queries, TOP_K)
        seconds.append(time.perf_counter() - start)
        assert (rows[:, 0] == np.arange(num_queries)).all(), "a stored vector finds itself"
    return min(seconds), float(np.median(seconds))


def main() -> int:
    """Measures, prints, and returns 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20, help="searches of each case")
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    args = parser.parse_args()
    rows = []
    for name, width in WIDTHS.items():
        index = make_index(width)
        for num_queries in (1, 32):
            fastest, median = measure(index, num_queries, args.repeats)
            limit = LIMIT if num_queries == 1 else None
            case = f"{num_queries} of width {width} ({name})"
            rows.append({"case": case, "fastest_ms": 1e3 * fastest, "median_ms": 1e3 * median, "limit_ms": limit})
    report = {
        "benchmark": "retrieval_search",
        "num_stored": NUM_STORED,
        "results": [{**row, "limit_ms": row["limit_ms"] and 1e3 * row["limit_ms"]} for row in rows],
        **machine_facts("numpy"),
    }
    print(f"{'queries':<42}{'fastest ms':>11}{'median ms':>11}{'limit ms':>10}")
    for row in report["results"]:
        limit = row["limit_ms"] or "-"
        print(f"{row['case']:<42}{row['fastest_ms']:>11.1f}{row['median_ms']:>11.1f}{limit:>10}")
    print_report(report, args.output)
    return int(any(row["limit_ms"] is not None and row["fastest_ms"] > row["limit_ms"] for row in report["results"]))


if __name__ == "__main__":
    sys.exit(main())
