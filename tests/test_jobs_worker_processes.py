"""Several processes: every item comes back once, whoever dies or fails on the way."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from modeling_sigma.io.reading_errors import MissingExtraError
from modeling_sigma.jobs.worker_processes import WorkerDeath, run_in_processes


ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _command_line(monkeypatch):
    # The package knows the script by its name and does not import torch in every worker.
    monkeypatch.setattr(sys, "argv", ["sigma-slu"])


def squares(number):
    def task(item):
        if item == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return item * item, os.getpid()

    return task


def errors(number):
    def task(item):
        if item == 2:
            raise MissingExtraError("two needs an extra")
        return item

    return task


def bugs(number):
    return lambda item: 1 / item


def dies_at_start(number):
    os._exit(7)


def test_every_item_comes_back_and_a_death_costs_one_item():
    results = dict(run_in_processes(squares, range(8), num_proc=2))
    assert results.pop(3) == WorkerDeath("the process died working on it (exit code -9)")
    assert {item: result[0] for item, result in results.items()} == {n: n * n for n in (0, 1, 2, 4, 5, 6, 7)}
    pids = {result[1] for result in results.values()}
    assert len(pids) in (2, 3) and os.getpid() not in pids
    assert multiprocessing.active_children() == []


def test_one_process_is_this_one():
    assert dict(run_in_processes(squares, [1, 2], num_proc=1)) == {1: (1, os.getpid()), 2: (4, os.getpid())}
    assert list(run_in_processes(dies_at_start, [], num_proc=1)) == list(run_in_processes(squares, [], 4)) == []
    with pytest.raises(ValueError, match="expected at least 1 process, received 0"):
        list(run_in_processes(squares, [1], 0))


def test_errors_of_users_keep_their_kind_and_bugs_their_trace():
    with pytest.raises(MissingExtraError, match="two needs an extra"):
        list(run_in_processes(errors, range(50), num_proc=2))
    with pytest.raises(RuntimeError, match="(?s)a worker process failed: .*ZeroDivisionError"):
        list(run_in_processes(bugs, [0, 0], num_proc=2))
    with pytest.raises(RuntimeError, match=r"died while it started \(exit code 7\)"):
        list(run_in_processes(dies_at_start, [1, 2], num_proc=2))
    assert multiprocessing.active_children() == []


def hangs(number):
    return lambda item: time.sleep(600) if item == 1 else item


@pytest.mark.parametrize("num_proc", [1, 2])
def test_a_hanging_item_is_given_up(num_proc):
    results = dict(run_in_processes(hangs, range(4), num_proc, timeout=0.5))
    assert results.pop(1) == WorkerDeath("the process had not finished it after 0.5 seconds")
    assert results == {0: 0, 2: 2, 3: 3} and multiprocessing.active_children() == []


def dies_halfway_through_its_answer(number):
    def send_half(connection, content, *_):
        os.write(connection.fileno(), bytes(content)[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    def task(item):
        if item == 1:
            Connection._send = send_half
        return item

    return task


def test_a_worker_that_is_killed_while_it_answers_takes_no_other_along():
    results = dict(run_in_processes(dies_halfway_through_its_answer, range(6), num_proc=2))
    assert results.pop(1) == WorkerDeath("the process died working on it (exit code -9)")
    assert results == {0: 0, 2: 2, 3: 3, 4: 4, 5: 5}


def sleeper(number):
    def task(item):
        Path(item).write_text(str(os.getpid()))
        time.sleep(600)

    return task


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc to look at other processes")
def test_workers_end_with_a_killed_parent(tmp_path):
    files = [str(tmp_path / name) for name in ("a", "b")]
    code = f"""
import sys
sys.argv[0] = "sigma-slu"
sys.path.insert(0, {str(ROOT / "tests")!r})
from test_jobs_worker_processes import run_in_processes, sleeper
list(run_in_processes(sleeper, {files!r}, 2))  # many scripts have no `if __name__ == "__main__"`
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, str(script)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not all(Path(file).is_file() and Path(file).read_text() for file in files) and time.monotonic() < deadline:
        time.sleep(0.01)
    workers = [int(Path(file).read_text()) for file in files]
    parent.kill()
    parent.wait()
    while any(_is_running(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(_is_running(pid) for pid in workers)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
