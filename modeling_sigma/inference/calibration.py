"""Fitting a [`Calibration`]: what the scores of a label head mean, measured on clips that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeling_sigma.model.calibration_sigma import Calibration, knownness, movement, probabilities_of


DEFAULT_FALSE_ALARM_RATE = 0.05
# Fewer clips than this say too little about 5 % of all clips.
MIN_CLIPS = 30
SET_COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

# The share of clips of known signs in which nobody seems to sign: some are nearly still.
_STILL_RATE = 0.005
_TEMPERATURES = (0.02, 50.0)
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class LabelScores:
    """What a label head computes for the clips of a split.

    Args:
        logits (`np.ndarray` of shape `(N, num_labels)`): The logits of all labels.
        movements (`np.ndarray` of shape `(N,)`): The movement of each clip; see [`movement`].
        is_seen (`np.ndarray` of shape `(N,)`): Whether the model sees anybody in each clip.
    """

    logits: NDArray[np.float32]
    movements: NDArray[np.float64]
    is_seen: NDArray[np.bool_]


def score_clips(
    predictor: Any,
    clips: Iterator[Any],
    batch_size: int = 8,
    language: str = "English",
    progress: Callable[[int], None] | None = None,
) -> LabelScores:
    """Runs a label head on clips, without turning its logits into answers.

    Args:
        predictor ([`IsolatedSignRecognitionPipeline`]):
            The pipeline of a label head.
        clips (`Iterator`):
            Clips as a pipeline takes them.
        batch_size (`int`, *optional*, defaults to 8):
            The number of clips per batch.
        language (`str`, *optional*, defaults to `"English"`):
            The language of the prompt, where the model reads one.
        progress (`Callable[[int], None]`, *optional*):
            Called with the number of clips done.

    Raises:
        ValueError: without clips, or if the model writes text.
    """
    import torch

    model = predictor.model
    if model.can_generate():
        raise ValueError(
            f"expected a model with a label head, received a {type(model).__name__}, which writes text: its scores "
            "are not calibrated"
        )
    logits, movements, seen, num_done = [], [], [], 0
    while batch := list(islice(clips, batch_size)):
        if model.config.use_prompt:
            features = predictor.processor(poses=batch, language=language, return_tensors="pt")
        else:
            features = predictor.extractor(batch, return_tensors="pt")
        values, mask = features["pose_values"].numpy(), features["pose_attention_mask"].numpy()
        movements.append(movement(values, mask))
        seen.append((values[..., 2] > 0).any(axis=(1, 2)))
        with torch.no_grad():
            output = model(**{name: value.to(model.device) for name, value in features.items()})
        logits.append(output.logits.float().cpu().numpy())
        num_done += len(batch)
        if progress is not None:
            progress(num_done)
    if not logits:
        raise ValueError("expected clips to run the model on, received none")
    return LabelScores(np.concatenate(logits), np.concatenate(movements), np.concatenate(seen))


def fit_calibration(
    scores: LabelScores,
    references: Sequence[str],
    labels: Sequence[str],
    fitted_on: str,
    *,
    accepted: Mapping[str, set[str]] | None = None,
    false_alarm_rate: float = DEFAULT_FALSE_ALARM_RATE,
) -> Calibration:
    """Fits temperature, thresholds and prediction sets.

    The temperature minimises the negative log-likelihood of the true labels, as if one more clip had been of any
    label: without it, a model that is right about every clip would be infinitely sure. The threshold of a prediction
    set is that of split conformal prediction with 1 - p(true label) as the score, which gives the smallest sets.

    Args:
        scores ([`LabelScores`]):
            What the model computes for clips that it was not trained on.
        references (`Sequence[str]`):
            The true label of each clip. Clips of other labels than the model's, and clips in which it sees nobody, are
            left out.
        labels (`Sequence[str]`):
            The model's labels, in the order of the logits.
        fitted_on (`str`):
            The names of corpus and split.
        accepted (`Mapping[str, set[str]]`, *optional*):
            For labels that share a recording, those that count as right: see [`LabelGroups.accepted`]. The temperature
            then fits the probability that an answer counts as right. Prediction sets hold the very label.
        false_alarm_rate (`float`, *optional*, defaults to 0.05):
            The share of these clips that may be called unknown.

    Raises:
        ValueError: for fewer than 30 clips, or a rate outside [0, 1).
    """
    if not 0 <= false_alarm_rate < 1:
        raise ValueError(f"expected a false alarm rate in [0, 1), such as 0.05, received {false_alarm_rate}")
    numbers = {label: number for number, label in enumerate(labels)}
    if len(references) != len(scores.logits):
        raise ValueError(f"expected one label per clip, received {len(references)} for {len(scores.logits)} clips")
    rows = [row for row, label in enumerate(references) if label in numbers and scores.is_seen[row]]
    if len(rows) < MIN_CLIPS:
        raise ValueError(
            f"expected at least {MIN_CLIPS} clips of the model's labels to calibrate it on, received {len(rows)}"
        )
    logits, moves = scores.logits[rows].astype(np.float64), scores.movements[rows]
    true_labels = [references[row] for row in rows]
    targets = np.array([numbers[label] for label in true_labels])
    right = [
        sorted({numbers[other] for other in (accepted or {}).get(label, ()) if other in numbers} | {numbers[label]})
        for label in true_labels
    ]
    temperature = _fit_temperature(logits, right)
    movement_threshold = float(np.sort(moves)[int(_STILL_RATE * len(rows))])
    is_moving = moves >= movement_threshold
    known = knownness(logits)
    num_allowed = max(0, int(false_alarm_rate * len(rows)) - int((~is_moving).sum()))
    known_threshold = float(np.sort(known[is_moving])[min(num_allowed, int(is_moving.sum()) - 1)])
    true_probabilities = np.sort(probabilities_of(logits, temperature)[np.arange(len(rows)), targets])
    return Calibration(
        temperature=temperature,
        known_threshold=known_threshold,
        movement_threshold=movement_threshold,
        false_alarm_rate=float((~is_moving | (known < known_threshold)).mean()),
        set_coverages=list(SET_COVERAGES),
        set_thresholds=[_set_threshold(true_probabilities, coverage) for coverage in SET_COVERAGES],
        fitted_on=fitted_on,
        num_clips=len(rows),
    )


def calibrate_model(
    folder: str | Path,
    dataset: Any,
    fitted_on: str,
    *,
    accepted: Mapping[str, set[str]] | None = None,
    false_alarm_rate: float = DEFAULT_FALSE_ALARM_RATE,
    batch_size: int = 8,
    device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Calibration, LabelScores]:
    """Fits the calibration of a model on a split of a corpus, and stores it in the model's folder.

    Args:
        folder (`str` or `Path`):
            The folder of a model with a label head.
        dataset (`datasets.Dataset`):
            The split, with the columns of `datasets_scripts.schema`; the model must not have been trained on it.
        fitted_on, accepted, false_alarm_rate:
            As in [`fit_calibration`].
        batch_size (`int`, *optional*, defaults to 8):
            The number of clips per batch.
        device (`str`, *optional*):
            Where the model computes, as in [`load_pipeline`].
        progress (`Callable[[int, int], None]`, *optional*):
            Called with the number of clips done and in all.

    Raises:
        ValueError: for an exported model, one without a label head, or too few clips.
        OSError: if the folder cannot be written.
    """
    from datasets_scripts.schema import decode_clip
    from modeling_sigma.conversion.export_bundle import is_bundle
    from modeling_sigma.inference.load_pipeline import load_pipeline
    from modeling_sigma.inference.model_config import saved_kind

    if not Path(folder).is_dir() or is_bundle(folder):
        raise ValueError(f"{folder}: expected the folder of a model that is not exported: calibrate, then export")
    kind = saved_kind(folder)
    if not kind.has_labels or "islr" not in kind.tasks:
        raise ValueError(
            f"{folder}: expected a model with a head for isolated signs, found {kind.class_name}: only the scores of "
            "labels can be calibrated"
        )
    predictor = load_pipeline(folder, device=device)
    named = predictor.model.config.id2label

    def report(number: int) -> None:
        if progress is not None:
            progress(number, len(dataset))

    clips = (decode_clip(row) for row in dataset)
    scores = score_clips(predictor, clips, batch_size, progress=report)
    labels = [named[number] for number in sorted(named)]
    calibration = fit_calibration(
        scores, list(dataset["text"]), labels, fitted_on, accepted=accepted, false_alarm_rate=false_alarm_rate
    )
    store_calibration(folder, calibration)
    return calibration, scores


def store_calibration(folder: str | Path, calibration: Calibration) -> Path:
    """Writes a calibration into the `config.json` of a model's folder, which is complete at any moment.

    Raises:
        ValueError: if the folder holds no Sigma model.
        OSError: if it cannot be written.
    """
    from modeling_sigma.hub.bundle_config import read_config
    from modeling_sigma.jobs.atomic_files import write_json

    path = Path(folder) / "config.json"
    config = read_config(Path(folder), path.name)
    fields = {**config, "calibration": dict(sorted(calibration.as_dict().items()))}
    write_json(path, dict(sorted(fields.items())))  # in the order in which transformers would save them
    return path


def _set_threshold(true_probabilities: NDArray[np.float64], coverage: float) -> float:
    """The probability that true labels reach in at least this share of clips; 0 where there are too few to tell."""
    number = math.floor((len(true_probabilities) + 1) * (1 - coverage) + 1e-9)
    return float(true_probabilities[number - 1]) if number else 0.0


def _fit_temperature(logits: NDArray[np.float64], right: Sequence[Sequence[int]]) -> float:
    """Golden-section search over the logarithm of the temperature."""
    num_clips, width = len(logits), max(map(len, right))
    shifted = logits - logits.max(axis=1, keepdims=True)
    padded = np.array([[*row, *[row[0]] * (width - len(row))] for row in right])  # (N, width)
    is_real = np.array([[True] * len(row) + [False] * (width - len(row)) for row in right])
    of_right = np.take_along_axis(shifted, padded, axis=1)
    means, any_label = shifted.mean(axis=1), 1 / (num_clips + 1)

    def loss(log_temperature: float) -> float:
        inverse = math.exp(-log_temperature)
        log_total = np.log(np.exp(shifted * inverse).sum(axis=1))
        log_right = np.log((np.exp(of_right * inverse) * is_real).sum(axis=1).clip(1e-300))
        likelihood = (1 - any_label) * (log_right - log_total) + any_label * (means * inverse - log_total)
        return float(-likelihood.mean())

    low, high = (math.log(end) for end in _TEMPERATURES)
    left, right_place = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    loss_left, loss_right = loss(left), loss(right_place)
    while high - low > 1e-4:
        if loss_left <= loss_right:
            high, right_place, loss_right = right_place, left, loss_left
            left = high - _GOLDEN * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, right_place, loss_right
            right_place = low + _GOLDEN * (high - low)
            loss_right = loss(right_place)
    return math.exp((low + high) / 2)
