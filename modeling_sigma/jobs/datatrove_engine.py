"""Work on many files on the machines of a cluster: datatrove divides it into tasks, and Slurm or Ray runs these.

Every task does its share of the items, one after the other, in a process that may die or hang without harming it. What
became of each item is a line in a file of the task: a task that is run again, because its machine has died, goes
on after the last whole line.

Not here: work on one machine (`worker_processes`). datatrove's own local executor waits forever for a worker that was
killed, and so does its Ray executor for a process inside its actors; we give Ray the tasks ourselves.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modeling_sigma.io.reading_errors import MissingExtraError, one_line
from modeling_sigma.jobs.slurm_jobs import end_slurm_job, is_in_queue, note_slurm_job
from modeling_sigma.jobs.worker_processes import (
    Item,
    Result,
    TaskMaker,
    WorkerDeath,
    described_failure,
    raise_failure,
    run_in_processes,
)


try:
    from datatrove.executor import SlurmPipelineExecutor
    from datatrove.executor.base import PipelineExecutor
    from datatrove.pipeline.base import PipelineStep
except ImportError as error:
    raise MissingExtraError(
        f'work on a cluster needs an extra ({one_line(error)}): pip install -e ".[datatrove]" in the folder of '
        "sigma-slu"
    ) from error


# A worker gets so many tasks by default: with fewer, slow machines end long after the others (benchmarks/capacity.py).
_TASKS_PER_WORKER = 32
# How often a task is run again whose machine or process has died.
_MAX_RETRIES = 3
_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Cluster:
    """Where tasks run.

    Args:
        executor (`"ray"` or `"slurm"`):
            What runs them. All machines must see the folders under the same paths.
        num_tasks (`int`, *optional*):
            The number of tasks; by default 32 for each worker. Each loads its networks anew.
        gpus_per_task (`float`, *optional*, defaults to 0):
            The number of GPUs for each task, which sees its own as `"cuda"`. Slurm takes whole ones.
        ray_address (`str`, *optional*):
            The address of a running Ray cluster; by default one is started on this machine, and stopped afterwards.
        slurm_partition (`str`, *optional*), slurm_time (`str`, *optional*, defaults to `"24:00:00"`):
            The partition of the Slurm cluster, and the longest time of a task.
        slurm_options (`Mapping[str, str]`, *optional*):
            Further options of `sbatch`, such as `{"account": "signs", "mem-per-cpu": "8G"}`.
    """

    executor: str
    num_tasks: int | None = None
    gpus_per_task: float = 0
    ray_address: str | None = None
    slurm_partition: str | None = None
    slurm_time: str = "24:00:00"
    slurm_options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.executor == "slurm" and self.slurm_partition is None:
            raise ValueError("expected the partition of the Slurm cluster, received none: `sinfo` lists them")
        if self.executor == "slurm" and self.gpus_per_task % 1:
            raise ValueError(f"expected whole GPUs per task with Slurm, received {self.gpus_per_task}")
        if self.num_tasks is not None and self.num_tasks < 1:
            raise ValueError(f"expected at least 1 task, received {self.num_tasks}")


def run_on_cluster(
    make_task: TaskMaker[Item, Result],
    items: Sequence[Item],
    num_proc: int,
    *,
    cluster: Cluster,
    folder: Path,
    timeout: float | None = None,
) -> Iterator[tuple[Item, Result | WorkerDeath]]:
    """Runs a task for every item on a cluster, in any order, and waits for the end.

    Args:
        make_task, items, num_proc, timeout:
            The task, its items, the number of tasks at a time, and the longest time of an item, as in
            `modeling_sigma.jobs.worker_processes.run_in_processes`. Results must be values that JSON can hold.
        cluster ([`Cluster`]):
            Where to run.
        folder (`Path`):
            A folder that all machines see, for plans, logs and results of the tasks. It is emptied first.

    Yields:
        `tuple`: an item with its result, or with a [`WorkerDeath`].

    Raises:
        ValueError, OSError, MemoryError: what a task raises if the user can mend it; or if the cluster cannot be
            reached. The tasks end.
        RuntimeError: if a task fails otherwise.
    """
    if num_proc < 1:
        raise ValueError(f"expected at least 1 worker, received {num_proc}")
    if not items:
        return
    shutil.rmtree(folder, ignore_errors=True)
    num_tasks = min(len(items), cluster.num_tasks or _TASKS_PER_WORKER * num_proc)
    step = TaskShare(make_task, dict(enumerate(items)), folder / "outcomes", timeout)
    runner = (_RayTasks if cluster.executor == "ray" else _SlurmTasks)(cluster, step, num_tasks, num_proc, folder)
    unread, missing = set(range(num_tasks)), set(range(len(items)))
    running = runner.running()
    try:
        while unread:
            is_over = next(running, None) is None
            ended = unread - set(runner.get_incomplete_ranks())
            for rank in sorted(unread if is_over else ended):
                for number, result in step.outcomes(rank).items():
                    missing.discard(number)
                    yield items[number], result
            unread -= unread if is_over else ended
    finally:
        running.close()
    for number in sorted(missing):
        yield items[number], WorkerDeath("its task did not end: the machine may have died, or its time was over", True)


class TaskShare(PipelineStep):  # type: ignore[misc]
    """What one task does: of all items, those whose number leaves its rank as the remainder.

    Args:
        make_task (`Callable`):
            As for `run_in_processes`.
        items (`Mapping[int, Item]`):
            The items by their numbers.
        folder (`Path`):
            Where the outcomes of each task are written.
        timeout (`float`, *optional*):
            The longest time of an item, in seconds.
    """

    type, name = "sigma-slu", "a share of the items"

    def __init__(
        self, make_task: TaskMaker[Any, Any], items: Mapping[int, Any], folder: Path, timeout: float | None
    ) -> None:
        super().__init__()
        self.make_task, self.items, self.folder, self.timeout = make_task, items, folder, timeout

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """Does the share of a task, but for what an earlier try has done."""
        share = {number: item for number, item in self.items.items() if number % world_size == rank}
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(rank)
        lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
        whole = [line for line in lines if line.endswith(b"\n") and "failure" not in json.loads(line)]
        for line in whole:
            share.pop(json.loads(line).get("number"), None)
        path.write_bytes(b"".join(whole))  # without the line during which the last try was killed
        with path.open("a", encoding="utf-8") as file:

            def note(**outcome: Any) -> None:
                file.write(json.dumps(outcome) + "\n")
                file.flush()

            try:
                # Without a limit too, in a process of its own: one item that crashes is not the end of the others.
                for number, result in run_in_processes(
                    _Numbered(self.make_task, share), list(share), 1, self.timeout or float("inf")
                ):
                    if isinstance(result, WorkerDeath):
                        note(number=number, death=[result.reason, result.is_passing])
                    else:
                        note(number=number, result=result)
            except Exception as error:  # of whatever kind: whoever waits for the tasks raises it again
                note(failure=described_failure(error))
        yield from ()

    def outcomes(self, rank: int) -> dict[int, Any]:
        """The results of a task, and [`WorkerDeath`]s, by the numbers of the items.

        Raises:
            Exception: what has ended the task.
        """
        found: dict[int, Any] = {}
        path = self._path(rank)
        for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else ():
            outcome = json.loads(line) if line.endswith(b"\n") else {}
            if "failure" in outcome:
                raise_failure(*outcome["failure"])
            if "death" in outcome:
                found[outcome["number"]] = WorkerDeath(*outcome["death"])
            elif outcome:
                found[outcome["number"]] = outcome["result"]
        return found

    def _path(self, rank: int) -> Path:
        return self.folder / f"{rank:05d}.jsonl"


@dataclass(frozen=True)
class _Numbered:
    """Makes a task whose items are called by their numbers."""

    make_task: TaskMaker[Any, Any]
    items: Mapping[int, Any]

    def __call__(self, number: int) -> Callable[[int], Any]:
        task = self.make_task(number)
        return lambda item: task(self.items[item])


class _RayTasks(PipelineExecutor):  # type: ignore[misc]
    """datatrove's tasks as tasks of Ray, which runs those again whose process or machine has died."""

    def __init__(self, cluster: Cluster, step: TaskShare, num_tasks: int, num_workers: int, folder: Path) -> None:
        super().__init__([step], str(folder))
        self.cluster, self.num_tasks, self.num_workers = cluster, num_tasks, num_workers

    @property
    def world_size(self) -> int:
        return self.num_tasks

    def get_distributed_env(self, node_rank: int = -1) -> dict[str, str]:
        names = ("node_ips", "cpus_per_task", "mem_per_cpu", "gpus_on_node")
        return {"datatrove_executor": "RAY", **{f"datatrove_{name}": "" for name in names}}

    def run(self) -> None:
        for _ in self.running():
            pass

    def running(self) -> Generator[bool, None, None]:
        """Runs all tasks, and yields whenever some may have ended."""
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError(
                f'Ray is not installed ({one_line(error)}): pip install -e ".[ray]" in the folder of sigma-slu'
            ) from error
        is_ours = not ray.is_initialized()
        if is_ours:
            _init_ray(ray, self.cluster.ray_address, self.num_workers)
        try:
            options: Any = {"num_cpus": 1, "num_gpus": self.cluster.gpus_per_task, "max_retries": _MAX_RETRIES}
            run_rank: Any = ray.remote(**options)(_run_rank)
            executor, waiting = ray.put(self), deque(range(self.num_tasks))
            running: list[Any] = []
            while waiting or running:
                while waiting and len(running) < self.num_workers:
                    running.append(run_rank.remote(executor, waiting.popleft()))
                done, running = ray.wait(running, timeout=_POLL_SECONDS)
                for task in done:
                    with suppress(ray.exceptions.RayError):  # died too often: its items will be missing
                        ray.get(task)
                yield True
        finally:
            if is_ours:
                ray.shutdown()


