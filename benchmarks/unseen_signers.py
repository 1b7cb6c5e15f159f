"""Letters by a signer whom no training saw: Nepali Sign Language, each of four signers by what the other three signed.

    python benchmarks/unseen_signers.py heads [--data ../shared/data] [--model checkpoints/sigma-wlasl-hands]
    python benchmarks/unseen_signers.py adapt [--clips 4 0] [--methods head lora] [--signers 1 2 3 4] [--seeds 0]
    python benchmarks/unseen_signers.py table

`heads` trains nothing but linear layers and takes two minutes:

- joints: logistic regression on the hands' joints in 12 frames, the sceptic's baseline;
- dictionary: what `sigma-slu dictionary` ships, on the model's vectors, which has seen American signs alone; and
  without telling variants of a sign apart;
- head: logistic regression on those vectors (the clip's vector, mean and deviation of its frames);
- head, other alphabets: the letters of 15 other alphabets as classes of their own, beside;
- dictionary and head: the sum of both, each in units of its own spread; one variant a sign.

`adapt` is `sigma-slu adapt` on so many clips a letter, or all of them: with its label layer alone, which is what it
chooses here, and with LoRA.

Of signers 1 and 2 each recording is there twice, the second time cropped; both copies are always on one side.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recorded_runs import mean_and_spread, read_runs, run_missing
from tabulate import tabulate
from torch import nn

from datasets_scripts.corpora import CORPORA
from modeling_sigma.inference.dictionary_clips import DictionaryClips
from modeling_sigma.inference.dictionary_entries import DictionaryEntry
from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.model.skeleton_layouts import HANDS_SLICE
from modeling_sigma.training.recipes.adapt import AdaptOptions, adapt


RESULTS = Path(__file__).parent / "results" / "unseen_signers"
METHODS = ("head", "lora")


def read_vectors(pipe: Any, name: str, config: str, data: Path) -> dict[str, np.ndarray]:
    """Of each clip: `labels`, `signers`, `joints` in 12 frames, and `vectors`."""
    with tempfile.TemporaryDirectory() as cache:
        builder = CORPORA[name](config_name=config, data_dir=data / name, cache_dir=cache)
        entries = builder.list_clips("train")
        clips = (builder.read_clip(entry) for entry in entries)
        values = np.stack([pipe.extractor(clip, return_tensors="np")["pose_values"][0] for clip in clips])
    moments = np.linspace(0, values.shape[1] - 1, 12).round().astype(int)
    return {
        "labels": np.array([entry.text for entry in entries]),
        "signers": np.array([str(entry.signer_id) for entry in entries]),
        "joints": values[:, moments, HANDS_SLICE, :2].reshape(len(values), -1),
        "vectors": encoded(pipe.model, values),
    }


@torch.no_grad()
def encoded(model: Any, values: np.ndarray) -> np.ndarray:
    """The vector of each clip, and the mean and deviation of its frames' states: (N, T, 69, 3) -> (N, 3 * D)."""
    rows = []
    for batch in torch.from_numpy(values.astype(np.float32)).split(64):
        found = model.get_pose_features(batch, torch.ones(batch.shape[:2], dtype=torch.long))
        states = found.last_hidden_state
        rows.append(torch.cat([found.pooler_output, states.mean(dim=1), states.std(dim=1)], dim=1).numpy())
    return np.concatenate(rows)


