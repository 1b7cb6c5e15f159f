"""`Calibration`: what the scores of a label head mean, fitted on clips that it was not trained on.

A model is often surer than it is right, and names a sign for whatever it is shown. A calibration holds the temperature
that turns logits into probabilities that can be believed, two thresholds below which a clip shows no sign that the
model knows, or nobody who signs, and from which probability a label belongs to a prediction set. It is stored in the
configuration, so that it travels with the weights that it was fitted for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from .skeleton_layouts import PART_SLICES


# Why a clip gets no answer.
NOT_KNOWN = "not a sign I know"
NOT_MOVING = "nobody signs: the hands do not move"

NOT_CALIBRATED = (
    "the scores of this model are not calibrated: a score of 0.9 does not mean that 9 of 10 such answers are right; "
    "`sigma-slu evaluate --task islr --calibrate` measures what they mean"
)
_SIGNING_PARTS = ("body", "left_hand", "right_hand")


@dataclass(frozen=True)
class Calibration:
    """What the scores of a label head mean; the field `calibration` of [`SigmaConfig`] holds these as a `dict`.

    Args:
        temperature (`float`):
            Logits are divided by it before the softmax. Above 1 the model was too sure.
        known_threshold (`float`):
            A clip whose [`knownness`] is lower shows no sign that the model knows.
        movement_threshold (`float`):
            In a clip whose [`movement`] is lower, nobody signs.
        false_alarm_rate (`float`):
            The share of the clips fitted on, all of them of known signs, that one of both thresholds refuses.
        set_coverages (`list[float]`):
            How often a prediction set can be asked to hold the true label, rising.
        set_thresholds (`list[float]`):
            For each coverage the probability from which a label is in the set, falling.
        fitted_on (`str`):
            The clips that all this was fitted on: corpus, configuration and split.
        num_clips (`int`):
            The number of these clips.

    Raises:
        ValueError: for values that are missing, of another type or out of range.
    """

    temperature: float
    known_threshold: float
    movement_threshold: float
    false_alarm_rate: float
    set_coverages: list[float]
    set_thresholds: list[float]
    fitted_on: str
    num_clips: int

    def __post_init__(self) -> None:
        for name in ("temperature", "known_threshold", "movement_threshold", "false_alarm_rate"):
            _check_number(name, getattr(self, name))
        if self.temperature <= 0:
            raise ValueError(f"calibration: expected temperature > 0, received {self.temperature}")
        if not 0 <= self.false_alarm_rate < 1:
            raise ValueError(f"calibration: expected false_alarm_rate in [0, 1), received {self.false_alarm_rate}")
        for name in ("set_coverages", "set_thresholds"):
            values = getattr(self, name)
            if not isinstance(values, Sequence) or isinstance(values, str):
                raise ValueError(f"calibration: expected {name} as a list of numbers, received {values!r:.60}")
            for value in values:
                _check_number(name, value)
        coverages = list(self.set_coverages)
        if len(coverages) != len(self.set_thresholds) or sorted(set(coverages)) != coverages:
            raise ValueError("calibration: expected one of set_thresholds for each of rising set_coverages")
        if any(not 0 < coverage < 1 for coverage in coverages):
            raise ValueError(f"calibration: expected set_coverages between 0 and 1, received {coverages}")
        if not isinstance(self.fitted_on, str) or not isinstance(self.num_clips, int) or self.num_clips < 1:
            raise ValueError("calibration: expected fitted_on as a text and num_clips as an integer of at least 1")

    @classmethod
    def from_dict(cls, values: Any) -> Calibration:
        """The calibration of a configuration.

        Raises:
            ValueError: for something else than its fields.
        """
        known = {field.name for field in fields(cls)}
        given = set(values) if isinstance(values, Mapping) else set()
        if given != known:
            wrong = ", ".join(sorted(map(str, given ^ known))) if given else repr(values)[:60]
            raise ValueError(
                f"expected calibration with {', '.join(sorted(known))}, received or missing: {wrong}: fit it again "
                "with `sigma-slu evaluate --calibrate`"
            )
        return cls(**values)

    @classmethod
    def of_config(cls, config: Any) -> Calibration | None:
        """The calibration that a model's configuration holds, if any."""
        values = getattr(config, "calibration", None)
        return None if values is None else cls.from_dict(values)

    def as_dict(self) -> dict[str, Any]:
        """The field of the configuration."""
        return asdict(self)

    def why_unknown(self, logits: np.ndarray, clip_movement: float) -> str | None:
        """Why a clip should not be answered, in words; None if it shows a sign that the model may know.

        Args:
            logits (`np.ndarray` of shape `(num_labels,)`): The logits of all labels.
            clip_movement (`float`): The [`movement`] of the clip.
        """
        if clip_movement < self.movement_threshold:
            return NOT_MOVING
        return NOT_KNOWN if knownness(logits) < self.known_threshold else None

    def set_threshold(self, coverage: float) -> float:
        """The probability from which a label is in the prediction set.

        Raises:
            ValueError: for a coverage that was not fitted.
        """
        for known, threshold in zip(self.set_coverages, self.set_thresholds, strict=True):
            if math.isclose(known, coverage):
                return threshold
        raise ValueError(
            f"expected a prediction_set of {', '.join(map(str, self.set_coverages))}, received {coverage}: the "
            "calibration of this model knows these"
        )


