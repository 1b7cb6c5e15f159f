"""The pose encoder against the same network written the plain way: dense, (B, C, T, V), direct convolutions.

    python benchmarks/plain_pose_encoder.py --threads 1     # ratios of one run, paired; about five minutes

The plain network is the paper's (`Conv2d`, `einsum`, `BatchNorm2d`, padded frames computed along), as a reference
implementation would be. Both run in turns on the same clips, 8 of 128 frames at full size in float32: once
all frames are real, once 55 % of them. Times are medians of this process's CPU time; peak memory is that of a training
step in a process of its own. Prints JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from modeling_sigma.model.configuration_sigma import SigmaPoseConfig
from modeling_sigma.model.graph_convolution_sigma import GraphConvolutionChain, build_adjacency
from modeling_sigma.model.pose_encoder_sigma import SigmaPoseEncoder
from modeling_sigma.model.skeleton_layouts import PART_ANCHORS, PART_EDGES, PART_SIZES, PART_SLICES


CLIPS, FRAMES = 8, 128
GFLOP = 2 * 1.558e6 * CLIPS * FRAMES * 69 / 1e9  # of the direct convolutions
GFLOP_FEWER = GFLOP - 139 * (1 - 8 / 20)  # nine five-tap convolutions with 8 products in place of 20


class PlainBlock(nn.Module):
    """An ST-GCN block."""

    def __init__(self, inside: int, outside: int, adjacency: np.ndarray, kernel: int) -> None:
        super().__init__()
        self.adjacency = nn.Parameter(torch.tensor(adjacency))
        self.conv, self.norm = nn.Conv2d(inside, 2 * outside, 1), nn.BatchNorm2d(outside)
        self.temporal: nn.Module = nn.Identity()
        if kernel > 1:
            conv = nn.Conv2d(outside, outside, (kernel, 1), padding=(kernel // 2, 0))
            self.temporal = nn.Sequential(conv, nn.BatchNorm2d(outside))
        self.residual: nn.Module = nn.Identity()
        if inside != outside:
            self.residual = nn.Sequential(nn.Conv2d(inside, outside, 1), nn.BatchNorm2d(outside))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, C, T, V) -> (B, C', T, V)."""
        mixed = torch.einsum("bkctv,kvw->bctw", self.conv(values).unflatten(1, (2, -1)), self.adjacency)
        mixed = self.temporal(self.norm(mixed.contiguous()).relu())
        return (mixed + self.residual(values)).relu()


class PlainEncoder(nn.Module):
    """All four parts, the hands by shared weights."""

    def __init__(self, config: SigmaPoseConfig, hidden_size: int) -> None:
        super().__init__()
        self.parts = nn.ModuleDict()
        for name, part in (("body", "body"), ("hand", "left_hand"), ("face", "face")):
            adjacency = build_adjacency(PART_SIZES[part], PART_EDGES[part])
            sizes = [config.joint_hidden_size, *config.spatial_hidden_sizes]
            spatial = [PlainBlock(a, b, adjacency, 1) for a, b in zip(sizes, sizes[1:], strict=False)]
            sizes = [sizes[-1], *config.temporal_hidden_sizes]
            temporal = [PlainBlock(a, b, adjacency, 5) for a, b in zip(sizes, sizes[1:], strict=False)]
            self.parts[name] = nn.ModuleList(
                [nn.Linear(3, config.joint_hidden_size), nn.Sequential(*spatial), nn.Sequential(*temporal)]
            )
        self.projection = nn.Linear(4 * config.temporal_hidden_sizes[-1], hidden_size)

    def forward(self, pose_values: torch.Tensor) -> torch.Tensor:
        """(B, T, 69, 3) -> (B, T, hidden_size)."""
        vectors = []
        for part in ("body", "left_hand", "right_hand", "face"):
            linear, spatial, temporal = self.parts["hand" if part.endswith("hand") else part]  # type: ignore[misc]
            values = spatial(linear(pose_values[:, :, PART_SLICES[part]]).permute(0, 3, 1, 2).contiguous())
            if part == "body":
                body = values.detach()
            else:
                values = values + body[..., PART_ANCHORS[part], None]
            vectors.append(temporal(values).mean(dim=-1).transpose(1, 2))
        return self.projection(torch.cat(vectors, dim=-1))


def encoders() -> dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]:
    """Ours, ours with activation checkpointing, and the plain one, which computes padding along."""
    torch.manual_seed(0)
    ours, plain = SigmaPoseEncoder(SigmaPoseConfig(), 768), PlainEncoder(SigmaPoseConfig(), 768)
    frugal = copy.deepcopy(ours)
    for module in frugal.modules():
        if isinstance(module, GraphConvolutionChain):
            module.gradient_checkpointing = True
    sizes = [sum(parameter.numel() for parameter in encoder.parameters()) for encoder in (ours, plain)]
    assert abs(sizes[0] - sizes[1]) <= 1024, sizes  # but for the parts' bias
    return {"ours": ours, "checkpointed": frugal, "plain": lambda values, mask: plain(values)}


def inputs(share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips of different lengths that fill this share of the batch."""
    lengths = torch.linspace(2 * share - 1, 1, CLIPS) * FRAMES if share < 1 else torch.full((CLIPS,), float(FRAMES))
    mask = torch.arange(FRAMES) < lengths.round()[:, None]
    return torch.rand(CLIPS, FRAMES, 69, 3) * 2 - 1, mask


def peak_mib(name: str) -> int:
    """Peak memory of one training step."""
    values, mask = inputs(1.0)
    encoders()[name](values, mask).sum().backward()
    # Not `ru_maxrss`, which a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def main() -> None:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", choices=("ours", "checkpointed", "plain"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.memory:
        print(peak_mib(args.memory))
        return
    # With several threads CPU time is no measure of speed.
    clock = time.process_time if args.threads == 1 else time.perf_counter
    both = encoders()
    result: dict[str, object] = {"threads": args.threads, "clips": CLIPS, "frames": FRAMES}
    for share in (1.0, 0.55):
        values, mask = inputs(share)
        for training in (False, True):
            seconds: dict[str, list[float]] = {name: [] for name in both}
            for _ in range(args.repeats + 1):
                for name, encode in both.items():
                    started = clock()
                    with torch.set_grad_enabled(training):
                        out = encode(values, mask)
                        if training:
                            out.sum().backward()
                    seconds[name].append(clock() - started)
            medians = {name: float(np.median(times[1:])) for name, times in seconds.items()}
            key = f"{'forward + backward' if training else 'forward'}, {share:.0%} real frames"
            result[key] = {
                **{name: round(value, 3) for name, value in medians.items()},
                **{f"ratio {name}": round(medians["plain"] / medians[name], 2) for name in ("ours", "checkpointed")},
            }
            print(key, result[key], file=sys.stderr, flush=True)
    matrix = torch.rand(2048, 2048)
    times = []
    for _ in range(9):
        started = clock()
        matrix @ matrix
        times.append(clock() - started)
    rate = 2 * 2048**3 / float(np.median(times)) / 1e9
    forward = result["forward, 100% real frames"]["ours"]  # type: ignore[index]
    result["matrix_product_gflops"] = round(rate, 1)
    result["forward_share_of_bound"] = round(GFLOP_FEWER / rate / forward, 2)
    for name in both:
        command = [sys.executable, __file__, "--memory", name, "--threads", str(args.threads)]
        result[f"peak_mib_{name}"] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
