"""Pose extraction by one process, by two, by Ray with two nodes and by Slurm: equal bytes, also after kills.

    python benchmarks/executors.py quiet [--videos 200] [--slurm PARTITION] [--output x.json]
    python benchmarks/executors.py kill [--videos 200] [--kills 20] [--output x.json]
    python benchmarks/executors.py speed [--videos 200] [--rounds 3] [--output x.json]
    python benchmarks/executors.py pool

The videos are the samples of the data folder, cut into pieces of half a second; some are damaged, and one is so long
that only `--timeout` ends it (or, for `kill`, a pipe that nobody writes to). The estimator is rtmlib with tiny ONNX
networks: real work, little of it.

`quiet` compares the bytes of all files with those of one process. `kill` starts the local executor, then Ray with two
nodes of one core, kills one of its processes, or one of the nodes, at random moments, starts the command again where
it says so, and compares again; how often a video was opened, beyond once for each, is what was done twice. `speed`
takes one worker and two in turns, and reports wall and CPU seconds of each. `pool` shows why datatrove's own local
executor is not used: one of its four tasks is killed, and nothing ends within half a minute. Prints one line of JSON;
the exit code is 1 where bytes differ.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import random
import resource
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from reports import machine_facts, print_report


ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # its tiny ONNX networks and videos

NUM_DAMAGED, PIECE_FRAMES, WIDTH = 5, 12, 320
ENDLESS, ENDLESS_FRAMES, TIMEOUT = "endless.mp4", 10_000, 8


def main() -> int:
    """Measures, prints, and returns 1 where bytes differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("quiet", "kill", "speed", "pool"))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "samples" / "video")
    parser.add_argument("--videos", type=int, default=200, help="number of videos")
    parser.add_argument("--kills", type=int, default=20, help="number of kills of each kind")
    parser.add_argument("--rounds", type=int, default=3, help="number of turns")
    parser.add_argument("--slurm", metavar="PARTITION", help="run on this Slurm partition too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for videos and results (default: a temporary one)")
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    args = parser.parse_args()
    if args.kind == "pool":
        print_report({"benchmark": "executors pool", **_pool(), **machine_facts("datatrove")}, args.output)
        return 0
    with tempfile.TemporaryDirectory(dir=args.keep) as scratch:
        trial = Trial(Path(scratch))
        make_videos(trial.videos, args.data, args.videos, args.kind)
        facts = {"quiet": _quiet, "kill": _kill, "speed": _speed}[args.kind](trial, args)
    report = {"benchmark": f"executors {args.kind}", "num_videos": args.videos, **facts}
    print_report({**report, **machine_facts("datatrove", "ray", "av", "onnxruntime")}, args.output)
    return int(not facts.get("is_equal", True))


