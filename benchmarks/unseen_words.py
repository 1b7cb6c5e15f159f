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
from pathlib import Path
from typing import Any

from datasets_scripts.corpora import load_corpus
from modeling_sigma.metrics import LabelGroups


CONFIG = Path(__file__).resolve().parents[1] / "examples" / "configs" / "finetune_wlasl_hands_two_streams.yaml"
EVERY = 10


def left_out_words(words: set[str], groups: LabelGroups) -> set[str]:
    """Every tenth set of words that share recordings."""
    found = {word: {word} for word in words}
    for group in groups.groups:
        joined = set().union(*(found[word] for word in group))
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
            "--resume", "true"]  # fmt: skip
    arguments = (ModelArguments, DataArguments, SigmaTrainingArguments, AdapterArguments)
    print(finetune(*parse_arguments(arguments, argv), splits=splits))


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
    train(args)


if __name__ == "__main__":
    main()
