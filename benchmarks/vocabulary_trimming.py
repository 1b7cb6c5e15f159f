"""What trimming the vocabulary of mT5-base from 250,112 tokens to 30,000 saves: parameters, and time of the logits.

Parameters are counted on the meta device, which needs no memory. The time is what the vocabulary costs in a decoding
step with four beams: the output matrix and the log-softmax over it.

    python benchmarks/vocabulary_trimming.py [--output results.json]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch
from reports import machine_facts, print_report
from transformers import MT5Config

from modeling_sigma import SigmaConfig, SigmaForConditionalGeneration, SigmaForPreTraining
from modeling_sigma.conversion.vocabulary_trimming import trim_model


# The sizes of google/mt5-base.
MT5_BASE = {"vocab_size": 250_112, "d_model": 768, "d_kv": 64, "d_ff": 2048, "num_layers": 12, "num_heads": 12}
NUM_KEPT = 30_000
NUM_BEAMS = 4


def count_parameters(cls: type) -> tuple[int, int]:
    """Parameters of a Sigma around mT5-base, before and after."""
    with torch.device("meta"):
        model: Any = cls(SigmaConfig(text_config=MT5Config(**MT5_BASE, decoder_start_token_id=0)))
    before = sum(parameter.numel() for parameter in model.parameters())
    trim_model(model, range(NUM_KEPT))
    return before, sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def time_logits(num_tokens: int, repeats: int) -> float:
    """The fastest of some steps, in seconds."""
    head = torch.nn.Linear(MT5_BASE["d_model"], num_tokens, bias=False)
    states = torch.randn(NUM_BEAMS, 1, MT5_BASE["d_model"])
    seconds = []
    for _ in range(repeats + 1):  # the first one warms up
        start = time.perf_counter()
        head(states)[:, -1].log_softmax(dim=-1).topk(2 * NUM_BEAMS)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def main() -> int:
    """Measures, prints, and returns 1 if the generative model keeps half of its parameters, or of the time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10, help="steps, of which the fastest counts")
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    args = parser.parse_args()

    results: dict[str, Any] = {"pieces": [MT5_BASE["vocab_size"], NUM_KEPT]}
    shares = {}
    for cls in (SigmaForConditionalGeneration, SigmaForPreTraining):
        before, after = count_parameters(cls)
        share = shares[cls] = 1 - after / before
        results[cls.__name__] = {"parameters": [before, after], "removed_share": round(share, 4)}
        print(f"{cls.__name__:<32}{before:>13,} -> {after:>13,} parameters, {share:.1%} removed")
    whole, trimmed = time_logits(MT5_BASE["vocab_size"], args.repeats), time_logits(NUM_KEPT, args.repeats)
    results["logits_seconds"] = [round(whole, 5), round(trimmed, 5)]
    results["logits_ratio"] = round(whole / trimmed, 2)
    print(f"logits of a step, {NUM_BEAMS} beams        {whole * 1e3:>10.2f} -> {trimmed * 1e3:>10.2f} ms, ", end="")
    print(f"{whole / trimmed:.1f} times faster")
    report = {
        "benchmark": "vocabulary_trimming",
        "results": results,
        **machine_facts("torch", "transformers"),
    }
    print_report(report, args.output)
    return int(shares[SigmaForConditionalGeneration] < 0.5 or whole < 2 * trimmed)


if __name__ == "__main__":
    sys.exit(main())
