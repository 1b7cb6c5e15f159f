"""The options of commands whose work can go to other processes and machines."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any


def add_executor_arguments(parser: argparse.ArgumentParser, num_proc: int, default: str) -> None:
    """Adds the options that say what runs the work.

    Args:
        parser (`argparse.ArgumentParser`):
            The parser of the command.
        num_proc (`int`), default (`str`):
            The number of workers by default, and how the help text puts it.
    """
    parser.add_argument(
        "--num-proc",
        "--workers",
        dest="num_proc",
        type=int,
        default=num_proc,
        metavar="N",
        help=f"number of processes, or of tasks that a cluster runs at a time (default {default})",
    )
    parser.add_argument(
        "--executor",
        choices=("local", "slurm", "ray"),
        default="local",
        help="what runs the work: processes on this machine (default), or the machines of a Slurm or Ray cluster that "
        "see the same folders",
    )
    parser.add_argument(
        "--tasks",
        type=int,
        metavar="N",
        help="number of tasks that a cluster divides the work into (default: 32 for each worker)",
    )
    parser.add_argument(
        "--gpus-per-task", type=float, default=0, metavar="N", help="number of GPUs for each task of a cluster"
    )
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help="address of a running Ray cluster (default: start one here)"
    )
    parser.add_argument("--slurm-partition", metavar="NAME", help="partition of the Slurm cluster")
    parser.add_argument(
        "--slurm-time", default="24:00:00", metavar="TIME", help="longest time of a Slurm task (default 24:00:00)"
    )
    parser.add_argument(
        "--slurm-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="further option of sbatch, such as account=signs; may be repeated",
    )


def make_engine(args: argparse.Namespace, work: Path, timeout: float | None = None) -> Any:
    """What runs the work of a command; its options must belong together.

    Args:
        args (`argparse.Namespace`):
            The arguments of the command.
        work (`Path`):
            The folder of its unfinished work.
        timeout (`float`, *optional*):
            The longest time of an item, in seconds.

    Raises:
        ValueError: for options of an executor that was not chosen, or while a Slurm job of an earlier run writes.
        ImportError: if the extra `datatrove` is needed and not installed.
    """
    from modeling_sigma.jobs.slurm_jobs import check_no_slurm_job
    from modeling_sigma.jobs.worker_processes import run_in_processes

    belongs = {
        "tasks": ("slurm", "ray"),
        "gpus_per_task": ("slurm", "ray"),
        "ray_address": ("ray",),
        "slurm_partition": ("slurm",),
        "slurm_option": ("slurm",),
    }
    for name, executors in belongs.items():
        if getattr(args, name) not in (None, 0, []) and args.executor not in executors:
            flag = f"--{name.replace('_', '-')}"
            raise ValueError(f"{flag} belongs to --executor {' or '.join(executors)}: leave it out, or choose one")
    folder = work / "tasks"
    check_no_slurm_job(folder)
    if args.executor == "local":
        return partial(run_in_processes, timeout=timeout)
    from modeling_sigma.jobs.datatrove_engine import Cluster, run_on_cluster

    cluster = Cluster(
        args.executor,
        num_tasks=args.tasks,
        gpus_per_task=args.gpus_per_task,
        ray_address=args.ray_address,
        slurm_partition=args.slurm_partition,
        slurm_time=args.slurm_time,
        slurm_options=dict(_sbatch_option(text) for text in args.slurm_option),
    )
    return partial(run_on_cluster, cluster=cluster, folder=folder.absolute(), timeout=timeout)


def _sbatch_option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not (value or not equals):
        raise ValueError(f"expected --slurm-option NAME=VALUE, received {text!r}: for example account=signs")
    return name.removeprefix("--"), value
