"""What a user asks for, as arguments of the pipeline that predicts: for the command line and the service alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modeling_sigma.model.model_kinds_sigma import PIPELINE_KINDS


# Those whose answers are predictions; the others compare.
PREDICTING = tuple(name for name, kind in PIPELINE_KINDS.items() if kind.writes)


def prediction_options(
    task: str, top_k: int = 1, language: str = "English", labels: Sequence[str] | None = None
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
    """
    options: dict[str, Any] = {"language": language}
    if task == "isolated-sign-recognition":
        options["top_k"] = top_k
        if labels is not None:
            options["labels"] = list(labels)
    elif task == "sign-language-translation" and top_k > 1:
        options.update(num_return_sequences=top_k, num_beams=max(4, top_k))
    return options


def candidates_of(output: Any, top_k: int) -> list[dict[str, Any]]:
    """The results for one clip, best first, whether the pipeline gave one or a list."""
    return (output if isinstance(output, list) else [output])[:top_k]
