"""What each pre-training objective costs: the share of a step's time that leaving it out saves.

    python benchmarks/objective_costs.py [--repeats 5]

Forward and backward passes of `SigmaForPreTraining`, with all terms and with each term switched off (in turns within
one run; medians). The shares need not add up to one: terms share the encoders, whose cost remains. `encoders` is what
remains when only the global alignment is left. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time

import torch
from transformers import MT5Config

from modeling_sigma import SigmaConfig, SigmaForPreTraining


TERMS = ("global_alignment", "local_alignment", "matching", "language_modelling")


def build(text_config: MT5Config, switched_off: tuple[str, ...]) -> SigmaForPreTraining:
    """A model without some terms; the others always have equal weights."""
    torch.manual_seed(0)
    return SigmaForPreTraining(SigmaConfig(text_config=text_config, **{f"use_{name}": False for name in switched_off}))


def seconds_of_step(model: SigmaForPreTraining, inputs: dict[str, torch.Tensor]) -> float:
    """Wall time of one forward and backward."""
    start = time.perf_counter()
    model(**inputs).loss.backward()
    model.zero_grad()
    return time.perf_counter() - start


def main() -> None:
    """Prints the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=8000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    text_config = MT5Config(
        vocab_size=args.vocabulary, d_model=args.hidden_size, d_kv=args.hidden_size // 4, num_heads=4,
        d_ff=2 * args.hidden_size, num_layers=args.layers, num_decoder_layers=args.layers,
    )  # fmt: skip
    variants: dict[str, tuple[str, ...]] = {
        "all": (), **{name: (name,) for name in TERMS}, "encoders": TERMS[1:]
    }  # fmt: skip
    models = {name: build(text_config, off) for name, off in variants.items()}
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "pose_values": torch.rand(args.batch_size, args.frames, 69, 3, generator=generator) * 2 - 1,
        "text_input_ids": torch.randint(3, args.vocabulary, (args.batch_size, args.tokens), generator=generator),
    }
    times: dict[str, list[float]] = {name: [] for name in models}
    for repeat in range(args.repeats + 1):
        for name, model in models.items():
            seconds = seconds_of_step(model, inputs)
            if repeat:  # the first turn warms up
                times[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    result = {
        "seconds_of_a_step": round(medians["all"], 3),
        "share_that_goes_with_the_term": {name: round(1 - medians[name] / medians["all"], 3) for name in TERMS},
        "share_of_the_encoders": round(medians["encoders"] / medians["all"], 3),
        **vars(args),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
