"""Work on a cluster: what becomes of items, whoever runs the tasks, and what Slurm is given. Ray itself is slow."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modeling_sigma.cli import main as cli
from modeling_sigma.io.reading_errors import MissingExtraError
from modeling_sigma.jobs.worker_processes import WorkerDeath


pytest.importorskip("datatrove", reason="needs the extra datatrove")

from modeling_sigma.jobs import datatrove_engine, slurm_jobs  # noqa: E402
from modeling_sigma.jobs.datatrove_engine import Cluster, TaskShare, run_on_cluster  # noqa: E402


class Work:
    """Writes its item down, and doubles it; some items fail, each in a way of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, number: int):
        def task(item):
            with (self.folder / "begun").open("a") as file:
                file.write(f"{item}\n")
            if item == "crash":
                os._exit(3)
            if item == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if item == "hang":
                time.sleep(600)
            if item == "mend":
                raise MissingExtraError("install it")
            if item == "bug":
                raise AttributeError("a fault of ours")
            return {"twice": item * 2}

        return task


@pytest.fixture
def share(tmp_path):
    def make(*items, timeout=None):
        return TaskShare(Work(tmp_path), dict(enumerate(items)), tmp_path / "outcomes", timeout)

    return make


def begun(folder: Path) -> list[str]:
    return (folder / "begun").read_text().split()


def test_a_task_does_its_share_and_tells_of_crashes_and_hangs(share, tmp_path):
    step = share("a", "crash", "b", "killed", "c", "hang", "d", timeout=2)
    assert list(step.run(rank=1, world_size=2)) == []
    assert begun(tmp_path) == ["crash", "killed", "hang"]
    found = step.outcomes(1)
    assert found[1] == WorkerDeath("the process died working on it (exit code 3)")
    assert found[3].is_passing and not found[1].is_passing
    assert found[5] == WorkerDeath("the process had not finished it after 2 seconds")
    assert step.outcomes(0) == {}


def test_a_task_that_is_run_again_goes_on_after_the_last_whole_line(share, tmp_path):
    step = share("a", "b", "c")
    list(step.run(rank=0, world_size=1))
    path = tmp_path / "outcomes" / "00000.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"{") + 5])  # killed while it wrote the last
    assert set(step.outcomes(0)) == {0, 1}
    list(step.run(rank=0, world_size=1))
    assert begun(tmp_path) == ["a", "b", "c", "c"] and path.read_bytes() == whole
    assert step.outcomes(0) == {0: {"twice": "aa"}, 1: {"twice": "bb"}, 2: {"twice": "cc"}}


@pytest.mark.parametrize(("item", "error"), [("mend", MissingExtraError), ("bug", RuntimeError)])
def test_what_ends_a_task_is_raised_where_somebody_waits(share, item, error):
    step = share(item, "a")
    list(step.run(rank=0, world_size=1))
    with pytest.raises(error, match="install it|a fault of ours"):
        step.outcomes(0)


# What stands in for Slurm: sbatch runs every task of the array at once, and squeue knows of none.
_SBATCH = """#!{python}
import json, os, subprocess, sys
script = open(sys.argv[-1]).read()
open({log!r}, "w").write(script)
array = next(line for line in script.splitlines() if "--array" in line)
last = int(array.partition("=")[2].partition("%")[0].partition("-")[2])
for task in range(last + 1):
    subprocess.run(["bash", sys.argv[-1]], env={{**os.environ, "SLURM_ARRAY_TASK_ID": str(task),
                   "SLURM_NODELIST": "here"}}, check=False)
print("Submitted batch job 7")
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder with Slurm's commands; returns the path of the script that was submitted."""
    script = tmp_path / "submitted.sh"
    commands = {
        "sbatch": _SBATCH.format(python=sys.executable, log=str(script)),
        "srun": '#!/bin/bash\nwhile [[ "$1" == -* ]]; do [[ "$1" == -n ]] && shift; shift; done\nexec "$@"\n',
        "squeue": "#!/bin/bash\ncat squeue.txt 2> /dev/null || true\n",
        "scancel": "#!/bin/bash\n",
        "scontrol": "#!/bin/bash\necho here\n",
    }
    for name, text in commands.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parent)]))
    monkeypatch.setattr(datatrove_engine, "_POLL_SECONDS", 0.01)
    monkeypatch.chdir(tmp_path)
    return script


