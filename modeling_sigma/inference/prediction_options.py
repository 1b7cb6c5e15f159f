"""What a user asks for, as arguments of the pipeline that predicts: for the command line and the service alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modeling_sigma.model.model_kinds_sigma import PIPELINE_KINDS


# Those whose answers are predictions; the others compare.
PREDICTING = tuple(name for name, kind in PIPELINE_KINDS.items() if kind.writes)

_ABOUT_CLIP = ("unknown", "reason")


def prediction_options(
    task: str,
    top_k: int = 1,
    language: str = "English",
    labels: Sequence[str] | None = None,
    prediction_set: float | None = None,
) -> dict[str, Any]:
    """The call arguments of the pipeline of a task.

    Args:
        task (`str`):
            The name of the pipeline, one of `PREDICTING`.
        top_k (`int`, *optional*, defaults to 1):
            The number of results per clip. Continuous recognition has one.
        language (`str`, *optional*, defaults to `"English"`):
            The spoken language to write.
        labels (`Sequence[str]`, *optional*):
            For isolated signs, the labels to choose among.
        prediction_set (`float`, *optional*):
            For isolated signs and a calibrated model, the share of clips whose true label is among the results.

    Raises:
        ValueError: for a prediction set of another task.
    """
    if prediction_set is not None and task != "isolated-sign-recognition":
        raise ValueError(f"expected a model that ranks labels for a prediction set, found one for {task}")
    options: dict[str, Any] = {"language": language}
    if task == "isolated-sign-recognition":
        options["top_k"] = top_k
        if labels is not None:
            options["labels"] = list(labels)
        if prediction_set is not None:
            options["prediction_set"] = prediction_set
    elif task == "sign-language-translation" and top_k > 1:
        options.update(num_return_sequences=top_k, num_beams=max(4, top_k))
    return options


def check_language(pipe: Any, language: str | None) -> None:
    """Refuses a language for a pipeline whose model reads none: it would be ignored without a word.

    Raises:
        ValueError: for a language, and a model that chooses among its labels alone.
    """
    if language is not None and not pipe.model.config.use_prompt:
        raise ValueError(
            f"expected no language, received {language!r}: this model chooses among labels that it was taught, and "
            "answers with those; leave --language out"
        )


def clip_result(output: Any, top_k: int | None) -> dict[str, Any]:
    """What a pipeline answers for one clip, as one JSON object.

    Args:
        output (`dict` or list of them):
            The pipeline's answer.
        top_k (`int`, *optional*):
            The number of predictions to keep; None: all, as for a prediction set.

    Returns:
        `dict`: `"predictions"`, best first, and what a calibrated model says about the clip as a whole: `"unknown"`,
        and then `"reason"`.
    """
    candidates = output if isinstance(output, list) else [output]
    about = {name: candidates[0][name] for name in _ABOUT_CLIP if candidates and name in candidates[0]}
    predictions = [{n: v for n, v in entry.items() if n not in _ABOUT_CLIP} for entry in candidates[:top_k]]
    return {**about, "predictions": predictions}
