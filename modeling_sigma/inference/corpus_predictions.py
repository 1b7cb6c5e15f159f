"""What a saved model says about the clips of a data set, through the pipelines: for `sigma-slu evaluate`."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
            One for each clip.
        predictions (`list`):
            A text for each clip; a list of labels, best first, where a model ranks them.
        references (`list[str]`):
            Sentences, glosses between spaces, or labels.
        labels (`list[str]`, *optional*):
            The labels that the model may choose from, where it may not write freely.
        spans (`list[list[dict]]`, *optional*):
            When each gloss was signed, where the model says so.
    """

    sample_ids: list[str]
    predictions: list[Any]
    references: list[str]
    labels: list[str] | None = None
    spans: list[Any] | None = field(default=None, repr=False)

    def save(self, path: str | Path) -> None:
        """Writes predictions beside their references, in a form that `sigma-slu evaluate` reads back.

        `.json` and `.jsonl` keep ranked labels and times; any other suffix gets a line for each sample, as the field's
        code dumps them.
        """
        path = Path(path)
        if path.suffix.lower() not in (".json", ".jsonl"):
            lines = [
                f"sample: {sample_id}, prediction: {prediction[0] if isinstance(prediction, list) else prediction}\n"
                for sample_id, prediction in zip(self.sample_ids, self.predictions)
            ]
            path.write_text("".join(lines), encoding="utf-8")
            return
        entries = list(self._entries())
        if path.suffix.lower() == ".json":
            text = json.dumps(entries, ensure_ascii=False, indent=2) + "\n"
        else:
            text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        path.write_text(text, encoding="utf-8")

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
    device: str = "cpu",
) -> CorpusPredictions:
    """Predicts all clips of a data set.

    Args:
        model (`str`):
            A model's folder, or its name on the Hub.
        dataset (`datasets.Dataset`):
            With the columns of `datasets_scripts.schema`.
        task (`str`):
            `"slt"` and `"islr"` compare with the column `text`, `"cslr"` with `gloss`.
        labels (`Sequence[str]`, *optional*):
            For isolated signs: the labels that the model may choose from. Without them a label head has all of its
            own, and a model that writes writes freely; what it writes is compared as it is.
        language (`str`, *optional*):
            Spoken language of the prompt; each clip's `spoken_language` by default.
        num_beams (`int`, *optional*):
            Instead of the model's own.
        batch_size (`int`, *optional*, defaults to 8):
            Clips computed together.
        device (`str`, *optional*, defaults to `"cpu"`):
            Where.

    Raises:
        ValueError: for a split without clips or references, or a model that does not serve the task.
    """
    from modeling_sigma.cli.predict import load_predictor
    from modeling_sigma.model.model_kinds_sigma import PIPELINE_KINDS
    from modeling_sigma.registration import defined_class

    references = _references(dataset, task)
    predictor = load_predictor(model, device)
    writes = predictor.model.can_generate()
    is_ranked = task == "islr" and (labels is not None or not writes)
    pipeline_task = PIPELINE_TASKS["slt" if task == "islr" and not is_ranked else task]
    if predictor.task != pipeline_task:
        if not writes:
            raise ValueError(f"{model}: expected a model for {pipeline_task}, found {type(predictor.model).__name__}")
        parts = {"model": predictor.model, "processor": predictor.processor, "device": predictor.device}
        predictor = defined_class(PIPELINE_KINDS[pipeline_task])(task=pipeline_task, **parts)
    # What was trained on the corpus is scored on all of it; how many clips are guesses is told.
    options: dict[str, Any] = {"allow_unseen": True}
    if is_ranked:
        options["top_k"] = _TOP_K
    if labels is not None:
        options["labels"] = list(labels)
    if num_beams is not None:
        options["num_beams"] = num_beams
    outputs: list[Any] = [None] * len(dataset)
    unseen: list[int] = []
    languages = [language] * len(dataset) if language is not None else list(dataset["spoken_language"])
    with _progress_bar(len(dataset)) as bar:
        for name in sorted(set(languages)):
            rows = [row for row, one in enumerate(languages) if one == name]
            clips = _clips(dataset, rows, predictor, unseen)
            for row, output in zip(rows, predictor(clips, batch_size=batch_size, language=name, **options)):
                outputs[row] = output
                bar.update()
    if unseen:
        warnings.warn(
            f"nobody is seen in {len(unseen)} of {len(dataset)} clips: what the model says of them is a guess",
            stacklevel=2,
        )
    known = list(predictor.model.config.id2label.values()) if is_ranked and labels is None else labels
    return CorpusPredictions(
        sample_ids=[str(sample_id) for sample_id in dataset["sample_id"]],
        predictions=[_answer(output) for output in outputs],
        references=references,
        labels=None if known is None else list(known),
        spans=[output["spans"] for output in outputs] if "spans" in outputs[0] else None,
    )


def _answer(output: Any) -> Any:
    """The text of a pipeline's output, or its labels, best first."""
    return [entry["label"] for entry in output] if isinstance(output, list) else output["text"]


def _clips(dataset: Any, rows: Sequence[int], predictor: Any, unseen: list[int]) -> Iterator[Any]:
    """The clips of these rows; those in which the model sees nobody are noted in `unseen`."""
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
        raise ValueError(f"the data set's column {column!r} is empty in this split: --task {others} may fit it")
    return references


def _progress_bar(total: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit="clip", disable=not sys.stderr.isatty(), leave=False)


def load_split(dataset: str, config: str | None, split: str, data_dir: str | None) -> Any:
    """A split of a corpus, by its name, its folder or its name on the Hub.

    Raises:
        ValueError: for an unknown corpus, or one without that split.
    """
    from datasets.utils.logging import disable_progress_bar

    from datasets_scripts.corpora import load_corpus

    if not sys.stderr.isatty():
        disable_progress_bar()
    found = load_corpus(dataset, config, split=split, data_dir=data_dir)
    if isinstance(found, Mapping):
        raise ValueError(f"expected one split of {dataset}, received {list(found)}: give --split")
    return found
