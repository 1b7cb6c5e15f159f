"""Does pre-training learn what it should, and which of its parts matter? On the synthetic sign language.

    python benchmarks/pretraining_ablation.py run --variants full no_local --seeds 0 1 2   # one JSON file per run
    python benchmarks/pretraining_ablation.py table                                        # all runs as a table

A run pre-trains one variant from scratch on pairs of clip and sentence, measures it on signers and sentences that
training never saw, and fine-tunes it for translation on few labelled clips. `scratch` is the same fine-tuning without
pre-training. Runs that exist are left out, so that several processes can share the work (`--threads 1` each).

Measured, on 200 test sentences of unseen signers:

- matching: is this the sentence of this clip? Balanced accuracy on true pairs and wrong ones. Hard negatives are the
  sentences of the batch of 32 that share most words with the true one, the same for every model, and random ones;
- retrieval: R@1 in percent among the 200 clips and sentences, both ways, by the global, local and combined similarity;
- alignment: share of content words whose best frame lies within the true frames of their sign (and what a frame drawn
  at random would reach);
- BLEU-4 of greedy translations: straight after pre-training; after fine-tuning on labelled clips whose sentences
  pre-training has not read, on a quarter of them, and on as many clips of another invented language.

`lm_only` has none of the paper's other objectives, `no_global_matching` the local alignment alone beside language
modelling; `..._longer` train for as many more steps as the full objective costs time. So does `scratch_longer`, plain
training on the labels alone. `two_streams` and `lm_only_two_streams` have a kinematic stream beside the graphs.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recorded_runs import mean_and_spread, read_runs, run_missing
from tabulate import tabulate
from transformers import MT5Config
from transformers.utils import logging


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets_scripts.synthetic import SyntheticSample, SyntheticSigns  # noqa: E402
from modeling_sigma import SigmaConfig, SigmaForConditionalGeneration, SigmaForPreTraining, SigmaModel  # noqa: E402
from modeling_sigma.metrics import retrieval_scores, translation_scores  # noqa: E402
from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor  # noqa: E402
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS  # noqa: E402
from modeling_sigma.model.pose_transforms import even_frame_indices  # noqa: E402
from modeling_sigma.model.processing_sigma import PROMPT_TEMPLATE, SigmaProcessor  # noqa: E402
from modeling_sigma.training.data.word_tokenizer import word_tokenizer  # noqa: E402
from modeling_sigma.training.optimization.muon_adamw import one_cycle_muon  # noqa: E402
from modeling_sigma.training.run.streamed_training import train_on_stream  # noqa: E402
from modeling_sigma.training.task import Task  # noqa: E402


LM_ONLY = {"use_global_alignment": False, "use_local_alignment": False, "use_matching": False}
NO_GLOBAL_MATCHING = {"use_global_alignment": False, "use_matching": False}
VARIANTS: dict[str, dict[str, Any] | None] = {
    "full": {},
    "no_fusion": {"fusion_layers": 0},
    "no_local": {"use_local_alignment": False},
    "no_global": {"use_global_alignment": False},
    "no_matching": {"use_matching": False},
    "no_lm": {"use_language_modelling": False},
    "no_global_matching": NO_GLOBAL_MATCHING,
    "no_global_matching_longer": NO_GLOBAL_MATCHING,
    "lm_only": LM_ONLY,
    "lm_only_longer": LM_ONLY,
    "score_temperature": {"local_score_temperature": 0.1},
    "no_temperature": {"local_temperature": None},
    "two_streams": {},
    "lm_only_two_streams": LM_ONLY,
    "fused": {"alignment_source": "fused", "lm_source": "fused"},
    "scratch": None,
    "scratch_longer": None,
}
TWO_STREAMS = {"kinematic_hidden_size": 72, "kinematic_layers": 3}
OTHER_LANGUAGE = 1  # seed of its signs and signers
RESULTS = Path(__file__).parent / "results" / "pretraining_objectives"
MEASURED = {  # key of a run's results -> (heading, digits)
    "matching_hard": ("matching, hard", 1),
    "matching_random": ("matching, random", 1),
    "r1_pose_to_text": ("R@1 to text", 1),
    "r1_text_to_pose": ("R@1 to clip", 1),
    "r1_pose_to_text_local": ("local", 1),
    "r1_pose_to_text_combined": ("combined", 1),
    "alignment_accuracy": ("words in sign", 1),
    "bleu4_pretrained": ("BLEU-4 before", 1),
    "bleu4_finetuned": ("fine-tuned", 1),
    "bleu4_quarter": ("a quarter", 1),
    "bleu4_other_language": ("other language", 1),
}


# What a full step costs, in steps of language modelling alone (CPU time on one core, median of 8).
LONGER = 1.33
FINETUNING_BATCH = 24


@dataclass(frozen=True)
class Recipe:
    """Sizes and schedules; the same for all variants."""

    num_pairs: int = 4000
    steps: int = 280
    isolated_steps: int = 70  # single signs first, as for the demo
    batch_size: int = 32
    learning_rate: float = 3e-3
    num_labelled: int = 200
    finetuning_steps: int = 100
    finetuning_learning_rate: float = 1e-3
    max_frames: int = 44
    hidden_size: int = 96
    num_layers: int = 2
    fusion_layers: int = 1
    pose_size: int = 36
    local_temperature: float | None = 0.05  # the paper has none: see the variant `no_temperature`
    num_test: int = 200
    longer: float = LONGER


class Corpus:
    """Clips of one split as model inputs, made once."""

    def __init__(self, processor: SigmaProcessor, samples: Iterator[SyntheticSample], keep: bool = False) -> None:
        self.processor = processor
        self.values: list[np.ndarray] = []
        self.texts: list[str] = []
        self.samples: list[SyntheticSample] = []
        for sample in samples:
            features = processor.feature_extractor(sample.clip, return_tensors="np")
            self.values.append(features["pose_values"][0].astype(np.float16))
            self.texts.append(sample.text)
            if keep:
                self.samples.append(sample)
        self.prompt = processor(poses=np.zeros((1, 69, 3), np.float32))

    def batch(self, indices: np.ndarray, with_text: bool = True) -> dict[str, torch.Tensor]:
        """Padded inputs of some pairs."""
        clips = [torch.from_numpy(self.values[index].astype(np.float32)) for index in indices]
        inputs = {
            "pose_values": torch.nn.utils.rnn.pad_sequence(clips, batch_first=True),
            "pose_attention_mask": torch.nn.utils.rnn.pad_sequence(
                [torch.ones(len(clip), dtype=torch.long) for clip in clips], batch_first=True
            ),
        }
        for name in ("prompt_input_ids", "prompt_attention_mask"):
            inputs[name] = self.prompt[name].expand(len(clips), -1)
        return {**inputs, **self.processor(text=[self.texts[index] for index in indices])} if with_text else inputs

    def batches(self, size: int) -> Iterator[np.ndarray]:
        """All indices in order."""
        return (np.arange(start, min(start + size, len(self.texts))) for start in range(0, len(self.texts), size))


def build_processor(languages: list[SyntheticSigns], recipe: Recipe) -> SigmaProcessor:
    """Words of training sentences and of the prompt."""
    texts = [sample.text for language in languages for sample in language.generate_sentences(1000)]
    texts += [sample.text for language in languages for sample in language.generate_isolated(100)]
    tokenizer = word_tokenizer([*texts, PROMPT_TEMPLATE.format(language="English")])
    return SigmaProcessor(SigmaFeatureExtractor(max_frames=recipe.max_frames), tokenizer)


@lru_cache(maxsize=1)
def training_corpora(
    language: SyntheticSigns, processor: SigmaProcessor, recipe: Recipe, seed: int
) -> tuple[Corpus, Corpus]:
    """Single signs and sentences of the training split, kept for the next variant with the same seed."""
    isolated = language.generate_isolated(recipe.isolated_steps * recipe.batch_size, seed=seed)
    sentences = language.generate_sentences(recipe.num_pairs, seed=seed)
    return Corpus(processor, isolated), Corpus(processor, sentences)


def build_config(processor: SigmaProcessor, recipe: Recipe, variant: str) -> SigmaConfig:
    """A small Sigma."""
    width = recipe.pose_size
    fields: dict[str, Any] = {
        "fusion_layers": recipe.fusion_layers,
        "local_temperature": recipe.local_temperature,
        "label_smoothing": 0.05,
        "max_frames": recipe.max_frames,
    }
    return SigmaConfig(
        text_config=MT5Config(
            vocab_size=len(processor.tokenizer), d_model=recipe.hidden_size, d_kv=recipe.hidden_size // 4,
            d_ff=2 * recipe.hidden_size, num_heads=4, num_layers=recipe.num_layers, dropout_rate=0.0,
        ),
        pose_config={
            "joint_hidden_size": width // 3,
            "spatial_hidden_sizes": [width // 3, 2 * width // 3, width],
            "temporal_hidden_sizes": [width, width],
            **(TWO_STREAMS if variant.endswith("two_streams") else {}),
        },
        **{**fields, **(VARIANTS[variant] or {})},
    )  # fmt: skip


class ReadyBatches(Task):
    """A task whose batches are made already."""

    def collate(self, processor: Any, samples: Any) -> dict[str, Any]:
        return dict(samples)


def train(
    model: torch.nn.Module,
    stages: list[tuple[Corpus, int]],
    batch_size: int,
    learning_rate: float,
    seed: int,
    columns: tuple[str, ...],
) -> list[float]:
    """One one-cycle schedule over stages of (corpus, steps); returns the losses."""
    total = sum(steps for _, steps in stages)
    losses, started = [], time.monotonic()

    def batches() -> Iterator[dict[str, torch.Tensor]]:
        generator = np.random.default_rng(seed)
        for corpus, steps in stages:
            order = np.empty(0, np.int64)
            for _ in range(steps):
                if len(order) < batch_size:
                    order = generator.permutation(len(corpus.texts))
                inputs, order = corpus.batch(order[:batch_size]), order[batch_size:]
                yield {name: value for name, value in inputs.items() if name in columns}

    def report(step: int, loss: float) -> None:
        losses.append(loss)
        if step % 50 == 0:
            text = f"  step {step}/{total}  loss {np.mean(losses[-50:]):.3f}"
            print(f"{text}  {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)

    task = ReadyBatches("pretrain", MODEL_KINDS[type(model).__name__])
    optimizers = one_cycle_muon(model, total, learning_rate, 1.5 * learning_rate)
    return train_on_stream(task, model, stages[0][0].processor, batches(), optimizers, total, on_step=report)


PAIR_COLUMNS = (
    "pose_values", "pose_attention_mask", "prompt_input_ids", "prompt_attention_mask",
    "text_input_ids", "text_attention_mask", "text_word_ids",
)  # fmt: skip
WRITER_COLUMNS = (*PAIR_COLUMNS[:4], "labels")


def most_alike(texts: list[str]) -> list[int]:
    """For each sentence the other one that shares most of its words."""
    words = [set(text.split()) for text in texts]

    def likeness(row: int, other: int) -> float:
        return -1.0 if texts[row] == texts[other] else len(words[row] & words[other]) / len(words[row] | words[other])

    return [max(range(len(texts)), key=partial(likeness, row)) for row in range(len(texts))]


@torch.no_grad()
def measure_matching(model: SigmaForPreTraining, corpus: Corpus) -> dict[str, float]:
    """Balanced accuracy on true pairs and on wrong ones: the most alike of a batch of 32, and the next clip's."""
    if not model.config.use_matching:
        return {}
    lower = len(model.encoder.block) - model.config.fusion_layers
    right: dict[str, list[bool]] = {"true": [], "hard": [], "random": []}
    for indices in corpus.batches(32):
        inputs = corpus.batch(indices)
        names = [corpus.texts[index] for index in indices]
        rows = list(range(len(names)))
        for kind, partners in (("true", rows), ("hard", most_alike(names)), ("random", [*rows[1:], 0])):
            poses = model.start_pose_pass(*(inputs[name] for name in PAIR_COLUMNS[:4]))
            texts = model.start_text_pass(*(inputs[name][partners] for name in PAIR_COLUMNS[4:6]))
            states = model.fusion(poses.run(0, lower), texts.run(0, lower))
            read = model.matching_encoder(states[1], texts.attention_mask, states[0], poses.attention_mask)
            answers = model.matching_head(read[:, 0]).argmax(dim=1).tolist()
            right[kind] += [
                answer == (kind == "true")
                for answer, row, partner in zip(answers, rows, partners, strict=True)
                if kind == "true" or names[row] != names[partner]
            ]
    return {
        f"matching_{kind}": 50 * float(np.mean(right["true"]) + np.mean(right[kind])) for kind in ("hard", "random")
    }


