"""The model card: the owner's facts and measured results in one tested template, with the Hub's `model-index`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from safetensors import safe_open
from tabulate import tabulate

import modeling_sigma
from modeling_sigma.hub.card_facts import METRICS, RESULTS_FILE, TASKS, CardFacts, Measurement, read_measurements
from modeling_sigma.hub.licenses import LICENSES, choose_license, inherited_license
from modeling_sigma.jobs.atomic_files import lone_writer, write_json
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS, SEGMENTATION


TEMPLATE = Path(__file__).with_name("model_card_template.md")
_PATIENCE = 60.0  # seconds to wait for another process that adds a result

# Task -> the pipeline of a model without labels of its own.
_PIPELINES = {
    "slt": "sign-language-translation",
    "cslr": "continuous-sign-recognition",
    "islr": "sign-language-translation",
    "retrieval": "sign-text-retrieval",
    "segmentation": SEGMENTATION,
}
_VERBS = {"sign-language-translation": "translate", "sign-text-retrieval": "rank", SEGMENTATION: "find_signs"}
_ARGUMENTS = {"sign-text-retrieval": 'clip, texts=["hello", "thank you"]', SEGMENTATION: "recording"}
# The nearest of the tasks by which the Hub sorts models; none is near continuous signing.
_HUB_TASKS = {"islr": "video-classification", "slt": "translation", "retrieval": "feature-extraction"}
# The one score by which the Hub's leaderboards rank a task.
_MAIN_SCORES = {
    "islr": "top1_per_instance",
    "cslr": "wer",
    "slt": "bleu4",
    "retrieval": "text_to_pose_r1",
    "segmentation": "f1@0.5",
}


def build_card(
    facts: CardFacts,
    measurements: Sequence[Measurement] = (),
    *,
    model_name: str = "ORG/NAME",
    config: dict[str, Any] | None = None,
    num_parameters: int | None = None,
    pictures: Mapping[str, str] | None = None,
) -> ModelCard:
    """Writes a card.

    Args:
        facts ([`CardFacts`]):
            The facts that the owner states.
        measurements (`Sequence[Measurement]`, *optional*):
            The measured results. Without any, the card says that nothing was measured.
        model_name (`str`, *optional*):
            Where users find the model, for the lines that show its use: a name on the Hub, or a folder.
        config (`dict`, *optional*):
            The model's `config.json`: its inherited license, and whether it has a label head.
        num_parameters (`int`, *optional*):
            The number of parameters of the model.
        pictures (`Mapping[str, str]`, *optional*):
            File -> what it shows, of the pictures of its confidence beside the card.

    Returns:
        `huggingface_hub.ModelCard`: the text with its header.

    Raises:
        ValueError: for a license that the inherited one forbids.
    """
    config = config or {}
    inherited = inherited_license(config)
    license = choose_license(inherited, facts.license, None) if facts.license or inherited else None
    data = ModelCardData(
        language=facts.languages,
        license=license,
        library_name="transformers",
        pipeline_tag=_HUB_TASKS.get(facts.tasks[0]),
        base_model=facts.base_model,
        datasets=[corpus.dataset_id for corpus in facts.training_data if corpus.dataset_id] or None,
        tags=["sigma-slu", "sign-language", "pose", *(TASKS[task].replace(" ", "-") for task in facts.tasks)],
        model_name=facts.name,
        eval_results=list(_eval_results(measurements)) or None,
    )
    return ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        facts=facts,
        results=[{**asdict(one), "task_words": TASKS[one.task], "table": _table(one)} for one in measurements],
        calibration=config.get("calibration"),
        pictures=pictures or {},
        usage=_usage(facts, model_name, config),
        is_folder=_is_folder(model_name),
        version=modeling_sigma.__version__,
        size=None if num_parameters is None else _count(num_parameters),
        license_words=None if license is None else LICENSES[license],
        inherited=inherited,
    )


def num_parameters_of(folder: str | Path) -> int | None:
    """The number of values in the weights of a folder; None without weights."""
    total = 0
    for path in Path(folder).glob("model*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():
                size = 1
                for length in file.get_slice(name).get_shape():
                    size *= length
                total += size
    return total or None


def write_results(folder: str | Path, measurements: Sequence[Measurement]) -> Path:
    """Writes results into a model folder, where `sigma-slu card` finds them."""
    path = Path(folder) / RESULTS_FILE
    entries = [{name: value for name, value in asdict(one).items() if value} for one in measurements]
    write_json(path, entries)
    return path


def add_result(folder: str | Path, measurement: Measurement) -> Path:
    """Adds a result to a model folder, in place of an older one of the same test."""
    path = Path(folder) / RESULTS_FILE

    def test_of(one: Measurement) -> tuple[Any, ...]:
        return one.task, one.dataset, one.dataset_config, one.split

    with lone_writer(Path(folder), _PATIENCE):  # several tests of a model may end at once
        others = read_measurements(path) if path.exists() else []
        return write_results(folder, [one for one in others if test_of(one) != test_of(measurement)] + [measurement])


def _eval_results(measurements: Sequence[Measurement]) -> Iterator[EvalResult]:
    for one in measurements:
        for name, value in one.scores.items():
            yield EvalResult(
                task_type=TASKS[one.task].replace(" ", "-"),
                task_name=TASKS[one.task],
                dataset_type=one.dataset_id or one.dataset.lower().replace(" ", "-"),
                dataset_name=one.dataset,
                dataset_config=one.dataset_config,
                dataset_split=one.split,
                metric_type=METRICS[name].hub_type,
                metric_name=METRICS[name].label,
                metric_value=round(value, 2),
                metric_args={"signature": one.signature, "num_samples": one.num_samples},
            )


def eval_result_files(measurements: Sequence[Measurement]) -> dict[str, bytes]:
    """The Hub's files of results, `.eval_results/NAME.yaml`: for each data set that is on the Hub, the main score."""
    entries: dict[str, list[dict[str, Any]]] = {}
    for one in measurements:
        if one.dataset_id and (value := one.scores.get(_MAIN_SCORES[one.task])) is not None:
            name = f".eval_results/{one.dataset_id.replace('/', '__')}.yaml"
            notes = f"{METRICS[_MAIN_SCORES[one.task]].label}, {one.split}, {one.num_samples} clips; {one.signature}"
            dataset = {"id": one.dataset_id, "task_id": one.dataset_config or "default"}
            entries.setdefault(name, []).append({"dataset": dataset, "value": round(value, 2), "notes": notes})
    return {
        name: yaml.safe_dump(found, sort_keys=False, allow_unicode=True).encode() for name, found in entries.items()
    }