def logistic(known: np.ndarray, labels: np.ndarray, asked: np.ndarray, penalty: float) -> np.ndarray:
    """Log probabilities of labels 0, 1, ... for each of `asked`, by logistic regression on standardised numbers."""
    mean, deviation = known.mean(axis=0), known.std(axis=0) + 1e-3
    points, queries = (torch.from_numpy(((some - mean) / deviation).astype(np.float32)) for some in (known, asked))
    targets = torch.from_numpy(labels)
    layer = nn.Linear(points.shape[1], int(labels.max()) + 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(layer(points), targets) + penalty * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    with torch.no_grad():
        return layer(queries).log_softmax(dim=1).numpy()


def methods(
    letters: dict[str, np.ndarray], others: dict[str, np.ndarray], is_known: np.ndarray, args: argparse.Namespace
) -> Iterator[tuple[str, np.ndarray]]:
    """Each method's scores of all letters, in alphabetical order, for the clips that are not known."""
    names, numbers = np.unique(letters["labels"], return_inverse=True)
    known, vectors, asked = numbers[is_known], letters["vectors"][is_known], letters["vectors"][~is_known]
    yield "joints", logistic(letters["joints"][is_known], known, letters["joints"][~is_known], args.penalty)
    width = asked.shape[1] // 3
    entries = [DictionaryEntry(str(names[number]), str(row)) for row, number in enumerate(known)]
    taught = DictionaryClips(np.zeros((0, 0), np.float32), [])
    for vector, entry in zip(vectors[:, :width], entries):
        taught.append(vector, entry)
    for name, clips in (
        ("dictionary", taught),
        ("dictionary, one variant a sign", DictionaryClips(vectors[:, :width], entries)),
    ):
        signs, similarities = clips.searched.sign_similarities(asked[:, :width])
        dictionary = np.full((len(asked), len(names)), -2.0)  # letters that nobody taught
        dictionary[:, [names.tolist().index(label) for _, label in signs]] = similarities
        yield name, dictionary
    head = logistic(vectors, known, asked, args.penalty)
    yield "head", head
    _, places = np.unique(others["labels"], return_inverse=True)
    both, targets = np.concatenate([vectors, others["vectors"]]), np.concatenate([known, len(names) + places])
    yield "head, other alphabets", logistic(both, targets, asked, args.penalty)[:, : len(names)]
    yield "dictionary and head", dictionary / dictionary.std() + head / head.std()


def heads(args: argparse.Namespace) -> None:
    """Writes the ranks of the right letter, by method and signer."""
    if args.cache is not None and args.cache.exists():
        stored = np.load(args.cache)
        letters, others = (
            {key[8:]: stored[key] for key in stored if key.startswith(of)} for of in ("letters_", "foreign_")
        )
    else:
        pipe = load_pipeline(args.model, "sign-feature-extraction", "cpu")
        letters = read_vectors(pipe, "nsl_alphabet", "letters_new_signers", args.data)
        others = read_vectors(pipe, "fingerspelling", "all", args.data)
        if args.cache is not None:
            arrays = {**{f"letters_{key}": value for key, value in letters.items()},
                      **{f"foreign_{key}": value for key, value in others.items()}}  # fmt: skip
            np.savez(args.cache, **arrays)
    names, numbers = np.unique(letters["labels"], return_inverse=True)
    for signer in sorted(set(letters["signers"])):
        is_known = letters["signers"] != signer
        is_taught = np.isin(numbers[~is_known], numbers[is_known])
        ranks = {}
        for method, scores in methods(letters, others, is_known, args):
            own = np.take_along_axis(scores, numbers[~is_known, None], axis=1)
            ranks[method] = [int(rank) for rank in (scores >= own).sum(axis=1)[is_taught]]
        report = {"signer": signer, "penalty": args.penalty, "not_taught": int((~is_taught).sum()), "ranks": ranks}
        (args.results / f"heads-{signer}.json").write_text(json.dumps(report) + "\n", encoding="utf-8")


def run_adapt(method: str, signer: str, clips: int, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """One adapted model, tested on the signer whom it never saw."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        options = AdaptOptions(
            model=args.model, data=f"nsl_alphabet:letters_test{signer}", data_dir=str(args.data / "nsl_alphabet"),
            out=str(Path(folder) / "adapted"), task="islr", clips_per_text=clips or None, seed=seed,
            steps=args.steps, use_cpu=True, method=method,
        )  # fmt: skip
        test = adapt(options)["scores"]["test"]
    return {
        "method": method, "signer": signer, "clips_per_letter": clips, "seed": seed, "steps": args.steps,
        "top1": test["top1_per_instance"], "top5": test["top5_per_instance"],
        "seconds": round(time.monotonic() - started),
    }  # fmt: skip


def table(runs: list[dict[str, Any]]) -> str:
    """Top-1 / top-5 by method and signer, all four together, and the 95 % interval of top-1 over all clips."""
    reports = {run["signer"]: run["ranks"] for run in runs if "ranks" in run}
    lines = []
    for method in next(iter(reports.values()), {}):
        ranks = [np.array(reports[signer][method]) for signer in sorted(reports)]
        joined = np.concatenate(ranks)
        hits = np.random.default_rng(0).choice(joined <= 1, (2000, len(joined))).mean(axis=1)
        low, high = 100 * np.quantile(hits, (0.025, 0.975))
        cells = [f"{100 * (one <= 1).mean():.1f} / {100 * (one <= 5).mean():.1f}" for one in (*ranks, joined)]
        lines.append([method, *cells, f"[{low:.1f}, {high:.1f}]"])
    heading = ["", *(f"signer {signer} ({len(next(iter(reports[signer].values())))})" for signer in sorted(reports))]
    text = tabulate(lines, [*heading, "all", "top-1, 95 %"], tablefmt="github", disable_numparse=True)
    adapted = [run for run in runs if "top1" in run]
    rows = []
    for method, clips in sorted({(run["method"], run["clips_per_letter"]) for run in adapted}):
        own = [run for run in adapted if (run["method"], run["clips_per_letter"]) == (method, clips)]
        signers = {signer: [run for run in own if run["signer"] == signer] for signer in sorted(reports)}
        cells = [" / ".join(mean_and_spread([run[name] for run in runs]) if runs else "-" for name in ("top1", "top5"))
                 for runs in signers.values()]  # fmt: skip
        rows.append([method, clips or "all", len({run["seed"] for run in own}), *cells])
    heading = ["method", "clips a letter", "seeds", *(f"signer {signer}" for signer in sorted(reports))]
    return text + ("\n\n" + tabulate(rows, heading, tablefmt="github", disable_numparse=True) if rows else "")


def main() -> None:
    """Measures, or prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("heads", "adapt", "table"), nargs="?", default="table")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--model", default="checkpoints/sigma-wlasl-hands", help="model to start from")
    parser.add_argument("--penalty", type=float, default=1e-4, help="weight of the squared weights of a head")
    parser.add_argument("--cache", type=Path, help="file to keep the vectors in (.npz)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--signers", nargs="+", default=["1", "2", "3", "4"])
    parser.add_argument("--clips", nargs="+", type=int, default=[4], help="clips of a letter; 0 takes all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    if args.command == "heads":
        heads(args)
    if args.command == "adapt":
        runs = product(args.seeds, args.clips, args.signers, args.methods)
        jobs = {
            f"adapt-{a}-{s}-{clips}-{seed}": partial(run_adapt, a, s, clips, seed, args) for seed, clips, s, a in runs
        }
        run_missing(args.results, jobs)
    print(table(read_runs(args.results)))


if __name__ == "__main__":
    main()
