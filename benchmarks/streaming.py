"""Training from a stream: its speed beside local files in one run, and its memory over many clips.

    python benchmarks/streaming.py speed [--clips 600] [--rounds 3] [--output x.json]
    python benchmarks/streaming.py memory [--clips 100000] [--output x.json]

`speed` trains a small model on the same built data set from a stream and from local rows, in turns, and compares steps
per second and CPU seconds. `memory` writes Parquet shards of generated clips (few of them different, all of them read)
and goes through all of them once, batches included but without a model: what the process holds after a tenth, and at
the end. Prints one line of JSON; the exit code is 1 below 95 % of the local speed, or where memory grows by a tenth.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from pyarrow import parquet
from reports import machine_facts, print_report

from datasets_scripts.building.build import build_dataset
from datasets_scripts.building.shard_writer import as_table
from datasets_scripts.corpora import load_corpus
from datasets_scripts.schema import features
from modeling_sigma import SigmaFeatureExtractor
from modeling_sigma.training.arguments import DataArguments, ModelArguments
from modeling_sigma.training.data.streamed_clips import StreamedClips, StreamedCorpus, StreamLoader
from modeling_sigma.training.recipes.finetune import finetune
from modeling_sigma.training.training_arguments import SigmaTrainingArguments


SIZES = {
    "text_config": {"d_model": 128, "d_kv": 32, "d_ff": 256, "num_heads": 4, "num_layers": 2},
    "pose_config": {"joint_hidden_size": 16, "spatial_hidden_sizes": [32], "temporal_hidden_sizes": [64]},
    "max_frames": 64,
}
LIMIT, MOST_GROWTH, PER_SHARD = 0.95, 1.1, 500


def main() -> int:
    """Measures, prints, and returns 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("speed", "memory"))
    parser.add_argument("--clips", type=int, help="number of clips")
    parser.add_argument("--rounds", type=int, default=3, help="number of turns")
    parser.add_argument("--steps", type=int, default=60, help="steps of each run")
    parser.add_argument("--output", type=Path, help="write the JSON here too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        facts = (_speed if args.kind == "speed" else _memory)(Path(scratch), args)
    report = {"benchmark": f"streaming {args.kind}", **facts, **machine_facts("datasets", "torch", "pyarrow")}
    print_report(report, args.output)
    return int(not facts["is_within_limit"])


def _build(folder: Path, number: int) -> Path:
    build_dataset(
        "synthetic", folder, config_name="isolated", num_train=number, num_validation=2, num_test=2,
        clips_per_shard=max(1, number // 8),
    )  # fmt: skip
    return folder


def _speed(scratch: Path, args: argparse.Namespace) -> dict[str, Any]:
    data = _build(scratch / "data", args.clips or 600)
    rows: dict[str, list[tuple[float, float]]] = {"local": [], "streamed": []}
    for number in range(args.rounds + 1):  # the first turn warms caches
        for name in rows if number % 2 else reversed(rows):
            options = {"streaming": True, "shuffle_window": 200} if name == "streamed" else {}
            found = _train(data, scratch / f"{name}-{number}", args.steps, **options)
            if number:
                rows[name].append(found)
    cpu = [local[1] / streamed[1] for local, streamed in zip(rows["local"], rows["streamed"], strict=True)]
    wall = [streamed[0] / local[0] for local, streamed in zip(rows["local"], rows["streamed"], strict=True)]
    return {
        "steps_per_second_and_cpu_seconds": {
            name: [[round(value, 2) for value in row] for row in found] for name, found in rows.items()
        },
        "ratio_of_wall_speed": round(statistics.median(wall), 3),
        "ratio_of_cpu_speed": round(statistics.median(cpu), 3),
        "is_within_limit": statistics.median(cpu) >= LIMIT,
    }


def _train(data: Path, out: Path, steps: int, **options: Any) -> tuple[float, float]:
    arguments = SigmaTrainingArguments(
        output_dir=str(out), do_train=True, max_steps=steps, eval_strategy="no", save_strategy="no",
        load_best_model_at_end=False, use_cpu=True, disable_tqdm=True, per_device_train_batch_size=16, report_to=[],
    )  # fmt: skip
    corpus = DataArguments(task="islr", corpus=[str(data)], validation_split="none", test_split="none", **options)
    before = time.process_time()
    metrics = finetune(ModelArguments(model_config=SIZES, head="classification"), corpus, arguments)
    return metrics["train"]["train_steps_per_second"], time.process_time() - before


def _memory(scratch: Path, args: argparse.Namespace) -> dict[str, Any]:
    number = args.clips or 100_000
    rows = load_corpus(str(_build(scratch / "few", 50)), split="train")
    few = [rows[index] for index in range(len(rows))]
    data = scratch / "many"
    data.mkdir()
    num_shards = -(-number // PER_SHARD)
    for shard in range(num_shards):
        clips = [
            {**few[at % len(few)], "sample_id": f"clip-{at}"}
            for at in range(shard * PER_SHARD, min(number, (shard + 1) * PER_SHARD))
        ]
        name = data / f"train-{shard:05d}-of-{num_shards:05d}.parquet"
        parquet.write_table(as_table(clips, features()), name, compression="zstd", row_group_size=100)
    clips = StreamedClips(StreamedCorpus([(str(data), None, None)], "train", window=1000))
    extractor = SigmaFeatureExtractor(max_frames=64)
    clips.prepare(extractor, 0, 1, max_clips=16)
    seen, megabytes, start = 0, [], time.process_time()
    loader = StreamLoader(clips, lambda samples: (len(samples), extractor([one.clip for one in samples])), 0)
    for count, _ in islice(loader, number):
        seen += count
        if seen >= (len(megabytes) + 1) * number / 10:
            pages = int(Path("/proc/self/statm").read_text().split()[1])  # Linux alone tells
            megabytes.append(round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6))
        if seen >= number:
            break
    return {
        "num_clips": seen,
        "clips_per_cpu_second": round(seen / (time.process_time() - start)),
        "megabytes_after_each_tenth": megabytes,
        "is_within_limit": megabytes[-1] <= MOST_GROWTH * megabytes[0],
    }


if __name__ == "__main__":
    sys.exit(main())