def probabilities_of(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The softmax of `logits / temperature` over the last axis, in float64."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return scaled / scaled.sum(axis=-1, keepdims=True)


def knownness(logits: np.ndarray) -> Any:
    """How much a clip looks like what a model has learnt: the logsumexp of the logits over the last axis.

    Unlike the best probability, it is low where no label fits at all.
    """
    values = np.asarray(logits, np.float64)
    best = values.max(axis=-1)
    return best + np.log(np.exp(values - best[..., None]).sum(axis=-1))


def movement(pose_values: np.ndarray, pose_attention_mask: np.ndarray) -> np.ndarray:
    """How far the part that moves most strays from where it is on average.

    For each joint the root of its mean squared distance from its mean position over the frames in which it is seen; of
    that the mean over the joints of a part; of that the maximum over body and hands. A frozen or resting hand has the
    jitter of the detector, some hundredths at most, however many frames are read.

    Args:
        pose_values (`np.ndarray` of shape `(B, T, 69, 3)`):
            x, y and score as a model reads them.
        pose_attention_mask (`np.ndarray` of shape `(B, T)`):
            1 = real frame.

    Returns:
        `np.ndarray` of shape `(B,)`, in units of `pose_values`; 0 where no joint is seen twice.
    """
    points = np.asarray(pose_values, np.float64)
    seen = (points[..., 2] > 0) & (np.asarray(pose_attention_mask)[..., None] > 0)  # (B, T, 69)
    num_seen = np.maximum(seen.sum(axis=1), 1)  # (B, 69)
    means = (points[..., :2] * seen[..., None]).sum(axis=1) / num_seen[..., None]  # (B, 69, 2)
    squares = np.square(points[..., :2] - means[:, None]).sum(axis=-1) * seen
    spreads = np.sqrt(squares.sum(axis=1) / num_seen)  # (B, 69)
    counts = seen.sum(axis=1) > 1
    of_parts = [
        (spreads * counts)[:, joints].sum(axis=1) / np.maximum(counts[:, joints].sum(axis=1), 1)
        for joints in (PART_SLICES[part] for part in _SIGNING_PARTS)
    ]
    return np.max(of_parts, axis=0)


def calibrated_answers(
    logits: np.ndarray,
    clip_movement: float,
    calibration: Calibration,
    labels: Sequence[str] | Mapping[int, str],
    rows: Sequence[int] | None = None,
    *,
    top_k: int,
    prediction_set: float | None = None,
) -> list[dict[str, Any]]:
    """The answers for one clip, best first.

    Args:
        logits (`np.ndarray` of shape `(num_labels,)`):
            The logits of all labels.
        clip_movement (`float`):
            The [`movement`] of the clip.
        calibration ([`Calibration`]):
            The calibration of the model.
        labels (`Sequence[str]` or `Mapping[int, str]`):
            The names of the labels to choose among.
        rows (`Sequence[int]`, *optional*):
            The places of these labels among the logits; by default they are all.
        top_k (`int`):
            The number of answers, unless there is a prediction set to give.
        prediction_set (`float`, *optional*):
            Give the labels that hold the true one in this share of all clips of known signs.

    Returns:
        `list` of `{"label", "score", "unknown"}`, with `"reason"` where `"unknown"` is true.
    """
    reason = calibration.why_unknown(logits, clip_movement)
    chosen = np.asarray(logits) if rows is None else np.asarray(logits)[list(rows)]
    probabilities = probabilities_of(chosen, calibration.temperature)
    best_first = np.argsort(-probabilities, kind="stable")
    number = top_k
    if prediction_set is not None:  # never empty: the best label is always in it
        number = max(1, int((probabilities >= calibration.set_threshold(prediction_set)).sum()))
    about: dict[str, Any] = {"unknown": False} if reason is None else {"unknown": True, "reason": reason}
    return [
        {"label": labels[place], "score": float(probabilities[place]), **about}
        for place in best_first[:number].tolist()
        if probabilities[place] > 0
    ]


def check_prediction_set(calibration: Calibration | None, coverage: float, labels: Sequence[str] | None) -> None:
    """Whether a model can give prediction sets of a coverage.

    Raises:
        ValueError: without a calibration, for a coverage that it does not know, or among some of the labels only.
    """
    if calibration is None:
        raise ValueError(
            "expected a calibrated model with a label head for prediction_set, received one without a calibration: "
            "fit it with `sigma-slu evaluate --task islr --calibrate`"
        )
    if labels is not None:
        raise ValueError("expected labels or prediction_set, received both: sets are measured among all labels")
    calibration.set_threshold(coverage)


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"calibration: expected {name} as a finite number, received {value!r:.60}")