def _run_rank(executor: PipelineExecutor, rank: int) -> None:
    executor._run_for_rank(rank, local_rank=1)  # which every executor of datatrove is to call; 1 logs errors alone


def _init_ray(ray: Any, address: str | None, num_workers: int) -> None:
    try:
        ray.init(
            address=address,
            num_cpus=None if address else num_workers,
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level="error",
        )
    except ConnectionError as error:
        raise ValueError(
            f"no Ray cluster at {address} ({one_line(error)[:99]}): start one with `ray start`"
        ) from error


class _SlurmTasks(SlurmPipelineExecutor):  # type: ignore[misc]
    """datatrove's Slurm executor, which we wait for."""

    def __init__(self, cluster: Cluster, step: TaskShare, num_tasks: int, num_workers: int, folder: Path) -> None:
        binaries = Path(sys.executable).parent
        super().__init__(
            pipeline=[step],
            tasks=num_tasks,
            workers=num_workers,
            time=cluster.slurm_time,
            partition=cluster.slurm_partition,
            gpus_per_task=int(cluster.gpus_per_task),
            sbatch_args=dict(cluster.slurm_options),
            qos=None,
            job_name=f"sigma-slu-{secrets.token_hex(4)}",  # by which it is found, even if we die while it starts
            env_command=f'export PATH={shlex.quote(os.fspath(binaries))}:"$PATH"',
            logging_dir=str(folder),
        )
        self._folder = folder

    def launch_merge_stats(self) -> None:
        """Launches nothing: nobody reads statistics of tasks."""

    def running(self) -> Generator[bool, None, None]:
        """Submits all tasks, and yields from time to time until none is left."""
        note_slurm_job(self._folder, self.job_name)
        try:
            self.run()
            while is_in_queue(self.job_name):
                time.sleep(_POLL_SECONDS)
                yield True
            # Another machine may see the last files a little later.
            time.sleep(_POLL_SECONDS if self.get_incomplete_ranks() else 0)
        except FileNotFoundError as error:
            raise ValueError(
                f"Slurm is not on this machine ({one_line(error)}): start this where `sbatch` is"
            ) from error
        except subprocess.CalledProcessError as error:
            raise ValueError("Slurm refused the job: see the message of sbatch above, and --slurm-option") from error
        finally:
            end_slurm_job(self._folder, self.job_name)
