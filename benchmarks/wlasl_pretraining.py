"""Does Sigma's pre-training pay on real signing? On the hands of WLASL, with the words as text.

    python benchmarks/wlasl_pretraining.py run --data ../shared/data/wlasl_hands    # 2.5 hours on one core
    python benchmarks/wlasl_pretraining.py table

Pre-training reads the train clips of all 2,000 signs (examples/configs/pretrain_wlasl_hands.yaml); a label head is
then fine-tuned for the 300 signs of WLASL300, on a quarter of their train clips and on all of them. Everything was set
beforehand, nothing is chosen by a score: the test split is scored once per run. Existing runs are skipped.

- full: all four losses; short: for 6 epochs instead of 18; contrastive: global and local alignment alone; lm_only:
  language modelling alone; fused: the paper's sources, which let the alignment and the decoder read the sentence that
  they predict; none: the same fine-tuning from random weights.
- labels: what a sceptic would do with the same clips, the same words and the time that `full` takes: a label head of
  the 2,000 signs, trained plainly.
- retrieval: the 300 words, ranked for a clip by the global similarity straight after pre-training: no label head, and
  no fine-tuning.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import yaml
from recorded_runs import mean_and_spread, read_runs, run_missing
from tabulate import tabulate

from datasets_scripts.corpora import load_corpus
from modeling_sigma import SigmaModel, SigmaProcessor
from modeling_sigma.metrics import recognition_scores
from modeling_sigma.training.arguments import DataArguments, ModelArguments
from modeling_sigma.training.data.clip_dataset import ClipDataset
from modeling_sigma.training.recipes.finetune import finetune
from modeling_sigma.training.recipes.pretrain import main as pretrain
from modeling_sigma.training.training_arguments import SigmaTrainingArguments


VARIANTS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "full": {},
    "short": {},
    "contrastive": {"use_matching": False, "use_language_modelling": False},
    "lm_only": {"use_global_alignment": False, "use_local_alignment": False, "use_matching": False},
    "labels": None,
    "fused": {"alignment_source": "fused", "lm_source": "fused"},
}
SHORT_EPOCHS = 6  # instead of the 18 of the configuration
LABEL_EPOCHS = 36  # of plain training on 2,000 signs: as long as the 18 epochs of `full`
EPOCHS = {"quarter": 30, "all": 12}  # of fine-tuning
RESULTS = Path(__file__).parent / "results" / "wlasl_pretraining"
CONFIG = Path(__file__).resolve().parents[1] / "examples" / "configs" / "pretrain_wlasl_hands.yaml"


def pretrained(variant: str, args: argparse.Namespace) -> Path:
    """Pre-trains a model unless its folder exists; returns the folder, the costs, and retrieval scores."""
    folder: Path = args.models / variant
    if (folder / "metrics.json").exists():
        return folder
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    if variant == "labels":
        start = {name: config[name] for name in ("model_config", "feature_extractor")}
        train_labels(start, "wlasl2000", folder, LABEL_EPOCHS, 0, args, overwrite=True)
        return folder
    sizes = {**config["model_config"], **(VARIANTS[variant] or {})}
    shorter = ["--num_train_epochs", str(SHORT_EPOCHS)] if variant == "short" else []
    pretrain(
        [str(CONFIG), "--data_dir", str(args.data), "--output_dir", str(folder), "--overwrite", "true", "--seed", "0",
         "--model_config", json.dumps(sizes), *shorter]
    )  # fmt: skip
    return folder


def quarter(rows: datasets.Dataset, seed: int) -> datasets.Dataset:
    """A quarter of the clips: one of each sign, then others at random."""
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    texts, seen, first, others = list(rows["text"]), set(), [], []
    for index in order:
        (others if texts[index] in seen else first).append(index)
        seen.add(texts[index])
    return rows.select(sorted((first + others)[: max(len(first), len(rows) // 4)]))


def train_labels(
    start: dict[str, Any], subset: str, folder: Path, epochs: int, seed: int, args: argparse.Namespace,
    splits: dict[str, datasets.Dataset] | None = None, **others: Any,
) -> dict[str, Any]:  # fmt: skip
    """Trains a label head of one of WLASL's subsets; its scores."""
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    data = DataArguments(
        task="islr", corpus=[f"wlasl_hands:{subset}"], data_dir=[str(args.data)], augmentation=config["augmentation"]
    )
    return finetune(
        ModelArguments(**start, head="classification", max_text_length=6),
        data,
        SigmaTrainingArguments(
            output_dir=str(folder), do_train=True, num_train_epochs=epochs, learning_rate=2e-3,
            matrix_learning_rate=3e-3, adam_epsilon=1e-8, weight_decay=0.05, warmup_steps=40,
            per_device_train_batch_size=32, per_device_eval_batch_size=64, eval_strategy="no", save_strategy="no",
            load_best_model_at_end=False, seed=seed, bf16=True, disable_tqdm=True, logging_steps=100, report_to="none",
            **others,
        ),
        splits=splits,
    )  # fmt: skip


