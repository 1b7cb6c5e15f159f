"""The speed of the pose encoder, compared with that of matrix products in the same run.

Run: `python benchmarks/pose_encoder.py`. A matrix product of 2048 x 2048 gives the rate that the CPU reaches in
this run, in float32 and in bfloat16; the encoder's rate counts 1.558 million multiply-adds per joint and frame. The
encoder cannot gain more from bfloat16 than a matrix product does, so both gains are printed. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
from collections.abc import Callable

import torch

from modeling_sigma.model.configuration_sigma import SigmaPoseConfig
from modeling_sigma.model.pose_encoder_sigma import SigmaPoseEncoder


MULTIPLY_ADDS = 1.558e6  # per joint and frame
SIDE = 2048


def median_seconds(run: Callable[[], object], repeats: int, clock: Callable[[], float]) -> float:
    """Median time after two warm-up runs."""
    times = []
    for repeat in range(repeats + 2):
        start = clock()
        run()
        if repeat >= 2:
            times.append(clock() - start)
    return sorted(times)[len(times) // 2]


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="count this process's CPU time: on a machine that others use, with OMP_NUM_THREADS=1",
    )
    args = parser.parse_args()
    clock = time.process_time if args.cpu_time else time.perf_counter
    torch.manual_seed(0)
    encoder = SigmaPoseEncoder(SigmaPoseConfig(), 768).eval()
    half = SigmaPoseEncoder(SigmaPoseConfig(), 768).eval().to(torch.bfloat16)
    values = torch.rand(args.clips, args.frames, 69, 3) * 2 - 1
    matrix = torch.rand(SIDE, SIDE)
    half_matrix, half_values = matrix.to(torch.bfloat16), values.to(torch.bfloat16)
    with torch.inference_mode():
        # Alternating, so that changes in the machine's speed affect both.
        products, half_products, forwards, halves = [], [], [], []
        for _ in range(args.repeats):
            products.append(median_seconds(lambda: matrix @ matrix, 3, clock))
            half_products.append(median_seconds(lambda: half_matrix @ half_matrix, 3, clock))
            forwards.append(median_seconds(lambda: encoder(values), 1, clock))
            halves.append(median_seconds(lambda: half(half_values), 1, clock))
    product, half_product, forward, forward_half = (
        sorted(times)[len(times) // 2] for times in (products, half_products, forwards, halves)
    )
    product_rate = 2 * SIDE**3 / product / 1e9
    encoder_rate = 2 * MULTIPLY_ADDS * args.clips * args.frames * 69 / forward / 1e9
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    encoder.train()
    encoder(values).sum().backward()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = {
        "clips": args.clips,
        "frames": args.frames,
        "matrix_product_gflops": round(product_rate, 1),
        "encoder_gflops": round(encoder_rate, 1),
        "share_of_matrix_product_rate": round(encoder_rate / product_rate, 2),
        "bfloat16_times_faster": round(forward / forward_half, 2),
        "bfloat16_times_faster_matrix_product": round(product / half_product, 2),
        "peak_mib_before_training_step": before // 1024,
        "peak_mib_with_forward_and_backward": peak // 1024,
        "clock": clock.__name__,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
