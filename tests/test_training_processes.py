"""Training as it is started from a command line: two processes, killed runs, a full disk."""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from datasets_scripts.building.build import build_dataset
from modeling_sigma.metrics import recognition_scores, translation_scores
from modeling_sigma.training.run.checkpoints import is_complete


FILES = ("predictions", "references")
ROOT = Path(__file__).resolve().parents[1]
CONFIG = """
corpus: [synthetic:isolated]
corpus_options: {{num_train: 51, num_validation: 16, num_test: 16, cache_dir: {cache}}}
test_split: none
model_config:
  text_config: {{d_model: 32, d_kv: 8, d_ff: 48, num_heads: 4, num_layers: 2, dropout_rate: {dropout}}}
  pose_config: {{joint_hidden_size: 8, spatial_hidden_sizes: [8, 16], temporal_hidden_sizes: [16]}}
  fusion_layers: 1
  max_frames: 32
augmentation: {{rotation: 10, noise: 0.01, speed: 0.1}}
do_train: true
do_eval: true
max_steps: {steps}
logging_steps: 1
learning_rate: {rate}
eval_strategy: "no"
save_strategy: "no"
load_best_model_at_end: false
use_cpu: true
disable_tqdm: true
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _config(folder: Path, cache: Path, dropout: float = 0.0, steps: int = 6, rate: float = 1e-3) -> str:
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(cache=cache, dropout=dropout, steps=steps, rate=rate))
    return str(path)


def _command(script: str, *arguments: str, launcher: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, *launcher, str(ROOT / "examples" / f"{script}.py"), *arguments]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def _run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def _losses(folder: Path) -> dict[int, float]:
    """The loss of each step; of steps that were repeated the last one."""
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.mark.parametrize(
    ("script", "task"), [("pretrain", "slt"), ("finetune", "slt"), ("finetune", "islr")], ids=lambda value: value
)
def test_two_processes_equal_one_with_the_whole_batch(script: str, task: str, tmp_path: Path, cache: Path) -> None:
    """51 clips, 8 a step: the last step of the epoch is uneven. BatchNorm counts the clips of both processes."""
    launcher = ("-m", "accelerate.commands.launch", "--config_file",
                str(ROOT / "examples" / "accelerate" / "two_cpu_processes.yaml"))  # fmt: skip
    # The paper's learning rate: a larger one lets rounding grow faster (AdamW's epsilon is 1e-9).
    config = _config(tmp_path, cache, steps=7, rate=1e-4)
    options = [config, "--task", task, *(["--head", "classification"] if task == "islr" else [])]
    sizes = {"one": ("8", "16"), "two": ("4", "8")}
    for name, (train_size, eval_size) in sizes.items():
        command = _command(
            script, *options, "--output_dir", str(tmp_path / name), "--per_device_train_batch_size", train_size,
            "--per_device_eval_batch_size", eval_size, launcher=launcher if name == "two" else (),
        )  # fmt: skip
        _run(command)
    one, two = _losses(tmp_path / "one"), _losses(tmp_path / "two")
    assert sorted(one) == list(range(1, 8))
    assert two == pytest.approx(one, abs=1e-4)
    run = json.loads((tmp_path / "two" / "run.json").read_text())
    assert run["hardware"]["processes"] == 2
    scores = [json.loads((tmp_path / name / "metrics.json").read_text())["validation"] for name in sizes]
    assert scores[1]["loss"] == pytest.approx(scores[0]["loss"], abs=2e-3)
    if script == "finetune":
        # Each prediction stands beside the text of its own clip, whichever process made it.
        for name in sizes:
            lines = [(tmp_path / name / f"{kind}_validation.txt").read_text().splitlines() for kind in FILES]
            expected = (recognition_scores if task == "islr" else translation_scores)(*lines)
            found = json.loads((tmp_path / name / "metrics.json").read_text())["validation"]
            shared = [score for score in found if isinstance(expected.get(score), (int, float))]
            assert len(shared) > 2 and all(found[score] == pytest.approx(expected[score]) for score in shared)


def test_killed_run_goes_on_as_if_nothing_had_happened(tmp_path: Path, cache: Path) -> None:
    """kill -9 at some step after the second checkpoint, with dropout and augmentation; then --resume."""
    config = _config(tmp_path, cache, dropout=0.2, steps=14)
    options = [config, "--save_strategy", "steps", "--save_steps", "3", "--per_device_train_batch_size", "8",
               "--dataloader_num_workers", "1"]  # fmt: skip
    _run(_command("finetune", *options, "--output_dir", str(tmp_path / "whole")))
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        _command("finetune", *options, "--output_dir", str(killed)), env=_environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and not (killed / "checkpoint-6" / "model.safetensors").exists():
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = _losses(killed)
    assert 6 <= len(before) < 14
    _run(_command("finetune", *options, "--output_dir", str(killed), "--resume", "true"))
    whole, resumed = _losses(tmp_path / "whole"), _losses(killed)
    assert sorted(whole) == list(range(1, 15))
    assert resumed == pytest.approx(whole, abs=1e-6)
    assert before == pytest.approx({step: whole[step] for step in before}, abs=1e-6)


def test_a_run_that_is_asked_to_stop_saves_the_step_and_says_how_to_go_on(tmp_path: Path, cache: Path) -> None:
    """SIGTERM at some step, far from any checkpoint; with dropout and augmentation, the losses stay the same."""
    config = _config(tmp_path, cache, dropout=0.2, steps=14)
    options = [config, "--per_device_train_batch_size", "8"]
    _run(_command("finetune", *options, "--output_dir", str(tmp_path / "whole")))
    command = _command("finetune", *options, "--output_dir", str(tmp_path / "asked"))
    process = subprocess.Popen(
        command, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    log = tmp_path / "asked" / "log.jsonl"
    while process.poll() is None and (not log.exists() or len(log.read_text().splitlines()) < 4):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    message = process.communicate(timeout=60)[1].strip().splitlines()[-1]
    assert process.returncode == 128 + signal.SIGTERM
    steps = sorted(_losses(tmp_path / "asked"))
    assert 4 <= len(steps) < 14 and is_complete(tmp_path / "asked" / f"checkpoint-{steps[-1]}")
    assert f"asked to stop (SIGTERM) after step {steps[-1]}" in message and "checkpoint" in message
    go_on = shlex.split(message.partition("go on with: ")[2])
    assert go_on == ["finetune.py", *options, "--output_dir", str(tmp_path / "asked"), "--resume", "true"]
    _run(_command("finetune", *go_on[1:]))
    assert _losses(tmp_path / "asked") == pytest.approx(_losses(tmp_path / "whole"), abs=1e-6)


def test_evaluation_is_cut_short_for_a_request_to_stop(tmp_path: Path, cache: Path) -> None:
    config = _config(tmp_path, cache, steps=4)
    options = [config, "--output_dir", str(tmp_path), "--per_device_train_batch_size", "8", "--eval_strategy", "steps",
               "--eval_steps", "2", "--per_device_eval_batch_size", "1", "--generation_max_length", "200"]  # fmt: skip
    process = subprocess.Popen(
        _command("finetune", *options),
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "log.jsonl"
    while process.poll() is None and (not log.exists() or len(log.read_text().splitlines()) < 2):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    message = process.communicate(timeout=60)[1].strip().splitlines()[-1]
    assert process.returncode == 128 + signal.SIGTERM, message
    assert "after step 2" in message and is_complete(tmp_path / "checkpoint-2")
    _run(_command("finetune", *options, "--resume", "true"))
    assert sorted(_losses(tmp_path)) == [1, 2, 3, 4]


TWO = (
    "-m",
    "accelerate.commands.launch",
    "--config_file",
    str(ROOT / "examples" / "accelerate" / "two_cpu_processes.yaml"),
)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_a_rank_that_dies_ends_the_others(tmp_path: Path, cache: Path) -> None:
    config = _config(tmp_path, cache, steps=400)
    options = [config, "--output_dir", str(tmp_path), "--per_device_train_batch_size", "4", "--save_strategy", "steps",
               "--save_steps", "2"]  # fmt: skip
    process = subprocess.Popen(
        _command("finetune", *options, launcher=TWO), env=_environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while process.poll() is None and not is_complete(tmp_path / "checkpoint-4"):
        time.sleep(0.05)
    ranks = [pid for pid in _children(process.pid) if "finetune.py" in Path(f"/proc/{pid}/cmdline").read_text()]
    assert len(ranks) == 2
    os.kill(ranks[1], signal.SIGKILL)
    killed_at = time.monotonic()
    message = process.communicate(timeout=60)[1]
    assert time.monotonic() - killed_at < 60 and process.returncode != 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks)
    assert "another process of this run ended after step" in message and "is complete; go on with: " in message
    last = max(int(path.name.split("-")[1]) for path in tmp_path.glob("checkpoint-*") if is_complete(path))
    _run(_command("finetune", *options, "--resume", "true", "--max_steps", str(last + 2), launcher=TWO))


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)], ids=str)
def test_a_run_goes_on_with_another_number_of_processes(numbers: tuple[int, int], tmp_path: Path, cache: Path) -> None:
    """With as many parts to a step as before, accumulated or on several processes, the losses are the same. (But for
    BatchNorm, which sees the clips of all processes at once, but not those of accumulated batches.)"""
    config = _config(tmp_path, cache, steps=7, rate=1e-4)

    def run(folder: str, number: int, *options: str) -> str:
        command = _command(
            "finetune", config, "--output_dir", str(tmp_path / folder), "--per_device_train_batch_size", "4",
            "--gradient_accumulation_steps", str(2 // number), "--freeze_batch_norm", "true", "--lr_scheduler_type",
            "constant", *options, launcher=TWO if number == 2 else (),
        )  # fmt: skip
        return _run(command).stderr

    run("whole", numbers[0])
    run("moved", numbers[0], "--save_strategy", "steps", "--save_steps", "3", "--max_steps", "3")
    said = run("moved", numbers[1], "--resume", "true")
    assert f"was written by {numbers[0]} processes, and now there are {numbers[1]}: weights" in said
    assert _losses(tmp_path / "moved") == pytest.approx(_losses(tmp_path / "whole"), abs=1e-4)


def test_a_corrupt_shard_is_one_line_before_training(tmp_path: Path, cache: Path) -> None:
    build_dataset("synthetic", tmp_path / "data", config_name="isolated", num_train=20, num_validation=4, num_test=4)
    shard = tmp_path / "data" / "data" / "train-00000-of-00001.parquet"
    whole = shard.read_bytes()
    options = ["--corpus", str(tmp_path / "data"), "--validation_split", "none", "--test_split", "none",
               "--output_dir", str(tmp_path / "run"), "--do_train", "true"]  # fmt: skip
    for damaged in (whole[: len(whole) // 2], whole[:2000] + b"?" * 2000 + whole[4000:], b""):
        shard.write_bytes(damaged)
        environment = {**_environment(), "HF_DATASETS_CACHE": str(tmp_path / "cache")}
        done = subprocess.run(
            _command("finetune", *options), env=environment, capture_output=True, text=True, timeout=600
        )
        last = done.stderr.strip().splitlines()[-1]
        assert done.returncode == 1 and last.startswith("sigma-slu finetune: error: "), done.stderr[-2000:]
        assert shard.name in last, last


@pytest.mark.parametrize("written", ["checkpoint", "model"])
def test_a_disk_that_fills_up(written: str, tmp_path: Path, cache: Path) -> None:
    """What cannot be written is named, an older model stays whole, and nothing half is left."""
    config = _config(tmp_path, cache, steps=2)
    strategy = ["--save_strategy", "steps", "--save_steps", "2"] if written == "checkpoint" else []
    options = [config, "--output_dir", str(tmp_path / "run"), "--per_device_train_batch_size", "8", *strategy]
    _run(_command("finetune", *options))
    model = (tmp_path / "run" / "model.safetensors").read_bytes()
    done = subprocess.run(
        _command("finetune", *options, "--max_steps", "4", "--resume", "true"), env=_environment(),
        capture_output=True, text=True, timeout=600,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )  # fmt: skip
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and last.startswith("sigma-slu finetune: error: ") and "could not be written" in last
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == model
    AutoConfig.from_pretrained(tmp_path / "run", trust_remote_code=False)
    assert not (tmp_path / "run" / ".unfinished").exists()


def test_run_on_a_full_disk(tmp_path: Path, cache: Path) -> None:
    """A limit on the size of files stands for the full disk: what the run cannot write, it says, and the last
    checkpoint stays."""
    config = _config(tmp_path, cache, steps=2)
    options = [config, "--output_dir", str(tmp_path / "run"), "--save_strategy", "steps", "--save_steps", "2",
               "--per_device_train_batch_size", "8"]  # fmt: skip
    _run(_command("finetune", *options))
    command = _command("finetune", *options, "--max_steps", "4", "--resume", "true")
    done = subprocess.run(
        command, env=_environment(), capture_output=True, text=True, timeout=600,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert (
        last.startswith("sigma-slu finetune: error: ")
        and "checkpoint-4 could not be written" in last
        and "--resume" in last
    )
    assert is_complete(tmp_path / "run" / "checkpoint-2") and not (tmp_path / "run" / "checkpoint-4").exists()
    _run(command)
    assert sorted(_losses(tmp_path / "run")) == [1, 2, 3, 4]
