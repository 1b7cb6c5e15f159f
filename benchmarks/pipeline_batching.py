"""What batching gains: `sign-language-translation` of 200 short clips, one by one and batched, in the same run.

Prints a table, then one line of JSON. The exit code is 1 if batches are not three times as fast.

    python benchmarks/pipeline_batching.py [--output results.json]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from reports import machine_facts, print_report
from transformers import pipeline
from transformers.utils import logging

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma.training.recipes.synthetic_demo import DemoRecipe, build_demo


NUM_CLIPS, LIMIT = 200, 3.0


def main() -> int:
    """Measures, prints, and returns 1 if batches are too slow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--num-clips", type=int, default=NUM_CLIPS)
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    args = parser.parse_args()
    logging.set_verbosity_error()
    language = SyntheticSigns(seed=0)
    # As large as the demo, and untrained: for every clip, it writes as many tokens as it may.
    model, processor = build_demo(language, DemoRecipe())
    translate = pipeline("sign-language-translation", model=model.eval(), processor=processor)
    clips = [language.isolated(index, split="test").clip for index in range(args.num_clips)]
    options = {"max_new_tokens": 8, "num_beams": 1}
    translate(clips[:2], **options)
    start = time.perf_counter()
    singles = [translate(clip, **options) for clip in clips]
    one_by_one = time.perf_counter() - start
    start = time.perf_counter()
    batched = translate(clips, batch_size=args.batch_size, **options)
    together = time.perf_counter() - start
    num_equal = sum(single == other for single, other in zip(singles, batched, strict=True))
    report = {
        "benchmark": "pipeline_batching",
        "num_clips": args.num_clips,
        "one_by_one_s": round(one_by_one, 2),
        "batched_s": round(together, 2),
        "batch_size": args.batch_size,
        "speedup": round(one_by_one / together, 2),
        "limit": LIMIT,
        "num_equal_texts": num_equal,
        **machine_facts("torch", "transformers"),
    }
    print(f"one by one {one_by_one:6.2f} s\nbatched    {together:6.2f} s, {report['speedup']} times as fast")
    print(f"equal texts: {num_equal} of {args.num_clips}")
    print_report(report, args.output)
    return int(report["speedup"] < LIMIT)


if __name__ == "__main__":
    sys.exit(main())
