"""What a run learns, and how it is judged: one object that knows all that follows from a task and a head.

A task owns its target (the text, the glosses or a label), its model class and trainer, the batches that both read, the
scores that judge it, and the format in which predictions are written. Recipes, the demo and the benchmarks use it.

Not here: which classes of models exist (`model_kinds_sigma.py`), how a model trains (`trainers.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modeling_sigma.inference.model_config import load_model_config
from modeling_sigma.jobs.atomic_files import write_text
from modeling_sigma.metrics.recognition import word_error_rates
from modeling_sigma.metrics.retrieval import retrieval_scores
from modeling_sigma.metrics.segmentation import Span, segmentation_scores
from modeling_sigma.metrics.text_normalization import get_preset
from modeling_sigma.metrics.trainer_metrics import build_compute_metrics, decode_token_ids
from modeling_sigma.model.ctc_sigma import build_gloss_labels
from modeling_sigma.model.label_trie_sigma import LabelTrie
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS, ModelKind, kind_with_head
from modeling_sigma.model.sign_boundaries_sigma import TAGS, signs_in, tag_frames
from modeling_sigma.registration import register_sigma
from modeling_sigma.training.data.clip_dataset import ClipDataset
from modeling_sigma.training.data.recording_windows import RecordingWindows
from modeling_sigma.training.data.streamed_clips import StreamedClips, StreamedCorpus
from modeling_sigma.training.label_trainer import SigmaLabelTrainer
from modeling_sigma.training.trainers import SigmaCTCTrainer, SigmaPreTrainer, SigmaSeq2SeqTrainer, SigmaTrainer


logger = logging.getLogger(__name__)

TEXT_TASKS = ("islr", "cslr", "slt")
BLANK_ID = 0  # of the glosses that `build_gloss_labels` numbers


class Task:
    """What all tasks have in common.

    Args:
        name (`str`):
            `"islr"`, `"cslr"`, `"slt"`, `"segmentation"` or `"pretrain"`. Glosses are the target of `"cslr"`, their
            times that of `"segmentation"`, texts that of the others.
        kind ([`ModelKind`]):
            The class of models that is trained.
        language (`str`, *optional*):
            The spoken language of the prompt; by default each clip's own.
        preset (`str`, *optional*, defaults to `"none"`):
            How texts are normalised before they are scored.
        constrain_labels (`bool`, *optional*, defaults to `False`):
            In evaluation, write only targets of the training split (isolated signs).

    Raises:
        ValueError: for an unknown preset.

    Attributes:
        labels (`list[str]`, *optional*):
            Names of the labels in the order of their numbers, for heads that choose a label; see `number_labels`.
    """

    trainer_class: Any = SigmaTrainer

    def __init__(
        self,
        name: str,
        kind: ModelKind,
        language: str | None = None,
        preset: str = "none",
        constrain_labels: bool = False,
    ) -> None:
        if name in TEXT_TASKS:
            get_preset(preset, name)
        self.name = name
        self.kind = kind
        self.language = language
        self.preset = preset
        self.constrain_labels = constrain_labels
        self.labels: list[str] | None = None
        self._label_numbers: dict[str, int] = {}

    # --- targets

    def target(self, clip: Any) -> str:
        """The text or glosses that a model learns to write for a clip.

        Args:
            clip ([`ClipSample`] or `Mapping`):
                A clip, or its row in a corpus.

        Raises:
            ValueError: for a clip without a target.
        """
        row = clip if isinstance(clip, Mapping) else vars(clip)
        target = " ".join(row["gloss"]) if self.name == "cslr" else row["text"]
        if not target.strip():
            missing = "glosses" if self.name == "cslr" else "text"
            raise ValueError(
                f"sample {row['sample_id']}: expected {missing} for {self.name}, it has none: leave the clip out"
            )
        return str(target)

    def targets(self, rows: Any) -> list[str]:
        """The target of each clip of a split."""
        return [self.target(row) for row in text_rows(rows)]

    def references(self, rows: Any) -> list[str]:
        """The target of each clip of a split on one line, as in the files that `sigma-slu evaluate` reads."""
        return [" ".join(target.split()) for target in self.targets(rows)]

    def prompt_languages(self, rows: Any) -> list[str]:
        """The spoken languages that the prompts of these clips name."""
        return [self.language] if self.language else list(rows.unique("spoken_language"))

    def number_labels(self, splits: Mapping[str, Any]) -> None:
        """Numbers the labels of all splits, if the head chooses among labels.

        Labels without a training clip are numbered too, with a warning: clips of them count as mistakes, and are not
        left out of the score.
        """
        if not self.kind.has_labels:
            return
        rows = {name: list(text_rows(clips)) for name, clips in splits.items()}
        trained = set(self._labels_in(rows["train"]))
        self.set_labels(self._labels_in(row for clips in rows.values() for row in clips))
        unseen = [label for label in self._label_numbers if label not in trained]
        if unseen:
            logger.warning(
                "%d of %d labels have no training clip, first %r: the model cannot learn them, and clips of them "
                "count as mistakes",
                len(unseen),
                len(self._label_numbers),
                unseen[0],
            )

    def set_labels(self, labels: Iterable[str]) -> None:
        """Sets the labels, given in the order of their numbers."""
        self.labels = list(labels)
        self._label_numbers = {label: number for number, label in enumerate(self.labels)}

    def _labels_in(self, rows: Iterable[Any]) -> list[str]:
        return sorted({self.target(row) for row in rows})

    def _number(self, label: str, sample: Any) -> int:
        if label not in self._label_numbers:
            raise ValueError(
                f"sample {sample.sample_id}: expected one of the model's {len(self._label_numbers)} labels, received "
                f"{label!r}: train on clips of it too, leave the clip out, or use --head generation"
            )
        return self._label_numbers[label]

    # --- batches

    def dataset(self, rows: Any, seed: int, extractor: Any, is_training: bool) -> ClipDataset | StreamedClips:
        """What trainers read of a split: by default one sample per clip."""
        return StreamedClips(rows, seed=seed) if isinstance(rows, StreamedCorpus) else ClipDataset(rows, seed=seed)

    def collate(self, processor: Any, samples: Sequence[Any]) -> dict[str, Any]:
        """Makes a batch of clips.

        Args:
            processor ([`SigmaProcessor`] or [`SigmaFeatureExtractor`]):
                The model's processor, or its feature extractor if it has no tokenizer.
            samples (`Sequence[ClipSample]`):
                The clips. Those with a generator are augmented with it.

        Returns:
            `dict`: the tensors that the model reads, and `sample_ids` (`list[str]`), which trainers remove and name in
            messages.
        """
        generators = [sample.generator for sample in samples]
        arguments: dict[str, Any] = {"poses": [sample.clip for sample in samples]}
        if any(generator is not None for generator in generators):
            arguments.update(training=True, generator=generators)
        if hasattr(processor, "tokenizer"):
            arguments["language"] = [self.language or sample.spoken_language for sample in samples]
            if not self.kind.has_labels:
                arguments["text"] = [self.target(sample) for sample in samples]
        batch = self._with_targets(dict(processor(**arguments)), samples)
        return {**batch, "sample_ids": [sample.sample_id for sample in samples]}

    def _with_targets(self, batch: dict[str, Any], samples: Sequence[Any]) -> dict[str, Any]:
        return batch

    # --- training and scores

    @property
    def best_metric(self) -> tuple[str, bool]:
        """The metric on the validation split that chooses the best checkpoint, and whether higher is better."""
        return {
            "pretrain": ("loss", False),
            "islr": ("top1_per_instance", True),
            "cslr": ("wer", False),
            "slt": ("bleu4", True),
        }[self.name]

    def scores(self, evaluation: Any, processor: Any) -> dict[str, float]:
        """The scores of an `EvalPrediction` against its `references`, the texts of the clips. Label ids would not do:
        they are truncated at `max_text_length`, and lack what the tokenizer does not know."""
        tokenizer = getattr(processor, "tokenizer", None)
        return build_compute_metrics(tokenizer, self.name, self.preset, label_names=self.labels)(evaluation)

    def texts(self, predictions: NDArray[Any], processor: Any) -> list[str] | None:
        """A trainer's predictions as texts, one per clip; None for a task that writes no text."""
        return None

    def write_predictions(self, predictions: Any, rows: Any, processor: Any, folder: Path, split: str) -> None:
        """Writes `predictions_SPLIT.txt` and `references_SPLIT.txt`, one line per clip, for `sigma-slu evaluate`."""
        texts = self.texts(predictions, processor)
        if texts is None:
            return
        for name, lines in (("predictions", texts), ("references", self.references(rows))):
            content = "".join(" ".join(line.split()) + "\n" for line in lines)
            write_text(folder / f"{name}_{split}.txt", content)