@torch.no_grad()
def measure_space(model: SigmaModel, corpus: Corpus, max_frames: int) -> dict[str, float]:
    """Retrieval and word-frame alignment."""
    columns = corpus.batch(np.arange(len(corpus.texts)))
    inputs = {name: columns[name] for name in PAIR_COLUMNS}
    out = model(**inputs, output_alignment=True)
    results = {}
    for suffix in ("", "_local", "_combined"):
        similarity = model(**inputs, similarity=suffix[1:] or "global").logits_per_pose
        scores = retrieval_scores(similarity.float().numpy(), corpus.texts)
        for way in ("pose_to_text", "text_to_pose"):
            results[f"r1_{way}{suffix}"] = scores[f"{way}_r1"]
    hits, chance = [], []
    for row, sample in enumerate(corpus.samples):
        frames = even_frame_indices(len(sample.clip), max_frames)
        best = out.alignment[row, :, : len(frames)].argmax(dim=1)
        for word, gloss in enumerate(sample.text_alignment):
            if gloss is not None:
                first, after = sample.sign_spans[gloss]
                hits.append(first <= frames[best[word]] < after)
                chance.append(np.mean((first <= frames) & (frames < after)))
    return {
        **results,
        "alignment_accuracy": 100 * float(np.mean(hits)),
        "alignment_chance": 100 * float(np.mean(chance)),
    }


