"""How fast synthetic clips are made, on one core: prints clips and frames per second as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator

import numpy as np

from datasets_scripts.synthetic import SyntheticSample, SyntheticSigns


def measure(samples: Iterator[SyntheticSample]) -> dict[str, float]:
    """Clips and frames per second of wall-clock time, and the mean length of a clip."""
    start, clips, frames = time.perf_counter(), 0, 0
    for sample in samples:
        clips += 1
        frames += len(sample.clip)
    seconds = time.perf_counter() - start
    return {
        "clips": clips,
        "mean_frames": round(frames / clips, 1),
        "clips_per_second": round(clips / seconds, 1),
        "frames_per_second": round(frames / seconds, 1),
    }


def main() -> None:
    """Measures both kinds of clips, the language built once before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-samples", type=int, default=1000, help="clips of each kind (default: 1000)")
    arguments = parser.parse_args()
    start = time.perf_counter()
    language = SyntheticSigns()
    setup = time.perf_counter() - start
    result = {
        "sentences": measure(language.generate_sentences(arguments.num_samples)),
        "isolated": measure(language.generate_isolated(arguments.num_samples)),
        "setup_seconds": round(setup, 3),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
