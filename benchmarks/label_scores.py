"""How long it takes to find the likeliest of 50,000 labels with a model that writes, and whether all labels agree.

The model has the size of `sigma-slu demo` and random weights, which make more labels likely than training does. Prints
the times, then one line of JSON with versions and hardware. The exit code is 1 where an answer differs or a limit is
broken.

    python benchmarks/label_scores.py [--output results.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import MT5Config, T5Tokenizer

from modeling_sigma import SigmaConfig, SigmaForConditionalGeneration
from modeling_sigma.model.label_search_sigma import score_labels
from modeling_sigma.model.label_trie_sigma import LabelTrie


TOP_K, NUM_FRAMES = 5, 56
LIMIT = 0.1  # of the time that all labels take
WORDS = (
    "the weather is nice today hello world rain in north and snow south tomorrow it will be unbelievable "
    "understanding people who sign"
).split()


def make_labels(num_labels: int) -> list[str]:
    """Different phrases of one to five words."""
    draw = random.Random(0)
    labels: dict[str, None] = {}
    while len(labels) < num_labels:
        labels[" ".join(draw.choices(WORDS, k=draw.randint(1, 5)))] = None
    return list(labels)


def make_model(vocab_size: int) -> Any:
    """The size of the demo's model."""
    text_config = MT5Config(
        vocab_size=vocab_size, d_model=128, d_kv=32, d_ff=256, num_layers=2, num_heads=4, decoder_start_token_id=0
    )
    torch.manual_seed(0)
    return SigmaForConditionalGeneration(SigmaConfig(text_config=text_config)).eval()


def main() -> int:
    """Measures, prints, and returns 1 where an answer differs or a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-labels", type=int, default=50_000, help="labels to choose among")
    parser.add_argument("--repeats", type=int, default=3, help="clips")
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    args = parser.parse_args()
    labels = make_labels(args.num_labels)
    tokenizer = T5Tokenizer(extra_ids=0).train_new_from_iterator([" ".join(WORDS)], vocab_size=96)
    start = time.process_time()
    trie = LabelTrie.from_labels(labels, tokenizer)
    num_nodes = len(trie.arrays.tokens)
    seconds = {"trie": [time.process_time() - start], "all": [], "best": []}
    model = make_model(len(tokenizer))
    is_same = True
    for seed in range(args.repeats):
        poses = torch.rand(1, NUM_FRAMES, 69, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        with torch.no_grad():
            encoded = model.encode_poses(poses)
        found = {}
        for name, top_k in (("all", None), ("best", TOP_K)):
            start = time.process_time()
            found[name] = score_labels(model, encoded, trie, top_k)
            seconds[name].append(time.process_time() - start)
        every, best = (found[name].softmax(dim=-1).topk(TOP_K) for name in ("all", "best"))
        is_same &= torch.equal(every.indices, best.indices) and torch.allclose(every.values, best.values, rtol=1e-4)
    fastest = {name: min(values) for name, values in seconds.items()}
    report = {
        "benchmark": "label_scores",
        "num_labels": len(labels),
        "num_nodes": num_nodes,
        "seconds_once_per_set": fastest["trie"],
        "seconds_all": fastest["all"],
        "seconds_best": fastest["best"],
        "ratio": fastest["all"] / fastest["best"],
        "same_answers": bool(is_same),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("torch", "transformers")},
        "hardware": {"machine": platform.machine(), "num_cores": os.cpu_count(), "system": platform.system()},
    }
    print(f"{len(labels):,} labels, {num_nodes:,} nodes; the trie, once: {fastest['trie']:.2f} s of CPU time")
    print(
        f"per clip: all labels {fastest['all']:.2f} s, the best {TOP_K} {fastest['best']:.3f} s, the same: {is_same}"
    )
    print(json.dumps(report))
    if args.output is not None:
        args.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return int(not is_same or fastest["best"] > LIMIT * fastest["all"])


if __name__ == "__main__":
    sys.exit(main())
