"""Predictions of a saved model for the clips of a data set, through its pipeline: for `sigma-slu evaluate`."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modeling_sigma.conversion.export_bundle import is_bundle
from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.inference.model_config import saved_kind
from modeling_sigma.jobs.atomic_files import write_text
from modeling_sigma.jobs.progress import ProgressBar


# Task -> the pipeline that predicts for it.
PIPELINE_TASKS = {
    "slt": "sign-language-translation",
    "cslr": "continuous-sign-recognition",
    "islr": "isolated-sign-recognition",
}
_TOP_K = 5


@dataclass(frozen=True)
class CorpusPredictions:
    """Predictions and references of a split.

    Args:
        sample_ids (`list[str]`):
            The id of each clip.
        predictions (`list`):
            One text per clip, or one list of labels, best first, if the model ranks them.
        references (`list[str]`):
            The true sentence, glosses (joined by spaces) or label of each clip.
        labels (`list[str]`, *optional*):
            The labels that the model chose among; None if it wrote freely.
        spans (`list[list[dict]]`, *optional*):
            When each gloss was signed, if the model predicts that.
        scores (`list[list[float]]`, *optional*):
            The score of each label that was predicted, if the model ranks them.
        text_scores (`list[float]`, *optional*):
            How sure the model is of each text: see [`sequence_scores`].
        is_unknown (`list[bool]`, *optional*):
            Whether the model would not have answered, if it is calibrated.
    """

    sample_ids: list[str]
    predictions: list[Any]
    references: list[str]
    labels: list[str] | None = None
    spans: list[Any] | None = field(default=None, repr=False)
    scores: list[list[float]] | None = field(default=None, repr=False)
    text_scores: list[float] | None = field(default=None, repr=False)
    is_unknown: list[bool] | None = field(default=None, repr=False)

    def save(self, path: str | Path) -> None:
        """Writes predictions with their references, in a format that `sigma-slu evaluate` reads.

        `.json` and `.jsonl` keep ranked labels and times. A file with any other suffix gets one line per sample, as
        code of the field dumps predictions.
        """
        path = Path(path)
        if path.suffix.lower() not in (".json", ".jsonl"):
            lines = [
                f"sample: {sample_id}, prediction: {prediction[0] if isinstance(prediction, list) else prediction}\n"
                for sample_id, prediction in zip(self.sample_ids, self.predictions)
            ]
            write_text(path, "".join(lines))
            return
        entries = list(self._entries())
        if path.suffix.lower() == ".json":
            text = json.dumps(entries, ensure_ascii=False, indent=2) + "\n"
        else:
            text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        write_text(path, text)

    def _entries(self) -> Iterator[dict[str, Any]]:
        for row, sample_id in enumerate(self.sample_ids):
            prediction = self.predictions[row]
            name = "candidates" if isinstance(prediction, list) else "prediction"
            entry = {"sample_id": sample_id, name: prediction, "reference": self.references[row]}
            yield entry if self.spans is None else {**entry, "spans": self.spans[row]}


def predict_corpus(
    model: str,
    dataset: Any,
    task: str,
    *,
    labels: Sequence[str] | None = None,
    language: str | None = None,
    num_beams: int | None = None,
    batch_size: int = 8,
    device: str | None = None,
) -> CorpusPredictions:
    """Predicts all clips of a data set.

    Args:
        model (`str`):
            The folder of a model, or its name on the Hub.
        dataset (`datasets.Dataset`):
            A split with the columns of `datasets_scripts.schema`.
        task (`str`):
            What is predicted: `"slt"` or `"islr"` (the column `text`), or `"cslr"` (the column `gloss`).
        labels (`Sequence[str]`, *optional*):
            For isolated signs, the labels to choose among. Without them, a label head ranks all of its own, and a
            generative model writes freely: its text is compared as it is.
        language (`str`, *optional*):
            The spoken language to write; by default each clip's `spoken_language`.
        num_beams (`int`, *optional*):
            The number of beams, instead of the model's own.
        batch_size (`int`, *optional*, defaults to 8):
            The number of clips per batch.
        device (`str`, *optional*):
            Where the model computes, as in [`load_pipeline`].

    Raises:
        ValueError: for a split without clips or references, or for a model that does not serve the task.
    """
    references = _references(dataset, task)
    is_ranked = task == "islr" and (labels is not None or saved_kind(model).has_labels)
    predictor = load_pipeline(model, PIPELINE_TASKS["slt" if task == "islr" and not is_ranked else task], device)
    # Clips in which nobody is seen are scored too, as papers do; a warning says how many predictions are guesses.
    options: dict[str, Any] = {"allow_unseen": True}
    if is_ranked:
        options["top_k"] = _TOP_K
    if labels is not None:
        options["labels"] = list(labels)
    if num_beams is not None:
        options["num_beams"] = num_beams
    if task == "slt" and not is_bundle(model):  # an exported model does not score what it writes
        options["return_scores"] = True
    outputs: list[Any] = [None] * len(dataset)
    unseen: list[int] = []
    num_done = 0
    languages = [language] * len(dataset) if language is not None else list(dataset["spoken_language"])
    with ProgressBar("clip") as bar:
        for name in sorted(set(languages)):
            rows = [row for row, one in enumerate(languages) if one == name]
            clips = _clips(dataset, rows, predictor, unseen)
            for row, output in zip(rows, predictor(clips, batch_size=batch_size, language=name, **options)):
                outputs[row] = output
                num_done += 1
                bar.show(num_done, len(dataset))
    if unseen:
        warnings.warn(
            f"nobody is seen in {len(unseen)} of {len(dataset)} clips: the model's predictions for them are guesses",
            stacklevel=2,
        )
    known = list(predictor.model.config.id2label.values()) if is_ranked and labels is None else labels
    if known is not None:
        unknown = sorted(set(references) - set(known))
        if unknown:
            warnings.warn(
                f"{len(unknown)} of the data set's labels, such as {unknown[0]!r}, are not among the model's "
                f"{len(known)}: their clips score zero",
                stacklevel=2,
            )
    return CorpusPredictions(
        sample_ids=[str(sample_id) for sample_id in dataset["sample_id"]],
        predictions=[_answer(output) for output in outputs],
        references=references,
        labels=None if known is None else list(known),
        spans=[output["spans"] for output in outputs] if "spans" in outputs[0] else None,
        text_scores=[output["score"] for output in outputs] if "score" in outputs[0] else None,
        scores=[[entry["score"] for entry in output] for output in outputs] if is_ranked else None,
        is_unknown=[output[0]["unknown"] for output in outputs] if is_ranked and "unknown" in outputs[0][0] else None,
    )


def _answer(output: Any) -> Any:
    """The text of a pipeline's output, or its labels, best first."""
    return [entry["label"] for entry in output] if isinstance(output, list) else output["text"]


