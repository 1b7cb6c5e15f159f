"""What the HTTP service costs: 16 clients at once against the same clips in one process, which reads and predicts.

Prints one line of JSON: clips per second of both and their ratio, CPU time per clip of both, times to the answer,
errors, memory. One process is measured before and after, so that whatever else the machine does shows; CPU time hardly
depends on it. The exit code is 1 for an error, or below 90 % of the clips per second of one process.

    OMP_NUM_THREADS=1 python benchmarks/serving.py [--seconds 60] [--workers 1] [--data-dir DIR] [--output x.json]
    OMP_NUM_THREADS=1 python benchmarks/serving.py --parts

`--parts` measures no service but its parts, in CPU milliseconds per clip: predicting in batches of several sizes,
reading a file, and reading it in a process of its own, 16 at once.

Clips are invented signs, or with `--data-dir` test clips of WLASL2000-hands.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import io
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from reports import machine_facts, print_report

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma import decode_clip, load_clip, load_corpus, load_pipeline, save_clip
from modeling_sigma.serving.uploads import UploadReader


CHECKPOINT = Path(__file__).resolve().parents[1] / "checkpoints" / "sigma-wlasl-hands"
NUM_FILES, NUM_CLIENTS, BATCH_SIZE, LIMIT = 64, 16, 8, 0.9


def main() -> int:
    """Measures, prints, and returns 1 where the limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(CHECKPOINT))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--data-dir", help="folder of WLASL-hands")
    parser.add_argument("--parts", action="store_true", help="measure the parts of a service instead")
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        files = _files(Path(scratch), args.data_dir)
        if args.parts:
            parts = _parts(args.model, files, Path(scratch))
            print_report({"benchmark": "serving parts", **parts, **machine_facts("torch")}, args.output)
            return 0
        alone = [_one_process(args.model, files, args.seconds / 3)]
        served = _service(args.model, files, args.seconds, args.workers, Path(scratch) / "log.txt")
        alone.append(_one_process(args.model, files, args.seconds / 3))
    ratio = served["clips_per_second"] / (sum(speed for speed, _ in alone) / 2)
    report = {
        "benchmark": "serving",
        "num_clients": NUM_CLIENTS,
        "num_workers": args.workers,
        "seconds": args.seconds,
        "clips": "wlasl2000 test" if args.data_dir else "synthetic signs",
        "one_process_clips_per_second": [round(speed, 1) for speed, _ in alone],
        "one_process_cpu_ms_per_clip": [round(1000 * cpu, 1) for _, cpu in alone],
        **served,
        "ratio": round(ratio, 3),
        "limit": LIMIT,
        **machine_facts("torch", "transformers", "fastapi", "uvicorn"),
    }
    print_report(report, args.output)
    return int(ratio < LIMIT or served["num_errors"] > 0)


def _files(folder: Path, data_dir: str | None) -> list[Path]:
    if data_dir is None:
        language = SyntheticSigns(seed=0)
        clips = [language.isolated(number, split="test").clip for number in range(NUM_FILES)]
    else:
        test = load_corpus("wlasl_hands", "wlasl2000", split="test", data_dir=data_dir)
        clips = [decode_clip(test[row]) for row in range(NUM_FILES)]
    paths = [folder / f"{number}.npz" for number in range(NUM_FILES)]
    for path, clip in zip(paths, clips, strict=True):
        save_clip(path, clip)
    return paths


def _one_process(model: str, files: list[Path], seconds: float) -> tuple[float, float]:
    """Clips per second, and CPU seconds per clip, of reading and predicting, batch after batch."""
    predict = load_pipeline(model, device="cpu")
    predict([load_clip(path) for path in files[:BATCH_SIZE]], batch_size=BATCH_SIZE)  # warm
    start, cpu, count = time.monotonic(), time.process_time(), 0
    while time.monotonic() - start < seconds:
        batch = [files[(count + number) % len(files)] for number in range(BATCH_SIZE)]
        predict([load_clip(path) for path in batch], batch_size=BATCH_SIZE)
        count += BATCH_SIZE
    return count / (time.monotonic() - start), (time.process_time() - cpu) / count


