"""Speed and memory of the local alignment, compared with what it replaces.

    python benchmarks/local_alignment.py [--quick] [--threads N] [--output results.json]

Claims: forward and backward for 32 clips of 256 frames and 32 sentences of 40 words (hidden size 768, float32) are at
least 5 times faster than a python double loop over the pairs; with 64 clips and 64 sentences, the extra memory at its
peak stays below 200 MB.

Compared in one run, in turns:

- `batched`: `local_similarity`, as the model uses it;
- `loop`: the double loop as one writes it, `pose[i]` with `words[j]`. Its backward pass also pays for the indexing,
  which adds a gradient of the whole batch for every pair;
- `loop, unbound`: the same loop over `pose.unbind()`, which avoids that. It does three times the multiplications of
  `batched`, so that nothing exact can be much more than three times as fast if multiplications take all the time;
- `dense`: all cosines in one tensor, by plain autograd.

Times are the best of several turns: other work on the machine only ever adds to them. Memory is measured in a fresh
process for each: its peak resident set, minus the resident set once the inputs exist. It includes the gradients that
are the result (58 MB with 64 clips), and what autograd keeps between the passes, which is listed too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from modeling_sigma.model.local_alignment_sigma import local_similarity  # noqa: E402
from modeling_sigma.model.objectives_sigma import contrastive_loss  # noqa: E402


NUM_FRAMES, NUM_WORDS, HIDDEN_SIZE = 256, 40, 768
MIN_SPEEDUP, MAX_MEGABYTES = 5.0, 200.0
Similarity = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def batched(pose: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """What the model uses."""
    pose_mask, word_mask = (features.new_ones(features.shape[:2]) for features in (pose, words))
    return local_similarity(pose, pose_mask, words, word_mask)


def _pair(frames: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    cosines = frames @ words.T  # (T, W)
    best_words, best_frames = cosines.max(dim=1).values, cosines.max(dim=0).values
    return (best_words.softmax(0) * best_words).sum(), (best_frames.softmax(0) * best_frames).sum()


def loop(pose: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """The double loop over the pairs."""
    pose, words = F.normalize(pose, dim=-1), F.normalize(words, dim=-1)
    pairs = [_pair(pose[i], words[j]) for i in range(len(pose)) for j in range(len(words))]
    return _matrices(pairs, len(pose))


def loop_unbound(pose: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """The double loop without its indexing."""
    clips, texts = F.normalize(pose, dim=-1).unbind(), F.normalize(words, dim=-1).unbind()
    return _matrices([_pair(clip, text) for clip in clips for text in texts], len(clips))


def _matrices(pairs: list[tuple[Tensor, Tensor]], num_clips: int) -> tuple[Tensor, Tensor]:
    pose_to_text, text_to_pose = (torch.stack(values).view(num_clips, -1) for values in zip(*pairs, strict=True))
    return pose_to_text, text_to_pose.T


def dense(pose: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """All cosines in one tensor, by plain autograd."""
    cosines = torch.einsum("itd,jwd->ijtw", F.normalize(pose, dim=-1), F.normalize(words, dim=-1))
    best_words, best_frames = cosines.max(dim=3).values, cosines.max(dim=2).values
    pose_to_text, text_to_pose = ((best.softmax(-1) * best).sum(-1) for best in (best_words, best_frames))
    return pose_to_text, text_to_pose.T


VARIANTS: dict[str, Similarity] = {"batched": batched, "loop": loop, "loop, unbound": loop_unbound, "dense": dense}


def inputs(batch_size: int) -> tuple[Tensor, Tensor]:
    """Random features of a batch of full length."""
    generator = torch.Generator().manual_seed(0)
    pose = torch.randn(batch_size, NUM_FRAMES, HIDDEN_SIZE, generator=generator).requires_grad_()
    return pose, torch.randn(batch_size, NUM_WORDS, HIDDEN_SIZE, generator=generator).requires_grad_()


def forward_backward(similarity: Similarity, pose: Tensor, words: Tensor) -> float:
    """Seconds of one loss with its gradients."""
    pose.grad = words.grad = None
    start = time.perf_counter()
    pose_to_text, text_to_pose = similarity(pose, words)
    contrastive_loss(pose_to_text, logits_per_text=text_to_pose).backward()
    return time.perf_counter() - start


def measure_agreement() -> float:
    """The largest difference of any gradient between the variants, relative to the largest gradient."""
    gradients = []
    for similarity in VARIANTS.values():
        pose, words = inputs(3)
        forward_backward(similarity, pose, words)
        assert pose.grad is not None and words.grad is not None
        gradients.append(torch.cat([pose.grad.flatten(), words.grad.flatten()]))
    return max(((other - gradients[0]).abs().max() / gradients[0].abs().max()).item() for other in gradients[1:])


def measure_seconds(batch_size: int, turns: dict[str, int]) -> dict[str, float]:
    """The best time of each variant; `batched` runs again before every turn of another."""
    pose, words = inputs(batch_size)
    times: dict[str, list[float]] = {name: [] for name in turns}
    for name, num_turns in turns.items():
        for _ in range(num_turns):
            times["batched"].append(forward_backward(batched, pose, words))
            times[name].append(forward_backward(VARIANTS[name], pose, words))
    return {name: min(values) for name, values in times.items()}


def measure_megabytes(name: str, batch_size: int) -> dict[str, float]:
    """Peak growth of the resident set and bytes that autograd keeps; to be called in a fresh process."""
    small = inputs(1)
    forward_backward(VARIANTS[name], *small)  # loads the libraries' own buffers
    pose, words = inputs(batch_size)
    kept: dict[int, int] = {pose.data_ptr(): 0, words.data_ptr(): 0}

    def pack(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes())
        return tensor

    before = _resident_bytes("VmRSS")
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward_backward(VARIANTS[name], pose, words)
    # Not `getrusage`: its maximum is inherited from the parent process.
    largest = _resident_bytes("VmHWM")
    gradients = sum(leaf.grad.nbytes for leaf in (pose, words) if leaf.grad is not None)
    return {"peak": (largest - before) / 1e6, "gradients": gradients / 1e6, "kept": sum(kept.values()) / 1e6}


def _resident_bytes(field: str) -> int:
    (line,) = [line for line in _lines("/proc/self/status") if line.startswith(field + ":")]
    return int(line.split()[1]) * 1024


def _megabytes_in_fresh_process(name: str, batch_size: int, threads: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--threads", str(threads), "--memory-of", name, str(batch_size)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(result.stdout.splitlines()[-1]))


def _hardware() -> dict[str, Any]:
    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"cpu": names[0] if names else platform.processor(), "cores": os.cpu_count(), "load_before": load}


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).is_file() else []


def main() -> None:
    """Measure, print a table and the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller batches: some seconds, and no verdict")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of torch")
    parser.add_argument("--output", type=Path, help="also write the JSON here")
    parser.add_argument("--memory-of", nargs=2, metavar=("VARIANT", "BATCH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.memory_of:
        print(json.dumps(measure_megabytes(arguments.memory_of[0], int(arguments.memory_of[1]))))
        return

    hardware = _hardware()
    batch_size, memory_batch_size = (8, 8) if arguments.quick else (32, 64)
    seconds = measure_seconds(batch_size, {"batched": 3, "loop": 2, "loop, unbound": 3, "dense": 3})
    megabytes = {}
    if Path("/proc/self/status").is_file():
        for name in ("batched", "dense"):
            megabytes[name] = _megabytes_in_fresh_process(name, memory_batch_size, arguments.threads)
    results = {
        "benchmark": "local_alignment",
        "quick": arguments.quick,
        "shape": {"frames": NUM_FRAMES, "words": NUM_WORDS, "hidden_size": HIDDEN_SIZE},
        "gradient_difference": measure_agreement(),
        "batch_size": batch_size,
        "seconds": seconds,
        "times_as_fast": {name: value / seconds["batched"] for name, value in seconds.items()},
        "memory_batch_size": memory_batch_size,
        "megabytes": megabytes,
        "claims": {
            f"at least {MIN_SPEEDUP:g} times as fast as the loop": seconds["loop"] >= MIN_SPEEDUP * seconds["batched"],
            f"less than {MAX_MEGABYTES:g} MB": megabytes["batched"]["peak"] < MAX_MEGABYTES if megabytes else None,
        },
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "hardware": {**hardware, "threads": arguments.threads},
    }

    print(f"{batch_size} clips x {batch_size} sentences, {NUM_FRAMES} frames, {NUM_WORDS} words, size {HIDDEN_SIZE}")
    print(f"{'':16}{'seconds':>10}{'batched is':>14}")
    for name, value in seconds.items():
        print(f"{name:16}{value:10.3f}{value / seconds['batched']:11.1f} x")
    print(f"{memory_batch_size} clips x {memory_batch_size} sentences, in MB")
    print(f"{'':16}{'peak':>10}{'gradients':>14}{'kept':>10}")
    for name, value_of in megabytes.items():
        print(f"{name:16}{value_of['peak']:10.0f}{value_of['gradients']:14.0f}{value_of['kept']:10.0f}")
    text = json.dumps(results, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