def fine_tune(variant: str, share: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """One fine-tuning of a label head; its scores on validation and test."""
    started = time.monotonic()
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    splits = {name: _wlasl300(args.data, name) for name in ("train", "validation", "test")}
    if share == "quarter":
        splits["train"] = quarter(splits["train"], seed)
    sizes = {"classifier_dropout": 0.3}
    if variant == "none":
        start = {"model_config": {**config["model_config"], **sizes}, "feature_extractor": config["feature_extractor"]}
    else:
        start = {"model": str(pretrained(variant, args)), "model_config": sizes}
    with tempfile.TemporaryDirectory() as folder:
        scores = train_labels(
            start, "wlasl300", Path(folder), EPOCHS[share], seed, args, splits, do_eval=True, do_predict=True
        )
    result: dict[str, Any] = {"variant": variant, "share": share, "seed": seed, "train_clips": len(splits["train"])}
    for split in ("validation", "test"):
        result.update({f"{split}_{name}": scores[split][f"{name}_per_instance"] for name in ("top1", "top5")})
    return {**result, **_machine(), "seconds": round(time.monotonic() - started)}


def retrieve(variant: str, args: argparse.Namespace) -> dict[str, Any]:
    """Top-1 and top-5 of the 300 words, by the similarity of clip and word."""
    folder = pretrained(variant, args)
    model = SigmaModel.from_pretrained(folder).eval()
    processor = SigmaProcessor.from_pretrained(folder)
    words = sorted(set(_wlasl300(args.data, "train")["text"]))
    result: dict[str, Any] = {"variant": variant, "share": "retrieval", "seed": 0}
    with torch.no_grad():
        text_inputs = processor(text=words)
        text_vectors = model.get_text_features(
            text_inputs["text_input_ids"], text_inputs["text_attention_mask"]
        ).pooler_output
        for split in ("validation", "test"):
            rows = ClipDataset(_wlasl300(args.data, split))
            ranked = []
            for start in range(0, len(rows), 64):
                clips = [rows[index].clip for index in range(start, min(start + 64, len(rows)))]
                vectors = model.get_pose_features(**processor(poses=clips, language="English")).pooler_output
                best = (vectors @ text_vectors.T).topk(5).indices.tolist()
                ranked += [[words[label] for label in row] for row in best]
            scores = recognition_scores(ranked, list(rows.rows["text"]))
            result.update({f"{split}_{name}": scores[f"{name}_per_instance"] for name in ("top1", "top5")})
    return {**result, **_machine()}


def _wlasl300(data: Path, split: str) -> datasets.Dataset:
    return load_corpus("wlasl_hands", "wlasl300", split=split, data_dir=str(data))


def _machine() -> dict[str, Any]:
    return {"threads": torch.get_num_threads(), "torch": torch.__version__, "machine": platform.machine()}


def table(results: list[dict[str, Any]]) -> str:
    """One line per variant: test top-1 / top-5, mean and standard deviation over seeds."""
    heading = ["pre-training", "retrieval, no labels", "a quarter of the labels", "all labels"]
    rows = []
    for variant in VARIANTS:
        cells = []
        for share in ("retrieval", "quarter", "all"):
            runs = [result for result in results if (result["variant"], result["share"]) == (variant, share)]
            pairs = [[run["test_top1"] for run in runs], [run["test_top5"] for run in runs]]
            shown = [mean_and_spread(values) for values in pairs if values]
            cells.append(" / ".join(shown) or "-")
        rows.append([variant, *cells])
    return tabulate(rows, heading, tablefmt="github", disable_numparse=True)


def main() -> None:
    """Runs what is missing, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"), nargs="?", default="table")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/wlasl_hands"))
    parser.add_argument("--models", type=Path, default=Path("outputs/wlasl_pretraining"))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--shares", nargs="+", choices=EPOCHS, default=list(EPOCHS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    if args.command == "run":
        jobs = {f"{v}-retrieval": partial(retrieve, v, args) for v in args.variants if v not in ("none", "labels")}
        for seed, share, v in product(args.seeds, args.shares, args.variants):
            jobs[f"{v}-{share}-{seed}"] = partial(fine_tune, v, share, seed, args)
        run_missing(args.results, jobs)
    print(table(read_runs(args.results)))


if __name__ == "__main__":
    main()