class Trial:
    """The command on one folder of videos."""

    def __init__(self, folder: Path) -> None:
        from onnx_graphs import write_detector, write_pose_network

        self.folder, self.videos = folder, folder / "videos"
        self._options = [
            *("--estimator", "rtmlib", "--detector", str(write_detector(folder / "d.onnx", box=(0, 0, 64, 43)))),
            *("--estimator-model", str(write_pose_network(folder / "p.onnx"))),
        ]

    def start(self, name: str, *more: str) -> subprocess.Popen[str]:
        """Starts the command, which writes a folder of that name."""
        command = [sys.executable, "-m", "modeling_sigma.cli.main", "extract-poses", str(self.videos)]
        log = (self.folder / f"{name}.log").open("a")
        more = (*more, "--timeout", str(TIMEOUT))
        return subprocess.Popen(
            [*command, "--out", str(self.folder / name), *self._options, *more], stdout=log, stderr=log, text=True
        )

    def run(self, name: str, *more: str) -> tuple[float, float]:
        """Runs the command to its end: wall seconds, and CPU seconds of all processes that it waited for."""
        start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        self.start(name, *more).wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return time.monotonic() - start, cpu

    def digest(self, name: str) -> str:
        """A hash of all files of a result, with their names."""
        total, folder = hashlib.sha256(), self.folder / name
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                total.update(f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        return total.hexdigest()[:16]

    def counts(self, name: str) -> dict[str, int]:
        """How many videos became clips, and how many did not."""
        from modeling_sigma.extraction.pose_extraction import read_manifest

        reports = read_manifest(self.folder / name)
        failed = [report for report in reports if "error" in report]
        return {
            "num_clips": len(reports) - len(failed),
            "num_failed": len(failed),
            "num_passing": sum(bool(report.get("is_passing")) for report in failed),
        }


def make_videos(folder: Path, data: Path, number: int, kind: str) -> None:
    """Cuts the samples into pieces, again and again, until there are enough."""
    import av

    folder.mkdir(parents=True)
    pieces: list[list[Any]] = []
    for sample in sorted(data.glob("*.mp4")):
        with av.open(str(sample)) as container:
            height = container.streams.video[0].height * WIDTH // container.streams.video[0].width // 2 * 2
            frames = [frame.reformat(WIDTH, height, "yuv420p") for frame in container.decode(video=0)]
        pieces += [frames[at : at + PIECE_FRAMES] for at in range(0, len(frames) - PIECE_FRAMES + 1, PIECE_FRAMES)]
    num_good = number - NUM_DAMAGED - (kind != "speed")
    for place in range(num_good):
        _write_video(folder / f"{place // 50}" / f"{place:04d}.mp4", pieces[place % len(pieces)])
    whole = (folder / "0" / "0000.mp4").read_bytes()
    for place in range(NUM_DAMAGED):  # cut short, without a beginning, without a middle, empty, no video at all
        spoilt = (whole[: len(whole) // 3], whole[100:], whole[:64] + whole[-64:], b"", b"not a video")[place % 5]
        (folder / f"damaged{place}.mp4").write_bytes(spoilt)
    if kind == "kill":
        os.mkfifo(folder / ENDLESS)
    elif kind == "quiet":
        _write_video(folder / ENDLESS, pieces[0][:1] * ENDLESS_FRAMES)


def _write_video(path: Path, frames: list[Any]) -> None:
    import av

    path.parent.mkdir(exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 25), 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _quiet(trial: Trial, args: argparse.Namespace) -> dict[str, Any]:
    seconds = {"one process": trial.run("one")[0], "two workers": trial.run("two", "--workers", "2")[0]}
    with _ray_nodes() as cluster:
        options = ("--executor", "ray", "--workers", "2", "--tasks", "8", "--ray-address", cluster.address)
        seconds["ray, two nodes"] = trial.run("ray", *options)[0]
    names = ["one", "two", "ray"]
    if args.slurm:
        options = ("--executor", "slurm", "--workers", "2", "--slurm-partition", args.slurm, "--tasks", "4")
        seconds["slurm"] = trial.run("slurm", *options)[0]
        names.append("slurm")
    digests = {name: trial.digest(name) for name in names}
    return {
        **trial.counts("one"),
        "is_equal": len(set(digests.values())) == 1,
        "digests": digests,
        "wall_seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def _kill(trial: Trial, args: argparse.Namespace) -> dict[str, Any]:
    chance = random.Random(args.seed)
    with _opened(trial.videos) as opened:
        trial.run("quiet")
        once = Counter(opened)
        wanted, facts = trial.digest("quiet"), {}
        rounds = _Rounds(trial, wanted, chance, once, opened)
        facts["local, a process killed"] = rounds.run(args.kills, ("--workers", "2"), lambda: None)
        with _ray_nodes() as cluster:
            options = ("--executor", "ray", "--workers", "2", "--tasks", "8", "--ray-address", cluster.address)
            facts["ray, a process killed"] = rounds.run(args.kills, options, lambda: None)

            def kill_node() -> None:
                (node,) = cluster.worker_nodes or [cluster.add_node(num_cpus=1)]
                cluster.remove_node(node, allow_graceful=False)
                cluster.add_node(num_cpus=1)

            facts["ray, a node killed"] = rounds.run(args.kills, options, kill_node, is_node=True)
    return {**facts, "is_equal": all(one["num_unequal"] == 0 for one in facts.values())}


_POOL = """
import os, signal, sys
from datatrove.executor import LocalPipelineExecutor

def work(data, rank, world_size):
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    yield from ()

if __name__ == "__main__":
    LocalPipelineExecutor([work], tasks=4, workers=2, logging_dir=sys.argv[1]).run()
"""


def _pool(patience: float = 30) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "pool.py"
        script.write_text(_POOL)
        process = subprocess.Popen(
            [sys.executable, str(script), f"{folder}/logs"], stderr=subprocess.DEVNULL, start_new_session=True
        )
        done = Path(folder) / "logs" / "completions"
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and not (done.is_dir() and len(list(done.iterdir())) == 3):
            time.sleep(0.5)  # until the three other tasks are done
        with _suppressed_timeout():
            process.wait(patience)
        has_ended = process.poll() is not None
        os.killpg(process.pid, signal.SIGKILL)
        return {"num_done": len(list(done.iterdir())), "seconds_waited_then": patience, "has_ended": has_ended}


class _Rounds:
    """Runs of the command that are disturbed, until they have come to their end."""

    def __init__(
        self, trial: Trial, wanted: str, chance: random.Random, once: Counter[str], opened: Counter[str]
    ) -> None:
        self.trial, self.wanted, self.chance, self.once, self.opened = trial, wanted, chance, once, opened

    def run(self, num_kills: int, options: tuple[str, ...], kill_other: Any, is_node: bool = False) -> dict[str, Any]:
        counts: Counter[str] = Counter()
        start = time.monotonic()
        while counts["num_kills"] < num_kills:
            shutil.rmtree(self.trial.folder / "disturbed", ignore_errors=True)
            self.opened.clear()
            counts["num_results"] += 1
            while True:
                counts["num_runs"] += 1
                process = self.trial.start("disturbed", *options)
                while process.poll() is None:
                    with _suppressed_timeout():
                        process.wait(self.chance.uniform(1, 6))
                    if process.poll() is None and counts["num_kills"] < num_kills:
                        if is_node:
                            kill_other()
                            counts["num_kills"] += 1
                        else:
                            counts["num_kills"] += self._kill_one(process.pid)
                is_whole = (self.trial.folder / "disturbed" / "extraction.json").is_file()
                if process.returncode == 1 and is_whole and not self.trial.counts("disturbed")["num_passing"]:
                    break  # some videos are damaged: 1 is the end of a good run
            counts["num_unequal"] += self.trial.digest("disturbed") != self.wanted
            per_video = max(1, max(self.once.values(), default=1))
            again = sum(max(0, number - self.once[name]) for name, number in self.opened.items())
            counts["num_opened_again"] += -(-again // per_video)
        return {
            **{name: counts[name] for name in ("num_kills", "num_results", "num_runs", "num_unequal")},
            "num_opened_again": counts["num_opened_again"],
            "seconds": round(time.monotonic() - start),
        }

    def _kill_one(self, root: int) -> int:
        """Kills the command or one of its workers; of Ray, the processes of its tasks."""
        ours = [pid for pid, text in _processes() if pid == root or _is_below(pid, root) or "ray::_run_rank" in text]
        ours = [pid for pid in ours if pid != os.getpid()]
        if not ours:
            return 0
        try:
            os.kill(self.chance.choice(ours), signal.SIGKILL)
        except ProcessLookupError:
            return 0
        return 1


def _speed(trial: Trial, args: argparse.Namespace) -> dict[str, Any]:
    rows: dict[str, list[tuple[float, float]]] = {"1": [], "2": []}
    for number in range(args.rounds):
        for workers in ("1", "2"):
            rows[workers].append(trial.run(f"{workers}-{number}", "--workers", workers))
    ratios = [one[0] / two[0] for one, two in zip(rows["1"], rows["2"], strict=True)]
    return {
        "wall_and_cpu_seconds": {
            workers: [[round(value, 1) for value in row] for row in found] for workers, found in rows.items()
        },
        "wall_ratio": round(statistics.median(ratios), 2),
        "load_average": os.getloadavg()[0],
    }


@contextmanager
def _ray_nodes() -> Iterator[Any]:
    """A Ray cluster of two nodes with one core each, on this machine."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()


@contextmanager
def _opened(folder: Path) -> Iterator[Counter[str]]:
    """Counts how often each file below a folder is opened; Linux alone tells."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init()
    names = {
        libc.inotify_add_watch(descriptor, os.fsencode(path), 0x20): path  # IN_OPEN
        for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    }
    counts: Counter[str] = Counter()

    def watch() -> None:
        while True:
            content, at = os.read(descriptor, 65536), 0
            while at < len(content):
                number, mask, _, size = struct.unpack_from("iIII", content, at)
                name = content[at + 16 : at + 16 + size].rstrip(b"\0").decode()
                at += 16 + size
                if name.endswith(".mp4") and not mask & 0x40000000:  # of a file, not of a folder
                    counts[str(names[number] / name)] += 1

    threading.Thread(target=watch, daemon=True).start()
    yield counts


@contextmanager
def _suppressed_timeout() -> Iterator[None]:
    try:
        yield
    except subprocess.TimeoutExpired:
        pass


def _processes() -> list[tuple[int, str]]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append((int(path.parent.name), path.read_bytes().replace(b"\0", b" ").decode(errors="replace")))
        except OSError:
            continue
    return found


def _is_below(pid: int, root: int) -> bool:
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
        if pid == root:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
