"""How long the metrics take: word error rates of 10,000 sentence pairs, all translation scores of 2,349 pairs.

Prints a table, then one line of JSON with versions and hardware. The exit code is 1 if a limit is exceeded.

    python benchmarks/metrics_speed.py [--output results.json]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reports import machine_facts, print_report

from modeling_sigma.metrics import recognition_scores, translation_scores, word_error_rates


NUM_GLOSS_PAIRS, GLOSSES_IN_SENTENCE = 10_000, 30
NUM_TRANSLATION_PAIRS, WORDS_IN_SENTENCE = 2_349, 18  # the test split of How2Sign


def make_pairs(num_pairs: int, num_words: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """References of Zipf-distributed words, and predictions with a third of the words wrong, missing or added."""
    generator = random.Random(seed)
    vocabulary = [f"word{rank}" for rank in range(1, 2001)]
    weights = [1 / rank for rank in range(1, 2001)]
    predictions, references = [], []
    for _ in range(num_pairs):
        words = generator.choices(vocabulary, weights, k=num_words)
        others = generator.choices(vocabulary, weights, k=num_words)
        predicted: list[str] = []
        for word, other in zip(words, others):
            predicted += generator.choices([[word], [other], [], [word, other]], [6, 1, 1, 1])[0]
        references.append(" ".join(words) + ".")
        predictions.append(" ".join(predicted) + ".")
    return predictions, references


def measure(run: Callable[[], Any], repeats: int) -> float:
    """The fastest of some runs, in seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> int:
    """Measures, prints, and returns 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each case, of which the fastest counts")
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    args = parser.parse_args()

    glosses = make_pairs(NUM_GLOSS_PAIRS, GLOSSES_IN_SENTENCE)
    sentences = make_pairs(NUM_TRANSLATION_PAIRS, WORDS_IN_SENTENCE)
    long_prediction, long_reference = (" ".join(texts[:170]) for texts in glosses)
    labels, true_labels = ([text.split()[0] for text in texts] for texts in glosses)
    cases: list[tuple[str, Callable[[], Any], float | None]] = [
        ("WER 3/3/4, 10,000 pairs of 30 words", lambda: word_error_rates(*glosses), 2.0),
        ("WER Levenshtein, 10,000 pairs of 30 words", lambda: word_error_rates(*glosses, "levenshtein"), 2.0),
        ("WER 3/3/4, one pair of 5,100 words", lambda: word_error_rates([long_prediction], [long_reference]), None),
        ("all SLT scores, 2,349 pairs", lambda: translation_scores(*sentences), 10.0),
        ("and 1,000 bootstrap resamples", lambda: translation_scores(*sentences, num_bootstrap=1000), None),
        ("top-1 per instance and class, 10,000 labels", lambda: recognition_scores(labels, true_labels), None),
    ]
    rows: list[dict[str, Any]] = []
    for name, run, limit in cases:
        seconds = measure(run, args.repeats)
        rows.append({"case": name, "seconds": round(seconds, 3), "limit": limit})
    report = {
        "benchmark": "metrics_speed",
        "results": rows,
        **machine_facts("numpy", "sacrebleu"),
    }
    print(f"{'case':<45}{'seconds':>9}{'limit':>7}")
    for row in rows:
        print(f"{row['case']:<45}{row['seconds']:>9.3f}{row['limit'] or '-':>7}")
    print_report(report, args.output)
    return int(any(row["limit"] is not None and row["seconds"] > row["limit"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
