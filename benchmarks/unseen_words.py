"""Words that no training saw: a model trained without every tenth word of WLASL-hands, and what it finds of them.

    sigma-slu audit-dataset wlasl_hands --config wlasl2000 --data-dir DATA/wlasl_hands --label-groups groups.json
    python benchmarks/unseen_words.py train --data DATA --label-groups groups.json --model runs/unseen   # half an hour
    python benchmarks/unseen_words.py measure --data DATA --label-groups groups.json --model runs/unseen

Words that share a recording are joined first (a recording may join several), and of the sets that come out, in
alphabetical order, every tenth is left out of training, validation and calibration with all of its words. What is
asked are their validation and test clips, without those whose recording is in the train split, under any word; what
is taught are their train clips.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from dictionary import SEEDS, Corpus, area, chosen, distracted, read_clips, table
from tabulate import tabulate

from datasets_scripts.corpora import CORPORA, load_corpus
from datasets_scripts.schema import decode_clip
from modeling_sigma import load_pipeline
from modeling_sigma.inference.calibration import score_clips
from modeling_sigma.jobs.torch_devices import fast_precision
from modeling_sigma.metrics import LabelGroups
from modeling_sigma.model.calibration_sigma import knownness


CONFIG = Path(__file__).resolve().parents[1] / "examples" / "configs" / "finetune_wlasl_hands_two_streams.yaml"
EVERY = 10


def left_out_words(words: set[str], groups: LabelGroups) -> set[str]:
    """Every tenth set of words that share recordings."""
    found = {word: {word} for word in words}
    for group in groups.groups:
        joined: set[str] = set.union(*(found[word] for word in group))
        found.update(dict.fromkeys(joined, joined))
    sets = sorted({tuple(sorted(joined)) for joined in found.values()})
    return {word for joined in sets[EVERY // 2 :: EVERY] for word in joined}


def load_rows(data: Path, split: str) -> Any:
    """A split of WLASL-hands with 2,000 words."""
    return load_corpus("wlasl_hands", "wlasl2000", split=split, data_dir=str(data / "wlasl_hands"))


def train(args: argparse.Namespace) -> None:
    """Trains the shipped recipe, for fewer epochs, without the words."""
    from modeling_sigma.training.arguments import AdapterArguments, DataArguments, ModelArguments, parse_arguments
    from modeling_sigma.training.recipes.finetune import finetune
    from modeling_sigma.training.training_arguments import SigmaTrainingArguments

    splits = {split: load_rows(args.data, split) for split in ("train", "validation")}
    out = left_out_words(set(splits["train"]["text"]), LabelGroups.load(args.label_groups))
    for split, rows in splits.items():
        splits[split] = rows.select([row for row, text in enumerate(rows["text"]) if text not in out])
        print(f"{split}: {len(splits[split])} of {len(rows)} clips; {len(out)} words left out", flush=True)
    argv = [str(CONFIG), "--data_dir", str(args.data / "wlasl_hands"), "--num_train_epochs", str(args.epochs),
            "--seed", str(args.seed), "--output_dir", str(args.model), "--eval_steps", "390", "--save_steps", "390",
            "--bf16", str(fast_precision() == "bf16").lower(), "--resume", "true"]  # fmt: skip
    arguments = (ModelArguments, DataArguments, SigmaTrainingArguments, AdapterArguments)
    print(finetune(*parse_arguments(arguments, argv), splits=splits))


def measure(args: argparse.Namespace) -> None:
    """Prints what is found of the words, and how well they are told from those that the model has learnt."""
    warnings.simplefilter("ignore", UserWarning)  # one recording under several words
    groups = LabelGroups.load(args.label_groups)
    twins = {name for names in groups.twins.values() for name in names}
    words = set(load_rows(args.data, "train")["text"])
    out = left_out_words(words, groups)
    pipe = load_pipeline(str(args.model), "sign-feature-extraction", "cpu")
    clips = read_clips(pipe, "wlasl_hands", "wlasl2000", ("train", "validation", "test"), args.data, out)
    is_taught = (clips.splits == "train") & is_first(clips.labels, clips.vectors)
    asked = np.flatnonzero(~is_taught & ~np.isin(clips.names, sorted(twins)))
    settings = {
        f"{number} clips": [(chosen(clips.labels, is_taught, number, seed), asked) for seed in SEEDS]
        for number in (1, 2, 4)
    }
    print(f"{len(out)} words, {is_taught.sum()} clips to teach, {len(asked)} to ask\n", flush=True)
    print(f"{table(Corpus(clips), settings)}\n", flush=True)
    print(distracted(clips, settings, other_words(pipe, words - out, args.data)), end="\n\n", flush=True)
    print(unknown_rows(args, out, twins))


def is_first(labels: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """False for further copies of a recording under one word, which a dictionary refuses."""
    is_copy = (vectors @ vectors.T > 0.9999) & (labels[:, None] == labels)
    return np.array(~np.tril(is_copy, -1).any(axis=1))


def other_words(pipe: Any, words: set[str], data: Path) -> np.ndarray:
    """Vectors of one train clip of each of the words that the model has learnt."""
    with tempfile.TemporaryDirectory() as cache:
        builder = CORPORA["wlasl_hands"](config_name="wlasl2000", data_dir=data / "wlasl_hands", cache_dir=cache)
        entries = {entry.text: entry for entry in builder.list_clips("train") if entry.text in words}
        return np.stack([pipe(builder.read_clip(entry), allow_unseen=True).numpy() for entry in entries.values()])


def unknown_rows(args: argparse.Namespace, out: set[str], twins: set[str]) -> str:
    """Known from unknown: test clips of other words, and of the words left out, none of them recorded in train."""
    predictor = load_pipeline(str(args.model), device="cpu")
    rows = load_rows(args.data, "test")
    rows = rows.select([row for row, name in enumerate(rows["sample_id"]) if name not in twins])
    is_out = np.isin(rows["text"], sorted(out))
    scores = score_clips(predictor, (decode_clip(row) for row in rows), batch_size=32)
    known = knownness(scores.logits)
    fitted = predictor.calibration
    refused = [
        "-" if fitted is None else f"{100 * float((known[rows_of] < fitted.known_threshold).mean()):.1f} %"
        for rows_of in (~is_out, is_out)
    ]
    cells = [
        ["other words", int((~is_out).sum()), refused[0], ""],
        ["words left out", int(is_out.sum()), refused[1], f"{area(known[~is_out], known[is_out]):.2f}"],
    ]
    return tabulate(
        cells, ["test clips", "number", "called unknown", "AUROC"], tablefmt="github", disable_numparse=True
    )


def main() -> None:
    """Trains, or measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("train", "measure"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--label-groups", type=Path, required=True, help="file of audit-dataset --label-groups")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model without the words")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    train(args) if args.command == "train" else measure(args)


if __name__ == "__main__":
    main()
