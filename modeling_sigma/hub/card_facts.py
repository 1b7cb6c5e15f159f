"""What a model card has to know: facts that only its owner can state, and measured results with their signatures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

from modeling_sigma.io.json_fields import check_fields
from modeling_sigma.io.json_text import read_json
from modeling_sigma.io.reading_errors import naming_file


FACTS_FILE, RESULTS_FILE = "card.json", "results.json"


@dataclass(frozen=True)
class Metric:
    """How a score is shown.

    Args:
        label (`str`): Its name in the table.
        hub_type (`str`): Its name in the Hub's `model-index`.
        unit (`str`): The unit after the number.
        is_higher_better (`bool`): Whether a higher score is better.
    """

    label: str
    hub_type: str
    unit: str = ""
    is_higher_better: bool = True


# Names of modeling_sigma.metrics.
METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        **{f"bleu{n}": Metric(f"BLEU-{n}", "bleu") for n in (1, 2, 3, 4)},
        "rouge_l": Metric("ROUGE-L", "rouge"),
        "chrf": Metric("chrF", "chrf"),
        "bleurt": Metric("BLEURT", "bleurt"),
        "wer": Metric("word error rate", "wer", " %", is_higher_better=False),
        "top1_per_instance": Metric("top-1, per instance", "accuracy", " %"),
        "top1_per_class": Metric("top-1, per class", "accuracy", " %"),
        "top5_per_instance": Metric("top-5, per instance", "accuracy", " %"),
        "top5_per_class": Metric("top-5, per class", "accuracy", " %"),
        "ece": Metric("calibration error (ECE)", "ece", " %", is_higher_better=False),
        "f1@0.5": Metric("F1 of signs at an overlap of 0.5", "f1", " %"),
        "f1@0.3": Metric("F1 of signs at an overlap of 0.3", "f1", " %"),
        "false_alarms_per_minute": Metric("false alarms per minute", "false_alarms", is_higher_better=False),
        "surest_half": Metric("top-1 of the surest half", "accuracy", " %"),
        **{
            f"{direction}_r{k}": Metric(f"{words}, R@{k}", "recall", " %")
            for direction, words in (("text_to_pose", "text to clip"), ("pose_to_text", "clip to text"))
            for k in (1, 5, 10)
        },
    }
)
TASKS: Mapping[str, str] = MappingProxyType(
    {
        "islr": "isolated sign recognition",
        "cslr": "continuous sign recognition",
        "slt": "sign language translation",
        "retrieval": "sign-text retrieval",
        "segmentation": "sign segmentation",
    }
)


@dataclass(frozen=True)
class Measurement:
    """Scores of one test.

    Args:
        task (`str`): A key of `TASKS`.
        dataset (`str`): The name of the data set in words.
        split (`str`): The split of the data set.
        num_samples (`int`): The number of clips.
        scores (`dict[str, float]`): Keys of `METRICS` and values as `modeling_sigma.metrics` returns them.
        signature (`str`): The signature that says how the scores were computed.
        command (`str`): The command that computed them.
        baselines (`dict[str, dict[str, float]]`): Name of a baseline -> its scores.
        intervals (`dict[str, list[float]]`): Name of a score -> ends of its 95 % interval.
        dataset_id (`str`, *optional*): The name of the data set on the Hub.
        dataset_config (`str`, *optional*): The configuration of the data set.
        note (`str`, *optional*): What a reader must know, such as an overlap of training and test data.
    """

    task: str
    dataset: str
    split: str
    num_samples: int
    scores: dict[str, float]
    signature: str
    command: str
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    intervals: dict[str, list[float]] = field(default_factory=dict)
    dataset_id: str | None = None
    dataset_config: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        where = f"result on {self.dataset!r}"
        if self.task not in TASKS:
            raise ValueError(f"{where}: expected task {', '.join(TASKS)}, received {self.task!r}")
        for name in ("dataset", "split", "signature", "command"):
            if not str(getattr(self, name)).strip():
                raise ValueError(f"{where}: expected {name}, received nothing: a score without it cannot be compared")
        if self.num_samples < 1:
            raise ValueError(f"{where}: expected num_samples of at least 1, received {self.num_samples}")
        if not self.scores:
            raise ValueError(f"{where}: expected at least one score")
        for name, ends in self.intervals.items():
            if len(ends) != 2:
                raise ValueError(f"{where}: expected two ends of the interval of {name}, received {len(ends)}")
        for scores in (self.scores, *self.baselines.values()):
            for name, value in scores.items():
                if name not in METRICS:
                    raise ValueError(f"{where}: expected scores named {', '.join(METRICS)}, received {name!r}")
                if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                    raise ValueError(f"{where}: expected a finite number for {name}, received {value!r}")


@dataclass(frozen=True)
class TrainingData:
    """A corpus that the model has seen.

    Args:
        name (`str`): The name of the corpus in words.
        sign_language (`str`): The sign language in it.
        signers (`str`): The number of signers, and what is known about them.
        amount (`str`): The amount of data, in clips or hours.
        license (`str`): The terms of the corpus.
        consent (`str`): What the people in it have agreed to; "not stated by its authors" is an answer.
        estimator (`str`): The pose estimator that produced the skeletons.
        layout (`str`): The layout of the skeletons, a name in `modeling_sigma.model.skeleton_layouts.LAYOUTS`.
        dataset_id (`str`, *optional*): The name of the data set on the Hub.
    """

    name: str
    sign_language: str
    signers: str
    amount: str
    license: str
    consent: str
    estimator: str
    layout: str
    dataset_id: str | None = None


@dataclass(frozen=True)
class CardFacts:
    """What the owner of a model states.

    Args:
        name (`str`): The name of the model.
        summary (`str`): One or two sentences: what it reads, what it writes.
        tasks (`list[str]`): Keys of `TASKS`.
        languages (`list[str]`): ISO 639 codes of signed and spoken languages (`"ase"`, `"en"`).
        training_data (`list[TrainingData]`): All corpora that the model has seen.
        not_seen (`list[str]`): People, dialects, ways of signing and cameras known to be missing from them.
        deaf_involvement (`str`): Which Deaf people or organisations took part, and how; "nobody" is an answer.
        training (`str`): How it was trained: command, hardware, time.
        contact (`str`): Where signers and users can complain.
        withdrawal (`str`, *optional*): How somebody has their signing removed, and what that does to the weights.
        positionality (`str`, *optional*): Who the makers are, and how they stand to the community of the language.
        risk_assessment (`str`, *optional*): Who could be harmed, how, and what was done about it.
        license (`str`, *optional*): The license of the weights, a name in `modeling_sigma.hub.licenses.LICENSES`.
        base_model (`str`, *optional*): The name of the base model on the Hub.
        robustness (`dict[str, str]`, *optional*): What may happen to a clip -> what that does to the score.
        robustness_note (`str`, *optional*): On which clips, by which command, and what counts as a difference.
    """

    name: str
    summary: str
    tasks: list[str]
    languages: list[str]
    training_data: list[TrainingData]
    not_seen: list[str]
    deaf_involvement: str
    training: str
    contact: str
    withdrawal: str | None = None
    positionality: str | None = None
    risk_assessment: str | None = None
    license: str | None = None
    base_model: str | None = None
    robustness: dict[str, str] = field(default_factory=dict)
    robustness_note: str | None = None

    def __post_init__(self) -> None:
        unknown = [task for task in self.tasks if task not in TASKS]
        if unknown or not self.tasks:
            raise ValueError(f"expected tasks among {', '.join(TASKS)}, received {self.tasks}")


# What `sigma-slu card DIR --init` writes, to be filled in.
BLANK_FACTS: Mapping[str, Any] = MappingProxyType(
    {
        "name": "",
        "summary": "",
        "tasks": ["slt"],
        "languages": [],
        "training_data": [
            {
                item.name: ""
                for item in fields(TrainingData)
                if item.default is MISSING and item.default_factory is MISSING
            }
        ],
        "not_seen": [],
        "deaf_involvement": "",
        "training": "",
        "contact": "",
        "withdrawal": "",
        "positionality": "",
        "risk_assessment": "",
    }
)


def read_facts(path: str | Path) -> CardFacts:
    """The facts in a JSON file.

    Raises:
        ValueError: if the file holds something else, or a fact is not stated. The message names all that is missing.
    """
    content = _spelt_anew(_read_json(path, dict))
    corpora = content.get("training_data")
    if not isinstance(corpora, list) or not corpora:
        raise ValueError(f"{path}: expected training_data as a list of corpora: what has the model seen?")
    blank = [name for name in _required(CardFacts) if name not in ("training_data",) and _is_blank(content.get(name))]
    corpora = [_spelt_anew(corpus) if isinstance(corpus, dict) else {} for corpus in corpora]
    for number, given in enumerate(corpora):
        blank += [f"training_data[{number}].{name}" for name in _required(TrainingData) if _is_blank(given.get(name))]
    if blank:
        raise ValueError(f"{path}: not stated: {', '.join(blank)}. Say so in words where you do not know")
    data = [_build(TrainingData, corpus, path) for corpus in corpora]
    return _build(CardFacts, {**content, "training_data": data}, path)


def read_measurements(path: str | Path) -> list[Measurement]:
    """The results in a JSON file: a list of objects with the fields of [`Measurement`].

    Raises:
        ValueError: if the file holds something else, or a result lacks its signature, its command or its split.
    """
    results = []
    for number, entry in enumerate(_read_json(path, list)):
        if not isinstance(entry, dict):
            raise ValueError(f"{path}: expected result {number} as an object, received {type(entry).__name__}")
        missing = [name for name in _required(Measurement) if name not in entry]
        if missing:
            raise ValueError(f"{path}: result {number} does not state {', '.join(missing)}")
        results.append(_build(Measurement, entry, path))
    return results


def _read_json(path: str | Path, kind: type) -> Any:
    return read_json(path, "facts for a model card", kind, is_finite=False)


def _build(cls: Any, values: Mapping[str, Any], path: str | Path) -> Any:
    known = {item.name for item in fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"{path}: expected the fields {', '.join(sorted(known))}, received {', '.join(unknown)}")
    with naming_file(path, "facts for a model card"):
        try:
            built = cls(**values)
        except (AttributeError, TypeError):  # of a field of another type: which one, is said next
            built = None
        check_fields(values, get_type_hints(cls))
        assert built is not None
        return built


def _spelt_anew(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same with the key `license` as cards of version 0.1.0 spelt it."""
    return {"license" if name == "licence" else name: value for name, value in content.items()}


def _required(cls: Any) -> Sequence[str]:
    return [item.name for item in fields(cls) if item.default is MISSING and item.default_factory is MISSING]


def _is_blank(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())