class WritingTask(Task):
    """A task for generative models: the target is a sequence of tokens."""

    trainer_class = SigmaSeq2SeqTrainer

    def _with_targets(self, batch: dict[str, Any], samples: Sequence[Any]) -> dict[str, Any]:
        # Generative models need the text only as labels.
        return {name: value for name, value in batch.items() if not name.startswith("text_")}

    def generation_options(self, processor: Any, rows: Any) -> dict[str, Any]:
        """Further arguments for `generate` in evaluation: with `constrain_labels`, only labels of the training split.

        Warns about characters that the tokenizer cannot write: no model can learn them.

        Args:
            processor ([`SigmaProcessor`]):
                The model's processor.
            rows (`datasets.Dataset`):
                The training split.
        """
        texts, tokenizer = sorted(set(self.targets(rows))), processor.tokenizer
        unknown = [text for text in texts if tokenizer.unk_token_id in tokenizer(text, verbose=False)["input_ids"]]
        if unknown:
            logger.warning(
                "the tokenizer cannot write %d of %d texts in full, first %r: use a text model that knows the "
                "language, or a head with labels (--head classification, --head ctc)",
                len(unknown),
                len(texts),
                unknown[0],
            )
        if self.name != "islr" or not self.constrain_labels:
            return {}
        return {"prefix_allowed_tokens_fn": LabelTrie.from_labels(texts, tokenizer)}

    def texts(self, predictions: NDArray[Any], processor: Any) -> list[str]:
        return decode_token_ids(predictions, processor)


