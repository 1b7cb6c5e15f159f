"""What the web demo does with what is sent to do harm: memory, time, and how long everybody else waits.

`pytest -m slow -s tests/test_space_limits.py` prints the table.
"""

from __future__ import annotations

import json
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modeling_sigma import PoseClip, SigmaForPreTraining, save_bundle
from modeling_sigma.io import save_clip
from tests.factories import random_clip, tiny_model, tiny_processor
from tests.space_server import ROOT, space_server


pytestmark = pytest.mark.slow

MOST_SECONDS = 90  # of one request
MOST_MEMORY = 3e9  # bytes, on top of what the server needs at rest
MOST_DELAY = 30  # seconds of an honest request meanwhile


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space")
    model = tiny_model(seed=2)
    model.generation_config.max_new_tokens, model.generation_config.num_beams = 6, 1
    save_bundle(model, tiny_processor(), path / "writer")
    save_bundle(tiny_model(SigmaForPreTraining, seed=2), tiny_processor(), path / "both")
    save_clip(path / "clip.npz", random_clip(12))
    return path


class Server:
    """The demo as its users see it, and what it takes."""

    def __init__(self, url: str, process: Any) -> None:
        self.url, self.process = url, process

    def ask(self, file: Path, model: str = "writer", texts: str = "") -> str:
        """What is wrong with the file, or "Done."."""
        client = pytest.importorskip("gradio_client", reason="needs the web demo")
        page = client.Client(self.url, verbose=False)
        asked = (client.handle_file(str(file)), model, "English", texts, False, False)
        message, _, result, *_ = page.predict(*asked, api_name="/read")
        return "Done." if result and 'role="alert"' not in message else message

    def memory(self) -> int:
        """Bytes that the server and its workers hold now."""
        psutil = pytest.importorskip("psutil")
        total = 0
        for one in (server := psutil.Process(self.process.pid), *server.children(recursive=True)):
            try:
                total += one.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    pytest.importorskip("gradio", reason='needs the web demo: pip install "sigma-slu[space]"')
    models = {name: folder / name for name in ("writer", "both")}
    with space_server(models, folder / "log.txt") as (url, process):
        server = Server(url, process)
        for model in models:  # by both workers
            waiting = [threading.Thread(target=server.ask, args=(folder / "clip.npz", model)) for _ in range(2)]
            for thread in waiting:
                thread.start()
            for thread in waiting:
                thread.join()
        yield server


# --- what is sent


def _frames(folder: Path, num_frames: int, fps: float | None = None) -> Path:
    """One pose, again and again: a small file of many frames."""
    path = folder / f"{num_frames} frames.npz"
    clip = random_clip(1)
    arrays = (np.repeat(clip.keypoints, num_frames, axis=0), np.repeat(clip.scores, num_frames, axis=0))
    save_clip(path, PoseClip(*arrays, fps=fps, width=640, height=480))
    return path


def _zeros(folder: Path, megabytes: int) -> Path:
    path = folder / f"{megabytes} megabytes of zeros.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("keypoints.npy", "w") as file:
        num_frames = megabytes * 1_000_000 // (133 * 2 * 4)
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (num_frames, 133, 2)}
        )
        for _ in range(megabytes):
            file.write(bytes(1_000_000))
    return path


def _pickle(folder: Path) -> Path:
    """Lists of lists: each level holds the one below ten times."""
    path = folder / "nested.pkl"
    level: list[Any] = [0.5] * 10
    for _ in range(12):
        level = [level] * 10
    path.write_bytes(pickle.dumps({"keypoints": level, "scores": level}))
    return path


