"""What 100, 3,000 and 25,000 hours of video take: from rates measured on one core, and by simulating the tasks.

    python benchmarks/capacity.py table                                  # the table of docs/capacity.md
    python benchmarks/capacity.py tasks [--hours 3000] [--workers 64]    # which number of tasks; what stragglers cost
    python benchmarks/capacity.py lengths --data-dir DIR                 # the lengths that `tasks` draws from

`table` multiplies: every rate stands below with the command that measured it. `tasks` simulates an extraction as
`sigma-slu extract-poses --executor slurm` divides it: recordings with the spread of lengths of a real corpus go to
tasks in turn, workers take the tasks in order, each task loads the estimator anew, machines die from time to time,
and a task that is run again goes on with the recording at which it died. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from reports import print_report


FPS = 25.0
HOURS, CLIP_SECONDS, BATCH, EPOCHS = (100, 3_000, 25_000), 6.0, 16, 10  # batch and epochs are the paper's
LENGTHS = Path(__file__).parent / "results" / "capacity_lengths.json"

# Measured, one core each unless said: value, unit, command.
RATES: dict[str, tuple[float, str, str]] = {
    "video": (66_000, "bytes a second", "size and length of signer_crop480.mp4, 480 x 480 pixels"),
    "extraction": (15.0, "frames a second", "python benchmarks/estimators.py --data DIR (MediaPipe: 14.7, 16.2)"),
    "start": (5.0, "seconds a task", "sigma-slu extract-poses of one short video, CPU seconds"),
    "clips": (3_845, "bytes a frame", "sigma-slu extract-poses of signer_crop480.mp4, size of the .npz"),
    "building": (23_000, "frames a second", "python benchmarks/build_speed.py (309 clips of 150 frames, two cores)"),
    "shards": (227, "bytes a frame", "python benchmarks/pose_storage.py (34 MB for 1,000 clips of 150 frames)"),
    "training": (129, "frames a second", "python benchmarks/plain_pose_encoder.py (1,024 frames in 7.94 s)"),
    "work": (
        138e9 / 1024 * 3,
        "operations a frame",
        "the same: forward 138 GFLOP for 1,024 frames; backward twice that",
    ),
    "index": (2 * 192 + 8, "bytes a clip", "python benchmarks/clustered_search.py (192 numbers of 2 bytes, one id)"),
}
# Assumed, not measured: no GPU was there. What a GPU of today reaches of bfloat16 in training with long sequences.
ASSUMED_GPU = 100e12


def main() -> int:
    """Calculates or simulates, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("table", "tasks", "lengths"))
    parser.add_argument("--hours", type=float, default=3_000, help="hours of video")
    parser.add_argument("--recording-minutes", type=float, default=5.0, help="mean length of a recording")
    parser.add_argument("--workers", type=int, default=64, help="number of tasks at a time")
    parser.add_argument("--hours-between-deaths", type=float, default=200.0, help="of one machine")
    parser.add_argument("--speed-spread", type=float, default=0.2, help="standard deviation of the machines' speeds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", help="folder of WLASL-hands")
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    args = parser.parse_args()
    if args.kind == "lengths":
        print_report(_lengths(args.data_dir), args.output or LENGTHS)
        return 0
    report = {"benchmark": f"capacity {args.kind}", "rates": {name: list(rate) for name, rate in RATES.items()}}
    report.update(_table() if args.kind == "table" else _tasks(args))
    print_report(report, args.output)
    return 0


def _lengths(data_dir: str | None) -> dict[str, Any]:
    """Percentiles of a real corpus's lengths, as multiples of their mean."""
    from datasets_scripts.corpora import load_corpus

    rows = load_corpus("wlasl_hands", "wlasl2000", split="train", data_dir=data_dir)
    frames = np.asarray(rows["num_frames"], float)
    quantiles = np.quantile(frames / frames.mean(), np.linspace(0, 1, 101))
    return {"corpus": "WLASL-hands, train", "num_clips": len(frames), "quantiles": quantiles.round(3).tolist()}