def _table(one: Measurement) -> str:
    names = list(one.baselines)
    has_intervals = bool(one.intervals)
    head = ["metric", "this model", *(["95 % interval"] if has_intervals else []), *names]
    rows = []
    for score, value in one.scores.items():
        metric = METRICS[score]
        direction = "" if metric.is_higher_better else " (lower is better)"
        low_high = one.intervals.get(score)
        interval = [f"{low_high[0]:.1f} to {low_high[1]:.1f}" if low_high else "-"] if has_intervals else []
        others = (one.baselines[name].get(score) for name in names)
        cells = ["-" if other is None else f"{other:.1f}{metric.unit}" for other in others]
        rows.append([f"{metric.label}{direction}", f"{value:.1f}{metric.unit}", *interval, *cells])
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def _usage(facts: CardFacts, model_name: str, config: dict[str, Any]) -> str:
    kind = MODEL_KINDS.get((config.get("architectures") or [""])[0])
    labelled = kind if kind is not None and kind.has_labels else None
    task = labelled.pipelines[0] if labelled else _PIPELINES[facts.tasks[0]]
    verb, arguments = _VERBS.get(task, "recognize"), _ARGUMENTS.get(task, "clip")
    what = "a PoseClip with its frame rate" if task == SEGMENTATION else "an array (frames, keypoints, x y score)"
    imported = ["pipeline"]
    trust = "" if _is_folder(model_name) else ", trust_remote_code=True"
    in_parts = []
    if labelled and not config.get("use_prompt", True):
        imported = ["AutoFeatureExtractor", labelled.auto_class, *imported]
        in_parts = [
            "",
            "# Or extractor and model (there is no tokenizer):",
            f'extractor = AutoFeatureExtractor.from_pretrained("{model_name}"{trust})',
            f'model = {labelled.auto_class}.from_pretrained("{model_name}"{trust})',
            f"model(**extractor({arguments})).logits  # one score for each of model.config.id2label",
        ]
    return "\n".join(
        [
            *(["import modeling_sigma"] if not trust else []),
            f"from transformers import {', '.join(imported)}",
            "",
            f'{verb} = pipeline("{task}", model="{model_name}"{trust})',
            f"{verb}({arguments})  # {what}, or with sigma-slu installed a file",
            *in_parts,
        ]
    )


def _is_folder(model_name: str) -> bool:
    """Whether users have the model as a folder: it then loads with this package, and without code of its own."""
    return Path(model_name).is_dir()


def _count(number: int) -> str:
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return str(number)
