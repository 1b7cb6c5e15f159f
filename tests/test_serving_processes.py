"""The HTTP service as processes: killed workers come back, and slow or hostile clients keep nobody waiting."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modeling_sigma import SigmaFeatureExtractor, SigmaForSequenceClassification, save_bundle
from modeling_sigma.io import save_clip
from tests.factories import random_clip, tiny_model
from tests.service_process import service_process


pytestmark = pytest.mark.slow
psutil = pytest.importorskip("psutil")

TOKEN = "a-token"
READER = "modeling_sigma.serving.reading_worker"
Address = tuple[str, int]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("service")
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, id2label={0: "hello", 1: "rain"})
    save_bundle(head, SigmaFeatureExtractor(), path / "head")
    save_clip(path / "clip.npz", random_clip(12))
    return path


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[tuple[Address, subprocess.Popen[bytes]]]:
    arguments = ("--model", str(folder / "head"), "--workers", "2", "--max-megabytes", "2", "--max-waiting", "8")
    with service_process(folder / "log.txt", *arguments, SIGMA_SERVE_TOKEN=TOKEN) as found:
        yield found


def form(name: str, content: bytes) -> bytes:
    disposition = f'Content-Disposition: form-data; name="files"; filename="{name}"'
    return b"--x\r\n" + disposition.encode() + b"\r\n\r\n" + content + b"\r\n--x--\r\n"


def headers(size: int, path: str = "/predict") -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: here",
        "Connection: close",
        f"Authorization: Bearer {TOKEN}",
        "Content-Type: multipart/form-data; boundary=x",
        f"Content-Length: {size}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def answer_to(address: Address, content: bytes, seconds: float = 60) -> tuple[int, Any]:
    """Status and JSON of one request; 0 if the connection ends without an answer."""
    with socket.create_connection(address, timeout=seconds) as connection:
        try:
            connection.sendall(headers(len(content)) + content)
        except OSError:
            pass  # refused before all has been sent
        return received(connection)


def received(connection: socket.socket) -> tuple[int, Any]:
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except OSError:
        pass
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    return (int(head.split()[1]), json.loads(body)) if head else (0, None)


def processes(parent: subprocess.Popen[bytes], word: str) -> list[Any]:
    found = []
    for process in psutil.Process(parent.pid).children(recursive=True):
        try:
            if any(word in part for part in process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def wait_until(is_so: Any, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def uploads_left(folder: Path) -> list[Path]:
    return [path for path in folder.glob("sigma-serve-*/*/*") if path.name != "counters"]


def test_a_killed_worker_comes_back(service: tuple[Address, subprocess.Popen[bytes]], folder: Path) -> None:
    """While one of two is away, the other answers; requests that it was working on are lost."""
    address, parent = service
    content = form("clip.npz", (folder / "clip.npz").read_bytes())
    wait_until(lambda: len(processes(parent, "spawn_main")) == 2)
    before = {process.pid for process in processes(parent, "spawn_main")}
    os.kill(min(before), signal.SIGKILL)
    assert answer_to(address, content)[0] == 200
    wait_until(lambda: len({process.pid for process in processes(parent, "spawn_main")} - before) == 1)
    wait_until(lambda: len(processes(parent, READER)) == 4)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: answer_to(address, content)[0], range(32))) == {200}


def test_a_killed_reader_comes_back(service: tuple[Address, subprocess.Popen[bytes]], folder: Path) -> None:
    address, parent = service
    content = form("clip.npz", (folder / "clip.npz").read_bytes())
    wait_until(lambda: len(processes(parent, READER)) == 4)
    for process in processes(parent, READER):
        process.kill()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: answer_to(address, content)[0], range(32))) == {200}
    assert len(processes(parent, READER)) >= 2  # a process that nobody has asked since has not noticed yet


def _nested() -> bytes:
    level: list[Any] = [0.5] * 10
    for _ in range(12):
        level = [level] * 10
    return pickle.dumps({"keypoints": level, "scores": level})


def test_slow_and_hostile_clients_keep_nobody_from_being_served(
    service: tuple[Address, subprocess.Popen[bytes]], folder: Path
) -> None:
    address, _ = service
    good = form("clip.npz", (folder / "clip.npz").read_bytes())
    slow, is_over = form("a.npz", bytes(1000)), threading.Event()

    def send_slowly(is_header: bool) -> tuple[str, int]:
        """One byte at a time, of the headers or of the body."""
        whole = headers(len(slow)) + slow
        with socket.create_connection(address, timeout=60) as connection:
            start = 10 if is_header else len(headers(len(slow)))
            connection.sendall(whole[:start])
            for position in range(start, len(whole)):
                try:
                    connection.sendall(whole[position : position + 1])
                except OSError:
                    break
                if is_over.wait(0.5):
                    return "served to the end", 0
                connection.settimeout(0.001)
                try:
                    part = connection.recv(4096)
                    status = int(part.split()[1]) if part else 0
                    return ("header" if is_header else "body"), status
                except TimeoutError:
                    connection.settimeout(60)
                except OSError:
                    break
            return ("header" if is_header else "body"), 0

    def too_large() -> tuple[str, int]:
        return "large", answer_to(address, form("a.npz", bytes(3_000_000)))[0]

    def bomb() -> tuple[str, int]:
        return "bomb", answer_to(address, form("a.pkl", _nested()))[0]

    with ThreadPoolExecutor(64) as pool:
        waiting = [pool.submit(send_slowly, number % 2 == 0) for number in range(40)]
        waiting += [pool.submit(too_large) for _ in range(4)] + [pool.submit(bomb) for _ in range(4)]
        delays = []
        end = time.monotonic() + 20
        while time.monotonic() < end:
            start = time.monotonic()
            assert answer_to(address, good)[0] == 200
            delays.append(time.monotonic() - start)
        is_over.set()
        found = [one.result() for one in waiting]
    print(f"\n{len(delays)} requests meanwhile, the slowest {max(delays):.2f} s")
    assert len(delays) >= 3
    assert {status for kind, status in found if kind == "body"} <= {408, 0}
    assert sum(kind == "body" for kind, _ in found) == 20 and sum(kind == "header" for kind, _ in found) == 20
    # A client that is still sending when it is refused may see the connection end before it reads why.
    assert {status for kind, status in found if kind == "large"} <= {413, 0}
    assert [status for kind, status in found if kind == "bomb"] == [422] * 4
    wait_until(lambda: not uploads_left(folder), 20)


def test_nothing_stays_when_it_ends(folder: Path, tmp_path: Path) -> None:
    """By SIGTERM; by SIGKILL, its processes end, and the next service deletes what was left."""
    content = form("clip.npz", (folder / "clip.npz").read_bytes())
    with service_process(tmp_path / "first.txt", "--model", str(folder / "head")) as (address, parent):
        assert answer_to(address, content)[0] == 200
        children = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
        parent.wait()
        assert not psutil.wait_procs(children, timeout=20)[1]
    assert list(tmp_path.glob("sigma-serve-*/*/counters")), "a killed server deletes nothing"
    with service_process(tmp_path / "second.txt", "--model", str(folder / "head")) as (address, parent):
        assert answer_to(address, content)[0] == 200
        assert len(list(tmp_path.glob("sigma-serve-*/*/counters"))) == 1
        parent.terminate()
        assert parent.wait(timeout=60) == 0
    assert not list(tmp_path.glob("sigma-serve-*/*/*"))


def test_a_model_that_cannot_be_loaded_ends_the_service(folder: Path, tmp_path: Path) -> None:
    """Its weights are those of another model: each new process would fail again."""
    other = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=5)
    save_bundle(other, SigmaFeatureExtractor(), tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes((folder / "head" / "model.safetensors").read_bytes())
    log = tmp_path / "log.txt"
    with pytest.raises(AssertionError), service_process(log, "--model", str(tmp_path / "broken")):
        pass
    said = log.read_text()
    assert "cannot be loaded" in said and "Traceback" not in said
