"""Training steps: what the frame budget saves, how long the model waits for data, and what precision changes.

    python benchmarks/training_throughput.py                        # a small model, two workers
    python benchmarks/training_throughput.py --size paper           # pose encoder of the paper, mT5-base's sizes

One pass over the same clips of the synthetic language (single signs and sentences), batched in three ways with the
same limit on frames per batch: fixed batches in random order, fixed batches by length (transformers' own sampler), and
the frame budget. For each: share of padding, clips per second, and the share of a step that the model waits for data.
Then bfloat16 against float32 and, on a GPU, `torch.compile`, memory, and the rate of matrix products as a share of
what the GPU reaches. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader
from torch.utils.flop_counter import FlopCounterMode
from transformers import MT5Config
from transformers.trainer_pt_utils import LengthGroupedSampler

from datasets_scripts.corpora import load_corpus
from modeling_sigma import SigmaConfig, SigmaFeatureExtractor, SigmaForConditionalGeneration, SigmaProcessor
from modeling_sigma.model.processing_sigma import PROMPT_TEMPLATE
from modeling_sigma.training.data.clip_dataset import ClipDataset
from modeling_sigma.training.data.frame_budget import FrameBudgetSampler
from modeling_sigma.training.data.word_tokenizer import word_tokenizer
from modeling_sigma.training.task import choose_task


SMALL = {
    "text_config": {"d_model": 128, "d_kv": 32, "d_ff": 256, "num_heads": 4, "num_layers": 2},
    "pose_config": {"joint_hidden_size": 16, "spatial_hidden_sizes": [16, 32, 48], "temporal_hidden_sizes": [48, 48]},
}
PAPER = {
    "text_config": {"d_model": 768, "d_kv": 64, "d_ff": 2048, "num_heads": 12, "num_layers": 12},
    "pose_config": {},
}
AUGMENTATION = {"rotation": 12.0, "scale": 0.15, "noise": 0.01, "frame_dropout": 0.1}


class InEpoch(BatchSampler):
    """The batches of another sampler with an epoch in their keys, so that clips are augmented as in training."""

    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:  # type: ignore[override]
        return ([(0, index) for index in batch] for batch in self.batches)


def samplers(lengths: list[int], budget: int) -> dict[str, BatchSampler]:
    """Three ways of batching that never exceed `budget` frames."""
    fixed = budget // max(lengths)
    order = np.random.default_rng(0).permutation(len(lengths)).tolist()
    grouped = LengthGroupedSampler(fixed, lengths=lengths, generator=torch.Generator().manual_seed(0))
    return {
        "random": InEpoch(BatchSampler(order, fixed, False)),
        "by_length": InEpoch(list(BatchSampler(grouped, fixed, False))),
        "frame_budget": FrameBudgetSampler(lengths, max_clips=256, frames_per_batch=budget),
    }


def measure_pass(
    model: Any, loader: DataLoader, device: torch.device, precision: str, max_steps: int
) -> dict[str, Any]:
    """Trains on the batches of `loader`; the first three warm up and are not timed."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    clips = frames = padded = 0
    waited = computed = 0.0
    batches, step = iter(loader), 0
    while True:
        start = time.perf_counter()
        batch = next(batches, None)
        arrived = time.perf_counter()
        if batch is None or step == max_steps:
            break
        batch.pop("sample_ids")
        mask = batch["pose_attention_mask"]
        inputs = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        with torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext():
            loss = model(**inputs).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        step += 1
        if step > 3:
            waited += arrived - start
            computed += time.perf_counter() - arrived
            clips, frames, padded = clips + len(mask), frames + int(mask.sum()), padded + mask.numel()
    timed = max(step - 3, 1)
    return {
        "steps": step,
        "clips_per_step": round(clips / timed, 1),
        "padding_percent": round(100 * (1 - frames / max(padded, 1)), 1),
        "clips_per_second": round(clips / (waited + computed), 1),
        "frames_per_second": round(frames / (waited + computed)),
        "steps_per_second": round(timed / (waited + computed), 3),
        "data_wait_percent": round(100 * waited / (waited + computed), 2),
    }


