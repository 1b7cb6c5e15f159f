"""Parts of the service alone: batches, bounded workers, names of uploads, limits, the folder of uploads."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from modeling_sigma.serving import batching
from modeling_sigma.serving.batching import Batcher
from modeling_sigma.serving.bounded_workers import BoundedWorkers
from modeling_sigma.serving.request_limits import check_clip, check_texts
from modeling_sigma.serving.uploads import upload_name
from tests.factories import random_clip


ROOT = Path(__file__).resolve().parents[1]

# Answers with what it is sent; or sleeps, dies, takes memory or prints, if it is told so.
WORKER = """
import os, time
from modeling_sigma.serving.bounded_work import RequestChannel

def work(request):
    if "sleep" in request:
        time.sleep(request["sleep"])
    if "die" in request:
        os._exit(3)
    if "take" in request:
        bytearray(request["take"])
    if "wrong" in request:
        raise ValueError(request["wrong"])
    print("libraries print")
    return {"echo": request, "number": os.getpid()}

channel = RequestChannel()
channel.serve(work, 200_000_000)
"""


@pytest.fixture
def batcher() -> Iterator[tuple[Batcher, list[int]]]:
    sizes: list[int] = []
    found = Batcher(4, sizes.append)
    yield found, sizes
    found.close()


def test_what_waits_goes_together_in_order(batcher: tuple[Batcher, list[int]]) -> None:
    """While the first is computed, nine gather: of two kinds, at most four at once."""
    found, sizes = batcher
    gate, seen = threading.Event(), []

    def run(items: list[int]) -> Sequence[int]:
        gate.wait(10)
        seen.append(items)
        return [item * 10 for item in items]

    async def ask() -> list[int]:
        waiting = [asyncio.ensure_future(found.ask("even", run, 0))]
        await asyncio.sleep(0.2)
        waiting += [asyncio.ensure_future(found.ask("odd" if n % 2 else "even", run, n)) for n in range(1, 10)]
        await asyncio.sleep(0.2)
        gate.set()
        return await asyncio.gather(*waiting)

    assert asyncio.run(ask()) == [number * 10 for number in range(10)]
    assert seen == [[0], [1, 3, 5, 7], [2, 4, 6, 8], [9]]
    assert sizes == [1, 4, 4, 1]


def test_one_bad_item_is_not_the_fault_of_others(batcher: tuple[Batcher, list[int]]) -> None:
    found, _ = batcher
    gate = threading.Event()

    def run(items: list[int]) -> Sequence[int]:
        gate.wait(10)
        if 2 in items:
            raise ValueError("two")
        return items

    async def ask() -> list[Any]:
        waiting = [asyncio.ensure_future(found.ask("key", run, number)) for number in range(4)]
        await asyncio.sleep(0.2)
        gate.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    answers = asyncio.run(ask())
    assert answers[:2] == [0, 1] and answers[3] == 3
    assert isinstance(answers[2], ValueError) and found.is_alive()


def test_who_stops_waiting_is_not_computed(batcher: tuple[Batcher, list[int]]) -> None:
    found, _ = batcher
    gate, seen = threading.Event(), []

    def run(items: list[str]) -> Sequence[str]:
        gate.wait(10)
        seen.extend(items)
        return items

    async def ask() -> str:
        first = asyncio.ensure_future(found.ask("key", run, "first"))
        await asyncio.sleep(0.2)
        gone = asyncio.ensure_future(found.ask("key", run, "gone"))
        await asyncio.sleep(0.2)
        gone.cancel()
        await asyncio.sleep(0.1)
        gate.set()
        await first
        return await found.ask("key", run, "last")

    assert asyncio.run(ask()) == "last"
    assert seen == ["first", "last"]


def test_a_batch_waits_a_little_for_what_is_being_read(
    batcher: tuple[Batcher, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, sizes = batcher

    async def read_and_ask(seconds: float) -> None:
        with found.coming():
            await asyncio.sleep(seconds)
        await found.ask("key", list, seconds)

    async def ask() -> None:
        await asyncio.gather(*map(read_and_ask, (0.1, 0.2, 0.3)))

    monkeypatch.setattr(batching, "_LINGER_SECONDS", 60)
    asyncio.run(ask())
    assert sizes == [3]

    async def ask_beside_a_slow_one() -> None:
        with found.coming():  # and never arrives
            await found.ask("key", list, 1)

    monkeypatch.setattr(batching, "_LINGER_SECONDS", 0.01)
    asyncio.run(ask_beside_a_slow_one())
    assert sizes == [3, 1]


def test_a_closed_batcher_takes_nothing_more() -> None:
    found = Batcher(4, lambda size: None)
    found.close()
    assert not found.is_alive()
    with pytest.raises(RuntimeError, match="closing"):
        asyncio.run(found.ask("key", lambda items: items, 1))


@pytest.fixture
def workers() -> Iterator[tuple[BoundedWorkers, list[None]]]:
    deaths: list[None] = []
    found = BoundedWorkers([sys.executable, "-c", WORKER], 1, lambda: deaths.append(None))
    yield found, deaths
    found.close()


def test_bounded_workers_survive_whatever_they_are_asked(workers: tuple[BoundedWorkers, list[None]]) -> None:
    found, deaths = workers
    first = found.ask({"text": "手语\n\u2028"}, 30)
    assert first["echo"] == {"text": "手语\n\u2028"}
    with pytest.raises(ValueError, match="this is wrong"):
        found.ask({"wrong": "this is wrong"}, 30)
    assert found.ask({}, 30)["number"] == first["number"] and not deaths
    with pytest.raises(ValueError, match="took longer than 1 seconds"):
        found.ask({"sleep": 60}, 1)
    with pytest.raises(ValueError, match="has ended"):
        found.ask({"die": True}, 30)
    assert found.ask({}, 30)["number"] != first["number"] and len(deaths) == 2
    if sys.platform == "linux":
        with pytest.raises(ValueError, match="needs more memory"):
            found.ask({"take": 500_000_000}, 30)
        assert found.ask({"take": 100_000_000}, 30) and len(deaths) == 3


def test_several_requests_go_to_one_worker_and_past_those_that_end_it(
    workers: tuple[BoundedWorkers, list[None]],
) -> None:
    found, deaths = workers
    answers = found.ask_each([{"text": 1}, {"wrong": "this"}, {"die": True}, {"text": 2}, {"text": 3}], 30)
    assert [answer.get("echo", {}).get("text") for answer in answers] == [1, None, None, 2, 3]
    assert answers[1] == {"error": "this"} and "has ended" in answers[2]["error"] and len(deaths) == 1
    assert answers[0]["number"] != answers[3]["number"] == answers[4]["number"]


def test_closing_tells_who_waits_for_a_worker() -> None:
    found = BoundedWorkers([sys.executable, "-c", "import time; time.sleep(600)"], 1)
    caught: list[Exception] = []

    def ask() -> None:
        try:
            found.ask({}, 1)
        except RuntimeError as error:
            caught.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    found.close()
    for thread in threads:
        thread.join(30)
    assert len(caught) == 2


def test_a_worker_that_was_killed_while_it_waited_fails_nobody(workers: tuple[BoundedWorkers, list[None]]) -> None:
    found, deaths = workers
    number = found.ask({}, 30)["number"]
    os.kill(number, 9)
    time.sleep(0.5)
    assert found.ask({}, 30)["number"] != number and len(deaths) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, "clip"),
        ("", "clip"),
        ("a.npz", "a.npz"),
        ("../../etc/passwd", "passwd"),
        ("C:\\clips\\a.npz", "a.npz"),
        ("手语 ✋.npz", "手语 ✋.npz"),
        ("a\nb\0c\x1b[2J.npz", "a_b_c_[2J.npz"),
        ("x" * 300 + ".npz", "x" * 96 + ".npz"),
    ],
)
def test_names_of_uploads(name: str | None, expected: str) -> None:
    assert upload_name(name) == expected


def test_limits_of_clips_and_texts() -> None:
    check_clip(random_clip(100, fps=60.0), max_frames=100)
    with pytest.raises(ValueError, match="please cut it to 60 seconds and 3600 frames"):
        check_clip(random_clip(61, fps=1.0))
    with pytest.raises(ValueError, match=r"101 frames \(4 seconds\): please cut it to 2 seconds and 100 frames"):
        check_clip(random_clip(101, fps=None), max_frames=100)
    check_texts([])
    check_texts(["a" * 500] * 20, random_clip(500))
    for texts in (["a"] * 501, ["a" * 501], ["a" * 500] * 21):
        with pytest.raises(ValueError, match="please choose among up to 500 texts"):
            check_texts(texts)
    with pytest.raises(ValueError, match="can be compared with 9980 characters"):
        check_texts(["a" * 500] * 20, random_clip(501))


OPEN = """
import sys, tempfile, time
from modeling_sigma.serving.upload_folder import open_upload_folder
folder = open_upload_folder("sigma-test")
(folder / "clip.npz").write_bytes(b"x")
assert tempfile.gettempdir() == str(folder)
print(folder, flush=True)
sys.stdin.read()
"""


def test_uploads_of_a_killed_server_are_deleted_by_the_next(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def start() -> tuple[subprocess.Popen[str], Path]:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, "-c", OPEN], env=environment, **pipes)
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    first, killed = start()
    first.kill()
    first.communicate()
    assert (killed / "clip.npz").exists() and killed.stat().st_mode & 0o077 == 0
    second, running = start()
    third, ended = start()
    assert not killed.exists() and (running / "clip.npz").exists() and (ended / "clip.npz").exists()
    third.communicate("")
    assert not ended.exists() and (running / "clip.npz").exists()
    second.communicate("")
    assert not running.exists()


def test_the_reading_worker_is_light() -> None:
    """It is started again after each death: importing torch would take seconds and hundreds of megabytes."""
    code = "import sys, json, modeling_sigma.serving.reading_worker; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "fastapi", "pandas"} & set(json.loads(done.stdout))
