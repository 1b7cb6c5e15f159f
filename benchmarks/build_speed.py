"""How fast `sigma-slu build-dataset` is: clips a second, from pickles of Uni-Sign's shape to Parquet, on all cores.

Writes synthetic clips of 133 keypoints as the field stores them (one pickle a clip, float32) with a table of labels,
and builds the corpus `folder` from them, in a new process as users do; loading python and its packages is part of the
time. Prints a table, then one line of JSON with versions and hardware. The exit code is 1 where the limit is broken.

    python benchmarks/build_speed.py [--num-clips 3000] [--num-frames 150] [--output results.json]
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np


LIMIT = 300.0  # clips a second
_START = "import sys; sys.argv[0] = 'sigma-slu'; from modeling_sigma.cli.main import main; sys.exit(main())"


def write_clips(folder: Path, num_clips: int, num_frames: int) -> None:
    """Clips with joints that wander, some of them lost, as an estimator writes them."""
    rng = np.random.default_rng(0)
    lines = ["path,text,split"]
    start = rng.uniform(0.2, 0.8, (133, 2))
    for number in range(num_clips):
        steps = rng.normal(0, 0.004, (num_frames, 133, 2))
        keypoints = (start + np.cumsum(steps, axis=0)).astype(np.float32)
        scores = rng.uniform(0.2, 1, (num_frames, 133)).astype(np.float32)
        clip = {"keypoints": list(keypoints[:, None]), "scores": list(scores[:, None])}
        with (folder / f"{number}.pkl").open("wb") as file:
            pickle.dump(clip, file)
        lines.append(f"{number}.pkl,sentence {number},{('train', 'validation', 'test')[number % 3]}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def build_seconds(folder: Path, out: Path, num_proc: int) -> float:
    """The time of one build."""
    arguments = ["build-dataset", "folder", "--data-dir", str(folder), "--out", str(out), "--num-proc", str(num_proc)]
    arguments += ["--set", "sign_language=none", "--set", "spoken_language=English", "--clips-per-shard", "250"]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", _START, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    """Measures, prints, and returns 1 where the limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-clips", type=int, default=3000)
    parser.add_argument("--num-frames", type=int, default=150)
    parser.add_argument("--num-proc", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "clips")
        folder.mkdir()
        write_clips(folder, args.num_clips, args.num_frames)
        source_bytes = sum(path.stat().st_size for path in folder.glob("*.pkl"))
        seconds = build_seconds(folder, Path(name, "out"), args.num_proc)
        built_bytes = sum(path.stat().st_size for path in Path(name, "out", "data").iterdir())
    speed = args.num_clips / seconds
    report = {
        "benchmark": "build_speed",
        "num_clips": args.num_clips,
        "num_frames": args.num_frames,
        "num_proc": args.num_proc,
        "seconds": round(seconds, 2),
        "clips_per_second": round(speed, 1),
        "limit": LIMIT,
        "pickle_megabytes": round(source_bytes / 1e6, 1),
        "parquet_megabytes": round(built_bytes / 1e6, 1),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in ("numpy", "datasets", "pyarrow")},
        "hardware": {"machine": platform.machine(), "processor": processor_name(), "num_cores": os.cpu_count()},
    }
    print(f"{args.num_clips} clips of {args.num_frames} frames, {args.num_proc} processes: {seconds:.1f} s,")
    print(f"{speed:.0f} clips a second (limit {LIMIT:.0f}); {source_bytes / built_bytes:.1f} times smaller")
    print(json.dumps(report))
    if args.output is not None:
        args.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return int(speed < LIMIT)


def processor_name() -> str:
    """The name of the processor where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    sys.exit(main())