def _clips(dataset: Any, rows: Sequence[int], predictor: Any, unseen: list[int]) -> Iterator[Any]:
    """The clips of these rows; rows in which the model sees nobody are added to `unseen`."""
    from datasets_scripts.schema import decode_clip

    for row in rows:
        clip = decode_clip(dataset[row])
        if not predictor.sees_somebody(clip):
            unseen.append(row)
        yield clip


def _references(dataset: Any, task: str) -> list[str]:
    if len(dataset) == 0:
        raise ValueError("expected clips in this split of the data set, received none: choose another --split")
    if task == "cslr":
        references = [" ".join(glosses) for glosses in dataset["gloss"]]
    else:
        references = [text or "" for text in dataset["text"]]
    if not any(reference.strip() for reference in references):
        column, others = ("gloss", "slt or islr") if task == "cslr" else ("text", "cslr")
        raise ValueError(f"the data set's column {column!r} is empty in this split: --task {others} may fit")
    return references


def load_split(dataset: str, config: str | None, split: str, data_dir: str | None) -> Any:
    """A split of a corpus, by its name, its folder or its name on the Hub.

    Raises:
        ValueError: for an unknown corpus, or for one without that split.
    """
    from datasets.utils.logging import disable_progress_bar

    from datasets_scripts.corpora import load_corpus

    if not sys.stderr.isatty():
        disable_progress_bar()
    found = load_corpus(dataset, config, split=split, data_dir=data_dir)
    if isinstance(found, Mapping):
        raise ValueError(f"expected one split of {dataset}, received {list(found)}: give --split")
    return found