def _parts(model: str, files: list[Path], folder: Path) -> dict[str, Any]:
    predict = load_pipeline(model, device="cpu")
    clips = [load_clip(path) for path in files]
    predict(clips[:BATCH_SIZE], batch_size=BATCH_SIZE)  # warm
    found: dict[str, Any] = {}
    for size in (1, 2, 4, 8, 16):
        start = time.process_time()
        for at in range(0, 32, size):
            predict(clips[at : at + size], batch_size=size)
        found[f"predict, {size} at once"] = round(1000 * (time.process_time() - start) / 32, 2)
    start = time.process_time()
    for path in files:
        load_clip(path)
    found["read"] = round(1000 * (time.process_time() - start) / len(files), 2)

    async def read() -> tuple[float, float]:
        reader = UploadReader(folder, 3600, lambda: None)

        async def one(path: Path) -> None:
            await reader.read(io.BytesIO(path.read_bytes()), path.name, 0)

        await asyncio.gather(*map(one, files[:16]))  # the processes have started
        start, (used, _) = time.process_time(), _used(os.getpid())
        for _ in range(4):
            for at in range(0, len(files), 16):
                await asyncio.gather(*map(one, files[at : at + 16]))
        ours = time.process_time() - start
        theirs = _used(os.getpid())[0] - used - ours
        reader.close()
        return ours, theirs

    for name, seconds in zip(("here", "there"), asyncio.run(read()), strict=True):
        found[f"read by a process, {name}"] = round(1000 * seconds / (4 * len(files)), 2)
    return {"cpu_ms_per_clip": found}


def _service(model: str, files: list[Path], seconds: float, num_workers: int, log: Path) -> dict[str, Any]:
    bodies = [_form(path) for path in files]
    times: list[float] = []
    errors: list[str] = []
    with _started(model, num_workers, log) as (port, process):
        is_over = threading.Event()

        def be_client(number: int) -> None:
            connection, turn = http.client.HTTPConnection("127.0.0.1", port, timeout=120), number
            while not is_over.is_set():
                start = time.monotonic()
                try:
                    kind = {"Content-Type": "multipart/form-data; boundary=x"}
                    connection.request("POST", "/predict", bodies[turn % len(bodies)], kind)
                    answer = connection.getresponse()
                    content = answer.read()
                    if answer.status != 200:
                        errors.append(f"{answer.status}: {content[:200]!r}")
                except (OSError, http.client.HTTPException) as error:
                    errors.append(repr(error))
                    connection.close()
                times.append(time.monotonic() - start)
                turn += NUM_CLIENTS

        be_warm = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        be_warm.request("POST", "/predict", bodies[0], {"Content-Type": "multipart/form-data; boundary=x"})
        be_warm.getresponse().read()
        threads = [threading.Thread(target=be_client, args=(number,)) for number in range(NUM_CLIENTS)]
        start, (cpu_before, _) = time.monotonic(), _used(process.pid)
        for thread in threads:
            thread.start()
        time.sleep(seconds / 6)
        _, early = _used(process.pid)
        time.sleep(max(start + seconds - time.monotonic(), 0))
        (cpu, late), count, duration = _used(process.pid), len(times), time.monotonic() - start
        is_over.set()
        for thread in threads:
            thread.join()
    if errors:
        print(log.read_text()[-4000:], file=sys.stderr)
    milliseconds = 1000 * np.array(times)
    return {
        "clips_per_second": round(count / duration, 1),
        "cpu_ms_per_clip": round(1000 * (cpu - cpu_before) / count, 1),
        "num_requests": count,
        "num_errors": len(errors),
        "first_error": errors[0] if errors else None,
        "median_ms": round(float(np.median(milliseconds)), 1),
        "p95_ms": round(float(np.percentile(milliseconds, 95)), 1),
        "megabytes_after_a_sixth": early,
        "megabytes_at_the_end": late,
    }


def _form(path: Path) -> bytes:
    disposition = f'Content-Disposition: form-data; name="files"; filename="{path.name}"'
    return b"--x\r\n" + disposition.encode() + b"\r\n\r\n" + path.read_bytes() + b"\r\n--x--\r\n"


@contextmanager
def _started(model: str, num_workers: int, log: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "modeling_sigma.cli.main", "serve", "--model", model, "--port", "0"]
    with log.open("w") as out:
        process = subprocess.Popen([*command, "--workers", str(num_workers)], stdout=out, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 240
        while log.read_text().count("Application startup complete") < num_workers:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the service did not start: {log.read_text()[-2000:]}")
            time.sleep(0.3)
        (port,) = re.findall(r"running on http://127\.0\.0\.1:(\d+)", log.read_text())
        yield int(port), process
    finally:
        process.terminate()
        process.wait()


def _used(pid: int) -> tuple[float, float]:
    """CPU seconds and megabytes of the service's processes, those included that read files. Linux alone tells."""
    fields = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields[int(path.parent.name)] = [int(one) for one in path.read_text().rpartition(")")[2].split()[1:22]]
        except OSError:  # it has ended
            continue
    ours = {pid}
    while len(ours) < len(more := ours | {one for one, (parent, *_) in fields.items() if parent in ours}):
        ours = more
    ticks = sum(fields[one][10] + fields[one][11] for one in ours)
    pages = sum(fields[one][20] for one in ours)
    return ticks / os.sysconf("SC_CLK_TCK"), round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


if __name__ == "__main__":
    sys.exit(main())