class LabelTask(Task):
    """A task for heads that give one score per label."""

    trainer_class = SigmaLabelTrainer

    def _with_targets(self, batch: dict[str, Any], samples: Sequence[Any]) -> dict[str, Any]:
        batch["labels"] = torch.tensor([self._number(self.target(sample), sample) for sample in samples])
        return batch

    def texts(self, predictions: NDArray[Any], processor: Any) -> list[str]:
        return [(self.labels or [])[number] for number in predictions.argmax(axis=-1)]


class CTCTask(Task):
    """A task for CTC heads, which recognise glosses; predictions are the best path of every clip."""

    trainer_class = SigmaCTCTrainer

    def _labels_in(self, rows: Iterable[Any]) -> list[str]:
        return list(build_gloss_labels(row["gloss"] for row in rows).values())

    def _with_targets(self, batch: dict[str, Any], samples: Sequence[Any]) -> dict[str, Any]:
        for sample in samples:
            self.target(sample)  # names a clip without glosses
        rows = [torch.tensor([self._number(gloss, sample) for gloss in sample.gloss]) for sample in samples]
        batch["labels"] = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)
        return batch

    def scores(self, evaluation: Any, processor: Any) -> dict[str, float]:
        rates = word_error_rates(
            self.texts(evaluation.predictions, processor), evaluation.references, preset=self.preset
        )
        return _numbers(rates)

    def texts(self, predictions: NDArray[Any], processor: Any) -> list[str]:
        """Best paths as lines of glosses: repeated numbers are merged, blanks and padding (negative) dropped."""
        glosses = self.labels or []
        paths = ([number for number, _ in groupby(row) if number > BLANK_ID] for row in predictions.tolist())
        return [" ".join(glosses[number] for number in path) for path in paths]