# What is sent: the file, the options, and what is answered.
ATTACKS: dict[str, tuple[Callable[[Path], Path], dict[str, str], str]] = {
    "nothing: a clip of 12 frames": (lambda folder: folder / "clip.npz", {}, ""),
    "12,000 frames without a frame rate": (lambda folder: _frames(folder, 12_000), {}, "please cut it"),
    # So long that it is not even read.
    "200,000 frames of 1 ms": (
        lambda folder: _frames(folder, 200_000, 1000.0),
        {},
        "to take at most 600 MB of memory",
    ),
    "3,600 frames at 60 per second": (lambda folder: _frames(folder, 3600, 60.0), {}, ""),
    "2 GB of zeros": (lambda folder: _zeros(folder, 2000), {}, "zeros.npz"),
    "10 to the power of 13 objects": (_pickle, {}, "nested.pkl|took longer than"),
    "100 KB of texts": (
        lambda folder: folder / "clip.npz",
        {"texts": "\n".join(f"text {number}" for number in range(9000))},
        "please choose among up to 500 texts",
    ),
    "one text of 100 KB": (
        lambda folder: folder / "clip.npz",
        {"texts": "a b " * 25_000, "model": "both"},
        "please choose among",
    ),
    "500 texts and 60 seconds": (
        lambda folder: _frames(folder, 1500, 25.0),
        {"texts": "\n".join(f"hello {number}" for number in range(500))},
        "please shorten",
    ),
    "500 texts and a short clip": (
        lambda folder: folder / "clip.npz",
        {"texts": "\n".join(f"hello {number:010}" for number in range(500)), "model": "both"},
        "",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_harms_nobody_else(attack: str, server: Server, folder: Path) -> None:
    make, options, expected = ATTACKS[attack]
    file = make(folder)
    at_rest, is_over = server.memory(), threading.Event()
    peak, delays = [0], [0.0]

    def watch() -> None:
        while not is_over.wait(0.05):
            peak[0] = max(peak[0], server.memory() - at_rest)

    def be_honest() -> None:
        while not is_over.is_set():
            start = time.monotonic()
            assert "Done." in server.ask(folder / "clip.npz")
            delays.append(time.monotonic() - start)

    others = [threading.Thread(target=one) for one in (watch, be_honest)]
    for thread in others:
        thread.start()
    start = time.monotonic()
    message = server.ask(file, **options)
    seconds = time.monotonic() - start
    is_over.set()
    for thread in others:
        thread.join()
    print(
        f"\n| {attack} | {file.stat().st_size / 1000:,.1f} KB | {peak[0] / 1e6:,.0f} MB | {seconds:.1f} s "
        f"| {max(delays):.1f} s | {message} |"
    )
    assert re.search(expected or "Done.", message) and str(folder) not in message
    assert seconds < MOST_SECONDS and peak[0] < MOST_MEMORY and max(delays) < MOST_DELAY
    assert len(delays) > 1, "nobody else was served"


def test_a_worker_without_memory_says_so(folder: Path) -> None:
    """And is told to end: the next request gets all of the memory again."""
    space, model = ROOT / "examples" / "space", str(folder / "writer")
    code = f"import sys; sys.path.insert(0, {str(space)!r})\n"
    code += "from modeling_sigma.serving import request_limits; request_limits.WORK_MEMORY = 20_000_000; "
    request = {
        "action": "read", "file": str(_frames(folder, 1500)), "model": model, "name": "writer", "visit": str(folder),
        "signs": str(folder / "signs"), "language": "English", "texts": [], "dark": False, "coverage": None,
        "is_for_program": False,
    }  # fmt: skip
    found = subprocess.run(
        [sys.executable, "-c", code + "import worker; worker.main()", model],
        input=json.dumps(request) + "\n",
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
    )
    answers = [json.loads(line) for line in found.stdout.splitlines()]
    assert found.returncode == 0 and answers[:2] == [{"ready": True}] * 2, found.stderr[-2000:]
    assert "needs more memory" in answers[2]["error"] and answers[2]["is_spent"]


# --- what stays behind


def test_uploads_of_a_killed_server_are_deleted(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason='needs the web demo: pip install "sigma-slu[space]"')
    models = {"writer": folder / "writer"}
    with space_server(models, tmp_path / "first.txt") as (url, process):
        assert "Done." in Server(url, process).ask(folder / "clip.npz")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list(tmp_path.rglob("clip.npz")), "a killed server deletes nothing"
    with space_server(models, tmp_path / "second.txt") as (url, process):
        assert not list(tmp_path.rglob("clip.npz"))
        with space_server(models, tmp_path / "third.txt"):  # deletes nothing of one that runs
            assert "Done." in Server(url, process).ask(folder / "clip.npz")
