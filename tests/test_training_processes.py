"""Training as it is started from a command line: two processes, killed runs, a full disk."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

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
