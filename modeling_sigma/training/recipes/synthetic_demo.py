"""A small Sigma learns the synthetic sign language from scratch, on a CPU, in a few minutes.

One model learns both tasks, single signs first and then sentences. The corpus is made while training, so that no clip
is seen twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from sacrebleu.metrics import BLEU
from transformers import MT5Config

from datasets_scripts.synthetic import SyntheticSample, SyntheticSigns
from modeling_sigma.model.configuration_sigma import SigmaConfig
from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
from modeling_sigma.model.modeling_sigma_heads import SigmaForConditionalGeneration
from modeling_sigma.model.processing_sigma import PROMPT_TEMPLATE, SigmaProcessor
from modeling_sigma.training.data.clip_dataset import ClipSample
from modeling_sigma.training.data.word_tokenizer import word_tokenizer
from modeling_sigma.training.optimization.muon_adamw import one_cycle_muon
from modeling_sigma.training.run.streamed_training import train_on_stream
from modeling_sigma.training.task import choose_task


# Called with what is being done ("training"), the steps done, the steps in all, and the loss or None.
Progress = Callable[[str, int, int, float | None], None]
_LOG_SECONDS = 30.0


@dataclass(frozen=True)
class DemoRecipe:
    """Sizes and schedule of the demo. Lengths in frames, rates as shares.

    Args:
        steps (`int`): The number of optimiser steps.
        isolated_steps (`int`): The number of steps at the start that show only single signs.
        isolated_share (`float`): The share of the later steps that show single signs.
        batch_size (`int`): The number of sentences per step; steps of single signs have twice as many clips.
        learning_rate, matrix_learning_rate (`float`): The peak rates of [`one_cycle_muon`].
        label_smoothing (`float`): The label smoothing of the language-modelling loss.
        max_frames (`int`): The number of frames to which longer sentences are shortened.
        hidden_size, num_layers (`int`): The size of the text backbone's encoder and decoder.
        pose_size (`int`): The width of the pose encoder's widest layer.
        precision (`str`, *optional*): `"bf16"` (autocast) or `"fp32"`; by default what this machine's CPU does faster.
        seed (`int`): The seed of everything random.
    """

    steps: int = 400
    isolated_steps: int = 80
    isolated_share: float = 0.15
    batch_size: int = 24
    learning_rate: float = 2e-3
    matrix_learning_rate: float = 4e-3
    label_smoothing: float = 0.05
    max_frames: int = 56
    hidden_size: int = 128
    num_layers: int = 2
    pose_size: int = 48
    precision: Literal["bf16", "fp32"] | None = None
    seed: int = 0


def build_demo(language: SyntheticSigns, recipe: DemoRecipe) -> tuple[SigmaForConditionalGeneration, SigmaProcessor]:
    """A new model and a processor whose tokenizer knows the language's words."""
    texts = [language.sentence(index, split="train", seed=recipe.seed).text for index in range(1000)]
    texts += [language.isolated(index, split="train", seed=recipe.seed).text for index in range(300)]
    tokenizer = word_tokenizer([*texts, PROMPT_TEMPLATE.format(language="English")])
    processor = SigmaProcessor(SigmaFeatureExtractor(max_frames=recipe.max_frames), tokenizer)
    width = recipe.pose_size
    config = SigmaConfig(
        text_config=MT5Config(
            vocab_size=len(tokenizer),
            d_model=recipe.hidden_size,
            d_kv=recipe.hidden_size // 4,
            d_ff=2 * recipe.hidden_size,
            num_heads=4,
            num_layers=recipe.num_layers,
            dropout_rate=0.0,  # every clip is new: there is nothing to overfit
        ),
        pose_config={
            "joint_hidden_size": width // 3,
            "spatial_hidden_sizes": [width // 3, 2 * width // 3, width],
            "temporal_hidden_sizes": [width, width],
        },
        label_smoothing=recipe.label_smoothing,
        max_frames=recipe.max_frames,
    )
    torch.manual_seed(recipe.seed)
    return SigmaForConditionalGeneration(config), processor


def train_demo(
    model: SigmaForConditionalGeneration,
    processor: SigmaProcessor,
    language: SyntheticSigns,
    recipe: DemoRecipe,
    progress: Progress,
) -> list[float]:
    """Trains `model` in place; returns the loss of every step."""
    return train_on_stream(
        choose_task("slt"),
        model,
        processor,
        (training_clips(language, recipe, step) for step in range(recipe.steps)),
        one_cycle_muon(model, recipe.steps, recipe.learning_rate, recipe.matrix_learning_rate),
        recipe.steps,
        recipe.precision,
        lambda step, loss: progress("training", step, recipe.steps, loss),
    )


def training_clips(language: SyntheticSigns, recipe: DemoRecipe, step: int) -> list[ClipSample]:
    """The clips of one step, which no other step shows."""
    generator = np.random.default_rng([recipe.seed, step])
    is_isolated = step < recipe.isolated_steps or generator.random() < recipe.isolated_share
    make = language.isolated if is_isolated else language.sentence
    num_clips = recipe.batch_size * (2 if is_isolated else 1)
    first = step * 2 * recipe.batch_size
    samples = [make(first + offset, split="train", seed=recipe.seed) for offset in range(num_clips)]
    return [
        ClipSample(sample.clip, f"clip {first + offset}", sample.text, list(sample.gloss), "English", (), generator)
        for offset, sample in enumerate(samples)
    ]


def evaluate_demo(
    model: SigmaForConditionalGeneration,
    processor: SigmaProcessor,
    language: SyntheticSigns,
    recipe: DemoRecipe,
    progress: Progress,
    num_clips: int = 200,
) -> dict[str, float]:
    """BLEU-4 (0 to 100) of sentences and accuracy (0 to 1) of single signs, by signers that training never saw.

    The two priors are what can be scored without looking at a clip: with the best of 50 training sentences, and with
    the most frequent label.
    """
    sentences = [language.sentence(index, split="test", seed=recipe.seed) for index in range(num_clips)]
    isolated = [language.isolated(index, split="test", seed=recipe.seed) for index in range(num_clips)]
    translations = translate(model, processor, sentences, progress)
    labels = translate(model, processor, isolated, progress)
    references = [sample.text for sample in sentences]
    training = [language.sentence(index, split="train", seed=recipe.seed).text for index in range(50)]
    frequent = Counter(language.isolated(index, split="train", seed=recipe.seed).text for index in range(1000))
    best_label = frequent.most_common(1)[0][0]
    return {
        "bleu4": bleu4(translations, references),
        "bleu4_text_only_prior": max(bleu4([text] * num_clips, references) for text in sorted(set(training))),
        "isolated_accuracy": _share_equal(labels, isolated),
        "isolated_text_only_prior": _share_equal([best_label] * num_clips, isolated),
        "num_test_clips": float(num_clips),
    }


def translate(
    model: SigmaForConditionalGeneration,
    processor: SigmaProcessor,
    samples: Sequence[SyntheticSample],
    progress: Progress,
    batch_size: int = 50,
) -> list[str]:
    """Greedy translations of clips."""
    texts: list[str] = []
    for start in range(0, len(samples), batch_size):
        inputs: Any = processor(poses=[sample.clip for sample in samples[start : start + batch_size]])
        with torch.no_grad():
            tokens = model.generate(**inputs, num_beams=1, max_new_tokens=30)
        texts += [text.strip() for text in processor.batch_decode(tokens, skip_special_tokens=True)]
        progress("evaluating", len(texts), len(samples), None)
    return texts


def bleu4(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU-4, 0 to 100 (sacrebleu, 13a)."""
    return float(BLEU(tokenize="13a").corpus_score(list(predictions), [list(references)]).score)


def _share_equal(predictions: Sequence[str], samples: Sequence[SyntheticSample]) -> float:
    return float(np.mean([text == sample.text for text, sample in zip(predictions, samples, strict=True)]))


class PrintedProgress:
    """Progress on one line of a terminal; in a log, in a line for every tenth of the work and at least twice a minute.

    Args:
        stream: The file to write to, such as `sys.stderr`.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.started = time.monotonic()
        self.last_logged: tuple[str, int] | None = None
        self.last_time = 0.0
        self.note = ""  # after the time

    def __call__(self, what: str, done: int, total: int, loss: float | None) -> None:
        """Shows that `done` of `total` are done."""
        seconds = time.monotonic() - self.started
        text = (
            f"{what} {done}/{total}" + ("" if loss is None else f"  loss {loss:.3f}") + f"  {seconds:.0f} s{self.note}"
        )
        tenth = (what, done * 10 // total)
        if self.stream.isatty():
            self.stream.write("\r\x1b[K" + text + ("\n" if done == total else ""))
        elif done == total or tenth != self.last_logged or seconds - self.last_time >= _LOG_SECONDS:
            self.last_logged, self.last_time = tenth, seconds
            self.stream.write(text + "\n")
        self.stream.flush()
