"""Does a translator compose? Sentences of training and new ones of known words, told apart from signers whom it knows.

The language is invented: figures say nothing about one that people sign.

    sigma-slu demo --out sigma-slu && python benchmarks/compositional.py --model sigma-slu [--output FILE]

The demo's training clips are known by number. Three times so many clips of the same kind:

- known sentences by new signers: the very sentences of training;
- new sentences by known signers;
- new sentences by new signers: what the demo itself reports. Also apart: sentences whose neighbouring signs all stand
  side by side somewhere in training, and those with a pair that never does.

BLEU-4 of greedy translations, and the share of sentences that are right to the word; beside them, of the training
sentence that has most words in common with the right one, which nobody can know: more than copying could reach.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from reports import machine_facts, print_report
from tabulate import tabulate
from transformers import AutoModelForSeq2SeqLM, AutoProcessor

from datasets_scripts.synthetic import SyntheticSample, SyntheticSigns
from modeling_sigma.registration import register_sigma
from modeling_sigma.training.recipes.synthetic_demo import DemoRecipe, PrintedProgress, bleu4, translate


def trained_indices(recipe: DemoRecipe) -> Iterator[int]:
    """The numbers of the sentences that the demo was trained on, in its order."""
    for step in range(recipe.isolated_steps, recipe.steps):
        if np.random.default_rng([recipe.seed, step]).random() >= recipe.isolated_share:
            first = step * 2 * recipe.batch_size
            yield from range(first, first + recipe.batch_size)


def main() -> None:
    """Translates and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sigma-slu", help="folder of the demo's model")
    parser.add_argument("--clips", type=int, default=200, help="clips of each kind")
    parser.add_argument("--seed", type=int, default=0, help="seed with which the demo was trained")
    parser.add_argument("--output", type=Path, help="write the figures as JSON here too")
    args = parser.parse_args()
    register_sigma()
    model, processor = (
        AutoModelForSeq2SeqLM.from_pretrained(args.model).eval(),
        AutoProcessor.from_pretrained(args.model),
    )
    language, recipe = SyntheticSigns(args.seed), DemoRecipe(seed=args.seed)
    indices = list(trained_indices(recipe))
    training = [language.sentence(index, seed=args.seed) for index in indices[:: max(1, len(indices) // 4000)]]
    texts = {sample.text for sample in training}
    pairs = {pair for sample in training for pair in zip(sample.gloss, sample.gloss[1:])}
    known = (language.sentence(index, seed=args.seed, signers="test") for index in indices)
    sets: dict[str, list[SyntheticSample]] = {
        "known sentences, new signers": list(islice((one for one in known if one.text in texts), args.clips)),
        "new sentences, known signers": [
            language.sentence(index, split="test", seed=args.seed, signers="train") for index in range(args.clips)
        ],
        "new sentences, new signers": [
            language.sentence(index, split="test", seed=args.seed) for index in range(args.clips)
        ],
    }
    rows: list[dict[str, Any]] = []
    for name, samples in sets.items():
        found = translate(model, processor, samples, PrintedProgress(sys.stderr))
        parts = {name: list(range(len(samples)))}
        if name == "new sentences, new signers":
            has_new = [any(pair not in pairs for pair in zip(one.gloss, one.gloss[1:])) for one in samples]
            parts["- all pairs of neighbours known"] = [row for row, new in enumerate(has_new) if not new]
            parts["- with a new pair of neighbours"] = [row for row, new in enumerate(has_new) if new]
        for part, chosen in parts.items():
            if not chosen:
                continue
            references, translations = [samples[row].text for row in chosen], [found[row] for row in chosen]
            copies = [likest(text, texts) for text in references]
            rows.append({
                "clips": part,
                "number": len(chosen),
                "stand in training": sum(text in texts for text in references),
                "BLEU-4": bleu4(translations, references),
                "right": 100 * float(np.mean([one == text for one, text in zip(translations, references)])),
                "BLEU-4 of the likest training sentence": bleu4(copies, references),
            })  # fmt: skip
    print(tabulate(rows, headers="keys", floatfmt=".1f", tablefmt="github"))
    facts = {"benchmark": "compositional", "seed": args.seed, "sentences_read": len(training), "results": rows}
    print_report({**facts, **machine_facts("torch", "transformers")}, args.output)


def likest(text: str, texts: set[str]) -> str:
    """The sentence among `texts` that shares most words with `text`."""
    words = set(text.split())
    return max(sorted(texts), key=lambda other: len(words & set(other.split())) / len(words | set(other.split())))


if __name__ == "__main__":
    main()
