"""What each argument of a pipeline may be: checked before anything is computed, whichever pipeline it is for."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from .text_inputs_sigma import check_text, check_texts


_LONGEST_NAME = 100  # characters: a language is part of every prompt


# How a clip is read; every pipeline takes these.
CLIP_ARGUMENTS = ("language", "max_frames", "allow_unseen", "coordinates", "aspect_ratio")


def take_clip_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that say how a clip is read, out of `arguments`, without those that are None."""
    taken = {name: arguments.pop(name, None) for name in CLIP_ARGUMENTS}
    return {name: value for name, value in taken.items() if value is not None}


def only_clip_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """As [`take_clip_arguments`], where no others make sense.

    Raises:
        TypeError: for others.
    """
    taken = take_clip_arguments(arguments)
    if arguments:
        raise TypeError(f"this pipeline does not know {', '.join(arguments)}: see its call arguments")
    return taken


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuses values that no pipeline can use. Names that are not ours are left to `generate`.

    Args:
        arguments (`Mapping[str, Any]`):
            Arguments of a pipeline or of a call; None stands for the default.

    Raises:
        ValueError: for a value of the wrong type or size.
    """
    for name, value in arguments.items():
        if value is not None and name in _CHECKS:
            _CHECKS[name](name, value)


def _check_count(name: str, value: Any, least: int = 1) -> None:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise ValueError(f"expected {name} as an integer >= {least}, received {value!r:.60}")


def _check_number(name: str, value: Any) -> None:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and value > 0):
        raise ValueError(f"expected {name} as a positive number, received {value!r:.60}")


def _check_share(name: str, value: Any) -> None:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not (is_number and 0 < value < 1):
        raise ValueError(f"expected {name} as a number between 0 and 1, such as 0.9, received {value!r:.60}")


def _check_switch(name: str, value: Any) -> None:
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"expected {name} as True or False, received {value!r:.60}")


def _check_name(name: str, value: Any) -> None:
    if len(check_text(value, name)) > _LONGEST_NAME:
        raise ValueError(
            f"expected {name} as a name of at most {_LONGEST_NAME} characters, received {len(value)}: {value!r:.60}"
        )


def _check_texts(name: str, value: Any) -> None:
    check_texts(value, name)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "language": _check_name,
    "coordinates": _check_name,
    "inputs_are": _check_name,
    "aspect_ratio": _check_number,
    "prediction_set": _check_share,
    "window_seconds": _check_number,
    "stride_seconds": _check_number,
    "allow_unseen": _check_switch,
    "return_scores": _check_switch,
    "max_frames": _check_count,
    "top_k": _check_count,
    "batch_size": _check_count,
    "num_workers": lambda name, value: _check_count(name, value, least=0),
    "num_beams": _check_count,
    "num_return_sequences": _check_count,
    "max_new_tokens": _check_count,
    "max_length": _check_count,
    "labels": _check_texts,
    "texts": _check_texts,
}
