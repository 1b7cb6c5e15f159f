"""What the scores of a trained model mean: fitted on the validation split, when a run ends."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from modeling_sigma.inference.calibration import MIN_CLIPS, calibrate_model
from modeling_sigma.training.training_arguments import SigmaTrainingArguments


logger = logging.getLogger(__name__)


def calibrate_trained(folder: Path, rows: Any, corpus: str, args: SigmaTrainingArguments) -> None:
    """Calibrates the label head that a run has saved. Where that is impossible it says why: the model is there.

    Args:
        folder (`Path`):
            The folder of the run, with the bundle.
        rows (`datasets.Dataset`):
            The validation split.
        corpus (`str`):
            The name or folder of the corpus, for the record.
        args ([`SigmaTrainingArguments`]):
            Device and batch size.
    """
    if len(rows) < MIN_CLIPS:
        logger.info("scores are not calibrated: %d validation clips, at least %d are needed", len(rows), MIN_CLIPS)
        return
    try:
        fitted, _ = calibrate_model(
            folder,
            rows,
            f"{Path(corpus).name}, validation",
            batch_size=args.per_device_eval_batch_size,
            device=str(args.device),
        )
    except ValueError as error:  # too few clips in which somebody is seen
        logger.warning("scores are not calibrated: %s", error)
        return
    logger.info(
        "scores are calibrated on %d validation clips: temperature %.2f; %.1f %% of them are called unknown",
        fitted.num_clips, fitted.temperature, 100 * fitted.false_alarm_rate,
    )  # fmt: skip