@torch.no_grad()
def measure_translation(model: SigmaForConditionalGeneration, corpus: Corpus) -> float:
    """BLEU-4 of greedy translations."""
    texts: list[str] = []
    for indices in corpus.batches(50):
        tokens = model.generate(**corpus.batch(indices, with_text=False), num_beams=1, max_new_tokens=30)
        texts += corpus.processor.batch_decode(tokens, skip_special_tokens=True)
    return float(translation_scores([text.strip() for text in texts], corpus.texts)["bleu4"])


def run(
    variant: str, seed: int, recipe: Recipe, language: SyntheticSigns, processor: SigmaProcessor, split: str
) -> dict[str, Any]:
    """One variant with one seed, from nothing to its measurements."""
    print(f"{variant}, seed {seed}", file=sys.stderr, flush=True)
    config = build_config(processor, recipe, variant)
    started = time.monotonic()
    other = SyntheticSigns(seed=OTHER_LANGUAGE)
    test = Corpus(processor, language.generate_sentences(recipe.num_test, split=split), keep=True)
    other_test = Corpus(processor, other.generate_sentences(recipe.num_test, split=split))
    isolated, pairs = training_corpora(language, processor, recipe, seed)
    read = set(pairs.texts)
    unread = (sample for sample in language.generate_sentences(10**6, seed=1000 + seed) if sample.text not in read)
    labelled = list(islice(unread, recipe.num_labelled))
    adaptations = {  # key -> what is fine-tuned on and tested on
        "bleu4_finetuned": (Corpus(processor, iter(labelled)), test),
        "bleu4_quarter": (Corpus(processor, iter(labelled[: recipe.num_labelled // 4])), test),
        "bleu4_other_language": (
            Corpus(processor, other.generate_sentences(recipe.num_labelled, seed=1000 + seed)), other_test,
        ),
    }  # fmt: skip
    results: dict[str, Any] = {"variant": variant, "seed": seed, "split": split, "recipe": asdict(recipe)}
    torch.manual_seed(seed)
    if variant.startswith("scratch"):
        writer = SigmaForConditionalGeneration(config)
    else:
        model = SigmaForPreTraining(config)
        steps = round(recipe.steps * recipe.longer if variant.endswith("_longer") else recipe.steps)
        stages = [(isolated, recipe.isolated_steps), (pairs, steps - recipe.isolated_steps)]
        results["data_seconds"] = round(time.monotonic() - started)
        losses = train(model, stages, recipe.batch_size, recipe.learning_rate, seed, PAIR_COLUMNS + ("labels",))
        results["pretraining_loss"] = float(np.mean(losses[-50:]))
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            results.update(measure_matching(model.eval(), test))
            results.update(measure_space(SigmaModel.from_pretrained(folder), test, recipe.max_frames))
            writer = SigmaForConditionalGeneration.from_pretrained(folder)
        if config.use_language_modelling:
            results["bleu4_pretrained"] = measure_translation(writer, test)
    results["pretraining_seconds"] = round(time.monotonic() - started)
    start = {name: tensor.clone() for name, tensor in writer.state_dict().items()}
    steps = recipe.finetuning_steps
    if variant == "scratch_longer":
        # As many clips as the full objective costs: a step of language modelling is a step of fine-tuning.
        steps += round(recipe.steps * recipe.longer * recipe.batch_size / FINETUNING_BATCH)
        adaptations = {"bleu4_finetuned": adaptations["bleu4_finetuned"]}
    for key, (few, unseen) in adaptations.items():
        writer.load_state_dict(start)
        train(writer, [(few, steps)], FINETUNING_BATCH, recipe.finetuning_learning_rate, seed, WRITER_COLUMNS)
        results[key] = measure_translation(writer.eval(), unseen)
    results["seconds"] = round(time.monotonic() - started)
    results.update(threads=torch.get_num_threads(), torch=torch.__version__, machine=platform.machine())
    print(json.dumps({name: value for name, value in results.items() if name != "recipe"}), flush=True)
    return results


def table(results: list[dict[str, Any]]) -> str:
    """Mean and standard deviation over seeds, one line per variant."""
    headings = ["variant", "seeds", *(heading for heading, _ in MEASURED.values())]
    rows = []
    for variant in VARIANTS:
        runs = [result for result in results if result["variant"] == variant]
        if not runs:
            continue
        cells = []
        for key, (_, digits) in MEASURED.items():
            values = [result[key] for result in runs if key in result]
            cells.append(mean_and_spread(values, digits) if values else "-")
        rows.append([variant, len(runs), *cells])
    return tabulate(rows, headings, tablefmt="github", disable_numparse=True)


def main() -> None:
    """Runs what is missing, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"), nargs="?", default="table")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--split", choices=("validation", "test"), default="test", help="validation is for tuning")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of one JSON file per run")
    for name, value in asdict(Recipe()).items():
        kind = float if value is None else type(value)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=value)
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    if args.command == "run":
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        if args.threads:
            torch.set_num_threads(args.threads)
        recipe = Recipe(**{name: getattr(args, name) for name in asdict(Recipe())})
        language = SyntheticSigns()
        processor = build_processor([language, SyntheticSigns(seed=OTHER_LANGUAGE)], recipe)
        # Seeds outside: the variants of one seed share their clips.
        jobs = {
            f"{variant}-{seed}": partial(run, variant, seed, recipe, language, processor, args.split)
            for seed in args.seeds
            for variant in args.variants
        }
        run_missing(args.results, jobs)
    print(table(read_runs(args.results)))


if __name__ == "__main__":
    main()
