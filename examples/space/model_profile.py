"""What the page says about a model before anybody has signed, and which controls act on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers.utils import cached_file

from modeling_sigma.hub.card_facts import FACTS_FILE, RESULTS_FILE
from modeling_sigma.inference.model_config import load_model_config, saved_kind
from modeling_sigma.io.json_text import read_json
from modeling_sigma.model.calibration_sigma import Calibration
from modeling_sigma.model.model_kinds_sigma import served_pipelines


PARTS = {"body": "body", "left_hand": "hands", "right_hand": "hands", "face": "face"}
ALL_PARTS = ("body", "hands", "face")
# Pipeline -> what the page is for, and what its button says.
QUESTIONS = {
    "isolated-sign-recognition": ("Which sign is this?", "Show one sign", "Read the sign"),
    "continuous-sign-recognition": ("Which signs are these?", "Sign a few signs", "Read the signs"),
    "sign-language-translation": ("What does this signing say?", "Sign a sentence", "Read the signing"),
    "sign-text-retrieval": ("Which text fits this signing?", "Sign something", "Compare with the texts"),
}


@dataclass(frozen=True)
class ModelProfile:
    """A model as its visitors meet it.

    Args:
        name (`str`): Its name on the page.
        path (`str`): Its folder, or its name on the Hub.
        question (`str`): What it answers.
        task (`str`): What to do in front of the camera.
        action (`str`): What the button says.
        labels (`list[str]`): What it can answer, if it chooses among labels.
        parts (`tuple[str, ...]`): What it looks at: `"body"`, `"hands"`, `"face"`.
        takes_language (`bool`): Whether a language to write changes its answer.
        takes_texts (`bool`): Whether it can choose among texts.
        needs_texts (`bool`): Whether it can do nothing else.
        coverages (`list[float]`): The prediction sets that it can give.
        card (`dict`): What its card states.
        results (`list`): What its card has measured.
        problem (`str`): Why it cannot be used; empty if it can.
    """

    name: str
    path: str
    question: str = "What is signed here?"
    task: str = "Sign"
    action: str = "Read"
    labels: list[str] = field(default_factory=list)
    parts: tuple[str, ...] = ALL_PARTS
    takes_language: bool = False
    takes_texts: bool = False
    needs_texts: bool = False
    coverages: list[float] = field(default_factory=list)
    card: dict[str, Any] = field(default_factory=dict)
    results: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""


def profile_of(name: str, path: str) -> ModelProfile:
    """Reads what lies beside a model's weights; the weights themselves are read by the workers."""
    try:
        config, kind = load_model_config(path), saved_kind(path)
    except (ValueError, OSError) as error:
        return ModelProfile(name, path, problem=str(error).replace(path, name))
    tasks = list(served_pipelines(kind))
    names = list(config.id2label.values())
    labels = [label for number, label in enumerate(names) if label != f"LABEL_{number}"]
    question, task, action = QUESTIONS[tasks[0]]
    if kind.writes and labels:  # it chooses among its labels
        question, task, action = QUESTIONS["isolated-sign-recognition"]
    calibration = Calibration.of_config(config) if kind.has_labels else None
    extractor = _beside(path, "preprocessor_config.json") or _beside(path, "processor_config.json") or {}
    read = extractor.get("parts") or extractor.get("feature_extractor", {}).get("parts") or PARTS
    return ModelProfile(
        name=name,
        path=path,
        question=question,
        task=task,
        action=action,
        labels=[label for label in labels if not label.startswith("<")],
        parts=tuple(dict.fromkeys(PARTS[part] for part in PARTS if part in read)),
        takes_language=bool(config.use_prompt) and not kind.has_labels,
        takes_texts=not kind.has_labels,
        needs_texts=tasks[0] == "sign-text-retrieval",
        coverages=[] if calibration is None else list(calibration.set_coverages),
        card=_beside(path, FACTS_FILE) or {},
        results=_beside(path, RESULTS_FILE) or [],
    )


def _beside(path: str, name: str) -> Any:
    """A JSON file of the model, or None if there is none."""
    try:
        found = cached_file(
            path,
            name,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        return None if found is None else read_json(Path(found), "facts of a model")
    except (OSError, ValueError):  # a broken card: the page says nothing rather than something wrong
        return None
