"""Clips and their texts -> the tensors that a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from modeling_sigma.training.data.clip_dataset import ClipSample


class SigmaDataCollator:
    """Makes a batch of [`ClipSample`]s.

    Args:
        processor ([`SigmaProcessor`] or [`SigmaFeatureExtractor`]):
            The model's.
        task (`str`):
            `"pretrain"`, `"islr"`, `"cslr"` or `"slt"`: what the target is. Glosses for `"cslr"`, else the text.
        head (`str`, *optional*, defaults to `"generation"`):
            `"generation"`, `"classification"` or `"ctc"`: whether the target is tokens, a label or glosses by number.
        label2id (`Mapping[str, int]`, *optional*):
            Numbers of labels or glosses.
        language (`str`, *optional*):
            Of the prompt; by default each clip's own.

    Clips with a generator are augmented by it. `sample_ids` (`list[str]`) is part of the batch, for messages; our
    trainers take it out again.
    """

    def __init__(
        self,
        processor: Any,
        task: str,
        head: str = "generation",
        label2id: Mapping[str, int] | None = None,
        language: str | None = None,
    ) -> None:
        if head != "generation" and not label2id:
            raise ValueError(f"expected label2id for a head for {head}, received none")
        self.processor = processor
        self.task = task
        self.head = head
        self.label2id = dict(label2id or {})
        self.language = language
        self.reads_prompt = hasattr(processor, "tokenizer")

    def __call__(self, samples: Sequence[ClipSample]) -> dict[str, Any]:
        generators = [sample.generator for sample in samples]
        arguments: dict[str, Any] = {"poses": [sample.clip for sample in samples]}
        if any(generator is not None for generator in generators):
            arguments.update(training=True, generator=generators)
        targets = [target_of(sample, self.task) for sample in samples]
        if self.reads_prompt:
            arguments["language"] = [self.language or sample.spoken_language for sample in samples]
            if self.head == "generation":
                arguments["text"] = targets
        batch = dict(self.processor(**arguments))
        if self.head == "classification":
            batch["labels"] = torch.tensor([self._number(target, sample) for target, sample in zip(targets, samples)])
        elif self.head == "ctc":
            rows = [[self._number(gloss, sample) for gloss in sample.gloss] for sample in samples]
            batch["labels"] = torch.full((len(rows), max(map(len, rows))), -100)
            for row, numbers in enumerate(rows):
                batch["labels"][row, : len(numbers)] = torch.tensor(numbers)
        elif self.task != "pretrain":
            # Models that write need the text as labels alone.
            batch = {name: value for name, value in batch.items() if not name.startswith("text_")}
        batch["sample_ids"] = [sample.sample_id for sample in samples]
        return batch

    def _number(self, target: str, sample: ClipSample) -> int:
        if target not in self.label2id:
            raise ValueError(
                f"sample {sample.sample_id}: expected one of the model's {len(self.label2id)} labels, received "
                f"{target!r}: train on clips of it too, leave the clip out, or use --head generation"
            )
        return self.label2id[target]


def target_of(sample: ClipSample | Mapping[str, Any], task: str) -> str:
    """What a model is to write about a clip (or a row of a corpus).

    Raises:
        ValueError: for a clip without it.
    """
    row = sample if isinstance(sample, Mapping) else vars(sample)
    target = " ".join(row["gloss"]) if task == "cslr" else row["text"]
    if not target.strip():
        missing = "glosses" if task == "cslr" else "text"
        raise ValueError(f"sample {row['sample_id']}: expected {missing} for {task}, it has none: leave the clip out")
    return str(target)


def targets_of(rows: Any, task: str) -> list[str]:
    """What a model is to write about each clip of a split, in the split's order: what predictions are compared with.

    Each is one line, as in the files that `sigma-slu evaluate` reads.
    """
    return [" ".join(target_of(row, task).split()) for row in text_rows(rows)]


def text_rows(rows: Any) -> Any:
    """A split without its keypoints: quick to read through."""
    return rows.select_columns(["sample_id", "text", "gloss", "spoken_language"])