def test_slurm_gets_a_script_and_its_tasks_answer(slurm, tmp_path):
    options = {"account": "signs", "mem-per-cpu": "8G"}
    cluster = Cluster("slurm", num_tasks=2, slurm_partition="night", slurm_time="1:00:00", slurm_options=options)
    folder = tmp_path / "tasks"
    found = dict(run_on_cluster(Work(tmp_path), ["a", "b", "crash"], 2, cluster=cluster, folder=folder))
    assert found == {
        "a": {"twice": "aa"},
        "b": {"twice": "bb"},
        "crash": WorkerDeath("the process died working on it (exit code 3)"),
    }
    lines = slurm.read_text().splitlines()
    wanted = ["partition=night", "time=1:00:00", "account=signs", "mem-per-cpu=8G", "array=0-1%2", "cpus-per-task=1"]
    assert [one for one in wanted if f"#SBATCH --{one}" not in lines] == []
    assert any(line.strip().startswith("srun") and "launch_pickled_pipeline" in line for line in lines)
    assert not (folder / "slurm_job").exists()


def test_a_folder_that_slurm_still_fills_is_left_alone(slurm, tmp_path):
    slurm_jobs.note_slurm_job(tmp_path / "tasks", "sigma-slu-12")
    slurm_jobs.check_no_slurm_job(tmp_path / "tasks")
    (tmp_path / "squeue.txt").write_text("12_1\n")
    with pytest.raises(ValueError, match="Slurm still runs the job sigma-slu-12.*scancel -n sigma-slu-12"):
        slurm_jobs.check_no_slurm_job(tmp_path / "tasks")


def test_items_of_tasks_that_never_ended_may_be_tried_again(slurm, tmp_path):
    (tmp_path / "bin" / "srun").write_text("#!/bin/bash\nexit 1\n")  # no machine has ever run them
    cluster = Cluster("slurm", num_tasks=1, slurm_partition="night")
    ((item, death),) = run_on_cluster(Work(tmp_path), ["a"], 1, cluster=cluster, folder=tmp_path / "tasks")
    assert item == "a" and isinstance(death, WorkerDeath) and death.is_passing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tasks", "3"], "--tasks belongs to --executor slurm or ray"),
        (["--executor", "ray", "--slurm-partition", "x"], "--slurm-partition belongs to --executor slurm"),
        (["--executor", "slurm"], "expected the partition of the Slurm cluster"),
        (["--executor", "ray", "--tasks", "0"], "expected at least 1 task, received 0"),
        (["--executor", "slurm", "--slurm-partition", "x", "--slurm-option", "=3"], "NAME=VALUE"),
    ],
)
@pytest.mark.parametrize("command", ["extract-poses", "build-dataset"])
def test_options_that_do_not_belong_together_are_refused(command, options, message, tmp_path, capsys):
    arguments = {"extract-poses": [str(tmp_path), "--out", "out"], "build-dataset": ["folder", "--out", "out"]}
    assert cli.main([command, *arguments[command], *options]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_ray_gives_the_bytes_of_one_process(tmp_path):
    """A data set and clips, by one process and by Ray with two workers."""
    pytest.importorskip("ray", reason="needs the extra ray")
    from datasets_scripts.synthetic import SyntheticSigns
    from modeling_sigma import save_clip

    (tmp_path / "clips").mkdir()
    for number in range(6):
        save_clip(tmp_path / "clips" / f"{number}.npz", SyntheticSigns(seed=0).isolated(number).clip)
    rows = "".join(f"{number}.npz,w{number},s{number % 3}\n" for number in range(6))
    (tmp_path / "clips" / "metadata.csv").write_text("path,text,signer\n" + rows)
    shared = ["--data-dir", str(tmp_path / "clips"), "--clips-per-shard", "1", "--set", "sign_language=none"]
    for name, more in (("one", ["--workers", "1"]), ("ray", ["--workers", "2", "--executor", "ray", "--tasks", "3"])):
        command = ["build-dataset", "folder", "--out", str(tmp_path / name), *shared, "--set", "spoken_language=X"]
        done = subprocess.run([sys.executable, "-m", "modeling_sigma.cli.main", *command, *more], capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert len(files) > 6 and json.loads((tmp_path / "one" / "build_report.json").read_text())["shards"]
    for file in files:
        assert (tmp_path / "ray" / file).read_bytes() == (tmp_path / "one" / file).read_bytes(), file
