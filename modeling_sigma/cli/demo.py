"""`sigma-slu demo`: trains a small model on the synthetic sign language, saves it, loads it back and uses it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `demo`."""
    parser.add_argument(
        "--out", default="sigma-slu", metavar="DIR", help="folder to write the model to (default ./sigma-slu)"
    )
    parser.add_argument(
        "--steps", type=int, default=None, metavar="N", help="number of optimiser steps (default: the recipe's own)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of data, weights and order (default 0)")
    parser.add_argument("--threads", type=int, default=None, metavar="N", help="number of CPU threads (default: all)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON at the end")


def run(args: argparse.Namespace) -> int:
    """Runs the demo and returns 0."""
    import torch
    from transformers.utils import logging

    from datasets_scripts.synthetic import SyntheticSigns
    from modeling_sigma.hub.bundle import KEY_FILE, WEIGHT_FILES, save_bundle
    from modeling_sigma.jobs.atomic_folders import atomic_folder
    from modeling_sigma.registration import register_sigma
    from modeling_sigma.training.recipes.demo_progress import DemoProgress
    from modeling_sigma.training.recipes.synthetic_demo import (
        DemoRecipe,
        build_demo,
        evaluate_demo,
        train_demo,
    )

    register_sigma()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    steps = {} if args.steps is None else {"steps": args.steps, "isolated_steps": args.steps // 5}
    recipe = DemoRecipe(seed=args.seed, **steps)
    started = time.monotonic()
    language = SyntheticSigns(seed=0)
    out, said = Path(args.out), sys.stderr if args.json else sys.stdout
    first = language.sentence(0, split="train", seed=recipe.seed)
    moving = _save_moving_picture(out, first)
    print(f'A sentence of the language that it will learn, moving: {moving} ("{first.text}")', file=said, flush=True)
    model, processor = build_demo(language, recipe)
    size = sum(parameter.numel() for parameter in model.parameters())
    about = f"An invented sign language, {size / 1e6:.1f} million parameters, {torch.get_num_threads()} threads, "
    about += f"{recipe.precision}."
    print(about, file=said, flush=True)
    progress = DemoProgress(sys.stderr, language, recipe)
    with atomic_folder(out, KEY_FILE, WEIGHT_FILES) as folder:  # locked from the start: the work takes minutes
        train_demo(model, processor, language, recipe, progress)
        results: dict[str, Any] = evaluate_demo(model, processor, language, recipe, progress)
        save_bundle(model, processor, folder)
        samples = [language.sentence(1000 + index, split="test", seed=recipe.seed) for index in range(3)]
        results["translations"] = _translate_from_disk(folder, samples)
        picture = _save_strip(folder, samples[0])
        results["seconds"] = round(time.monotonic() - started, 1)
        _write_card(folder, model, results, recipe, torch.get_num_threads())
    if args.json:
        print(json.dumps(results, ensure_ascii=False, indent=2))
    else:
        _print_results(results, out, out / picture.name)
    return 0


def _translate_from_disk(folder: Path, samples: list[Any]) -> list[dict[str, str]]:
    from transformers import pipeline

    from modeling_sigma.model.pipeline_sigma import SignLanguageTranslationPipeline

    translator = pipeline(
        "sign-language-translation", model=str(folder), pipeline_class=SignLanguageTranslationPipeline, device="cpu"
    )
    outputs = translator([sample.clip for sample in samples], batch_size=len(samples), max_new_tokens=30)
    return [
        {"translation": output["text"], "reference": sample.text, "gloss": " ".join(sample.gloss)}
        for output, sample in zip(outputs, samples, strict=True)
    ]


def _save_moving_picture(out: Path, sample: Any) -> Path:
    """Something to look at while the model learns, beside its folder."""
    from modeling_sigma.viz.skeleton_animation import save_animation

    out.parent.mkdir(parents=True, exist_ok=True)
    return save_animation(out.with_name(f"{out.name}.gif"), sample.clip, height=240, captions=sample.text)


def _save_strip(folder: Path, sample: Any) -> Path:
    from modeling_sigma.io import save_clip
    from modeling_sigma.viz.skeleton_strip import draw_skeleton_strip

    picture = folder / "unseen_clip.png"
    draw_skeleton_strip(sample.clip, num_frames=8, title=sample.text, captions=None).save(picture)
    save_clip(folder / "unseen_clip.npz", sample.clip)
    return picture


def _write_card(folder: Path, model: Any, results: dict[str, Any], recipe: Any, num_threads: int) -> None:
    """Writes what `sigma-slu publish` asks for: facts, measured results, and the card made from them."""
    from dataclasses import asdict

    from modeling_sigma.hub.card_facts import FACTS_FILE
    from modeling_sigma.hub.model_card import build_card, write_results
    from modeling_sigma.training.recipes.demo_card import demo_facts, demo_measurements

    facts = demo_facts(
        f"`sigma-slu demo --seed {recipe.seed}`: {recipe.steps} optimiser steps from scratch; training and tests took "
        f"{results['seconds']:.0f} s on {num_threads} CPU threads."
    )
    measurements = demo_measurements(results, f"sigma-slu demo --seed {recipe.seed}")
    stated = {name: value for name, value in asdict(facts).items() if value is not None}
    (folder / FACTS_FILE).write_text(json.dumps(stated, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    write_results(folder, measurements)
    card = build_card(
        facts, measurements, config=model.config.to_dict(), num_parameters=sum(p.numel() for p in model.parameters())
    )
    (folder / "README.md").write_text(str(card).rstrip("\n") + "\n", encoding="utf-8")


def _print_results(results: dict[str, Any], out: Path, picture: Path) -> None:
    print("\nSigners unseen in training:")
    print(f"  sentences   BLEU-4 {results['bleu4']:5.1f}    without the clip {results['bleu4_text_only_prior']:5.1f}")
    accuracy, prior = results["isolated_accuracy"], results["isolated_text_only_prior"]
    print(f"  single signs  {accuracy:7.1%}    without the clip {prior:6.1%}")
    print(f"\nSaved to {out}, loaded back through pipeline(...):")
    for pair in results["translations"]:
        print(
            f"  signed      {pair['gloss']}\n  translated  {pair['translation']}\n  reference   {pair['reference']}\n"
        )
    print(f"A clip and its picture: {picture.with_suffix('.npz')}, {picture}")
    print(f"Try: sigma-slu predict --model {out} {picture.with_suffix('.npz')}")
    print(f"Took {results['seconds']:.0f} s.")
