"""What benchmarks of continuous signing share: a recipe trained on some splits, and its model's frame scores."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoFeatureExtractor

from datasets_scripts.schema import decode_clip
from modeling_sigma import SigmaForCTC
from modeling_sigma.training.arguments import DataArguments, ModelArguments, parse_arguments
from modeling_sigma.training.data.corpus_splits import with_joined_sentences
from modeling_sigma.training.recipes.finetune import finetune
from modeling_sigma.training.training_arguments import SigmaTrainingArguments


@dataclass(frozen=True)
class FrameScores:
    """What a trained model says of some clips.

    Args:
        logits (`list[np.ndarray]`): Of each clip `(T, num_labels)`, without padding.
        labels (`dict[int, str]`): Number -> gloss; 0 is the blank.
        seconds (`float`): How long training took.
    """

    logits: list[np.ndarray]
    labels: dict[int, str]
    seconds: float


def train_and_score(recipe: Path, splits: Mapping[str, Any], seed: int, changes: Sequence[str] = ()) -> FrameScores:
    """Trains a recipe on `splits["train"]`, and scores the frames of `splits["test"]`.

    Args:
        recipe (`Path`): A configuration of `examples/configs`.
        splits (`Mapping[str, datasets.Dataset]`): The clips, before sentences are joined.
        seed (`int`): The seed of training, and of the joined sentences.
        changes (`Sequence[str]`): Further options, as on the command line.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        argv = [str(recipe), "--output_dir", folder, "--seed", str(seed), "--do_predict", "false", *changes]
        model_args, data_args, args = parse_arguments((ModelArguments, DataArguments, SigmaTrainingArguments), argv)
        args.report_to = []
        train = splits["train"]
        if data_args.joined_sentences:
            train = with_joined_sentences(train, data_args, seed)
        finetune(model_args, data_args, args, splits={"train": train})
        seconds = time.monotonic() - started
        model, extractor = SigmaForCTC.from_pretrained(folder).eval(), AutoFeatureExtractor.from_pretrained(folder)
        logits = []
        for row in splits["test"]:
            inputs = extractor(decode_clip(row))
            with torch.no_grad():
                logits.append(model(**inputs).logits[0].numpy())
        return FrameScores(logits, model.config.id2label, seconds)
