"""How far do gradients in float32 and in bfloat16 deviate from those in float64?

    python benchmarks/gradient_precision.py [--steps 400] [--batches 4]    # a few minutes on one core

Trains the demo, then computes the gradients of its loss on unseen batches in each precision, and their cosine with the
gradient in float64, for the whole model and for each part: the lowest over the batches. Prints JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections import defaultdict
from dataclasses import replace

import torch
from torch.nn.functional import cosine_similarity

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma.model.modeling_sigma_heads import SigmaForConditionalGeneration
from modeling_sigma.registration import register_sigma
from modeling_sigma.training.recipes.synthetic_demo import (
    DemoRecipe,
    PrintedProgress,
    build_demo,
    train_demo,
    training_clips,
)
from modeling_sigma.training.task import choose_task


Batch = dict[str, torch.Tensor]


def gradients(model: SigmaForConditionalGeneration, batch: Batch, precision: str) -> dict[str, torch.Tensor]:
    """The gradient of each part of the model, as one vector in float64; BatchNorm stays as the training left it."""
    model = copy.deepcopy(model).eval()
    if precision == "fp64":
        model = model.double()
        batch = {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        loss = model(**batch).loss
    loss.backward()
    parts: dict[str, list[torch.Tensor]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            flat = parameter.grad.flatten().double()
            parts["all"].append(flat)
            parts[_part(name)].append(flat)
    return {part: torch.cat(vectors) for part, vectors in parts.items()}


def _part(name: str) -> str:
    """`pose_encoder.parts.hand`, `encoder`, `decoder`, ..."""
    names = name.split(".")
    return ".".join(names[:3]) if name.startswith("pose_encoder.parts.") else names[0]


def main() -> None:
    """Prints the cosines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=DemoRecipe.steps)
    parser.add_argument("--batches", type=int, default=4)
    args = parser.parse_args()
    register_sigma()
    recipe, language = replace(DemoRecipe(), steps=args.steps), SyntheticSigns(seed=0)
    model, processor = build_demo(language, recipe)
    train_demo(model, processor, language, recipe, PrintedProgress(sys.stderr))
    lowest: dict[str, dict[str, float]] = {"fp32": {}, "bf16": {}}
    for number in range(args.batches):
        batch = choose_task("slt").collate(processor, training_clips(language, recipe, recipe.steps + number))
        batch.pop("sample_ids")
        exact = gradients(model, batch, "fp64")
        for precision, cosines in lowest.items():
            for part, vector in gradients(model, batch, precision).items():
                cosine = float(cosine_similarity(vector, exact[part], dim=0))
                cosines[part] = min(cosine, cosines.get(part, 1.0))
    rounded = {name: {part: round(value, 5) for part, value in one.items()} for name, one in lowest.items()}
    print(json.dumps({**vars(args), "cosine_with_fp64": rounded, "torch": torch.__version__}, indent=2))


if __name__ == "__main__":
    main()
