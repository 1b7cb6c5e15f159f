"""How fast `sigma-slu build-dataset` is: clips per second, from pickles of Uni-Sign's shape to Parquet, on all cores.

Writes synthetic clips of 133 keypoints as the field stores them (one pickle per clip, float32), with a table of labels
that names each of them eight times, and builds the corpus `folder` from them in a new process, as users do: the time
includes loading Python and its packages. On a busy machine, the CPU time shows how long an idle one would take. Prints
one line of JSON with versions and hardware. The exit code is 1 if the limit is exceeded.

    python benchmarks/build_speed.py [--num-files 1000] [--num-frames 150] [--output results.json]
"""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from reports import machine_facts, print_report


LIMIT = 300.0  # clips per second
REPEATS = 8  # of each file
_START = "import sys; sys.argv[0] = 'sigma-slu'; from modeling_sigma.cli.main import main; sys.exit(main())"


def write_clips(folder: Path, num_files: int, num_frames: int, repeats: int = 1) -> None:
    """Clips with joints that wander, some of them lost, as an estimator writes them, and a table of labels."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0.2, 0.8, (133, 2))
    for number in range(num_files):
        steps = rng.normal(0, 0.004, (num_frames, 133, 2))
        keypoints = (start + np.cumsum(steps, axis=0)).astype(np.float32)
        scores = rng.uniform(0.2, 1, (num_frames, 133)).astype(np.float32)
        clip = {"keypoints": list(keypoints[:, None]), "scores": list(scores[:, None])}
        with (folder / f"{number}.pkl").open("wb") as file:
            pickle.dump(clip, file)
    rows = [
        f"{number}-{again},{number}.pkl,sentence {number},{('train', 'validation', 'test')[number % 3]}"
        for again in range(repeats)  # the same clip stands far from itself, where no compression sees it
        for number in range(num_files)
    ]
    lines = ["sample_id,path,text,split", *rows]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def build_seconds(folder: Path, out: Path, num_proc: int) -> tuple[float, float]:
    """The time of one build: on the clock, and of all its processes on the CPU."""
    arguments = ["build-dataset", "folder", "--data-dir", str(folder), "--out", str(out), "--num-proc", str(num_proc)]
    arguments += ["--set", "sign_language=none", "--set", "spoken_language=English", "--clips-per-shard", "250"]
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-c", _START, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, cpu


def main() -> int:
    """Measures, prints, and returns 1 if the limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-files", type=int, default=1000)
    parser.add_argument("--num-frames", type=int, default=150)
    parser.add_argument("--num-proc", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "clips")
        folder.mkdir()
        write_clips(folder, args.num_files, args.num_frames, REPEATS)
        source_bytes = REPEATS * sum(path.stat().st_size for path in folder.glob("*.pkl"))
        seconds, cpu_seconds = build_seconds(folder, Path(name, "out"), args.num_proc)
        built_bytes = sum(path.stat().st_size for path in Path(name, "out", "data").iterdir())
    num_clips = REPEATS * args.num_files
    speed = num_clips / seconds
    report = {
        "benchmark": "build_speed",
        "num_clips": num_clips,
        "num_frames": args.num_frames,
        "num_proc": args.num_proc,
        "seconds": round(seconds, 2),
        "clips_per_second": round(speed, 1),
        "cpu_milliseconds_per_clip": round(1e3 * cpu_seconds / num_clips, 2),
        "limit": LIMIT,
        "pickle_megabytes": round(source_bytes / 1e6, 1),
        "parquet_megabytes": round(built_bytes / 1e6, 1),
        **machine_facts("numpy", "datasets", "pyarrow"),
    }
    print(f"{num_clips} clips of {args.num_frames} frames, {args.num_proc} processes: {seconds:.1f} s,")
    cpu = report["cpu_milliseconds_per_clip"]
    print(f"{speed:.0f} clips per second (limit {LIMIT:.0f}), {cpu} ms of CPU time each")
    print(f"{source_bytes / built_bytes:.1f} times smaller")
    print_report(report, args.output)
    return int(speed < LIMIT)


if __name__ == "__main__":
    sys.exit(main())
