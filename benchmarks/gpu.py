"""One look at an accelerator: how fast a training step is, packed and dense, eager, compiled and with CUDA graphs.

    python benchmarks/gpu.py          # on one accelerator, under eight minutes
    python benchmarks/gpu.py --tiny   # anywhere, in a minute: small sizes, to see that it runs

A fine-tuning step (forward, backward, AdamW) at mT5-base size in bfloat16, 16 clips of 256 frames of which about half
are real. Printed as JSON: median seconds per step, share of the rate that a matrix product reaches in the same run
(all computed operations counted, those of padding too), peak memory; and the demo's losses in bfloat16 and float32
from equal first weights and batches.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import MT5Config

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma import SigmaConfig, SigmaForConditionalGeneration
from modeling_sigma.registration import register_sigma
from modeling_sigma.training.recipes.synthetic_demo import DemoRecipe, PrintedProgress, build_demo, train_demo


BASE = {"vocab_size": 250112, "d_model": 768, "d_kv": 64, "d_ff": 2048, "num_layers": 12, "num_heads": 12}
TINY = {"vocab_size": 128, "d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 4}
TINY_POSE = {"joint_hidden_size": 8, "spatial_hidden_sizes": [8], "temporal_hidden_sizes": [8]}
WAYS = {  # name -> (layout of frames, options of torch.compile)
    "packed, eager": ("packed", None),
    "dense, eager": ("dense", None),
    "dense, compiled": ("dense", {"fullgraph": True}),
    "dense, CUDA graphs": ("dense", {"fullgraph": True, "mode": "reduce-overhead"}),
}


def make_batch(clips: int, frames: int, vocabulary: int, device: str) -> dict[str, torch.Tensor]:
    """Random clips, from a tenth of the frames to all of them."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.linspace(frames / 10, frames, clips).long()
    batch = {
        "pose_values": torch.rand(clips, frames, 69, 3, generator=generator) * 2 - 1,
        "pose_attention_mask": (torch.arange(frames) < lengths[:, None]).long(),
        "prompt_input_ids": torch.randint(2, vocabulary, (clips, 12), generator=generator),
        "labels": torch.randint(2, vocabulary, (clips, 40), generator=generator),
    }
    return {name: value.to(device) for name, value in batch.items()}


def median_seconds(run: Callable[[], object], repeats: int, device: str) -> float:
    """Median of single runs, after three that do not count; waits for the device."""
    times = []
    for repeat in range(repeats + 3):
        started = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        if repeat >= 3:
            times.append(time.perf_counter() - started)
    return float(np.median(times))


def measure(way: str, args: argparse.Namespace, device: str) -> dict[str, Any]:
    """One way of running a training step."""
    layout, options = WAYS[way]
    torch.manual_seed(0)
    torch._dynamo.reset()
    text_config = MT5Config(**(TINY if args.tiny else BASE))
    config = SigmaConfig(text_config=text_config, pose_config=TINY_POSE if args.tiny else None)
    model = SigmaForConditionalGeneration(config).to(device)
    model.pose_encoder.frame_layout = layout
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=device != "cpu")
    clips, frames = (4, 16) if args.tiny else (16, 256)
    batch = make_batch(clips, frames, text_config.vocab_size, device)
    run: Any = model
    if options is not None:
        run = torch.compile(model, backend="eager" if args.tiny else "inductor", **({} if args.tiny else options))

    def step() -> None:
        with torch.autocast(device, torch.bfloat16):
            loss = run(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    with FlopCounterMode(display=False) as counter, torch.autocast(device, torch.bfloat16):
        model(**batch).loss.backward()
    optimizer.zero_grad(set_to_none=True)
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    step()
    first = time.perf_counter() - started
    seconds = median_seconds(step, args.repeats, device)
    result = {"seconds": round(seconds, 4), "first_step": round(first, 1), "tflops": counter.get_total_flops() / 1e12}
    if device != "cpu":
        result["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return result


def loss_curves(args: argparse.Namespace) -> dict[str, list[float]]:
    """The demo's losses, means over tenths of the run."""
    recipe = replace(DemoRecipe(seed=0), steps=4 if args.tiny else args.demo_steps)
    language, progress = SyntheticSigns(seed=0), PrintedProgress(sys.stderr)
    curves = {}
    for precision in ("fp32", "bf16"):
        model, processor = build_demo(language, recipe)
        losses = train_demo(model, processor, language, replace(recipe, precision=precision), progress)  # type: ignore[arg-type]
        curves[precision] = [round(float(np.mean(part)), 3) for part in np.array_split(losses, min(10, len(losses)))]
    return curves


def main() -> None:
    """Prints everything as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="small sizes, any machine")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--demo-steps", type=int, default=150)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not args.tiny:
        parser.error("there is no CUDA device here: use --tiny to see that it runs")
    register_sigma()
    side = 256 if args.tiny else 8192
    matrix = torch.rand(side, side, device=device).to(torch.bfloat16)
    rate = 2 * side**3 / median_seconds(lambda: matrix @ matrix, args.repeats, device) / 1e12
    result: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device != "cpu" else "cpu", "torch": torch.__version__,
        "matrix_product_tflops": round(rate, 2),
    }  # fmt: skip
    for way in WAYS:
        result[way] = measure(way, args, device)
        result[way]["share_of_matrix_product"] = round(result[way].pop("tflops") / result[way]["seconds"] / rate, 3)
        print(f"{way}: {result[way]}", file=sys.stderr, flush=True)
    result["demo_losses"] = loss_curves(args)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