def _table() -> dict[str, Any]:
    rate = {name: value for name, (value, _, _) in RATES.items()}
    columns: dict[str, dict[str, Any]] = {}
    for hours in HOURS:
        seconds = hours * 3600
        frames, clips = seconds * FPS, seconds / CLIP_SECONDS
        trained = EPOCHS * frames
        columns[f"{hours:,} hours"] = {
            "frames (millions)": round(frames / 1e6, 1),
            "clips": round(clips),
            "video (GB)": round(seconds * rate["video"] / 1e9),
            "extraction (core hours)": round(frames / rate["extraction"] / 3600),
            "clips as files (GB)": round(frames * rate["clips"] / 1e9),
            "building (core hours)": round(frames / rate["building"] / 3600, 1),
            "Parquet shards (GB)": round(frames * rate["shards"] / 1e9, 1),
            "index of all clips (GB)": round(clips * rate["index"] / 1e9, 3),
            "training steps": round(EPOCHS * clips / BATCH),
            "training, pose encoder (core hours)": round(trained / rate["training"] / 3600),
            "training, pose encoder (operations, 1e18)": round(trained * rate["work"] / 1e18, 2),
            "GPU hours at an assumed 100 TFLOP/s": round(trained * rate["work"] / ASSUMED_GPU / 3600, 1),
        }
    return {"fps": FPS, "clip_seconds": CLIP_SECONDS, "batch": BATCH, "epochs": EPOCHS, "columns": columns}


def _tasks(args: argparse.Namespace) -> dict[str, Any]:
    quantiles = json.loads(LENGTHS.read_text())["quantiles"]
    rng = np.random.default_rng(args.seed)
    number = round(args.hours * 60 / args.recording_minutes)
    spread = np.interp(rng.random(number), np.linspace(0, 1, len(quantiles)), quantiles)
    work = spread / spread.mean() * args.recording_minutes * 60 * FPS / RATES["extraction"][0]  # CPU seconds
    rows = []
    for per_worker in (1, 2, 4, 8, 16, 32, 64):
        num_tasks = min(number, per_worker * args.workers)
        rows.append(_simulated(work, num_tasks, args))
    return {
        "hours": args.hours,
        "num_recordings": number,
        "num_workers": args.workers,
        "speed_spread": args.speed_spread,
        "hours_between_deaths": args.hours_between_deaths,
        "longest_recording_minutes": round(float(work.max() * RATES["extraction"][0] / FPS / 60), 1),
        "rows": rows,
    }


def _simulated(work: np.ndarray, num_tasks: int, args: argparse.Namespace) -> dict[str, Any]:
    """How long workers take for tasks that each do every n-th recording."""
    rng = np.random.default_rng(args.seed + 1)
    start, life = RATES["start"][0], args.hours_between_deaths * 3600
    speeds = np.clip(rng.normal(1, args.speed_spread, args.workers), 0.3, None)
    speeds /= speeds.mean()
    sizes = [work[rank::num_tasks] for rank in range(num_tasks)]
    free = [(0.0, worker) for worker in range(args.workers)]
    num_deaths, lost = 0, 0.0
    for recordings in sizes:
        now, worker = heapq.heappop(free)
        now += start / speeds[worker]
        for seconds in recordings / speeds[worker]:
            while rng.random() < 1 - np.exp(-seconds / life):  # dies while it works on this one
                wasted = float(rng.uniform(0, seconds) + start / speeds[worker])
                now, lost, num_deaths = now + wasted, lost + wasted, num_deaths + 1
            now += float(seconds)
        heapq.heappush(free, (now, worker))
    ends = sorted(now for now, _ in free)
    ideal, took = float(work.sum()) / args.workers, ends[-1]
    return {
        "tasks": num_tasks,
        "tasks_per_worker": round(num_tasks / args.workers, 1),
        "mean_task_minutes": round(float(np.mean([size.sum() for size in sizes])) / 60, 1),
        "hours": round(took / 3600, 2),
        "of_the_ideal": round(ideal / took, 3),
        "last_worker_alone_minutes": round((ends[-1] - ends[-min(2, len(ends))]) / 60, 1),
        "idle_at_the_end": round(1 - float(np.mean(ends)) / took, 3),
        "starting": round(num_tasks * start / float(work.sum()), 4),
        "deaths": num_deaths,
        "lost_to_deaths": round(lost / float(work.sum()), 4),
    }


if __name__ == "__main__":
    sys.exit(main())
