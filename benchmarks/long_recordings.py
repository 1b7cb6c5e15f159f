"""Long recordings: the time and memory that `transcribe` takes, and a run that is killed in the middle and resumed.

Run: `python benchmarks/long_recordings.py --data ../shared/data --model checkpoints/sigma-wlasl-hands`, with
`--segmenter DIR` to find signs with it. Prints JSON. A recording joined from test clips of WLASL300 is repeated to the
lengths of `--minutes`; each is transcribed by the command in a process of its own: CPU seconds per second of
recording, wall-clock seconds per second (on a shared machine, an upper bound), and the most memory.
`kill`: several recordings, the process killed (SIGKILL) when about half of them are done; the next run must leave
finished files alone, and the files must be those of a run that nobody has disturbed, byte by byte.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from finding_signs import recordings_of
from reports import machine_facts, print_report

from modeling_sigma.io import save_clip
from modeling_sigma.model.pose_clip import PoseClip


def repeated(clip: PoseClip, minutes: float) -> PoseClip:
    """A recording, over and over, to this length."""
    count = round(minutes * 60 * float(clip.fps or 0))
    frames = np.arange(count) % len(clip)
    return PoseClip(
        clip.keypoints[frames].astype(np.float32), clip.scores[frames].astype(np.float32), clip.layout, clip.fps,
        coordinates=clip.coordinates,
    )  # fmt: skip


def command(args: argparse.Namespace, out: Path, recordings: list[Path]) -> list[str]:
    """The command that transcribes, as a user types it."""
    options = ["--model", args.model, "--out", str(out), "--to", "eaf,srt,json"]
    if args.segmenter is not None:
        options += ["--segmenter", args.segmenter]
    return [sys.executable, "-m", "modeling_sigma.cli.main", "transcribe", *map(str, recordings), *options]


def measured(words: list[str]) -> dict[str, float]:
    """Runs a command; the time that its process computed, the time that passed, and the most memory it had."""
    start = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"{' '.join(words)} failed")
    return {
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "seconds": round(time.monotonic() - start, 1),
        "peak_mib": round(usage.ru_maxrss / 1024),
    }


def killed_and_resumed(args: argparse.Namespace, folder: Path, recordings: list[Path]) -> dict[str, Any]:
    """Kills a run in the middle, and compares what the next makes of it with an undisturbed run."""
    quiet, cut = folder / "quiet", folder / "cut"
    measured(command(args, quiet, recordings))
    process = subprocess.Popen(command(args, cut, recordings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(cut.glob("*.json"))) < len(recordings) // 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in _results(cut)}
    measured(command(args, cut, recordings))
    kept = sum(
        path.stat().st_mtime_ns == changed for path, changed in done.items() if path.name != "transcription.json"
    )
    same = [
        _without_date(path) == _without_date(cut / path.name) for path in sorted(quiet.iterdir()) if path.is_file()
    ]
    return {
        "recordings": len(recordings),
        "files_at_the_kill": len(done),
        "files_left_alone": kept,
        "files": len(same),
        "files_as_undisturbed": sum(same),
    }


def _results(folder: Path) -> list[Path]:
    """The files that a run is for; locks and notes come and go."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _without_date(path: Path) -> str:
    """A hash of a file without the lines that say when it was written, or have the hash of a file that does."""
    dated = ("DATE=", '"date"', '"sha256"')
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not any(name in line for name in dated)]
    return hashlib.sha256("\n".join(lines).replace("cut", "quiet").encode()).hexdigest()


def main() -> None:
    """Prints the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--model", default="checkpoints/sigma-wlasl-hands", help="folder of a model with a label head")
    parser.add_argument("--segmenter", help="folder of a model that finds signs")
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 30, 120], help="lengths of the recordings")
    parser.add_argument(
        "--killed", type=int, default=6, help="number of recordings of two minutes to kill at; 0: none"
    )
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    report: dict[str, Any] = {"model": args.model, "segmenter": args.segmenter, "lengths": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (clip, _), *_ = recordings_of("mixed", args.data, str(folder / "cache"), 24, 0)
        for minutes in args.minutes:
            path = folder / f"minutes{minutes:g}.npz"
            save_clip(path, repeated(clip, minutes))
            used = measured(command(args, folder / f"out{minutes:g}", [path]))
            share = {
                f"{kind}_per_second": round(used[kind] / (60 * minutes), 4) for kind in ("cpu_seconds", "seconds")
            }
            report["lengths"].append({"minutes": minutes, **used, **share})
            print(report["lengths"][-1], file=sys.stderr, flush=True)  # hours may still follow
        recordings = []
        for number in range(args.killed):
            recordings.append(folder / f"talk{number}.npz")
            save_clip(recordings[-1], repeated(clip.frames(slice(number * 5, None)), 2))
        if recordings:
            report["kill"] = killed_and_resumed(args, folder, recordings)
    print_report({**report, **machine_facts("torch", "transformers", "numpy")}, args.output)


if __name__ == "__main__":
    main()