class SegmentationTask(Task):
    """Where signs begin and end: every frame has a tag. Recordings of any length are read in windows.

    Judged by the F1 of signs at an overlap of 0.5, in windows: signs that a window cuts count as two.
    """

    @property
    def best_metric(self) -> tuple[str, bool]:
        return "f1@0.5", True

    def number_labels(self, splits: Mapping[str, Any]) -> None:
        self.set_labels(TAGS)

    def references(self, rows: Any) -> list[str]:
        return [" ".join(row["gloss"]) for row in text_rows(rows)]  # the signs are in the labels

    def dataset(self, rows: Any, seed: int, extractor: Any, is_training: bool) -> RecordingWindows:
        if isinstance(rows, StreamedCorpus):
            raise ValueError("expected recordings that are at hand, received a stream: leave streaming out")
        return RecordingWindows(rows, seed, extractor, is_training)

    def _with_targets(self, batch: dict[str, Any], samples: Sequence[Any]) -> dict[str, Any]:
        tags = [
            torch.from_numpy(tag_frames(sample.gloss_spans, int(length), sample.clip.fps))
            for sample, length in zip(samples, batch["pose_attention_mask"].sum(dim=1))
        ]
        batch["labels"] = torch.nn.utils.rnn.pad_sequence(tags, batch_first=True, padding_value=-100)
        return batch

    def scores(self, evaluation: Any, processor: Any) -> dict[str, float]:
        frame_rate = getattr(processor, "feature_extractor", processor).frame_rate
        found: list[list[Span]] = []
        there: list[list[Span]] = []
        seconds = 0.0
        for logits, tags in zip(evaluation.predictions, evaluation.label_ids, strict=True):
            tags = tags[tags >= 0]
            scores = np.exp(logits[: len(tags)] - logits[: len(tags)].max(axis=-1, keepdims=True))
            for kind, values in (
                (found, scores / scores.sum(axis=-1, keepdims=True)),
                (there, np.eye(len(TAGS))[tags]),
            ):
                signs = signs_in(values, frame_rate)
                kind.append([Span(start / frame_rate, stop / frame_rate) for start, stop, _ in signs])
            seconds += len(tags) / frame_rate
        return _numbers(segmentation_scores(found, there, seconds / 60))


class PreTrainingTask(Task):
    """Alignment, sign-text matching and language modelling together; judged by the losses and by retrieval."""

    trainer_class = SigmaPreTrainer

    def scores(self, evaluation: Any, processor: Any) -> dict[str, float]:
        """Every loss term, and retrieval between the clips and sentences of the split (equal sentences match)."""
        poses, texts, terms = (np.asarray(values, np.float64) for values in evaluation.predictions)
        means = dict(zip(SigmaPreTrainer.TERMS, terms.mean(axis=0).tolist()))
        retrieval = _numbers(retrieval_scores(poses @ texts.T, evaluation.references))
        return {**{name: value for name, value in means.items() if value == value}, **retrieval}


def choose_task(name: str, head: str = "auto", model: str | None = None, **options: Any) -> Task:
    """The task of a run.

    Args:
        name (`str`):
            `"islr"`, `"cslr"`, `"slt"`, `"segmentation"` or `"pretrain"`.
        head (`str`, *optional*, defaults to `"auto"`):
            The head that answers, by its name in the table of model kinds. `"auto"` keeps the head of `model` if it
            chooses among labels and serves the task, else takes `"generation"`.
        model (`str`, *optional*):
            The checkpoint that the run starts from.
        **options:
            Further arguments of [`Task`].

    Raises:
        ValueError: for a head that does not serve the task.
    """
    if name == "pretrain":
        return PreTrainingTask(name, kind_with_head("pretrain"), **options)
    if name == "segmentation":
        if head not in ("auto", name):
            raise ValueError(
                f"expected the head segmentation for the task segmentation, received {head}: leave it out"
            )
        return SegmentationTask(name, kind_with_head(name), **options)
    if head != "auto":
        kind = kind_with_head(head)
    else:
        own = None if model is None else kind_of(model)
        kind = own if own is not None and own.has_labels and name in own.tasks else kind_with_head("generation")
    if name not in kind.tasks:
        serves = " or ".join(kind.tasks)
        raise ValueError(f"expected task {serves} for the head {kind.head}, received {name}: use --head generation")
    if not kind.has_labels:
        return WritingTask(name, kind, **options)
    return (CTCTask if name == "cslr" else LabelTask)(name, kind, **options)


def kind_of(model: str) -> ModelKind | None:
    """The kind of model that a checkpoint holds; None if its configuration names an unknown class or none."""
    register_sigma()
    return MODEL_KINDS.get(str((load_model_config(model).architectures or [""])[0]))


def text_rows(rows: Any) -> Any:
    """A split without its keypoints, which is quick to read through."""
    return rows.select_columns(["sample_id", "text", "gloss", "spoken_language"])


def _numbers(scores: Mapping[str, Any]) -> dict[str, float]:
    """The scores that a trainer can log: those that are numbers."""
    return {name: float(value) for name, value in scores.items() if isinstance(value, (int, float))}
