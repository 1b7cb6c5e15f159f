"""Weights and optimiser states that two processes share (FSDP 2, DeepSpeed), and torchrun's restarts: run, on CPUs."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_training_processes import ROOT, _children, _command, _config, _environment, _losses, _run

from modeling_sigma.training.run.checkpoints import is_complete


LAUNCHERS = ROOT / "examples" / "accelerate"
OPTIONS = ("--save_strategy", "steps", "--save_steps", "3", "--lr_scheduler_type", "constant",
           "--per_device_eval_batch_size", "8", "--task", "slt")  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _launched(launcher: str, script: Path, *arguments: str, precision: str = "no") -> list[str]:
    """The file for eight GPUs, with two processes."""
    launch = ["-m", "accelerate.commands.launch", "--config_file", str(LAUNCHERS / f"{launcher}.yaml"),
              "--num_processes", "2", "--mixed_precision", precision]  # fmt: skip
    return [sys.executable, *launch, str(script), *arguments]


def _check_shared_run(command: list[str], folder: Path, config: str) -> None:
    """Its losses are those of one process with the whole batch, also after it was resumed; so are its weights."""
    _run(_command("finetune", config, *OPTIONS, "--output_dir", str(folder / "one"),
                  "--per_device_train_batch_size", "8"))  # fmt: skip
    one = _losses(folder / "one")
    assert sorted(one) == [1, 2, 3, 4, 5, 6]
    _run(command)
    two = _losses(folder / "two")
    assert two == pytest.approx(one, abs=1e-4)
    weights = load_file(folder / "one" / "model.safetensors")
    for name, shared in load_file(folder / "two" / "model.safetensors").items():
        torch.testing.assert_close(shared, weights[name], atol=1e-3, rtol=0)
    last = folder / "two" / "checkpoint-6"
    assert is_complete(last)
    last.rename(folder / "away")
    (folder / "two" / "log.jsonl").unlink()
    _run([*command, "--resume", "true"])
    resumed = _losses(folder / "two")
    assert sorted(resumed) == [4, 5, 6] and resumed == pytest.approx({step: two[step] for step in resumed}, abs=1e-6)


def test_fsdp2(tmp_path: Path, cache: Path) -> None:
    config = _config(tmp_path, cache, rate=1e-4)
    arguments = (config, *OPTIONS, "--output_dir", str(tmp_path / "two"), "--per_device_train_batch_size", "4")
    _check_shared_run(_launched("fsdp", ROOT / "tests" / "fsdp_on_cpu.py", *arguments), tmp_path, config)


def test_fsdp2_in_bfloat16_trains_and_evaluates(tmp_path: Path, cache: Path) -> None:
    config = _config(tmp_path, cache, steps=3)
    arguments = (config, *OPTIONS, "--output_dir", str(tmp_path / "run"), "--per_device_train_batch_size", "4")
    command = _launched("fsdp", ROOT / "tests" / "fsdp_on_cpu.py", *arguments, "--bf16", "true", precision="bf16")
    _run(command)
    weights = load_file(tmp_path / "run" / "model.safetensors")
    assert (tmp_path / "run" / "metrics.json").is_file() and sorted(_losses(tmp_path / "run")) == [1, 2, 3]
    assert {weight.dtype for name, weight in weights.items() if "num_batches" not in name} == {torch.float32}


@pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="needs DeepSpeed")
def test_deepspeed(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    config = _config(tmp_path, cache, rate=1e-4)
    arguments = (config, *OPTIONS, "--output_dir", str(tmp_path / "two"), "--per_device_train_batch_size", "4",
                 "--use_cpu", "false")  # fmt: skip
    command = _launched("deepspeed_zero2", ROOT / "examples" / "finetune.py", *arguments)
    _check_shared_run(command, tmp_path, config)
    states = list((tmp_path / "two" / "checkpoint-6").glob("global_step*/zero_pp_rank_*_optim_states.pt"))
    assert len(states) == 2, "each process keeps its part of the optimiser"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_torchrun_restarts_from_the_last_checkpoint(tmp_path: Path, cache: Path) -> None:
    """One of two processes is killed after step 4: torchrun starts both again, and all losses are those of a run
    without it."""
    config = _config(tmp_path, cache, dropout=0.2, steps=10)
    options = [config, "--per_device_train_batch_size", "4", "--save_strategy", "steps", "--save_steps", "2"]
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "3")

    def command(folder: str) -> list[str]:
        return _command("finetune", *options, "--output_dir", str(tmp_path / folder), "--resume", "true",
                        launcher=torchrun)  # fmt: skip

    _run(command("whole"))
    process = subprocess.Popen(
        command("killed"), env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not is_complete(tmp_path / "killed" / "checkpoint-4"):
        time.sleep(0.01)
    ranks = [pid for pid in _children(process.pid) if "finetune.py" in Path(f"/proc/{pid}/cmdline").read_text()]
    assert len(ranks) == 2
    os.kill(ranks[1], signal.SIGKILL)
    said = process.communicate(timeout=200)[1]
    assert process.returncode == 0, said[-3000:]
    assert "another process of this run ended after step" in said
    assert _losses(tmp_path / "killed") == pytest.approx(_losses(tmp_path / "whole"), abs=1e-6)
    assert sorted(_losses(tmp_path / "killed")) == list(range(1, 11))
