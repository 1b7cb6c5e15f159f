"""What several models of WLASL-hands read together: their logits added, which rank as added log-probabilities do.

    python benchmarks/summed_models.py checkpoints/sigma-wlasl-hands runs/one runs/another

Every model reads the clips of the split through its own extractor. Top-1 and top-5 by strict labels: of each model,
and of every number of them from the first on together. `--config wlasl300` holds all to the 300 words of that part,
without training them for it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from reports import machine_facts, print_report
from tabulate import tabulate

from datasets_scripts.wlasl_hands import WlaslHandsSample, load_wlasl_hands
from modeling_sigma import load_pipeline
from modeling_sigma.inference.calibration import score_clips


def logits(folder: str, samples: list[WlaslHandsSample], words: list[str]) -> np.ndarray:
    """The score of each of `words` for each clip, `(num_clips, num_words)`."""
    predictor = load_pipeline(folder, device="cpu")
    columns = [predictor.model.config.label2id[word] for word in words]
    return score_clips(predictor, (sample.clip for sample in samples), batch_size=64).logits[:, columns]


def main() -> None:
    """Reads, adds, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="folders of models with a label head")
    parser.add_argument("--data", default="../shared/data/wlasl_hands", help="folder of WLASL-hands")
    parser.add_argument("--config", default="wlasl2000", help="which words")
    parser.add_argument("--split", default="validation", choices=("train", "validation", "test"), help="which clips")
    parser.add_argument("--output", type=Path, help="file for the numbers as JSON")
    args = parser.parse_args()
    samples = load_wlasl_hands(args.data, args.config, args.split)
    words = sorted({sample.word for sample in [*samples, *load_wlasl_hands(args.data, args.config, "train")]})
    truth = np.array([words.index(sample.word) for sample in samples])
    rows = []

    def add(name: str, scores: np.ndarray) -> None:
        rank = (scores > scores[np.arange(len(truth)), truth][:, None]).sum(axis=1)
        top1, top5 = (round(100 * float(np.mean(rank < places)), 2) for places in (1, 5))
        rows.append({"models": name, "top1": top1, "top5": top5})

    together = np.zeros((len(truth), len(words)), np.float32)
    for number, folder in enumerate(args.models, 1):
        own = logits(folder, samples, words)
        together += own
        add(Path(folder).name, own)
        if number > 1:
            add(f"the first {number}", together)
    print(tabulate(rows, headers="keys", floatfmt=".1f", tablefmt="github"))
    facts = {"benchmark": "summed_models", "split": args.split, "config": args.config, "clips": len(truth)}
    print_report({**facts, "results": rows, **machine_facts("torch", "transformers")}, args.output)


if __name__ == "__main__":
    main()