def step_flops(model: Any, batch: dict[str, Any], device: torch.device) -> int:
    """Operations of matrix products and convolutions in one step, forward and backward."""
    inputs = {name: value.to(device) for name, value in batch.items() if name != "sample_ids"}
    with FlopCounterMode(display=False) as counter:
        model(**inputs).loss.backward()
    model.zero_grad()
    return int(counter.get_total_flops())


def matrix_product_rate(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """Operations per second that this device reaches in plain matrix products."""
    matrix = torch.rand(side, side, device=device, dtype=dtype)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        matrix @ matrix
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * side**3 / sorted(times[1:])[2]


def main() -> None:
    """Prints all measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("small", "paper"), default="small")
    parser.add_argument("--clips", type=int, default=600, help="of each kind, single signs and sentences")
    parser.add_argument("--budget", type=int, default=1536, help="frames at once")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--max-steps", type=int, default=10_000, help="of each pass")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    device = torch.device(args.device)
    import datasets

    kinds = [load_corpus("synthetic", kind, "train", num_train=args.clips) for kind in ("isolated", "sentences")]
    rows = datasets.concatenate_datasets(kinds)
    tokenizer = word_tokenizer([*rows["text"], PROMPT_TEMPLATE.format(language="English")])
    processor = SigmaProcessor(SigmaFeatureExtractor(max_frames=96, augmentation=AUGMENTATION), tokenizer)
    data, collator = ClipDataset(rows), partial(choose_task("slt").collate, processor)
    sizes = SMALL if args.size == "small" else PAPER
    torch.manual_seed(0)
    text_config = MT5Config(vocab_size=len(tokenizer), decoder_start_token_id=0, **sizes["text_config"])
    config = SigmaConfig(text_config=text_config, pose_config=sizes["pose_config"], max_frames=96)
    model = SigmaForConditionalGeneration(config).to(device).train()

    def loader(sampler: BatchSampler, workers: int) -> DataLoader:
        return DataLoader(data, batch_sampler=sampler, collate_fn=collator, num_workers=workers,
                          pin_memory=device.type == "cuda")  # fmt: skip

    lengths = data.lengths(processor.feature_extractor)
    results: dict[str, Any] = {"parameters": sum(parameter.numel() for parameter in model.parameters())}
    ways = samplers(lengths, args.budget)
    for name, sampler in ways.items():
        results[name] = measure_pass(model, loader(sampler, args.workers), device, "fp32", args.max_steps)
    budgeted = ways["frame_budget"]
    results["frame_budget_no_workers"] = measure_pass(model, loader(budgeted, 0), device, "fp32", args.max_steps)
    results["frame_budget_bf16"] = measure_pass(model, loader(budgeted, args.workers), device, "bf16", args.max_steps)
    batch = collator([data[key] for key in next(iter(budgeted))])
    flops = step_flops(model, batch, device)
    dtype, side = (torch.bfloat16, 8192) if device.type == "cuda" else (torch.float32, 1024)
    rate = matrix_product_rate(device, dtype, side)
    measured = results["frame_budget_bf16" if device.type == "cuda" else "frame_budget"]
    results["step_gigaflops"] = round(flops / 1e9, 1)
    results["share_of_matrix_product_rate_percent"] = round(100 * flops * measured["steps_per_second"] / rate, 1)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        compiled = torch.compile(model)
        passed = measure_pass(compiled, loader(budgeted, args.workers), device, "bf16", args.max_steps)
        results["frame_budget_bf16_compiled"] = passed
        results["peak_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        results["device"] = torch.cuda.get_device_name()
    else:
        results["gpu"] = "not measured: no CUDA device here (compile, memory and bfloat16 on a GPU)"
    results.update(budget=args.budget, workers=args.workers, threads=torch.get_num_threads(), torch=torch.__version__)
    results["machine"] = platform.processor() or platform.machine()
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
