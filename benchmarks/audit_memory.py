"""The memory of `sigma-slu audit-dataset`: does it grow with the frames of the clips, and how with their number?

    python benchmarks/audit_memory.py [--clips 2000 10000] [--frames 60 600] [--output x.json]

Writes data sets of generated clips, each with a sentence of its own, and audits each in a process of its own: the most
memory that it held, and its CPU seconds. What a further clip takes in memory is the difference between the larger and
the smaller data set; both hold a row group of their clips while they read. Prints one line of JSON; the exit code is 1
where a further long clip takes a tenth of its bytes in the file before compression.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import parquet
from reports import machine_facts, print_report

from datasets_scripts.building.shard_writer import as_table
from datasets_scripts.schema import encode_sample, features
from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma.model.pose_clip import PoseClip


NUM_DIFFERENT, PER_SHARD, ROWS_IN_GROUP, LIMIT = 25, 500, 100, 0.1


def main() -> int:
    """Measures, prints, and returns 1 where memory grows with frames."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs=2, default=(2_000, 10_000), help="number of clips: few, and many")
    parser.add_argument("--frames", type=int, nargs=2, default=(60, 600), help="frames of a clip: few, and many")
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    args = parser.parse_args()
    few, many = args.clips
    rows, further = {}, {}
    for frames in args.frames:
        found = []
        for number in (few, many):
            with tempfile.TemporaryDirectory() as scratch:
                packed = _write(Path(scratch), number, frames)
                found.append(_audit(Path(scratch)))
            rows[f"{number} clips of {frames} frames"] = found[-1]
        further[f"{frames} frames"] = {
            "bytes_in_memory": round(1e6 * (found[1]["megabytes"] - found[0]["megabytes"]) / (many - few)),
            "bytes_in_file_uncompressed": packed,
        }
    *_, longest = further.values()
    report = {
        "benchmark": "audit_memory",
        "rows": rows,
        "further_clip": further,
        "is_within_limit": longest["bytes_in_memory"] <= LIMIT * longest["bytes_in_file_uncompressed"],
    }
    print_report({**report, **machine_facts("datasets", "numpy", "pyarrow")}, args.output)
    return int(not report["is_within_limit"])


def _write(folder: Path, number: int, frames: int) -> int:
    """Writes a data set, and returns the bytes of a clip's keypoints and scores."""
    language = SyntheticSigns()
    clips = [_as_long(language.isolated(place, split="train").clip, frames) for place in range(NUM_DIFFERENT)]
    facts = {"sign_language": "Invented Sign Language", "spoken_language": "English"}
    rows = [encode_sample(clip, sample_id="clip", split="train", **facts) for clip in clips]
    names = [f"train-{shard:05d}-of-{-(-number // PER_SHARD):05d}" for shard in range(-(-number // PER_SHARD))]
    for shard, name in enumerate(names):
        chosen = [
            {**rows[at % len(rows)], "sample_id": f"clip-{at:07d}", "text": f"this is what the clip {at} says"}
            for at in range(shard * PER_SHARD, min(number, (shard + 1) * PER_SHARD))
        ]
        table = as_table(chosen, features())
        parquet.write_table(table, folder / f"{name}.parquet", compression="zstd", row_group_size=ROWS_IN_GROUP)
    return sum(len(row["keypoints"]) + len(row["scores"]) for row in rows) // len(rows)


def _as_long(clip: PoseClip, frames: int) -> PoseClip:
    return clip.frames(np.arange(frames) % len(clip))


def _audit(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "modeling_sigma.cli.main", "audit-dataset", str(folder), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"audit-dataset ended with {os.waitstatus_to_exitcode(status)}")
    return {"megabytes": round(usage.ru_maxrss / 1e3), "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1)}


if __name__ == "__main__":
    sys.exit(main())
