"""All of training in two minutes on two CPU cores: pre-train, fine-tune, resume, evaluate, adapt with LoRA.

    python examples/smoke.py            # or: make smoke

Every step is the command that a user would type, with a tiny model of the synthetic language; the adapter is for a
second one with other signs. Fails where a step fails, or where what it learnt is not better than chance.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


ROOT = Path(__file__).resolve().parents[1]
CHANCE = 100 / 48  # per cent, among 48 signs
SECOND = {"seed": 1, "num_train": 480, "num_validation": 48, "num_test": 96}  # the second language

CONFIG = """
corpus: [synthetic:isolated]
corpus_options: {num_train: 960, num_validation: 96, num_test: 96}
model_config:
  text_config: {d_model: 64, d_kv: 16, d_ff: 128, num_heads: 4, num_layers: 1, dropout_rate: 0.0}
  pose_config: {joint_hidden_size: 16, spatial_hidden_sizes: [16, 24], temporal_hidden_sizes: [32]}
  fusion_layers: 1
  label_smoothing: 0.05
  max_frames: 24
do_train: true
do_eval: true
learning_rate: 3e-3
matrix_learning_rate: 4e-3
warmup_steps: 10
weight_decay: 0.01
adam_epsilon: 1e-8
per_device_train_batch_size: 64
frames_per_batch: 1024
per_device_eval_batch_size: 96
save_total_limit: 1
eval_strategy: "no"
save_strategy: "no"
load_best_model_at_end: false
disable_tqdm: true
use_cpu: true
"""


def run(name: str, command: list[str]) -> str:
    """Runs one command and returns what it printed; shows its output if it fails."""
    started = time.monotonic()
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    print(f"{name:10} {time.monotonic() - started:5.0f} s   python {' '.join(command)}", flush=True)
    if done.returncode:
        sys.exit(f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}\n{name} failed with exit code {done.returncode}")
    return done.stdout


def check(what: str, value: float, at_least: float) -> None:
    """Stops where a number is too small."""
    print(f"           {what}: {value:.1f} (at least {at_least:.1f})", flush=True)
    if not value >= at_least:
        sys.exit(f"expected {what} of at least {at_least:.1f}, received {value:.1f}")


def smoke(folder: Path) -> None:
    """All steps, in `folder`."""
    config = folder / "smoke.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    pretrained, finetuned, adapted = (str(folder / name) for name in ("pretrained", "finetuned", "adapted"))

    run("pre-train", ["examples/pretrain.py", str(config), "--output_dir", pretrained, "--max_steps", "40",
                      "--test_split", "none"])  # fmt: skip
    lines = [json.loads(line) for line in (folder / "pretrained" / "log.jsonl").read_text().splitlines()]
    terms = ("global_alignment_loss", "lm_loss")
    for term in terms:
        losses = [line[term] for line in lines if term in line]
        check(f"fall of {term} in per cent", 100 * (1 - losses[-1] / losses[0]), 10)

    finetune = ["examples/finetune.py", str(config), "--task", "islr", "--head", "classification",
                "--model", pretrained, "--output_dir", finetuned, "--save_strategy", "steps", "--save_steps", "20",
                "--do_predict", "true"]  # fmt: skip
    run("fine-tune", [*finetune, "--max_steps", "20"])
    run("resume", [*finetune, "--max_steps", "100", "--resume", "true"])
    steps = [json.loads(line)["step"] for line in (folder / "finetuned" / "log.jsonl").read_text().splitlines()]
    if sorted(set(steps)) != list(range(10, 101, 10)):
        sys.exit(f"expected the resumed run to go on from step 20 to 100, its log has {sorted(set(steps))}")

    printed = run("evaluate", ["-m", "modeling_sigma.cli.main", "evaluate", "--task", "islr", "--model", finetuned,
                               "--dataset", "synthetic", "--config", "isolated", "--json"])  # fmt: skip
    check("accuracy in per cent, unseen signers", json.loads(printed)["top1_per_instance"], 8 * CHANCE)

    run("adapt", ["examples/finetune_lora.py", str(config), "--task", "islr", "--head", "classification",
                  "--model", finetuned, "--output_dir", adapted, "--max_steps", "60", "--do_predict", "true",
                  "--corpus_options", json.dumps(SECOND)])  # fmt: skip
    scores = json.loads((folder / "adapted" / "metrics.json").read_text())["test"]
    check("accuracy in per cent on the second language", scores["top1_per_instance"], 4 * CHANCE)
    if not (folder / "adapted" / "adapter" / "adapter_model.safetensors").is_file():
        sys.exit("expected an adapter, found none")


def main() -> None:
    """Runs everything in a folder that is removed afterwards, or in `--keep`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the runs in this new folder")
    args = parser.parse_args()
    started = time.monotonic()
    if args.keep:
        args.keep.mkdir(parents=True)
        smoke(args.keep.resolve())
    else:
        with tempfile.TemporaryDirectory() as folder:
            smoke(Path(folder))
    print(f"All of it works, in {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()
