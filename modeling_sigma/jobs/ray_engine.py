"""Runs the work of `extract_poses` on Ray Data, for archives that are too large for one machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from modeling_sigma.io.reading_errors import MissingExtraError, one_line
from modeling_sigma.jobs.worker_processes import TaskMaker


def run_on_ray(
    make_task: TaskMaker[str, dict[str, Any]],
    items: Sequence[str],
    num_proc: int,
    *,
    address: str | None = None,
    num_gpus: float = 0,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Runs a task for every item on a Ray cluster, in any order.

    All machines must see the folders under the same paths. Each worker is an actor that makes its task once. Ray
    restarts actors that die, and retries their items.

    Args:
        make_task, items, num_proc:
            The task, its items and the number of workers, as in
            `modeling_sigma.jobs.worker_processes.run_in_processes`. Results must be values that JSON can hold.
        address (`str`, *optional*):
            The address of a running cluster; by default one is started on this machine, and stopped afterwards.
        num_gpus (`float`, *optional*, defaults to 0):
            The number of GPUs per worker, which then sees its own as `"cuda"`.

    Raises:
        ValueError: if a task fails with an error of the user's, or if the cluster cannot be reached.
        MissingExtraError: if Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError(
            f'Ray is not installed ({one_line(error)}): pip install -e ".[ray]" in the folder of sigma-slu'
        ) from error
    if not items:
        return
    is_ours = not ray.is_initialized()
    if is_ours:
        try:
            ray.init(
                address=address,
                num_cpus=None if address else num_proc,
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level="error",
            )
        except ConnectionError as error:
            raise ValueError(
                f"no Ray cluster at {address} ({one_line(error)[:99]}): start one with `ray start`"
            ) from error
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        rows = ray.data.from_items(
            # As JSON: Arrow takes no names of files that are not UTF-8.
            [{"item": json.dumps(item)} for item in items],
            override_num_blocks=len(items),
        ).map_batches(
            _Actor,
            fn_constructor_args=(make_task,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(num_proc, len(items))),
            num_cpus=1,
            num_gpus=num_gpus,
        )
        for row in rows.iter_rows():
            result = json.loads(row["result"])
            if "raised" in result:
                raise ValueError(result["raised"])
            yield json.loads(row["item"]), result["returned"]
    finally:
        if is_ours:
            ray.shutdown()


class _Actor:
    def __init__(self, make_task: TaskMaker[str, dict[str, Any]]) -> None:
        self._make_task = make_task
        self._task: Callable[[str], dict[str, Any]] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        item = str(batch["item"][0])  # as JSON
        try:
            self._task = self._task or self._make_task(0)
            result: dict[str, Any] = {"returned": self._task(json.loads(item))}
        except (ValueError, OSError, ImportError) as error:  # Ray would wrap it, and retry
            result = {"raised": one_line(error)}
        return {"item": [item], "result": [json.dumps(result)]}
